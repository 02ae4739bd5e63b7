//! Which types may travel, and how each of them does.
//!
//! Types are known as they are written: a name's last part tells [`Kind`], so `Blob`, `Status` and
//! `Context` are meant wherever they come from. Whether serde can read and write the others, the
//! compiler finds out in the code that is generated.

use quote::ToTokens;
use syn::{Error, GenericArgument, PathArguments, Result, Type, TypePath, TypeReference};

use crate::model::{ErrorKind, Kind, Returns};
use crate::streams;

/// What the fault in an argument's type ends with.
const ALLOWED: &str = "an argument is `&str`, `&[u8]`, an owned type that serde knows, a type with \
     one lifetime (`Query<'_>`), or `Blob`, `Option<Blob>`, `Vec<Blob>`";

/// The same for an answer's.
const ANSWERS: &str = "an answer is an owned type that serde knows, or `Blob`, `Option<Blob>`, \
     `Vec<Blob>`";

/// The same for an item's.
const ITEMS: &str = "an item is an owned type that serde knows, or `Blob`, `Option<Blob>`, \
     `Vec<Blob>`";

/// Whether a type is an argument's, an answer's or an item's.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// May borrow from the request.
    Argument,
    /// Owned, since it outlives the call.
    Answer,
    /// Owned, since others follow it.
    Item,
}

impl Place {
    fn allowed(self) -> &'static str {
        match self {
            Place::Argument => ALLOWED,
            Place::Answer => ANSWERS,
            Place::Item => ITEMS,
        }
    }

    /// Why it is owned, if it has to be.
    fn is_owned(self) -> Option<&'static str> {
        match self {
            Place::Argument => None,
            Place::Answer => Some("an answer outlives the call, so it is owned"),
            Place::Item => Some("an item outlives the message that it came in, so it is owned"),
        }
    }
}

/// How an argument of this type travels, if it may.
pub(crate) fn argument(ty: &Type) -> Result<Kind> {
    kind(ty, Place::Argument)
}

/// What a method of this return type gives, if it may.
pub(crate) fn returns(ty: &Type) -> Result<Returns> {
    let (value, error) = value_or_error(ty)?;
    Ok(Returns {
        kind: kind(value, Place::Answer)?,
        ty: value.clone(),
        error,
    })
}

/// The two that a return type is of: the value, which is not looked at, and the error.
pub(crate) fn value_or_error(ty: &Type) -> Result<(&Type, ErrorKind)> {
    let ty = bare(ty);
    let Some(arguments) = generics(ty, "Result") else {
        return Ok((ty, ErrorKind::None));
    };
    let [value, error] = arguments[..] else {
        return Err(Error::new_spanned(
            ty,
            "the error cannot be seen through an alias of `Result`: write `Result<T, E>`",
        ));
    };
    let own = if is_named(error, "Status") {
        ErrorKind::Status
    } else {
        if matches!(
            kind(error, Place::Answer)?,
            Kind::Blob | Kind::OptionalBlob | Kind::Blobs
        ) {
            let rule = "an error is a type that serde knows; a blob can be in the answer only";
            return Err(Error::new_spanned(error, rule));
        }
        ErrorKind::Own(Box::new(error.clone()))
    };
    let value = bare(value);
    if generics(value, "Result").is_some() {
        let rule = "an answer is a value or an error, not a `Result` within another";
        return Err(Error::new_spanned(value, rule));
    }
    Ok((value, own))
}

/// Whether this may be the only argument of a `raw` method.
pub(crate) fn raw_argument(ty: &Type) -> Result<()> {
    if let Type::Reference(reference) = bare(ty)
        && reference.mutability.is_none()
        && is_bytes(bare(&reference.elem))
        && argument(ty).is_ok()
    {
        return Ok(());
    }
    let rule = "a `raw` method takes its bytes as they come: `&[u8]`";
    Err(Error::new_spanned(ty, rule))
}

/// How what a `raw` method gives travels, if it may.
pub(crate) fn raw_answer(returns: &Returns) -> Result<Kind> {
    if returns.kind == Kind::Blob {
        return Ok(Kind::RawBlob);
    }
    if is_bytes_vec(&returns.ty) {
        return Ok(Kind::RawBytes);
    }
    let rule = "a `raw` method gives bytes as they go: `Vec<u8>` or `Blob`";
    Err(Error::new_spanned(&returns.ty, rule))
}

