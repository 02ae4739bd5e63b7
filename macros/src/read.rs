//! From a trait to a [`Model`], or to everything that keeps it from being a service.
//!
//! Faults are gathered, so that one build shows them all, each at what it is about.

use std::fmt::Display;

use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::ext::IdentExt;
use syn::{
    Attribute, Error, FnArg, Ident, ItemTrait, Pat, PatType, ReceiverKind, Result, ReturnType,
    Safety, Signature, TraitItem, TraitItemFn, Type, parse_quote,
};

use crate::model::{Argument, Docs, ErrorKind, Incoming, Items, Kind, Method, Model, Returns};
use crate::options::{self, NAME_MAX, ServiceOptions};
use crate::{streams, types};

/// Methods of every client, so that none of the service's can have their names in Rust.
const CLIENTS_OWN: &[&str] = &[
    "begin", "builder", "client", "clone", "connect", "from", "with",
];

/// Reads a service.
///
/// # Errors
///
/// Every fault, and the trait without our attributes, for the compiler to go on with.
pub(crate) fn service(
    attribute: TokenStream,
    mut item: ItemTrait,
) -> std::result::Result<Model, (Error, Box<ItemTrait>)> {
    let mut faults = Faults::default();
    let options = faults.keep(ServiceOptions::parse(attribute, &item.ident));
    faults.keep(of_trait(&item));
    let mut methods = Vec::new();
    for part in &mut item.items {
        match part {
            TraitItem::Fn(function) => methods.extend(method(function, &mut faults)),
            part => faults.add(&part, "a service has methods, and nothing else"),
        }
    }
    for (at, method) in methods.iter().enumerate() {
        if methods[..at].iter().any(|other| other.name == method.name) {
            let name = &method.name;
            let what = format!("another method has the name `{name}` on the wire");
            match &method.options.name {
                Some((_, span)) => faults.push(Error::new(*span, what)),
                None => faults.add(&method.ident, what),
            }
        }
    }
    match (options, faults.0) {
        (Some(options), None) => Ok(Model {
            docs: Docs::of(&item.attrs),
            item,
            krate: options.krate,
            name: options.name,
            methods,
        }),
        (_, faults) => {
            let faults = faults.unwrap_or_else(|| Error::new_spanned(&item.ident, "no service"));
            Err((faults, Box::new(item)))
        }
    }
}

/// The faults found so far.
#[derive(Default)]
struct Faults(Option<Error>);

impl Faults {
    fn add(&mut self, at: &impl ToTokens, what: impl Display) {
        self.push(Error::new_spanned(at, what));
    }

    fn push(&mut self, fault: Error) {
        match &mut self.0 {
            Some(faults) => faults.combine(fault),
            none => *none = Some(fault),
        }
    }

    fn keep<T>(&mut self, result: Result<T>) -> Option<T> {
        result.map_err(|fault| self.push(fault)).ok()
    }
}

fn of_trait(item: &ItemTrait) -> Result<()> {
    if !item.generics.params.is_empty() {
        return Err(Error::new_spanned(
            &item.generics,
            "a service is a trait without generics: its methods are known by name to callers that \
             cannot choose types",
        ));
    }
    if let Some(clause) = &item.generics.where_clause {
        return Err(Error::new_spanned(
            clause,
            "a service is a trait without a `where` clause",
        ));
    }
    if let Some(word) = &item.unsafety {
        return Err(Error::new_spanned(
            word,
            "a service is a safe trait: its callers are not here",
        ));
    }
    if let Some(word) = &item.modifiers.auto_token {
        return Err(Error::new_spanned(word, "a service is implemented by hand"));
    }
    Ok(())
}

