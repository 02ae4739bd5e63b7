//! `…Server`: from a request's arguments to a call of the handler, and from its answer to an
//! outcome.

use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote};

use super::{info, local, outer};
use crate::model::{Argument, ErrorKind, Items, Kind, Method, Model};
use crate::types;

pub(super) fn expand(model: &Model) -> TokenStream {
    let (krate, name, visibility) = (&model.krate, &model.name, &model.item.vis);
    let (service, server, client) = (&model.item.ident, model.server(), model.client());
    let outer = outer(model);
    let about = format!(
        "Serves `{name}`: gives its calls to a [`{service}`].\n\nTo a server it is one of its \
         services. What serves may be shared: an `Arc` of it will do, too."
    );
    let bound = quote!(#service + ::core::marker::Send + ::core::marker::Sync + 'static);
    let methods = model.methods.iter().enumerate();
    let dispatchers = methods
        .clone()
        .map(|(index, method)| dispatcher(model, index, method));
    let (index, request) = (local("index"), local("request"));
    let calls = methods.map(|(index, method)| {
        let name = dispatcher_name(index);
        if method.items.is_some() {
            return quote!(#index => #krate::service::support::sends_items(&#request),);
        }
        quote! {
            #index => self.#name(#request).unwrap_or_else(#krate::service::Outcome::refused),
        }
    });
    let open = open(model);
    quote! {
        #[doc = #about]
        #outer
        #visibility struct #server<__Handler> {
            handler: __Handler,
        }

        #outer
        impl<__Handler: #bound> #server<__Handler> {
            /// Gives the calls to this handler, from several threads at once.
            #visibility fn new(handler: __Handler) -> Self {
                Self { handler }
            }

            #(#dispatchers)*
        }

        #outer
        impl<__Handler: #bound> #krate::service::Service for #server<__Handler> {
            fn info(&self) -> &'static #krate::service::ServiceInfo {
                #client::SERVICE
            }

            fn call(
                &self,
                #index: usize,
                #request: #krate::service::Request<'_>,
            ) -> #krate::service::Outcome {
                match #index {
                    #(#calls)*
                    _ => #krate::service::support::no_such_method(#client::SERVICE, #index),
                }
            }

            #open
        }

        #outer
        impl<__Handler> ::core::fmt::Debug for #server<__Handler> {
            fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                f.debug_struct(::core::stringify!(#server)).finish_non_exhaustive()
            }
        }
    }
}

/// How methods that give items are begun, if there are any.
fn open(model: &Model) -> Option<TokenStream> {
    let krate = &model.krate;
    let client = model.client();
    let (index, request) = (local("index"), local("request"));
    let methods = model.methods.iter().enumerate();
    let begun = methods.filter(|(_, method)| method.items.is_some());
    let begun: Vec<TokenStream> = begun
        .map(|(index, _)| {
            let name = dispatcher_name(index);
            quote!(#index => self.#name(#request),)
        })
        .collect();
    if begun.is_empty() {
        return None;
    }
    let status = local("status");
    Some(quote! {
        fn open(
            &self,
            #index: usize,
            #request: #krate::service::Request<'_>,
        ) -> ::core::result::Result<
            ::std::boxed::Box<dyn #krate::service::Produce + '_>,
            #krate::service::Outcome,
        > {
            match #index {
                #(#begun)*
                _ => return #krate::service::support::no_such_stream(#client::SERVICE, #index),
            }
            .unwrap_or_else(|#status| {
                ::core::result::Result::Err(#krate::service::Outcome::refused(#status))
            })
        }
    })
}

fn dispatcher_name(index: usize) -> Ident {
    format_ident!("__call_{index}")
}