/// Whether this is a reference to the context, as the first argument may be.
pub(crate) fn is_context(ty: &Type) -> bool {
    match bare(ty) {
        Type::Reference(reference) => is_named(bare(&reference.elem), "Context"),
        ty => is_named(ty, "Context"),
    }
}

/// What a `Responder` is of.
pub(crate) fn responder(ty: &Type) -> Option<Result<&Type>> {
    let ty = bare(ty);
    if !is_named(ty, "Responder") {
        return None;
    }
    Some(match generics(ty, "Responder").as_deref() {
        Some([of]) => Ok(of),
        _ => Err(Error::new_spanned(
            ty,
            "a responder names what it answers: `Responder<i64>`",
        )),
    })
}

/// A type as text, for those who read about it: without blanks where nobody writes any.
pub(crate) fn text(ty: &Type) -> String {
    let mut text = String::new();
    spell(ty.to_token_stream(), &mut text);
    text
}

fn spell(tokens: proc_macro2::TokenStream, text: &mut String) {
    use proc_macro2::{Delimiter, TokenTree};
    for token in tokens {
        match token {
            TokenTree::Punct(punct) => {
                text.push(punct.as_char());
                if punct.as_char() == ',' || punct.as_char() == ';' {
                    text.push(' ');
                }
            }
            TokenTree::Group(group) => {
                let (open, close) = match group.delimiter() {
                    Delimiter::Parenthesis => ("(", ")"),
                    Delimiter::Brace => ("{", "}"),
                    Delimiter::Bracket => ("[", "]"),
                    Delimiter::None => ("", ""),
                };
                text.push_str(open);
                spell(group.stream(), text);
                text.truncate(text.trim_end_matches([' ', ',']).len());
                text.push_str(close);
            }
            word => {
                if text.ends_with(|c: char| c.is_alphanumeric() || c == '_') {
                    text.push(' ');
                }
                text.push_str(&word.to_string());
            }
        }
    }
}

/// How a type travels from this place, if it may.
pub(crate) fn kind(ty: &Type, place: Place) -> Result<Kind> {
    let ty = bare(ty);
    if is_named(ty, "Blob") {
        return Ok(Kind::Blob);
    }
    if is_byte_string(ty) {
        walk(ty, place)?;
        return Ok(Kind::Bytes);
    }
    if let Some([within]) = generics(ty, "Option").as_deref()
        && is_byte_string(within)
    {
        walk(within, place)?;
        return Ok(Kind::OptionalBytes);
    }
    for (wrapper, kind) in [("Option", Kind::OptionalBlob), ("Vec", Kind::Blobs)] {
        if let Some([within]) = generics(ty, wrapper).as_deref()
            && is_named(within, "Blob")
        {
            return Ok(kind);
        }
    }
    if is_named(ty, "str") {
        return Err(Error::new_spanned(
            ty,
            "text is borrowed, `&str`, or owned, `String`",
        ));
    }
    if let Type::Slice(_) = ty {
        let rule = "a slice is borrowed, if it is one of bytes, `&[u8]`, or owned, in a `Vec`";
        return Err(Error::new_spanned(ty, rule));
    }
    walk(ty, place)?;
    Ok(Kind::Value)
}

/// Finds what may not be anywhere within a type.
fn walk(ty: &Type, place: Place) -> Result<()> {
    let allowed = place.allowed();
    let refuse = |rule: String| Err(Error::new_spanned(ty, rule));
    match ty {
        Type::Paren(within) => walk(&within.elem, place),
        Type::Group(within) => walk(&within.elem, place),
        Type::Tuple(tuple) => tuple.elems.iter().try_for_each(|ty| walk(ty, place)),
        Type::Array(array) => walk(&array.elem, place),
        Type::Path(path) => walk_path(path, place),
        Type::Reference(reference) => walk_reference(reference, place),
        Type::Slice(slice) => walk(&slice.elem, place),
        Type::Ptr(_) => refuse(format!(
            "an address means nothing to the other side\n{allowed}"
        )),
        Type::FnPtr(_) => refuse(format!("a function cannot travel\n{allowed}")),
        Type::ImplTrait(_) | Type::TraitObject(_) if place == Place::Answer && iterates(ty) => {
            refuse(
                "what comes one after the other is given as `Items<'_, T>`: \
                 `Items::new(iterator)`"
                    .into(),
            )
        }
        Type::ImplTrait(_) | Type::TraitObject(_) => refuse(
            "the other side has to know the type: name it, instead of a trait that it has".into(),
        ),
        Type::Infer(_) => refuse("the type has to be named".into()),
        Type::Never(_) => refuse("a call that never ends has no answer to send".into()),
        Type::Macro(_) => refuse("a type from a macro cannot be looked into: write it out".into()),
        _ => refuse(allowed.into()),
    }
}

