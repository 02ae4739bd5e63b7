//! What stands in `#[service(...)]` and `#[rpc(...)]`.

use proc_macro2::{Span, TokenStream};
use syn::meta::ParseNestedMeta;
use syn::parse::Parser;
use syn::spanned::Spanned;
use syn::{Attribute, Error, Ident, LitStr, Meta, Path, Result, parse_quote};

use crate::model::MethodOptions;

/// Bytes of the longest name of a service, and of a method: both and a full stop are a path, which
/// has 255 at most.
pub(crate) const NAME_MAX: usize = 127;

/// What `#[rpc(...)]` may say on a method.
const METHOD_OPTIONS: &str = "`idempotent`, `oneway`, `inline`, `raw`, `timeout = \"2s\"`, `item_timeout = \"2s\"`, `pool = \"disk\"`, `key = \"user\"`, `name = \"add\"`";

/// What `#[service(...)]` says.
pub(crate) struct ServiceOptions {
    pub(crate) name: String,
    pub(crate) krate: Path,
}

impl ServiceOptions {
    /// Reads what stands within the parentheses.
    ///
    /// What is missing is missed at `of`.
    pub(crate) fn parse(attribute: TokenStream, of: &Ident) -> Result<Self> {
        let (mut name, mut krate) = (None, None);
        let parser = syn::meta::parser(|meta| {
            if meta.path.is_ident("name") {
                let text: LitStr = meta.value()?.parse()?;
                once(name.replace(service_name(&text)?).is_some(), &meta)
            } else if meta.path.is_ident("crate") {
                let text: LitStr = meta.value()?.parse()?;
                let path = text.parse_with(Path::parse_mod_style).map_err(|_| {
                    Error::new(
                        text.span(),
                        "the crate is a path, in quotes: `crate = \"path::to::brokerless\"`",
                    )
                })?;
                once(krate.replace(path).is_some(), &meta)
            } else {
                Err(meta.error(
                    "a service has no such option; there are `name = \"calc.v1\"` and \
                     `crate = \"path::to::brokerless\"`",
                ))
            }
        });
        parser.parse2(attribute)?;
        let name = name.ok_or_else(|| {
            Error::new_spanned(
                of,
                "a service needs its name on the wire, which stays when the trait is renamed: \
                 `#[service(name = \"calc.v1\")]`",
            )
        })?;
        Ok(ServiceOptions {
            name,
            krate: krate.unwrap_or_else(|| parse_quote!(::brokerless)),
        })
    }
}

/// The options of a method, from those of its attributes that are `rpc`.
pub(crate) fn of_method(attributes: &[Attribute]) -> Result<MethodOptions> {
    let mut options = MethodOptions::default();
    for attribute in attributes.iter().filter(|a| a.path().is_ident("rpc")) {
        let Meta::List(list) = &attribute.meta else {
            return Err(Error::new_spanned(
                attribute,
                format!("`#[rpc(...)]` takes options: {METHOD_OPTIONS}"),
            ));
        };
        list.parse_nested_meta(|meta| method_option(&mut options, &meta))?;
    }
    if let (Some(_), Some((_, pool))) = (&options.inline, &options.pool) {
        return Err(Error::new(
            *pool,
            "an `inline` method runs on the thread that receives the call, so it has no pool: \
             leave out one of the two",
        ));
    }
    Ok(options)
}

fn method_option(options: &mut MethodOptions, meta: &ParseNestedMeta<'_>) -> Result<()> {
    let span = meta.path.span();
    let name = meta.path.get_ident().map(ToString::to_string);
    match name.as_deref().unwrap_or_default() {
        "idempotent" => flag(&mut options.idempotent, meta),
        "oneway" => flag(&mut options.oneway, meta),
        "inline" => flag(&mut options.inline, meta),
        "raw" => flag(&mut options.raw, meta),
        "timeout" => {
            let text: LitStr = meta.value()?.parse()?;
            once(
                options.timeout_ns.replace(nanoseconds(&text)?).is_some(),
                meta,
            )
        }
        "item_timeout" => {
            let text: LitStr = meta.value()?.parse()?;
            let time = (nanoseconds(&text)?, span);
            once(options.item_timeout_ns.replace(time).is_some(), meta)
        }
        "pool" => {
            let text: LitStr = meta.value()?.parse()?;
            if text.value().is_empty() {
                let rule = "a pool has a name; leave the option out for the default pool";
                return Err(Error::new(text.span(), rule));
            }
            once(options.pool.replace((text.value(), span)).is_some(), meta)
        }
        "key" => {
            let text: LitStr = meta.value()?.parse()?;
            let key = (text.value(), text.span());
            once(options.key.replace(key).is_some(), meta)
        }
        "name" => {
            let text: LitStr = meta.value()?.parse()?;
            let named = (method_name(&text)?, text.span());
            once(options.name.replace(named).is_some(), meta)
        }
        "default" => Err(meta.error(
            "`default` belongs to an argument: `fn add(&self, x: i64, #[rpc(default)] y: i64)`",
        )),
        _ => Err(meta.error(format!(
            "a method has no such option; there are {METHOD_OPTIONS}"
        ))),
    }
}

