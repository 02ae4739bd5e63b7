//! Documentation, which goes with the methods to the client and into what reflection tells.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Attribute, Expr, ExprLit, Lit, Meta};

use crate::model::Docs;

impl Docs {
    /// What these attributes say.
    pub(crate) fn of(attributes: &[Attribute]) -> Self {
        let mut docs = Docs::default();
        for attribute in attributes {
            if let Meta::NameValue(pair) = &attribute.meta
                && pair.path.is_ident("doc")
            {
                docs.attributes.push(attribute.clone());
                docs.lines.push(pair.value.clone());
            }
        }
        docs
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Whether there is a heading of this name.
    pub(crate) fn has_heading(&self, title: &str) -> bool {
        let mut lines = self.lines.iter().filter_map(literal);
        lines.any(|line| {
            let title_of_line = line.trim().trim_start_matches('#');
            line.trim().starts_with('#') && title_of_line.trim() == title
        })
    }

    /// All of it as one expression, a string that is known while compiling.
    pub(crate) fn text(&self) -> TokenStream {
        if let Some(lines) = self.lines.iter().map(literal).collect::<Option<Vec<_>>>() {
            // Every line of a comment begins with the blank that stands after the slashes.
            let unindented = lines
                .iter()
                .map(|line| line.strip_prefix(' ').unwrap_or(line));
            let text = unindented.collect::<Vec<_>>().join("\n");
            let text = text.trim();
            return quote!(#text);
        }
        let lines = &self.lines;
        quote!(::core::concat!(#(#lines, "\n"),*))
    }
}

fn literal(line: &Expr) -> Option<String> {
    match line {
        Expr::Lit(ExprLit {
            lit: Lit::Str(text),
            ..
        }) => Some(text.value()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use syn::parse_quote;

    #[test]
    fn lines_of_a_comment_become_one_text_without_their_indentation() {
        let docs = Docs::of(&[
            parse_quote!(#[doc = " Adds."]),
            parse_quote!(#[doc = ""]),
            parse_quote!(#[inline]),
            parse_quote!(#[doc(hidden)]),
            parse_quote!(#[doc = "   deeper"]),
        ]);
        assert_eq!(docs.text().to_string(), r#""Adds.\n\n  deeper""#);
        assert_eq!(docs.attributes.len(), 3);
    }

    #[test]
    fn text_from_a_file_stays_an_expression() {
        let docs = Docs::of(&[
            parse_quote!(#[doc = " A."]),
            parse_quote!(#[doc = include_str!("a.md")]),
        ]);
        let text = docs.text().to_string();
        assert!(text.starts_with(":: core :: concat !"), "{text}");
        assert!(text.contains("include_str !"), "{text}");
    }

    #[test]
    fn a_heading_is_found_by_its_title() {
        let docs = Docs::of(&[parse_quote!(#[doc = " # Errors"])]);
        assert!(docs.has_heading("Errors"));
        assert!(!docs.has_heading("Panics"));
        assert!(!Docs::of(&[parse_quote!(#[doc = " Errors"])]).has_heading("Errors"));
    }
}
