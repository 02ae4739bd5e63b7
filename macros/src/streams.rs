//! What travels item by item: `Items<'_, T>`, which a method gives, and `Incoming<T>`, which it
//! takes.
//!
//! Both are known as they are written, by their last names, and stand where they are meant: `Items`
//! is what a method returns, by itself or in a `Result`, and `Incoming` its last argument.

use syn::{Error, GenericArgument, PathArguments, Result, Type, parse_quote};

use crate::model::{Items, Kind, MethodOptions, Returns};
use crate::types::{self, Place};

const GIVEN: &str = "`Items<'_, T>`";
const TAKEN: &str = "`values: Incoming<i64>`";

/// Which of both a type is, by its name.
pub(crate) fn named(ty: &Type) -> Option<&'static str> {
    let names = ["Items", "Incoming"];
    names.into_iter().find(|name| types::is_named(ty, name))
}

/// What is said of one of both that stands deeper in a type, or where the other belongs.
pub(crate) fn misplaced(name: &str, place: Place) -> String {
    match (name, place) {
        (_, Place::Item) => "an item is a value, and has no items of its own".to_owned(),
        ("Items", Place::Argument) => format!(
            "{GIVEN} is what a method gives; what callers send one after the other is its last \
             argument: {TAKEN}"
        ),
        ("Items", Place::Answer) => format!(
            "items are what a method returns, {GIVEN} or `Result<Items<'_, T>, E>`, and not deeper \
             in another type"
        ),
        (_, Place::Argument) => format!(
            "an `Incoming` is the last argument itself, and not deeper in another type: {TAKEN}"
        ),
        (_, Place::Answer) => format!(
            "an `Incoming` is what a method takes, as its last argument; what it gives one after \
             the other is {GIVEN}"
        ),
    }
}

/// What is said of one of both that is borrowed.
pub(crate) fn lent(name: &str, place: Place) -> String {
    match (name, place) {
        ("Items", Place::Answer) => format!("items are given, not lent: {GIVEN}"),
        ("Incoming", Place::Argument) => {
            format!("an `Incoming` is given, not lent: {TAKEN}")
        }
        _ => misplaced(name, place),
    }
}

/// What callers send one after the other, if this is that.
pub(crate) fn incoming(ty: &Type) -> Option<Result<Items>> {
    let [of] = match types::generics(ty, "Incoming")?[..] {
        [of] => [of],
        _ => {
            let rule = format!("an `Incoming` names what its items are: {TAKEN}");
            return Some(Err(Error::new_spanned(ty, rule)));
        }
    };
    if is_status(of) {
        let rule = "each item comes as a `Result<T, Status>` by itself: name `T` alone";
        return Some(Err(Error::new_spanned(of, rule)));
    }
    Some(of_type(of))
}

/// What a method of this return type gives: items, or a value.
pub(crate) fn returns(ty: &Type) -> Result<(Returns, Option<Items>)> {
    let (value, error) = types::value_or_error(ty)?;
    let Some(of) = types::generics(value, "Items") else {
        return Ok((types::returns(ty)?, None));
    };
    let [of] = of[..] else {
        let rule = "items name what they are: `Items<'_, Line>`";
        return Err(Error::new_spanned(value, rule));
    };
    borrows(value)?;
    if is_status(of) {
        let rule = "an item is a value, and an error ends the items: `Items::fallible` makes \
                    `Items<'_, T>` of an iterator of `Result<T, Status>`";
        return Err(Error::new_spanned(of, rule));
    }
    let returns = Returns {
        ty: parse_quote!(()),
        kind: Kind::Value,
        error,
    };
    Ok((returns, Some(of_type(of)?)))
}

/// Holds items to the lifetime of what serves.
fn borrows(ty: &Type) -> Result<()> {
    const RULE: &str = "items are made while they are sent, and may borrow from what serves, and \
                        from nothing else: write `Items<'_, T>`";
    let Type::Path(path) = types::bare(ty) else {
        return Ok(());
    };
    let last = path.path.segments.last();
    let Some(PathArguments::AngleBracketed(arguments)) = last.map(|last| &last.arguments) else {
        return Ok(());
    };
    let mut lifetimes = arguments.args.iter().filter_map(|argument| match argument {
        GenericArgument::Lifetime(lifetime) => Some(lifetime),
        _ => None,
    });
    match (lifetimes.next(), lifetimes.next()) {
        (Some(lifetime), None) if lifetime.ident == "_" => Ok(()),
        (Some(lifetime), None) => Err(Error::new_spanned(lifetime, RULE)),
        _ => Err(Error::new_spanned(ty, RULE)),
    }
}

/// Whether this is a value, or a status.
fn is_status(ty: &Type) -> bool {
    matches!(types::generics(ty, "Result").as_deref(), Some([_, error]) if types::is_named(error, "Status"))
}

fn of_type(ty: &Type) -> Result<Items> {
    Ok(Items {
        ty: types::bare(ty).clone(),
        kind: types::kind(ty, Place::Item)?,
    })
}

