//! The attribute `#[service]` of the package `brokerless`, where it is documented.
//!
//! Attributes of this kind have a package of their own; use it through `brokerless::service`.
//!
//! | file | what |
//! |---|---|
//! | `read.rs` | a trait to a `Model`, or everything that keeps it from being a service |
//! | `options.rs` | what stands in `#[service(...)]` and `#[rpc(...)]` |
//! | `types.rs` | which types may travel |
//! | `streams.rs` | which travel item by item, and where they stand |
//! | `docs.rs` | documentation, which goes along |
//! | `expand/` | a `Model` to code |

mod docs;
mod expand;
mod model;
mod options;
mod read;
mod streams;
mod types;

use proc_macro::TokenStream;
use quote::quote;
use syn::ItemTrait;

/// This attribute is the package `brokerless`'s, and is documented there: `brokerless::service`.
#[proc_macro_attribute]
pub fn service(attribute: TokenStream, item: TokenStream) -> TokenStream {
    expanded(attribute.into(), item.into()).into()
}

fn expanded(
    attribute: proc_macro2::TokenStream,
    item: proc_macro2::TokenStream,
) -> proc_macro2::TokenStream {
    let item = match syn::parse2::<ItemTrait>(item.clone()) {
        Ok(item) => item,
        Err(fault) => {
            let fault = match syn::parse2::<syn::Item>(item) {
                Ok(item) => syn::Error::new_spanned(
                    item,
                    "`#[service]` stands on a trait, whose methods are what can be called",
                ),
                Err(_) => fault,
            };
            return fault.into_compile_error();
        }
    };
    match read::service(attribute, item) {
        Ok(model) => expand::expand(&model),
        Err((faults, item)) => {
            // The trait stays, so that nothing else is reported but what is wrong with it.
            let faults = faults.into_compile_error();
            quote!(#faults #item)
        }
    }
}
