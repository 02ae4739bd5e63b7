//! The types that reflection names, as far as JSON can be checked against them.
//!
//! Types are known by their last name, as the attribute of a service knows them. What is not known
//! here, a program's own types above all, is [`Type::Other`]: JSON passes through to it, and the
//! server says what does not fit.
//!
//! # Invariants
//!
//! 1. Whatever a server calls a type, reading it ends and is bounded. (test
//!    `a_giant_type_is_taken_as_one_that_is_not_known`)

/// Nesting and bytes beyond which a type is not looked into.
const DEPTH_MAX: usize = 32;
const BYTES_MAX: usize = 4096;

/// A type of an argument, an answer or an item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Type {
    /// `()`.
    Unit,
    Bool,
    Int {
        signed: bool,
        bits: u32,
        nonzero: bool,
    },
    F32,
    F64,
    Char,
    /// Text, owned or borrowed.
    Text,
    /// Bytes within the arguments; of this length, if it is fixed.
    Bytes(Option<usize>),
    /// Bytes that travel beside them.
    Blob,
    Option(Box<Type>),
    /// So many of one type, if the number is fixed.
    List(Box<Type>, Option<usize>),
    Map(Box<Type>, Box<Type>),
    Tuple(Vec<Type>),
    /// One that is not known here.
    Other,
}

impl Type {
    /// The type of this name.
    pub(super) fn of(name: &str) -> Type {
        if name.len() > BYTES_MAX {
            return Type::Other;
        }
        read(name, 0)
    }

    /// The type without the `Option` around it.
    pub(super) fn required(&self) -> &Type {
        match self {
            Type::Option(within) => within.required(),
            own => own,
        }
    }

    /// Whether it is made of bytes that may come from a file as they are.
    pub(super) fn is_bytes(&self) -> bool {
        matches!(self.required(), Type::Bytes(_) | Type::Blob)
    }

    /// Whether an object may be one of it.
    pub(super) fn takes_object(&self) -> bool {
        matches!(self.required(), Type::Map(..) | Type::Other)
    }

    /// A value to begin with, as JSON.
    pub(super) fn example(&self) -> String {
        match self {
            Type::Unit | Type::Option(_) => "null".into(),
            Type::Bool => "false".into(),
            Type::Int { nonzero: true, .. } => "1".into(),
            Type::Int { .. } => "0".into(),
            Type::F32 | Type::F64 => "0.0".into(),
            Type::Char => "\"a\"".into(),
            Type::Text => "\"\"".into(),
            Type::Bytes(_) | Type::Blob => "\"@FILE\"".into(),
            Type::List(of, Some(count)) if *count <= 4 => {
                format!("[{}]", vec![of.example(); *count].join(","))
            }
            Type::List(..) => "[]".into(),
            Type::Map(..) | Type::Other => "{}".into(),
            Type::Tuple(of) => {
                let of: Vec<String> = of.iter().map(Type::example).collect();
                format!("[{}]", of.join(","))
            }
        }
    }
}

fn read(name: &str, depth: usize) -> Type {
    if depth > DEPTH_MAX {
        return Type::Other;
    }
    let name = name.trim();
    if let Some(of) = name.strip_prefix('&') {
        return read(without_lifetime(of), depth + 1);
    }
    if let Some(within) = between(name, '(', ')') {
        let parts = split(within, ',');
        return match parts[..] {
            [] => Type::Unit,
            [one] if !within.trim_end().ends_with(',') => read(one, depth + 1),
            _ => Type::Tuple(parts.iter().map(|part| read(part, depth + 1)).collect()),
        };
    }
    if let Some(within) = between(name, '[', ']') {
        return match split(within, ';')[..] {
            [of] => list(read(of, depth + 1), None),
            [of, count] => match count.trim().parse() {
                Ok(count) => list(read(of, depth + 1), Some(count)),
                Err(_) => Type::Other,
            },
            _ => Type::Other,
        };
    }
    let (path, generics) = match name.split_once('<') {
        Some((path, rest)) => match rest.strip_suffix('>') {
            Some(generics) => (path, split(generics, ',')),
            None => return Type::Other,
        },
        None => (name, Vec::new()),
    };
    let last = path.rsplit("::").next().unwrap_or(path).trim();
    let generics = generics.into_iter().map(str::trim);
    let generics: Vec<&str> = generics.filter(|of| !of.starts_with('\'')).collect();
    let of = |index: usize| match generics.get(index) {
        Some(name) => read(name, depth + 1),
        None => Type::Other,
    };
    match (last, generics.len()) {
        ("bool", 0) => Type::Bool,
        ("f32", 0) => Type::F32,
        ("f64", 0) => Type::F64,
        ("char", 0) => Type::Char,
        ("str" | "String" | "Path" | "PathBuf", 0) => Type::Text,
        ("Bytes" | "BytesMut" | "ByteBuf", 0) => Type::Bytes(None),
        ("Blob", 0) => Type::Blob,
        ("Option", 1) => Type::Option(Box::new(of(0))),
        ("Box" | "Arc" | "Rc" | "Cow", 1) => of(0),
        (
            "Vec" | "VecDeque" | "LinkedList" | "HashSet" | "BTreeSet" | "BinaryHeap" | "IndexSet",
            1 | 2,
        ) => list(of(0), None),
        ("HashMap" | "BTreeMap" | "IndexMap", 2 | 3) => Type::Map(Box::new(of(0)), Box::new(of(1))),
        ("NonZero", 1) => match of(0) {
            Type::Int { signed, bits, .. } => Type::Int {
                signed,
                bits,
                nonzero: true,
            },
            _ => Type::Other,
        },
        (name, 0) => int(name),
        _ => Type::Other,
    }
}

