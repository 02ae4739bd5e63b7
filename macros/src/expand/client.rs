//! `…Client` and `…Begin`: from arguments to a call, and from an answer to a value.

use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote};

use super::{info, local, outer};
use crate::model::{ErrorKind, Kind, Method, Model};

/// What a client's method says about errors, where its documentation does not.
const ERRORS: &str = "# Errors\n\nWhat kept the call from its answer, and whether the method ran.";

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
    let (head, encoded) = (head(model, method), encoded(index, method));
    let of_method = info::method(index);
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
    let (head, encoded) = (head(model, method), encoded(index, method));
    let of_method = info::method(index);
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
    let own = match &method.returns.error {
        ErrorKind::Own(error) => Some(quote!(, #error)),
        ErrorKind::None | ErrorKind::Status => None,
    };
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

/// A method up to its arguments, with its documentation.
fn head(model: &Model, method: &Method) -> TokenStream {
    let visibility = &model.item.vis;
    let (ident, attributes) = (&method.ident, &method.attributes);
    let docs = &method.docs.attributes;
    let about = method.docs.is_empty().then(|| {
        let about = format!("Calls `{}.{}`.", model.name, method.name);
        quote!(#[doc = #about])
    });
    let errors = (!method.docs.has_heading("Errors")).then(|| quote!(#[doc = ""] #[doc = #ERRORS]));
    let names = method.arguments.iter().map(|argument| &argument.ident);
    let types = method.arguments.iter().map(|argument| &argument.ty);
    quote! {
        #(#docs)*
        #about
        #errors
        #(#attributes)*
        #visibility fn #ident(&self, #(#names: #types),*)
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

/// The function from an answer to the method's value or error.
fn finish(model: &Model, method: &Method) -> TokenStream {
    let krate = &model.krate;
    let read = method.returns.kind.function("read", &method.returns.ty);
    let read = quote!(#krate::service::support::#read);
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
