//! `…Client` and `…Begin`: from arguments to a call, and from an answer to a value.

use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote};

use syn::Type;

use super::{info, local, outer};
use crate::model::{ErrorKind, Incoming, Items, Kind, Method, Model};

/// What a client's method says about errors, where its documentation does not.
const ERRORS: &str = "# Errors\n\nWhat kept the call from its answer, and whether the method ran.";
/// The same of a method that gives a stream.
const STREAM_ERRORS: &str = "# Errors\n\nWhat kept the call from being begun. What ends it later \
     is the last that the stream gives.";
/// The same of a method that gives what items are sent by.
const SINK_ERRORS: &str = "# Errors\n\nWhat kept the call from being begun. What ends it later is \
     told where items are sent, and at the end.";

pub(super) fn expand(model: &Model) -> TokenStream {
    let client = of_client(model);
    let begin = of_begin(model);
    quote!(#client #begin)
}

fn of_client(model: &Model) -> TokenStream {
    let (krate, name, visibility) = (&model.krate, &model.name, &model.item.vis);
    let (service, client, begin) = (&model.item.ident, model.client(), model.begin());
    let outer = outer(model);
    let about = format!(
        "Calls `{name}`: has the methods of [`{service}`], each of which blocks its thread until it \
         has its answer.\n\nCloning it costs a counter; clones share their connections."
    );
    let docs = &model.docs.attributes;
    let gap = (!docs.is_empty()).then(|| quote!(#[doc = ""]));
    let infos = info::expand(model);
    let methods = model.methods.iter().enumerate();
    let encoders = methods
        .clone()
        .map(|(index, method)| encoder(model, index, method));
    let calls = methods.map(|(index, method)| call(model, index, method));
    quote! {
        #(#docs)*
        #gap
        #[doc = #about]
        #outer
        #[derive(::core::clone::Clone)]
        #visibility struct #client {
            client: #krate::client::Client,
            options: #krate::client::Call,
        }

        #outer
        impl #client {
            #infos

            /// A client of the nodes at these endpoints, with default options.
            ///
            /// # Errors
            ///
            /// Where an endpoint is none. Whether anybody is there is found out later.
            #visibility fn connect(
                endpoints: impl #krate::client::Endpoints,
            ) -> ::core::result::Result<Self, #krate::Error> {
                ::core::result::Result::Ok(Self::from(#krate::client::Client::connect(endpoints)?))
            }

            /// Options first.
            #visibility fn builder() -> #krate::client::ClientBuilder<Self> {
                #krate::client::Client::builder_of(Self::SERVICE)
            }

            /// The same client, whose calls have these options instead of its own.
            #[must_use]
            #visibility fn with(&self, options: #krate::client::Call) -> Self {
                Self { client: ::core::clone::Clone::clone(&self.client), options }
            }

            /// The same methods, which begin a call and do not wait for its answer.
            #[must_use]
            #visibility fn begin(&self) -> #begin<'_> {
                #begin { client: self }
            }

            /// What the calls go through, whichever the service.
            #[must_use]
            #visibility fn client(&self) -> &#krate::client::Client {
                &self.client
            }

            #(#calls)*

            #(#encoders)*
        }

        #outer
        impl #krate::client::Calls for #client {
            fn client(&self) -> &#krate::client::Client {
                &self.client
            }
            fn options(&self) -> &#krate::client::Call {
                &self.options
            }
            fn with(&self, options: #krate::client::Call) -> Self {
                Self { client: ::core::clone::Clone::clone(&self.client), options }
            }
        }

        #outer
        impl ::core::convert::From<#krate::client::Client> for #client {
            fn from(client: #krate::client::Client) -> Self {
                Self { client, options: #krate::client::Call::new() }
            }
        }

        #outer
        impl ::core::fmt::Debug for #client {
            fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                f.debug_struct(::core::stringify!(#client)).finish_non_exhaustive()
            }
        }
    }
}

fn of_begin(model: &Model) -> TokenStream {
    let (visibility, client, begin) = (&model.item.vis, model.client(), model.begin());
    let outer = outer(model);
    let about = format!(
        "Begins calls of `{}`; what each method gives is the call in flight.\n\nOf \
         [`{client}::begin`].",
        model.name
    );
    let methods = model.methods.iter().enumerate();
    let calls = methods.map(|(index, method)| begun(model, index, method));
    quote! {
        #[doc = #about]
        #outer
        #[derive(::core::clone::Clone, ::core::marker::Copy, ::core::fmt::Debug)]
        #visibility struct #begin<'c> {
            client: &'c #client,
        }

        #outer
        impl #begin<'_> {
            #(#calls)*
        }
    }
}