/// Reads a method, and takes our attributes off it.
fn method(function: &mut TraitItemFn, faults: &mut Faults) -> Option<Method> {
    let before = faults
        .0
        .as_ref()
        .map_or(0, |faults| faults.clone().into_iter().count());
    let ident = function.sig.ident.clone();
    let name = ident.unraw().to_string();
    if let Some(cfg) = function.attrs.iter().find(|a| a.path().is_ident("cfg")) {
        faults.add(
            &cfg,
            "callers count on every method: put `#[cfg(...)]` on the whole service",
        );
    }
    let options = faults
        .keep(options::of_method(&function.attrs))
        .unwrap_or_default();
    if options.name.is_none() && !name.is_ascii() {
        let rule = "a method's name is ASCII on the wire: give it another there with \
                    `#[rpc(name = \"...\")]`";
        faults.add(&ident, rule);
    }
    if name.len() > NAME_MAX {
        let long = name.len();
        let rule = format!(
            "a method's name has at most {NAME_MAX} bytes on the wire, not {long}: give it another \
             there with `#[rpc(name = \"...\")]`"
        );
        if options.name.is_none() {
            faults.add(&ident, rule);
        }
    }
    if CLIENTS_OWN.contains(&&*name) {
        faults.add(
            &ident,
            format!(
                "every client has a method `{name}` of its own: call this one otherwise, and keep \
                 its name on the wire with `#[rpc(name = \"{name}\")]`"
            ),
        );
    }
    faults.keep(of_signature(&function.sig));
    let mut taken = inputs(&mut function.sig, faults);
    let mut returns = returns(&function.sig, &options, taken.responder.as_ref(), faults);
    let is_streaming = taken.incoming.is_some() || returns.1.is_some();
    for fault in streams::options(&options, is_streaming) {
        faults.push(fault);
    }
    faults.keep(key(&options, &taken));
    if options.raw.is_some() {
        faults.keep(raw(&ident, &options, &mut taken, &mut returns));
    }
    let (returns, items) = returns;
    let method = Method {
        name: options.name.as_ref().map_or(name, |(name, _)| name.clone()),
        docs: Docs::of(&function.attrs),
        attributes: function
            .attrs
            .iter()
            .filter(|a| holds_for_callers(a))
            .cloned()
            .collect(),
        context: taken.context,
        arguments: taken.arguments,
        later: taken.responder.is_some(),
        incoming: taken.incoming,
        returns,
        items,
        options,
        ident,
    };
    function
        .attrs
        .retain(|attribute| !attribute.path().is_ident("rpc"));
    let after = faults
        .0
        .as_ref()
        .map_or(0, |faults| faults.clone().into_iter().count());
    (after == before).then_some(method)
}

fn holds_for_callers(attribute: &Attribute) -> bool {
    let list = matches!(attribute.meta, syn::Meta::List(_));
    attribute.path().is_ident("deprecated") || attribute.path().is_ident("doc") && list
}

fn of_signature(signature: &Signature) -> Result<()> {
    fn refuse(at: &impl ToTokens, rule: &str) -> Result<()> {
        Err(Error::new_spanned(at, rule))
    }
    if let Some(word) = &signature.asyncness {
        return refuse(
            word,
            "a handler blocks its thread and no more, so it is not `async`; one that answers later \
             takes a `Responder<T>` as its last argument",
        );
    }
    if let Safety::Unsafe(word) = &signature.safety {
        return refuse(
            word,
            "a caller cannot promise what an `unsafe` method asks for",
        );
    }
    if let Some(word) = &signature.constness {
        return refuse(
            word,
            "a method is called over the wire, not while compiling",
        );
    }
    if let Some(word) = &signature.abi {
        return refuse(word, "a method has Rust's own calling convention");
    }
    if !signature.generics.params.is_empty() {
        let lifetimes_only = signature.generics.type_params().next().is_none()
            && signature.generics.const_params().next().is_none();
        return refuse(
            &signature.generics,
            if lifetimes_only {
                "what is borrowed is borrowed from the request: leave the lifetimes out, or write \
                 `'_`"
            } else {
                "a method has no generics: the other side has to know the types"
            },
        );
    }
    if let Some(clause) = &signature.generics.where_clause {
        return refuse(
            clause,
            "a method has no `where` clause: it can always be called",
        );
    }
    if let Some(dots) = &signature.variadic {
        return refuse(dots, "a method has a fixed number of arguments");
    }
    let Some(receiver) = signature.receiver() else {
        return refuse(
            &signature.ident,
            "a method takes `&self`: what serves the calls",
        );
    };
    match &receiver.kind {
        ReceiverKind::Reference(_, _, Some(_)) => refuse(
            receiver,
            "several calls run at once: take `&self`, and keep what changes in a `Mutex` or an \
             atomic",
        ),
        ReceiverKind::Reference(_, Some(lifetime), None) if lifetime.ident != "_" => {
            refuse(lifetime, "a handler takes `&self`, without a lifetime")
        }
        ReceiverKind::Reference(..) => Ok(()),
        _ => refuse(
            receiver,
            "a handler is shared by all calls: it takes `&self`",
        ),
    }
}