/// Whether an argument has a default, from those of its attributes that are `rpc`.
pub(crate) fn of_argument(attributes: &[Attribute]) -> Result<bool> {
    const RULE: &str = "an argument has the option `default` only: `#[rpc(default)]`";
    let mut default = None;
    for attribute in attributes.iter().filter(|a| a.path().is_ident("rpc")) {
        let Meta::List(list) = &attribute.meta else {
            return Err(Error::new_spanned(attribute, RULE));
        };
        list.parse_nested_meta(|meta| {
            if meta.path.is_ident("default") {
                flag(&mut default, &meta)
            } else {
                Err(meta.error(RULE))
            }
        })?;
    }
    Ok(default.is_some())
}

fn flag(option: &mut Option<Span>, meta: &ParseNestedMeta<'_>) -> Result<()> {
    if !meta.input.is_empty() && !meta.input.peek(syn::Token![,]) {
        let what = "this option stands alone: it takes no value";
        return Err(Error::new(meta.input.span(), what));
    }
    once(option.replace(meta.path.span()).is_some(), meta)
}

fn once(was_set: bool, meta: &ParseNestedMeta<'_>) -> Result<()> {
    if was_set {
        return Err(meta.error("this option is given twice"));
    }
    Ok(())
}

fn service_name(text: &LitStr) -> Result<String> {
    let name = text.value();
    let fits = |part: &str| {
        let mut letters = part.chars();
        !part.is_empty() && letters.all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
    };
    if name.len() > NAME_MAX {
        let long = name.len();
        let rule = format!("a service's name has at most {NAME_MAX} bytes, not {long}");
        return Err(Error::new(text.span(), rule));
    }
    if !name.split('.').all(fits) {
        return Err(Error::new(
            text.span(),
            "a service's name is made of letters, digits, `_` and `-`, in parts with a full stop \
             between them: `calc.v1`",
        ));
    }
    Ok(name)
}

fn method_name(text: &LitStr) -> Result<String> {
    let name = text.value();
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if name.is_empty() || name.len() > NAME_MAX || !name.chars().all(fits) {
        return Err(Error::new(
            text.span(),
            format!(
                "a method's name is made of 1 to {NAME_MAX} letters, digits, `_` and `-`: \
                 `add`"
            ),
        ));
    }
    Ok(name)
}

/// A time such as `250ms`, in nanoseconds.
fn nanoseconds(text: &LitStr) -> Result<u64> {
    const UNITS: &[(&str, u64)] = &[
        ("ns", 1),
        ("us", 1_000),
        ("ms", 1_000_000),
        ("s", 1_000_000_000),
        ("min", 60_000_000_000),
        ("h", 3_600_000_000_000),
    ];
    let value = text.value();
    let digits = value.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = value.split_at(digits);
    let unit = UNITS.iter().find(|(name, _)| *name == unit.trim_start());
    let time = number.parse::<u64>().ok().zip(unit);
    match time.and_then(|(number, (_, unit))| number.checked_mul(*unit)) {
        Some(0) => Err(Error::new(
            text.span(),
            "a call that may take no time never succeeds: the timeout is at least `1ns`",
        )),
        Some(time) => Ok(time),
        None => Err(Error::new(
            text.span(),
            "a timeout is a whole number and its unit (`ns`, `us`, `ms`, `s`, `min` or `h`): `2s`, \
             `250ms`",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quote::{ToTokens, quote};

    fn time(text: &str) -> Option<u64> {
        nanoseconds(&LitStr::new(text, Span::call_site())).ok()
    }

    #[test]
    fn a_timeout_is_a_whole_number_and_a_unit() {
        assert_eq!(time("2s"), Some(2_000_000_000));
        assert_eq!(time("250 ms"), Some(250_000_000));
        assert_eq!(time("1ns"), Some(1));
        assert_eq!(time("3us"), Some(3_000));
        assert_eq!(time("2min"), Some(120_000_000_000));
        assert_eq!(time("1h"), Some(3_600_000_000_000));
        for bad in [
            "",
            "2",
            "s",
            "0s",
            "-1s",
            "1.5s",
            "2 weeks",
            "99999999999h",
            "2S",
        ] {
            assert_eq!(time(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_services_name_has_parts_of_letters_and_digits() {
        let name = |text: &str| service_name(&LitStr::new(text, Span::call_site())).is_ok();
        for good in ["calc", "calc.v1", "a-b.c_d.E9"] {
            assert!(name(good), "{good}");
        }
        let long = "a".repeat(NAME_MAX + 1);
        for bad in ["", ".", "calc.", ".calc", "a..b", "a b", "ä", "a/b", &long] {
            assert!(!name(bad), "{bad}");
        }
    }

    #[test]
    fn the_crate_is_brokerless_unless_it_is_named() {
        let parse = |tokens| ServiceOptions::parse(tokens, &parse_quote!(Trait)).ok();
        let krate = |tokens| parse(tokens).map(|o| o.krate.to_token_stream().to_string());
        assert_eq!(krate(quote!(name = "a")).as_deref(), Some(":: brokerless"));
        let named = krate(quote!(name = "a", crate = "crate::fabric"));
        assert_eq!(named.as_deref(), Some("crate :: fabric"));
        assert!(parse(quote!(crate = "crate")).is_none());
        assert!(parse(quote!(name = "a", name = "b")).is_none());
    }
}
