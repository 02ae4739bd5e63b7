//! A service as it was declared: what is read from a trait, and what the code is written from.

use proc_macro2::Span;
use syn::{Attribute, Expr, Ident, ItemTrait, Path, Type};

/// The whole of it.
pub(crate) struct Model {
    /// The trait as it stays: without the attributes that are ours.
    pub(crate) item: ItemTrait,
    /// The fabric's crate: `::brokerless` unless said otherwise.
    pub(crate) krate: Path,
    /// The name on the wire.
    pub(crate) name: String,
    pub(crate) docs: Docs,
    pub(crate) methods: Vec<Method>,
}

/// A method.
pub(crate) struct Method {
    pub(crate) ident: Ident,
    /// The name on the wire, without the service's.
    pub(crate) name: String,
    pub(crate) docs: Docs,
    /// `#[deprecated]`, `#[doc(hidden)]`: what holds for the client's method too.
    pub(crate) attributes: Vec<Attribute>,
    pub(crate) options: MethodOptions,
    /// The first argument is the context.
    pub(crate) context: bool,
    /// What callers give.
    pub(crate) arguments: Vec<Argument>,
    /// Answered by a responder, the last argument.
    pub(crate) later: bool,
    /// What callers send one after the other: the last argument.
    pub(crate) incoming: Option<Incoming>,
    pub(crate) returns: Returns,
    /// What it gives one after the other, instead of an answer.
    pub(crate) items: Option<Items>,
}

/// What `#[rpc(...)]` on a method says.
#[derive(Default)]
pub(crate) struct MethodOptions {
    pub(crate) idempotent: Option<Span>,
    pub(crate) oneway: Option<Span>,
    pub(crate) inline: Option<Span>,
    pub(crate) raw: Option<Span>,
    /// In nanoseconds.
    pub(crate) timeout_ns: Option<u64>,
    /// In nanoseconds.
    pub(crate) item_timeout_ns: Option<(u64, Span)>,
    pub(crate) pool: Option<(String, Span)>,
    pub(crate) name: Option<(String, Span)>,
    /// The name of the argument that is the key.
    pub(crate) key: Option<(String, Span)>,
}

/// An argument that callers give.
pub(crate) struct Argument {
    pub(crate) ident: Ident,
    pub(crate) ty: Type,
    pub(crate) kind: Kind,
    pub(crate) default: bool,
}

/// The argument whose items callers send.
pub(crate) struct Incoming {
    pub(crate) ident: Ident,
    pub(crate) items: Items,
}

/// Items: what travels one after the other.
#[derive(Clone)]
pub(crate) struct Items {
    pub(crate) ty: Type,
    pub(crate) kind: Kind,
}

/// How a value travels.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// In MessagePack, as serde has it.
    Value,
    /// In MessagePack, as a string of bytes.
    Bytes,
    /// The same, or nil.
    OptionalBytes,
    /// As a frame of its own.
    Blob,
    /// As a frame of its own, or not at all.
    OptionalBlob,
    /// As frames of their own.
    Blobs,
    /// As it is, in the place of the arguments or the answer.
    RawBytes,
    /// The same, of shared bytes.
    RawBlob,
}

/// What a call ends with.
pub(crate) struct Returns {
    /// The value; `()` if there is none, as after items.
    pub(crate) ty: Type,
    pub(crate) kind: Kind,
    pub(crate) error: ErrorKind,
}

/// How a method fails.
pub(crate) enum ErrorKind {
    /// It does not.
    None,
    /// With the fabric's status.
    Status,
    /// With an error of its own.
    Own(Box<Type>),
}

/// Documentation: literal text, and expressions such as `include_str!`.
#[derive(Default)]
pub(crate) struct Docs {
    pub(crate) attributes: Vec<Attribute>,
    pub(crate) lines: Vec<Expr>,
}
