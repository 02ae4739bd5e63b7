//! A method as reflection describes it: its signature, its types, and how it is called.

use std::time::Duration;

use brokerless::builtin::MethodDescription;
use brokerless::service::MethodInfo;
use brokerless::wire::Encoding;

use super::types::Type;

/// A method that can be called.
#[derive(Debug, Clone)]
pub(super) struct Method {
    pub(super) about: MethodDescription,
    /// The types of its arguments, in their order.
    pub(super) arguments: Vec<Type>,
    pub(super) returns: Type,
    /// Nothing is known of it: arguments are not checked, nor counted.
    pub(super) unchecked: bool,
}

impl Method {
    pub(super) fn of(about: MethodDescription) -> Self {
        let arguments = about.arguments.iter();
        Method {
            arguments: arguments.map(|of| Type::of(&of.type_name)).collect(),
            returns: Type::of(&about.returns),
            about,
            unchecked: false,
        }
    }

    /// A method of which nothing is known but its path.
    pub(super) fn unchecked(path: &str) -> Self {
        let mut about = MethodDescription::default();
        path.clone_into(&mut about.path);
        Method {
            arguments: Vec::new(),
            returns: Type::Other,
            about,
            unchecked: true,
        }
    }

    pub(super) fn path(&self) -> &str {
        &self.about.path
    }

    pub(super) fn is_raw(&self) -> bool {
        self.about.encoding == Encoding::Raw.number()
    }

    /// Whether items travel, in either direction.
    pub(super) fn streams(&self) -> bool {
        self.about.items_in.is_some() || self.about.items_out.is_some()
    }

    /// The type of the items in a direction. Those of a raw method are bytes.
    pub(super) fn items(&self, name: &str) -> Type {
        if self.is_raw() {
            return Type::Bytes(None);
        }
        Type::of(name)
    }

    pub(super) fn signature(&self) -> String {
        if self.unchecked {
            return format!("{}(..)", self.path());
        }
        signature(&self.about)
    }

    /// The index of the argument of this name.
    pub(super) fn index_of(&self, name: &str) -> Option<usize> {
        self.about.arguments.iter().position(|of| of.name == name)
    }

    /// As the library knows methods: for as long as the program runs, which calls one. It asks for an
    /// answer even of one that gives none, to see it arrive.
    pub(super) fn info(&self) -> &'static MethodInfo {
        let leaked = |text: &str| -> &'static str { Box::leak(text.to_owned().into_boxed_str()) };
        let path = leaked(self.path());
        let name = path.rsplit('.').next().unwrap_or(path);
        let about = &self.about;
        let mut info = MethodInfo::new(name, path);
        if let Some(ms) = about.timeout_ms {
            info = info.timeout(Duration::from_millis(ms));
        }
        if let Some(ms) = about.item_timeout_ms {
            info = info.item_timeout(Duration::from_millis(ms));
        }
        if about.idempotent {
            info = info.idempotent();
        }
        if self.is_raw() {
            info = info.raw();
        }
        if let Some(items) = &about.items_in {
            info = info.items_in(leaked(items));
        }
        if let Some(items) = &about.items_out {
            info = info.items_out(leaked(items));
        }
        Box::leak(Box::new(info))
    }
}

/// `calc.v1.add(x: i64, y: i64) -> i64`.
pub(super) fn signature(about: &MethodDescription) -> String {
    let mut arguments: Vec<String> = about
        .arguments
        .iter()
        .map(|of| {
            let default = if of.default { " = default" } else { "" };
            format!("{}: {}{default}", of.name, of.type_name)
        })
        .collect();
    if let Some(items) = &about.items_in {
        arguments.push(format!("stream {items}"));
    }
    let path = &about.path;
    let arguments = arguments.join(", ");
    if about.oneway {
        return format!("{path}({arguments}), oneway");
    }
    let returns = match &about.items_out {
        Some(items) => format!("stream {items}"),
        None => about.returns.clone(),
    };
    match &about.error {
        Some(error) => format!("{path}({arguments}) -> Result<{returns}, {error}>"),
        None if returns == "()" => format!("{path}({arguments})"),
        None => format!("{path}({arguments}) -> {returns}"),
    }
}