/// What stands between a method's parentheses, after `&self`.
#[derive(Default)]
struct Inputs {
    context: bool,
    arguments: Vec<Argument>,
    /// What the answer that is given later is, if it is.
    responder: Option<Type>,
    incoming: Option<Incoming>,
}

fn inputs(signature: &mut Signature, faults: &mut Faults) -> Inputs {
    let mut taken = Inputs::default();
    let mut defaults = false;
    let count = |is: fn(&Type) -> bool| {
        let inputs = signature.inputs.iter();
        let inputs = inputs.filter(|input| matches!(input, FnArg::Typed(input) if is(&input.ty)));
        inputs.count()
    };
    let incomings = count(|ty| streams::incoming(ty).is_some());
    let both = incomings > 0 && count(|ty| types::responder(ty).is_some()) > 0;
    // Where the fault is another, the place is not told of.
    let anywhere = both || incomings > 1;
    let mut incoming = None;
    let inputs = signature.inputs.iter_mut().filter_map(|input| match input {
        FnArg::Typed(input) => Some(input),
        FnArg::Receiver(_) => None,
    });
    let mut inputs = inputs.peekable();
    let mut first = true;
    while let Some(input) = inputs.next() {
        let default = faults
            .keep(options::of_argument(&input.attrs))
            .unwrap_or_default();
        if let Some(cfg) = input.attrs.iter().find(|a| a.path().is_ident("cfg")) {
            faults.add(
                &cfg,
                "callers count on every argument: it is there, or it is not",
            );
        }
        let mark = input
            .attrs
            .iter()
            .find(|a| a.path().is_ident("rpc"))
            .cloned();
        input
            .attrs
            .retain(|attribute| !attribute.path().is_ident("rpc"));
        let is_last = inputs.peek().is_none();
        if first && types::is_context(&input.ty) {
            first = false;
            if let Some(mark) = &mark {
                faults.add(
                    mark,
                    "the context is no argument that callers give: it has no default",
                );
            }
            taken.context = faults.keep(context(input)).is_some();
            continue;
        }
        first = false;
        if both && types::responder(&input.ty).is_some() {
            faults.add(
                &input.ty,
                "a method that takes an `Incoming` waits for its items, and answers by what it \
                 returns: it has no responder",
            );
            continue;
        }
        if is_last && let Some(of) = types::responder(&input.ty) {
            if let Some(mark) = &mark {
                faults.add(
                    mark,
                    "a responder is no argument that callers give: it has no default",
                );
            }
            taken.responder = faults.keep(of).cloned();
            if taken.responder.is_none() {
                *input.ty = parse_quote!(());
            }
            continue;
        }
        if let Some(of) = streams::incoming(&input.ty) {
            if let Some(mark) = &mark {
                faults.add(
                    mark,
                    "what callers send one after the other has no default: it may be nothing at all",
                );
            }
            let alone = incoming.replace(()).is_none();
            taken.incoming = faults.keep(of_incoming(input, is_last || anywhere, alone, of));
            continue;
        }
        let Some(ident) = faults.keep(ident(input)) else {
            // The compiler has its own words for what has been said.
            *input.pat = parse_quote!(_);
            continue;
        };
        if defaults && !default {
            faults.add(&input,
                "an argument after one with a default has one, too: what older callers leave out is \
                 at the end",
            );
        }
        defaults |= default;
        if let Some(kind) = faults.keep(types::argument(&input.ty)) {
            taken.arguments.push(Argument {
                ident,
                ty: (*input.ty).clone(),
                kind,
                default,
            });
        }
    }
    taken
}

fn of_incoming(
    input: &mut PatType,
    is_last: bool,
    alone: bool,
    of: Result<Items>,
) -> Result<Incoming> {
    let items = of.inspect_err(|_| *input.ty = parse_quote!(()))?;
    let ident = ident(input)?;
    if !alone {
        return Err(Error::new_spanned(
            &input.ty,
            "a method takes one `Incoming` at most: items of several kinds are an enum's",
        ));
    }
    if !is_last {
        return Err(Error::new_spanned(
            &input.ty,
            "what callers send one after the other is the last argument: \
             `fn total(&self, start: i64, values: Incoming<i64>) -> i64`",
        ));
    }
    Ok(Incoming { ident, items })
}

fn context(input: &PatType) -> Result<()> {
    ident(input)?;
    match &*input.ty {
        Type::Reference(reference) if reference.mutability.is_none() => Ok(()),
        ty => Err(Error::new_spanned(
            ty,
            "the context is lent: `ctx: &Context<'_>`",
        )),
    }
}