fn walk_path(path: &TypePath, place: Place) -> Result<()> {
    let allowed = place.allowed();
    if let Some(of) = &path.qself {
        walk(&of.ty, place)?;
    }
    let refuse = |rule: String| Err(Error::new_spanned(path, rule));
    let (Some(first), Some(last)) = (path.path.segments.first(), path.path.segments.last()) else {
        return refuse(allowed.into());
    };
    if first.ident == "Self" {
        return refuse("what serves a call is not what travels: name the type".into());
    }
    let name = last.ident.to_string();
    match name.as_str() {
        "Blob" => {
            return refuse(
                "a blob is a frame of its own beside the arguments, so it stands as `Blob`, \
                 `Option<Blob>` or `Vec<Blob>`, and not deeper in another type"
                    .into(),
            );
        }
        "Context" => {
            return refuse(
                "the context is the first argument, by reference: \
                 `fn add(&self, ctx: &Context<'_>, x: i64)`"
                    .into(),
            );
        }
        "Responder" => {
            return refuse(
                "a responder is the last argument: \
                 `fn add(&self, x: i64, answer: Responder<i64>)`"
                    .into(),
            );
        }
        "Items" | "Incoming" => return refuse(streams::misplaced(&name, place)),
        _ => {}
    }
    let mut lifetimes = 0;
    for segment in &path.path.segments {
        let arguments = match &segment.arguments {
            PathArguments::None => continue,
            PathArguments::AngleBracketed(arguments) => &arguments.args,
            PathArguments::Parenthesized(_) => {
                return refuse(format!("a function cannot travel\n{allowed}"));
            }
        };
        for argument in arguments {
            match argument {
                GenericArgument::Type(ty) => walk(ty, place)?,
                GenericArgument::Const(_) => {}
                GenericArgument::Lifetime(lifetime) if lifetime.ident == "static" => {}
                GenericArgument::Lifetime(lifetime) => match place.is_owned() {
                    Some(why) => {
                        let rule = format!("{why}: it cannot borrow");
                        return Err(Error::new_spanned(lifetime, rule));
                    }
                    None if lifetime.ident == "_" => lifetimes += 1,
                    None => {
                        let rule = "what is borrowed is borrowed from the request: write `'_`";
                        return Err(Error::new_spanned(lifetime, rule));
                    }
                },
                other => return Err(Error::new_spanned(other, allowed)),
            }
        }
    }
    if lifetimes > 1 {
        return refuse(
            "a type has one lifetime at most, since all of it is borrowed from the one request"
                .into(),
        );
    }
    Ok(())
}