/// Holds the options of a method to whether items travel.
///
/// # Errors
///
/// Each option that does not go with what the method does.
pub(crate) fn options(options: &MethodOptions, streams: bool) -> Vec<Error> {
    let refused = |span, rule| Error::new(span, rule);
    if !streams {
        let alone = options.item_timeout_ns.map(|(_, span)| {
            refused(
                span,
                "no items travel here: `item_timeout` belongs to a method that gives `Items<'_, T>` \
                 or takes an `Incoming<T>`",
            )
        });
        return alone.into_iter().collect();
    }
    let oneway = options.oneway.map(|span| {
        refused(
            span,
            "items are granted room by the other side, and the call ends with its answer: a method \
             that gives or takes them is not `oneway`",
        )
    });
    let inline = options.inline.map(|span| {
        refused(
            span,
            "a thread that receives cannot wait for items or for room: a method that gives or takes \
             them runs in a pool, and is not `inline`",
        )
    });
    oneway.into_iter().chain(inline).collect()
}

/// How the items of a `raw` method travel, if they may.
pub(crate) fn raw(items: &mut Items) -> Result<()> {
    items.kind = match items.kind {
        Kind::Blob => Kind::RawBlob,
        Kind::Bytes => Kind::RawBytes,
        _ => {
            let rule = "the items of a `raw` method are bytes as they go: `Vec<u8>` or `Blob`";
            return Err(Error::new_spanned(&items.ty, rule));
        }
    };
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ErrorKind;
    use syn::parse_str;

    fn ty(text: &str) -> Type {
        parse_str(text).expect("a type")
    }

    #[test]
    fn items_are_known_by_their_last_name() {
        for (text, kind) in [
            ("Items<'_, Line>", Kind::Value),
            ("brokerless::service::Items<'_, Blob>", Kind::Blob),
            ("Result<Items<'_, Vec<u8>>, Status>", Kind::Bytes),
            ("Result<Items<'_, Option<Blob>>, Wrong>", Kind::OptionalBlob),
        ] {
            let (returns, items) = returns(&ty(text)).expect(text);
            assert_eq!(items.map(|items| items.kind), Some(kind), "{text}");
            assert_eq!(types::text(&returns.ty), "()");
        }
        let (own, _) = returns(&ty("Result<Items<'_, u8>, Wrong>")).expect("an own error");
        assert!(matches!(own.error, ErrorKind::Own(_)));
        let (plain, items) = returns(&ty("Result<u8, Wrong>")).expect("no items");
        assert_eq!(types::text(&plain.ty), "u8");
        assert!(items.is_none());
    }

    #[test]
    fn items_stand_nowhere_else() {
        for refused in [
            "Vec<Items<'_, u8>>",
            "Option<Items<'_, u8>>",
            "(Items<'_, u8>, u8)",
            "Result<Vec<Items<'_, u8>>, E>",
            "Result<u8, Items<'_, u8>>",
            "Box<Items<'_, u8>>",
            "Incoming<u8>",
            "Result<Incoming<u8>, E>",
            "Items<'_, Items<'_, u8>>",
            "Items<'_, Incoming<u8>>",
            "&Items<'_, u8>",
        ] {
            assert!(returns(&ty(refused)).is_err(), "{refused}");
        }
        for refused in ["Items<'_, u8>", "Option<Incoming<u8>>", "&Incoming<u8>"] {
            assert!(types::argument(&ty(refused)).is_err(), "{refused}");
        }
    }

    #[test]
    fn items_borrow_from_what_serves_and_are_owned_themselves() {
        for refused in [
            "Items<u8>",
            "Items<'static, u8>",
            "Items<'a, u8>",
            "Items<'_, '_, u8>",
            "Items<'_>",
            "Items<'_, u8, u8>",
            "Items",
            "Items<'_, &str>",
            "Items<'_, Query<'_>>",
            "Items<'_, Result<u8, Status>>",
            "Items<'_, Vec<Option<Blob>>>",
        ] {
            assert!(returns(&ty(refused)).is_err(), "{refused}");
        }
    }

    #[test]
    fn incoming_items_are_owned() {
        let kind = |text: &str| incoming(&ty(text)).map(|items| items.map(|items| items.kind).ok());
        assert_eq!(kind("Incoming<i64>"), Some(Some(Kind::Value)));
        assert_eq!(
            kind("service::Incoming<Vec<Blob>>"),
            Some(Some(Kind::Blobs))
        );
        assert_eq!(kind("Vec<u8>"), None);
        for refused in [
            "Incoming",
            "Incoming<u8, u8>",
            "Incoming<&str>",
            "Incoming<Query<'_>>",
            "Incoming<Result<u8, Status>>",
            "Incoming<Incoming<u8>>",
        ] {
            assert_eq!(kind(refused), Some(None), "{refused}");
        }
    }
}
