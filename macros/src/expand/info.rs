//! What is known of a service without calling it, as constants of the client.

use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote};
use syn::ext::IdentExt;

use crate::model::{ErrorKind, Method, Model};
use crate::types;

/// The constant with the arguments of the method at this index.
pub(super) fn arguments(index: usize) -> Ident {
    format_ident!("__ARGUMENTS_{index}")
}

/// The constant with the method at this index.
pub(super) fn method(index: usize) -> Ident {
    format_ident!("__METHOD_{index}")
}

/// The constants.
pub(super) fn expand(model: &Model) -> TokenStream {
    let (krate, name, visibility) = (&model.krate, &model.name, &model.item.vis);
    let docs = model.docs.text();
    let methods = model.methods.iter().enumerate();
    let constants = methods.map(|(index, of)| constants(model, index, of));
    let names = (0..model.methods.len()).map(method);
    quote! {
        #(#constants)*

        const __METHODS: &'static [#krate::service::MethodInfo] = &[#(*Self::#names),*];

        /// What is known of the service: its methods, their arguments and options.
        #visibility const SERVICE: &'static #krate::service::ServiceInfo =
            &#krate::service::ServiceInfo::new(#name, Self::__METHODS).docs(#docs);
    }
}

fn constants(model: &Model, index: usize, of: &Method) -> TokenStream {
    let krate = &model.krate;
    let (arguments, method) = (arguments(index), method(index));
    let count = of.arguments.len();
    let infos = of.arguments.iter().map(|argument| {
        let name = argument.ident.unraw().to_string();
        let ty = types::text(&argument.ty);
        let default = argument.default;
        quote! {
            #krate::service::ArgumentInfo { name: #name, type_name: #ty, default: #default }
        }
    });
    let (name, path) = (&of.name, format!("{}.{}", model.name, of.name));
    let docs = of.docs.text();
    let returns = types::text(&of.returns.ty);
    let error = match &of.returns.error {
        ErrorKind::Own(error) => {
            let error = types::text(error);
            Some(quote!(.error(#error)))
        }
        ErrorKind::None | ErrorKind::Status => None,
    };
    let idempotent = of.options.idempotent.map(|_| quote!(.idempotent()));
    let oneway = of.options.oneway.map(|_| quote!(.oneway()));
    let inline = of.options.inline.map(|_| quote!(.inline()));
    let time = |nanoseconds: u64| quote!(::core::time::Duration::from_nanos(#nanoseconds));
    let timeout = of.options.timeout_ns.map(time);
    let timeout = timeout.map(|time| quote!(.timeout(#time)));
    let item_timeout = of.options.item_timeout_ns.map(|(of, _)| time(of));
    let item_timeout = item_timeout.map(|time| quote!(.item_timeout(#time)));
    let items_in = of.incoming.as_ref().map(|incoming| {
        let ty = types::text(&incoming.items.ty);
        quote!(.items_in(#ty))
    });
    let items_out = of.items.as_ref().map(|items| {
        let ty = types::text(&items.ty);
        quote!(.items_out(#ty))
    });
    let pool = of
        .options
        .pool
        .as_ref()
        .map(|(pool, _)| quote!(.pool(#pool)));
    let raw = of.options.raw.map(|_| quote!(.raw()));
    let key = of.options.key.as_ref().and_then(|(key, _)| {
        let mut arguments = of.arguments.iter();
        let index = arguments.position(|argument| argument.ident.unraw() == key)?;
        Some(quote!(.key(#index)))
    });
    let later = of.later.then(|| quote!(.later()));
    quote! {
        const #arguments: &'static [#krate::service::ArgumentInfo; #count] = &[#(#infos),*];

        const #method: &'static #krate::service::MethodInfo =
            &#krate::service::MethodInfo::new(#name, #path)
                .docs(#docs)
                .arguments(Self::#arguments)
                .returns(#returns)
                #error #idempotent #oneway #inline #timeout #pool #raw #later
                #items_in #items_out #item_timeout #key;
    }
}