fn int(name: &str) -> Type {
    let (name, nonzero) = match name.strip_prefix("NonZero") {
        Some(rest) => (rest.to_ascii_lowercase(), true),
        None => (name.to_owned(), false),
    };
    let (signed, bits) = match &*name {
        "i8" => (true, 8),
        "i16" => (true, 16),
        "i32" => (true, 32),
        "i64" | "isize" => (true, 64),
        "i128" => (true, 128),
        "u8" => (false, 8),
        "u16" => (false, 16),
        "u32" => (false, 32),
        "u64" | "usize" => (false, 64),
        "u128" => (false, 128),
        _ => return Type::Other,
    };
    Type::Int {
        signed,
        bits,
        nonzero,
    }
}

/// A list; of bytes, if that is what it holds.
fn list(of: Type, count: Option<usize>) -> Type {
    let byte = Type::Int {
        signed: false,
        bits: 8,
        nonzero: false,
    };
    if of == byte {
        Type::Bytes(count)
    } else {
        Type::List(Box::new(of), count)
    }
}

fn without_lifetime(name: &str) -> &str {
    let name = name.trim_start();
    match name.strip_prefix('\'') {
        Some(rest) => rest.split_once(' ').map_or("", |(_, of)| of),
        None => name,
    }
}

/// What stands between these two, if they are around all of it.
fn between(name: &str, open: char, close: char) -> Option<&str> {
    name.strip_prefix(open)?.strip_suffix(close)
}

/// The parts with these between them, not counting those within brackets. What is empty at the
/// end is no part.
fn split(text: &str, by: char) -> Vec<&str> {
    let (mut parts, mut depth, mut start) = (Vec::new(), 0i32, 0);
    for (at, c) in text.char_indices() {
        match c {
            '<' | '(' | '[' => depth += 1,
            '>' | ')' | ']' => depth -= 1,
            _ if c == by && depth == 0 => {
                parts.push(&text[start..at]);
                start = at + c.len_utf8();
            }
            _ => {}
        }
    }
    if !text[start..].trim().is_empty() {
        parts.push(&text[start..]);
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn int(signed: bool, bits: u32) -> Type {
        Type::Int {
            signed,
            bits,
            nonzero: false,
        }
    }

    fn some(of: Type) -> Type {
        Type::Option(Box::new(of))
    }

    fn list_of(of: Type) -> Type {
        Type::List(Box::new(of), None)
    }

    #[test]
    fn types_are_known_as_they_are_written() {
        let i64 = int(true, 64);
        for (name, ty) in [
            ("i64", i64.clone()),
            ("usize", int(false, 64)),
            ("u128", int(false, 128)),
            ("()", Type::Unit),
            ("&str", Type::Text),
            ("&'static str", Type::Text),
            ("std::string::String", Type::Text),
            ("Cow<'_, str>", Type::Text),
            ("&[u8]", Type::Bytes(None)),
            ("Vec<u8>", Type::Bytes(None)),
            ("Box<[u8]>", Type::Bytes(None)),
            ("[u8; 16]", Type::Bytes(Some(16))),
            ("bytes::Bytes", Type::Bytes(None)),
            ("brokerless::Blob", Type::Blob),
            ("Option<Blob>", some(Type::Blob)),
            ("Vec<Blob>", list_of(Type::Blob)),
            ("Option<&str>", some(Type::Text)),
            ("Vec<Option<i64>>", list_of(some(i64.clone()))),
            ("[f64; 3]", Type::List(Box::new(Type::F64), Some(3))),
            ("(u8, &str)", Type::Tuple(vec![int(false, 8), Type::Text])),
            ("(i64)", i64.clone()),
            ("(i64,)", Type::Tuple(vec![i64.clone()])),
            (
                "std::collections::HashMap<String, Vec<(i64, bool)>>",
                Type::Map(
                    Box::new(Type::Text),
                    Box::new(list_of(Type::Tuple(vec![i64, Type::Bool]))),
                ),
            ),
            ("Query<'_>", Type::Other),
            ("Matrix<3>", Type::Other),
            ("Condition", Type::Other),
            ("Box<dyn Any>", Type::Other),
        ] {
            assert_eq!(Type::of(name), ty, "{name}");
        }
        let nonzero = Type::of("NonZeroU16");
        assert_eq!(Type::of("NonZero<u16>"), nonzero);
        assert_eq!(nonzero.example(), "1");
    }

    #[test]
    fn a_giant_type_is_taken_as_one_that_is_not_known() {
        assert_eq!(Type::of(&"a".repeat(BYTES_MAX + 1)), Type::Other);
        let deep = format!("{}u8{}", "Vec<".repeat(500), ">".repeat(500));
        let mut ty = &Type::of(&deep);
        let mut depth = 0;
        while let Type::List(of, _) = ty {
            ty = of;
            depth += 1;
        }
        assert!(depth <= DEPTH_MAX + 1, "{depth}");
        for odd in [
            "", "<", "Vec<", ">", "(", "[;]", "&", "&'", "Vec<>", "[u8;x]",
        ] {
            let _ = Type::of(odd);
        }
    }

    #[test]
    fn an_example_is_json_of_the_type() {
        for (name, example) in [
            ("i64", "0"),
            ("(u8, &str)", "[0,\"\"]"),
            ("[f64; 2]", "[0.0,0.0]"),
            ("Vec<u8>", "\"@FILE\""),
            ("User", "{}"),
        ] {
            assert_eq!(Type::of(name).example(), example);
        }
    }
}