fn ident(input: &PatType) -> Result<Ident> {
    match &*input.pat {
        Pat::Ident(pat) if pat.by_ref.is_none() && pat.subpat.is_none() => {
            if let Some(word) = &pat.mutability {
                let rule = "what a trait declares has no `mut`: it is the implementation's";
                return Err(Error::new_spanned(word, rule));
            }
            Ok(pat.ident.clone())
        }
        pat => Err(Error::new_spanned(
            pat,
            "callers see an argument's name, so it has one: `x: i64` instead of a pattern",
        )),
    }
}

fn returns(
    signature: &Signature,
    options: &crate::model::MethodOptions,
    responder: Option<&Type>,
    faults: &mut Faults,
) -> (Returns, Option<Items>) {
    let nothing = || {
        let returns = Returns {
            ty: parse_quote!(()),
            kind: Kind::Value,
            error: ErrorKind::None,
        };
        (returns, None)
    };
    let returned = match &signature.output {
        ReturnType::Default => None,
        ReturnType::Type(_, ty) if is_unit(ty) => None,
        ReturnType::Type(_, ty) => Some(&**ty),
    };
    if let (Some(ty), Some(_)) = (returned, responder) {
        let rule = "a method with a responder answers by it, so it returns nothing";
        faults.add(ty, rule);
        return nothing();
    }
    let Some(ty) = returned.or(responder) else {
        return nothing();
    };
    let given = match responder {
        Some(ty) => types::returns(ty).map(|returns| (returns, None)),
        None => streams::returns(ty),
    };
    if options.oneway.is_some() && !matches!(given, Ok((_, Some(_)))) {
        faults.add(
            ty,
            "nobody waits for the answer of a `oneway` method, so it has none: leave out one of \
             the two",
        );
        return nothing();
    }
    faults.keep(given).unwrap_or_else(nothing)
}

fn is_unit(ty: &Type) -> bool {
    matches!(ty, Type::Tuple(tuple) if tuple.elems.is_empty())
}

/// The key is one of the arguments, and one that travels among them.
fn key(options: &crate::model::MethodOptions, taken: &Inputs) -> Result<()> {
    let Some((name, span)) = &options.key else {
        return Ok(());
    };
    let is_items = |incoming: &Incoming| incoming.ident.unraw() == name;
    if taken.incoming.as_ref().is_some_and(is_items) {
        let rule = "a node is picked before there are items: the key is an argument that goes with \
                    the call";
        return Err(Error::new(*span, rule));
    }
    let mut arguments = taken.arguments.iter();
    match arguments.find(|argument| argument.ident.unraw() == name) {
        None => {
            let names = taken
                .arguments
                .iter()
                .map(|argument| argument.ident.unraw());
            let names: Vec<String> = names.map(|name| format!("`{name}`")).collect();
            let there = match &names[..] {
                [] => "it has none".to_owned(),
                names => format!("there are {}", names.join(", ")),
            };
            let rule = format!("the key is one of the method's arguments, by its name: {there}");
            Err(Error::new(*span, rule))
        }
        Some(argument) => match argument.kind {
            Kind::Blob | Kind::OptionalBlob | Kind::Blobs => {
                let rule = "a blob travels beside the arguments, and is no key: name another";
                Err(Error::new(*span, rule))
            }
            Kind::Value | Kind::Bytes | Kind::OptionalBytes | Kind::RawBytes | Kind::RawBlob => {
                Ok(())
            }
        },
    }
}

/// What is special about a method whose bytes are its own.
fn raw(
    ident: &Ident,
    options: &crate::model::MethodOptions,
    taken: &mut Inputs,
    (returns, items): &mut (Returns, Option<Items>),
) -> Result<()> {
    let [argument] = &taken.arguments[..] else {
        let rule = "a `raw` method has one argument, its bytes: `body: &[u8]`";
        return Err(Error::new_spanned(ident, rule));
    };
    types::raw_argument(&argument.ty)?;
    if argument.default {
        let rule = "the bytes of a `raw` method are always there: they have no default";
        return Err(Error::new_spanned(&argument.ident, rule));
    }
    if let Some(incoming) = &mut taken.incoming {
        streams::raw(&mut incoming.items)?;
    }
    if let Some(items) = items {
        return streams::raw(items);
    }
    if options.oneway.is_none() {
        returns.kind = types::raw_answer(returns)?;
    }
    Ok(())
}