fn walk_reference(reference: &TypeReference, place: Place) -> Result<()> {
    let refuse = |rule: &str| Err(Error::new_spanned(reference, rule));
    let of = bare(&reference.elem);
    if let Some(name) = streams::named(of) {
        return refuse(&streams::lent(name, place));
    }
    if let Some(why) = place.is_owned() {
        let way = if is_named(of, "str") {
            "`String`"
        } else if is_bytes(of) {
            "`Vec<u8>`, or `Blob`, which is not copied"
        } else {
            "it cannot borrow"
        };
        return refuse(&format!("{why}: {way}"));
    }
    if reference.mutability.is_some() {
        return refuse(
            "what a handler changes does not come back to the caller: take it by value and return \
             what is new",
        );
    }
    if is_context(of) {
        return refuse(
            "the context is the first argument: `fn add(&self, ctx: &Context<'_>, x: i64)`",
        );
    }
    if is_named(of, "Responder") {
        return refuse("the responder is given, not lent: `answer: Responder<i64>`");
    }
    if is_named(of, "Blob") {
        return refuse(
            "take `Blob` by value: it is a shared frame, and handing it over copies nothing",
        );
    }
    if is_named(of, "String") {
        return refuse("take `&str`, which is borrowed from the request, or `String`");
    }
    if generics(of, "Vec").is_some() && !is_bytes_vec(of) {
        return refuse("take the `Vec` by value: only text and bytes are borrowed by reference");
    }
    if is_bytes_vec(of) {
        return refuse("take `&[u8]`, which is borrowed from the request, or `Blob`");
    }
    if !is_named(of, "str") && !is_bytes(of) {
        return Err(Error::new_spanned(
            reference,
            format!("only text and bytes are borrowed by reference\n{ALLOWED}"),
        ));
    }
    match &reference.lifetime {
        Some(lifetime) if lifetime.ident != "_" => Err(Error::new_spanned(
            lifetime,
            "what is borrowed is borrowed from the request: leave the lifetime out",
        )),
        _ => Ok(()),
    }
}

/// Whether this is some type that is known as an iterator only.
fn iterates(ty: &Type) -> bool {
    let bounds = match ty {
        Type::ImplTrait(of) => &of.bounds,
        Type::TraitObject(of) => &of.bounds,
        _ => return false,
    };
    bounds.iter().any(|bound| match bound {
        syn::TypeParamBound::Trait(bound) => bound
            .path
            .segments
            .last()
            .is_some_and(|last| last.ident == "Iterator" || last.ident == "IntoIterator"),
        _ => false,
    })
}

/// The type without what only groups it.
pub(crate) fn bare(ty: &Type) -> &Type {
    match ty {
        Type::Paren(within) => bare(&within.elem),
        Type::Group(within) => bare(&within.elem),
        ty => ty,
    }
}

pub(crate) fn is_named(ty: &Type, name: &str) -> bool {
    match bare(ty) {
        Type::Path(path) => path
            .path
            .segments
            .last()
            .is_some_and(|last| last.ident == name),
        _ => false,
    }
}

fn is_bytes(ty: &Type) -> bool {
    matches!(ty, Type::Slice(slice) if is_named(&slice.elem, "u8"))
}

fn is_bytes_vec(ty: &Type) -> bool {
    matches!(generics(ty, "Vec").as_deref(), Some([of]) if is_named(of, "u8"))
}

/// Whether this, of which one is known that it is bytes, perhaps in an `Option`, is not borrowed.
pub(crate) fn is_owned(bytes: &Type) -> bool {
    match generics(bytes, "Option").as_deref() {
        Some([within]) => is_owned(within),
        _ => is_bytes_vec(bytes),
    }
}

/// Whether this is a string of bytes, and no shared one.
fn is_byte_string(ty: &Type) -> bool {
    match bare(ty) {
        Type::Reference(reference) => {
            reference.mutability.is_none() && is_bytes(bare(&reference.elem))
        }
        ty => is_bytes_vec(ty),
    }
}