/// A method of the client, which waits for its answer.
fn call(model: &Model, index: usize, method: &Method) -> TokenStream {
    let krate = &model.krate;
    let ty = &method.returns.ty;
    let error = method.error();
    let encoded = encoded(index, method);
    let of_method = info::method(index);
    if method.items.is_some() {
        return streaming(model, index, method, &quote!(self), &quote!(Self));
    }
    if let Some(incoming) = &method.incoming {
        let (name, of) = (&incoming.ident, &incoming.items.ty);
        let given = quote!(#name: impl ::core::iter::IntoIterator<Item = #of>);
        let head = head(model, method, Some(&given), ERRORS);
        let (write, finish) = (write(model, incoming), finish(model, method));
        return quote! {
            #head -> ::core::result::Result<#ty, #krate::CallError #error> {
                self.client
                    .feed(Self::#of_method, &self.options, Self::#encoded, #write, #finish)?
                    .finish_with(#name)
            }
        };
    }
    let head = head(model, method, None, ERRORS);
    if method.options.oneway.is_some() {
        return quote! {
            #head -> ::core::result::Result<(), #krate::CallError> {
                self.client.send_oneway(Self::#of_method, &self.options, Self::#encoded)
            }
        };
    }
    let finish = finish(model, method);
    quote! {
        #head -> ::core::result::Result<#ty, #krate::CallError #error> {
            self.client.call(Self::#of_method, &self.options, Self::#encoded, #finish)
        }
    }
}

/// A method of what begins calls.
fn begun(model: &Model, index: usize, method: &Method) -> TokenStream {
    let (krate, client) = (&model.krate, model.client());
    let ty = &method.returns.ty;
    let error = method.error();
    let encoded = encoded(index, method);
    let of_method = info::method(index);
    if method.items.is_some() || method.incoming.is_some() {
        return streaming(model, index, method, &quote!(self.client), &quote!(#client));
    }
    let head = head(model, method, None, ERRORS);
    if method.options.oneway.is_some() {
        return quote! {
            #head -> ::core::result::Result<(), #krate::CallError> {
                self.client.client.send_oneway(
                    #client::#of_method,
                    &self.client.options,
                    #client::#encoded,
                )
            }
        };
    }
    let finish = finish(model, method);
    let own = own(method);
    quote! {
        #head -> ::core::result::Result<
            #krate::client::Pending<#ty #own>,
            #krate::CallError #error,
        > {
            self.client.client.begin(
                #client::#of_method,
                &self.client.options,
                #client::#encoded,
                #finish,
            )
        }
    }
}

/// A method that gives a stream, or what a stream is sent by: the same in both. `client` is where
/// the client is, and `of` its type.
fn streaming(
    model: &Model,
    index: usize,
    method: &Method,
    client: &TokenStream,
    of: &TokenStream,
) -> TokenStream {
    let krate = &model.krate;
    let error = method.error();
    let own = own(method);
    let errors = match method.items {
        Some(_) => STREAM_ERRORS,
        None => SINK_ERRORS,
    };
    let head = head(model, method, None, errors);
    let encoded = encoded(index, method);
    let of_method = info::method(index);
    let finish = finish(model, method);
    let read = method.items.as_ref().map(|items| take(model, items));
    let write = method
        .incoming
        .as_ref()
        .map(|incoming| write(model, incoming));
    let taken = method.incoming.as_ref().map(|incoming| &incoming.items.ty);
    let given = match &method.items {
        Some(items) => &items.ty,
        None => &method.returns.ty,
    };
    let (ty, begin) = match (&write, &read) {
        (None, _) => (quote!(Stream<#given #own>), quote!(open)),
        (Some(_), None) => (quote!(Sink<#taken, #given #own>), quote!(feed)),
        (Some(_), Some(_)) => (quote!(Duplex<#taken, #given #own>), quote!(duplex)),
    };
    let how = [write, read].into_iter().flatten();
    quote! {
        #head -> ::core::result::Result<#krate::client::#ty, #krate::CallError #error> {
            #client.client.#begin(
                #of::#of_method,
                &#client.options,
                #of::#encoded,
                #(#how,)*
                #finish,
            )
        }
    }
}

/// A method up to its arguments, with its documentation. `more` is an argument beside those that
/// are encoded.
fn head(model: &Model, method: &Method, more: Option<&TokenStream>, errors: &str) -> TokenStream {
    let visibility = &model.item.vis;
    let (ident, attributes) = (&method.ident, &method.attributes);
    let docs = &method.docs.attributes;
    let about = method.docs.is_empty().then(|| {
        let about = format!("Calls `{}.{}`.", model.name, method.name);
        quote!(#[doc = #about])
    });
    let errors = (!method.docs.has_heading("Errors")).then(|| quote!(#[doc = ""] #[doc = #errors]));
    let names = method.arguments.iter().map(|argument| &argument.ident);
    let types = method.arguments.iter().map(|argument| &argument.ty);
    quote! {
        #(#docs)*
        #about
        #errors
        #(#attributes)*
        #visibility fn #ident(&self, #(#names: #types,)* #more)
    }
}

fn encoder_name(index: usize) -> Ident {
    format_ident!("__encode_{index}")
}

/// The call of a method's encoder with its arguments.
fn encoded(index: usize, method: &Method) -> TokenStream {
    let name = encoder_name(index);
    let values = method.arguments.iter().map(|argument| &argument.ident);
    quote!(#name(#(#values),*))
}

/// The function from a method's arguments to bytes.
fn encoder(model: &Model, index: usize, method: &Method) -> TokenStream {
    let krate = &model.krate;
    let (name, count) = (encoder_name(index), method.arguments.len());
    let names = method.arguments.iter().map(|argument| &argument.ident);
    let given = names.clone();
    let types = method.arguments.iter().map(|argument| &argument.ty);
    let encoder = local("encoder");
    if method.options.raw.is_some() {
        return quote! {
            fn #name(
                #(#names: #types),*
            ) -> ::core::result::Result<#krate::wire::Payload, #krate::wire::EncodeError> {
                ::core::result::Result::Ok(#krate::service::support::raw(#(#given),*))
            }
        };
    }
    let put = method.arguments.iter().map(|argument| {
        let value = &argument.ident;
        match argument.kind {
            // Answers alone are raw: a method whose arguments are puts none here.
            Kind::Value | Kind::RawBytes | Kind::RawBlob => quote!(#encoder.put(&#value)?;),
            Kind::Bytes => quote!(#encoder.put_bytes(&#value);),
            Kind::OptionalBytes => quote!(#encoder.put_optional_bytes(#value.as_deref());),
            Kind::Blob => quote!(#encoder.put_blob(&#value);),
            Kind::OptionalBlob => quote!(#encoder.put_optional_blob(#value.as_ref());),
            Kind::Blobs => quote!(#encoder.put_blobs(&#value);),
        }
    });
    let mutable = (count > 0).then(|| quote!(mut));
    quote! {
        fn #name(
            #(#names: #types),*
        ) -> ::core::result::Result<#krate::wire::Payload, #krate::wire::EncodeError> {
            let #mutable #encoder = #krate::wire::Encoder::arguments(#count);
            #(#put)*
            ::core::result::Result::Ok(#encoder.finish())
        }
    }
}

/// The method's own error, if it has one, after a type.
fn own(method: &Method) -> Option<TokenStream> {
    match &method.returns.error {
        ErrorKind::Own(error) => Some(quote!(, #error)),
        ErrorKind::None | ErrorKind::Status => None,
    }
}

/// The function from bytes to a value.
fn read(model: &Model, kind: Kind, ty: &Type) -> TokenStream {
    let (krate, read) = (&model.krate, kind.function("read", ty));
    quote!(#krate::service::support::#read)
}

/// The function from an item's bytes to it.
fn take(model: &Model, items: &Items) -> TokenStream {
    let (krate, take) = (&model.krate, items.kind.function("take", &items.ty));
    quote!(#krate::service::support::#take)
}

/// The function from an item to bytes.
fn write(model: &Model, incoming: &Incoming) -> TokenStream {
    let items = &incoming.items;
    let (krate, write) = (&model.krate, items.kind.function("put", &items.ty));
    quote!(#krate::service::support::#write)
}

/// The function from an answer to the method's value or error.
fn finish(model: &Model, method: &Method) -> TokenStream {
    let krate = &model.krate;
    let read = read(model, method.returns.kind, &method.returns.ty);
    let answer = local("answer");
    match &method.returns.error {
        ErrorKind::Own(error) => {
            let ty = &method.returns.ty;
            quote!(|#answer| #krate::client::finish_typed::<#ty, #error>(#answer, #read))
        }
        ErrorKind::None | ErrorKind::Status => {
            quote!(|#answer| #krate::client::finish(#answer, #read))
        }
    }
}
