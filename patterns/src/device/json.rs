//! Writing one JSON object.

use std::fmt::Write;

/// An object being written.
#[derive(Debug)]
pub(super) struct Object {
    text: String,
}

impl Object {
    pub(super) fn new() -> Self {
        Object {
            text: String::from("{"),
        }
    }

    fn name(&mut self, name: &str) {
        if self.text.len() > 1 {
            self.text.push(',');
        }
        quote(&mut self.text, name);
        self.text.push(':');
    }

    pub(super) fn number(mut self, name: &str, value: u64) -> Self {
        self.name(name);
        self.text.push_str(&value.to_string());
        self
    }

    pub(super) fn text(mut self, name: &str, value: &str) -> Self {
        self.name(name);
        quote(&mut self.text, value);
        self
    }

    pub(super) fn texts(mut self, name: &str, values: impl Iterator<Item = String>) -> Self {
        self.name(name);
        self.text.push('[');
        for (index, value) in values.enumerate() {
            if index > 0 {
                self.text.push(',');
            }
            quote(&mut self.text, &value);
        }
        self.text.push(']');
        self
    }

    pub(super) fn object(mut self, name: &str, value: Object) -> Self {
        self.name(name);
        self.text.push_str(&value.finish());
        self
    }

    pub(super) fn finish(mut self) -> String {
        self.text.push('}');
        self.text
    }
}

fn quote(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c < ' ' => {
                // Writing to a string cannot fail.
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_written_as_json_has_it() {
        let inner = Object::new().number("n", 1);
        let text = Object::new()
            .text("a\"b", "c\\d\n\u{e9}")
            .number("big", u64::MAX)
            .texts("list", ["x".to_owned(), "y".to_owned()].into_iter())
            .texts("none", std::iter::empty())
            .object("empty", Object::new())
            .object("inner", inner)
            .finish();
        let expected = concat!(
            r#"{"a\"b":"c\\d\u000aé","big":18446744073709551615,"list":["x","y"],"#,
            r#""none":[],"empty":{},"inner":{"n":1}}"#
        );
        assert_eq!(text, expected);
    }
}