/// The types that a type of this name is given.
pub(crate) fn generics<'t>(ty: &'t Type, name: &str) -> Option<Vec<&'t Type>> {
    let Type::Path(path) = bare(ty) else {
        return None;
    };
    let last = path
        .path
        .segments
        .last()
        .filter(|last| last.ident == name)?;
    let PathArguments::AngleBracketed(arguments) = &last.arguments else {
        return Some(Vec::new());
    };
    let types = arguments.args.iter().filter_map(|argument| match argument {
        GenericArgument::Type(ty) => Some(ty),
        _ => None,
    });
    Some(types.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use syn::parse_str;

    fn ty(text: &str) -> Type {
        parse_str(text).expect("a type")
    }

    #[test]
    fn allowed_arguments_are_allowed() {
        for allowed in [
            "i64",
            "String",
            "&str",
            "Option<&str>",
            "Vec<&str>",
            "(u8, &str)",
            "[f64; 3]",
            "std::collections::HashMap<String, Vec<u64>>",
            "Query<'_>",
            "Option<Query<'_>>",
            "Cow<'static, str>",
            "()",
            "Matrix<3>",
            "Box<[u8]>",
            "Cow<'_, str>",
        ] {
            assert!(
                matches!(argument(&ty(allowed)), Ok(Kind::Value)),
                "{allowed}"
            );
        }
    }

    #[test]
    fn bytes_are_known_where_they_stand_alone() {
        for (text, kind) in [
            ("&[u8]", Kind::Bytes),
            ("&'_ [u8]", Kind::Bytes),
            ("Vec<u8>", Kind::Bytes),
            ("std::vec::Vec<u8>", Kind::Bytes),
            ("Option<&[u8]>", Kind::OptionalBytes),
            ("Option<Vec<u8>>", Kind::OptionalBytes),
            ("[u8; 3]", Kind::Value),
            ("Vec<u16>", Kind::Value),
            ("Vec<Vec<u8>>", Kind::Value),
        ] {
            assert_eq!(argument(&ty(text)).ok(), Some(kind), "{text}");
            let owned = text.contains("Vec<u8>");
            assert!(
                kind == Kind::Value || is_owned(&ty(text)) == owned,
                "{text}"
            );
        }
        for refused in ["&mut [u8]", "&'a [u8]", "Option<&mut [u8]>", "&Vec<u8>"] {
            assert!(argument(&ty(refused)).is_err(), "{refused}");
        }
    }

    #[test]
    fn blobs_are_known_by_their_last_name() {
        for (text, kind) in [
            ("Blob", Kind::Blob),
            ("brokerless::Blob", Kind::Blob),
            ("Option<Blob>", Kind::OptionalBlob),
            ("std::option::Option<brokerless::Blob>", Kind::OptionalBlob),
            ("Vec<Blob>", Kind::Blobs),
        ] {
            assert_eq!(argument(&ty(text)).ok(), Some(kind), "{text}");
        }
        for deeper in [
            "(Blob, u8)",
            "Vec<Option<Blob>>",
            "HashMap<String, Blob>",
            "&Blob",
        ] {
            assert!(argument(&ty(deeper)).is_err(), "{deeper}");
        }
    }

    #[test]
    fn what_cannot_travel_is_refused_also_deep_within() {
        for refused in [
            "&mut str",
            "&Query",
            "&'a str",
            "&'static str",
            "Query<'a>",
            "Pair<'_, '_>",
            "str",
            "[u8]",
            "*const u8",
            "fn(u8)",
            "impl Fn()",
            "Box<dyn Any>",
            "_",
            "Self",
            "Self::Item",
            "&&str",
            "Vec<&mut u8>",
            "(u8, *mut u8)",
            "Option<&String>",
            "&[&str]",
            "&Vec<u8>",
            "Box<dyn Fn(u8)>",
            "Context<'_>",
            "&Context<'_>",
            "Responder<u8>",
            "a!()",
            "!",
        ] {
            assert!(argument(&ty(refused)).is_err(), "{refused}");
        }
    }

    #[test]
    fn answers_are_owned() {
        for refused in [
            "&str",
            "&[u8]",
            "Query<'_>",
            "Option<&str>",
            "Result<u8, &str>",
        ] {
            assert!(returns(&ty(refused)).is_err(), "{refused}");
        }
        for refused in [
            "io::Result<u8>",
            "Result<Result<u8, E>, E>",
            "Result<u8, Blob>",
        ] {
            assert!(returns(&ty(refused)).is_err(), "{refused}");
        }
        let plain = returns(&ty("Result<Option<Blob>, brokerless::Status>"));
        assert!(matches!(
            plain,
            Ok(Returns {
                kind: Kind::OptionalBlob,
                error: ErrorKind::Status,
                ..
            })
        ));
        let own = returns(&ty("Result<(), DivideError>"));
        assert!(matches!(
            own,
            Ok(Returns {
                error: ErrorKind::Own(_),
                ..
            })
        ));
    }

    #[test]
    fn types_are_spelled_as_people_write_them() {
        for written in [
            "Vec<u64>",
            "Option<&str>",
            "HashMap<String, (u8, i8)>",
            "[u8; 3]",
            "&[u8]",
            "()",
            "a::b::Query<'_>",
            "Box<dyn Any>",
        ] {
            assert_eq!(text(&ty(written)), written);
        }
    }
}