/// The function that decodes one method's arguments and calls the handler. Its error is what is
/// wrong with the arguments.
fn dispatcher(model: &Model, index: usize, method: &Method) -> TokenStream {
    let krate = &model.krate;
    let (service, client, ident) = (&model.item.ident, model.client(), &method.ident);
    let name = dispatcher_name(index);
    let (of_arguments, of_method) = (info::arguments(index), info::method(index));
    let (request, arguments, answer) = (local("request"), local("arguments"), local("answer"));
    let count = method.arguments.len();
    let values: Vec<Ident> = (0..count).map(|at| local(&format!("value_{at}"))).collect();
    let infos: Vec<Ident> = (0..count).map(|at| local(&format!("info_{at}"))).collect();
    let taken = method.arguments.iter().zip(values.iter().zip(&infos));
    let taken = taken.map(|(argument, (value, info))| {
        if let Some(suffix) = owned_bytes(argument) {
            let take = format_ident!("take_owned_{suffix}");
            return quote! {
                let #value = #krate::service::support::#take(&mut #arguments, #info)?;
            };
        }
        let take = take(argument);
        // All other kinds look at the information themselves.
        let absent = (argument.default && argument.kind == Kind::Blob)
            .then(|| quote!(if #arguments.is_empty() { ::core::default::Default::default() } else));
        quote!(let #value = #absent { #arguments.#take(#info)? };)
    });
    let reader = if method.options.raw.is_some() {
        quote!(#(let #values = #request.raw()?;)*)
    } else if count == 0 {
        // Surplus arguments are nobody's business, but what is no array at all is refused.
        quote!(let _ = #request.arguments()?;)
    } else {
        quote! {
            let [#(#infos),*] = #client::#of_arguments;
            let mut #arguments = #request.arguments()?;
            #(#taken)*
        }
    };
    let incoming = method.incoming.as_ref().map(|incoming| {
        let take = incoming.items.kind.function("take", &incoming.items.ty);
        quote! {
            #krate::service::support::incoming(&#request, #krate::service::support::#take)?,
        }
    });
    let context = method
        .context
        .then(|| quote!(&#krate::service::Context::new(#request.running),));
    let arguments = quote!(#context #(#values,)* #incoming);
    let mut given = quote!(#krate::service::Outcome);
    let call = if let Some(items) = &method.items {
        given = quote! {
            ::core::result::Result<
                ::std::boxed::Box<dyn #krate::service::Produce + '_>,
                #krate::service::Outcome,
            >
        };
        let send = send(model, method, items, &of_method);
        quote! {
            let #answer = <__Handler as #service>::#ident(&self.handler, #arguments);
            ::core::result::Result::Ok(#send)
        }
    } else if method.later {
        let encode = encode(model, method);
        quote! {
            let #answer = #krate::service::Responder::new(
                #request.running.defer(),
                #client::#of_method,
                #encode,
            );
            <__Handler as #service>::#ident(&self.handler, #arguments #answer);
            ::core::result::Result::Ok(#krate::service::Outcome::Later)
        }
    } else {
        let encode = encode(model, method);
        quote! {
            let #answer = <__Handler as #service>::#ident(&self.handler, #arguments);
            ::core::result::Result::Ok((#encode)(#client::#of_method, #answer))
        }
    };
    quote! {
        fn #name(
            &self,
            #request: #krate::service::Request<'_>,
        ) -> ::core::result::Result<#given, #krate::Status> {
            #reader
            #call
        }
    }
}

/// What an argument is of, if it is bytes that the method owns: read as a whole, and not one by one
/// as serde reads what is owned.
fn owned_bytes(argument: &Argument) -> Option<&'static str> {
    match argument.kind {
        Kind::Bytes if types::is_owned(&argument.ty) => Some("bytes"),
        Kind::OptionalBytes if types::is_owned(&argument.ty) => Some("optional_bytes"),
        _ => None,
    }
}

/// The method of `Arguments` that takes this one, with its type.
fn take(argument: &Argument) -> TokenStream {
    let ty = &argument.ty;
    match argument.kind {
        Kind::Value | Kind::Bytes | Kind::OptionalBytes if argument.default => {
            quote!(take_or_default::<#ty>)
        }
        // Answers and items alone are raw: a method whose arguments are takes none here.
        Kind::Value | Kind::Bytes | Kind::OptionalBytes | Kind::RawBytes | Kind::RawBlob => {
            quote!(take::<#ty>)
        }
        Kind::Blob => quote!(take_blob),
        Kind::OptionalBlob => quote!(take_optional_blob),
        Kind::Blobs => quote!(take_blobs),
    }
}

/// What a server drives, of the items that the handler gave.
fn send(model: &Model, method: &Method, items: &Items, of_method: &Ident) -> TokenStream {
    let krate = &model.krate;
    let support = quote!(#krate::service::support);
    let put = items.kind.function("put", &items.ty);
    let send = match &method.returns.error {
        ErrorKind::None => quote!(send_items),
        ErrorKind::Status => quote!(send_items_or_status),
        ErrorKind::Own(_) => quote!(send_items_or_error),
    };
    let (client, answer) = (model.client(), local("answer"));
    quote!(#support::#send(#client::#of_method, #answer, #support::#put))
}

/// The function from what the handler gives to an outcome.
fn encode(model: &Model, method: &Method) -> TokenStream {
    let krate = &model.krate;
    let support = quote!(#krate::service::support);
    let ty = &method.returns.ty;
    let function = method.returns.kind.function("give", ty);
    let (of, answer) = (local("of"), local("answer"));
    match &method.returns.error {
        ErrorKind::None => quote!(#support::#function),
        ErrorKind::Status => quote! {
            |#of, #answer| #support::or_status(#of, #answer, #support::#function)
        },
        ErrorKind::Own(error) => quote! {
            |#of, #answer| #support::or_error::<#ty, #error>(#of, #answer, #support::#function)
        },
    }
}
