//! From a [`Model`] to code.
//!
//! | file | what |
//! |---|---|
//! | `info.rs` | what is known of the service without calling it |
//! | `server.rs` | `…Server`: arguments to a call of the handler, its answer to an outcome |
//! | `client.rs` | `…Client` and `…Begin`: arguments to a call, an answer to a value |
//!
//! # Invariants
//!
//! 1. Generated code names everything by its whole path, so that nothing that the user calls alike
//!    gets in the way. (test `names_of_the_users_own_do_not_get_in_the_way` in
//!    `tests/service/names.rs`)
//! 2. Its own variables are hygienic: an argument may have any name. (same test)

mod client;
mod info;
mod server;

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, format_ident, quote};
use syn::{FnArg, Type};

use crate::model::{ErrorKind, Kind, Method, Model};

/// Everything that is generated, and the trait itself.
pub(crate) fn expand(model: &Model) -> TokenStream {
    let item = &model.item;
    let shared = shared(model);
    let server = server::expand(model);
    let client = client::expand(model);
    quote! {
        #item
        #shared
        #server
        #client
    }
}

/// What is shared serves as what it is of, so that a server can be given an `Arc`.
fn shared(model: &Model) -> TokenStream {
    let service = &model.item.ident;
    let supertraits = &model.item.supertraits;
    let bounds = (!supertraits.is_empty()).then(|| quote!(where Self: #supertraits));
    let outer = outer(model);
    let methods = model.item.items.iter().filter_map(|item| match item {
        syn::TraitItem::Fn(function) => Some(function),
        _ => None,
    });
    let methods = methods.map(|function| {
        let (signature, name) = (&function.sig, &function.sig.ident);
        let given = function.sig.inputs.iter().filter_map(|input| match input {
            FnArg::Typed(input) => Some(&input.pat),
            FnArg::Receiver(_) => None,
        });
        quote! {
            #signature {
                <__Handler as #service>::#name(&**self #(, #given)*)
            }
        }
    });
    quote! {
        #outer
        impl<__Handler: #service + ?::core::marker::Sized> #service
            for ::std::sync::Arc<__Handler>
        #bounds
        {
            #(#methods)*
        }
    }
}

/// What stands on every item: what the trait depends on, and what of our code is no fault of the
/// user's.
fn outer(model: &Model) -> TokenStream {
    let conditions = model.item.attrs.iter();
    let conditions = conditions.filter(|attribute| attribute.path().is_ident("cfg"));
    quote! {
        #(#conditions)*
        #[allow(clippy::all, clippy::pedantic, clippy::nursery, deprecated, unused)]
    }
}

/// A variable that no name of the user's can meet.
fn local(name: &str) -> Ident {
    Ident::new(name, Span::mixed_site())
}

impl Model {
    fn server(&self) -> Ident {
        format_ident!("{}Server", self.item.ident)
    }

    fn client(&self) -> Ident {
        format_ident!("{}Client", self.item.ident)
    }

    fn begin(&self) -> Ident {
        format_ident!("{}Begin", self.item.ident)
    }
}

impl Method {
    /// The method's error as a caller's `CallError` has it, in angle brackets.
    fn error(&self) -> Option<TokenStream> {
        match &self.returns.error {
            ErrorKind::Own(error) => Some(quote!(<#error>)),
            ErrorKind::None | ErrorKind::Status => None,
        }
    }
}

impl Kind {
    /// The function of this name for values of this kind, with the type where it needs one.
    fn function(self, verb: &str, ty: &Type) -> TokenStream {
        let suffix = match self {
            Kind::Value => "value",
            Kind::Bytes => "bytes",
            Kind::OptionalBytes => "optional_bytes",
            Kind::Blob => "blob",
            Kind::OptionalBlob => "optional_blob",
            Kind::Blobs => "blobs",
            Kind::RawBytes => "raw_bytes",
            Kind::RawBlob => "raw_blob",
        };
        let name = format_ident!("{verb}_{suffix}");
        let ty = (self == Kind::Value).then(|| quote!(::<#ty>));
        quote!(#name #ty).into_token_stream()
    }
}
