//! What is known of a service without calling it: names, arguments, options, documentation.
//!
//! All of it is made while compiling; reflection and clients read it.

use std::time::Duration;

pub use crate::wire::ArgumentInfo;
use crate::wire::Encoding;

/// A service: its name on the wire and its methods.
///
/// Every method stands at the index by which [`Service::call`](super::Service::call) knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServiceInfo {
    /// The name on the wire: `calc.v1`.
    pub name: &'static str,
    /// The documentation of the trait; empty if there is none.
    pub docs: &'static str,
    /// The methods, in the order in which the trait declares them.
    pub methods: &'static [MethodInfo],
}

impl ServiceInfo {
    /// A service of these methods, without documentation.
    pub const fn new(name: &'static str, methods: &'static [MethodInfo]) -> Self {
        ServiceInfo {
            name,
            docs: "",
            methods,
        }
    }

    /// Sets the documentation. Default: none.
    #[must_use]
    pub const fn docs(mut self, docs: &'static str) -> Self {
        self.docs = docs;
        self
    }

    /// The index of the method that has this name, without the service's in front.
    pub fn index_of(&self, method: &str) -> Option<usize> {
        self.methods.iter().position(|info| info.name == method)
    }
}

/// A method: how it is called, and how it is to be run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MethodInfo {
    /// The name within the service: `add`.
    pub name: &'static str,
    /// The name on the wire, with the service's in front: `calc.v1.add`.
    pub path: &'static str,
    /// The documentation; empty if there is none.
    pub docs: &'static str,
    /// The arguments, in order, without the context and the responder.
    pub arguments: &'static [ArgumentInfo],
    /// The type of the answer, as it is written: `Vec<u64>`; `()` if there is none, as of a method
    /// that gives [`items`](Self::items_out).
    pub returns: &'static str,
    /// The type of the method's own error, as it is written, if it has one beside
    /// [`Status`](crate::Status).
    pub error: Option<&'static str>,
    /// Whether running it twice does what running it once does.
    pub idempotent: bool,
    /// Whether the caller wants no answer.
    pub oneway: bool,
    /// Whether it runs on the thread that receives the call.
    pub inline: bool,
    /// How long a call may take where the caller says nothing else.
    pub timeout: Option<Duration>,
    /// The worker pool that it runs in, if not the default one.
    pub pool: Option<&'static str>,
    /// Whether the handler may answer after it has returned.
    pub later: bool,
    /// How arguments, answer and items are encoded.
    pub encoding: Encoding,
    /// The type of the items that the caller sends, as it is written, if it sends any.
    pub items_in: Option<&'static str>,
    /// The type of the items that the method gives, as it is written, if it gives any.
    pub items_out: Option<&'static str>,
    /// How long either side waits for the next item, or for room for one, where the caller says
    /// nothing else.
    pub item_timeout: Option<Duration>,
    /// Which of the arguments is the key, by which some policies pick a node, if one is.
    pub key: Option<usize>,
}

impl MethodInfo {
    /// A method without arguments, answer, documentation and options.
    ///
    /// `path` is the service's name, a full stop and `name`.
    pub const fn new(name: &'static str, path: &'static str) -> Self {
        MethodInfo {
            name,
            path,
            docs: "",
            arguments: &[],
            returns: "()",
            error: None,
            idempotent: false,
            oneway: false,
            inline: false,
            timeout: None,
            pool: None,
            later: false,
            encoding: Encoding::MessagePack,
            items_in: None,
            items_out: None,
            item_timeout: None,
            key: None,
        }
    }

    /// Sets the documentation. Default: none.
    #[must_use]
    pub const fn docs(mut self, docs: &'static str) -> Self {
        self.docs = docs;
        self
    }

    /// Sets the arguments. Default: none.
    #[must_use]
    pub const fn arguments(mut self, arguments: &'static [ArgumentInfo]) -> Self {
        self.arguments = arguments;
        self
    }

    /// Sets the type of the answer. Default: `()`.
    #[must_use]
    pub const fn returns(mut self, type_name: &'static str) -> Self {
        self.returns = type_name;
        self
    }

    /// Sets the type of the method's own error. Default: none.
    #[must_use]
    pub const fn error(mut self, type_name: &'static str) -> Self {
        self.error = Some(type_name);
        self
    }

    /// Sets which of the arguments is the key. Default: none.
    #[must_use]
    pub const fn key(mut self, argument: usize) -> Self {
        self.key = Some(argument);
        self
    }

    /// Marks it as idempotent. Default: not.
    #[must_use]
    pub const fn idempotent(mut self) -> Self {
        self.idempotent = true;
        self
    }

    /// Marks it as one that is not answered. Default: answered.
    #[must_use]
    pub const fn oneway(mut self) -> Self {
        self.oneway = true;
        self
    }

    /// Marks it as one that runs on the thread that receives. Default: in a pool.
    #[must_use]
    pub const fn inline(mut self) -> Self {
        self.inline = true;
        self
    }

    /// Sets how long a call may take. Default: what the client's options say.
    #[must_use]
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Sets the worker pool. Default: the default pool.
    #[must_use]
    pub const fn pool(mut self, name: &'static str) -> Self {
        self.pool = Some(name);
        self
    }

    /// Marks it as one that answers by a [`Responder`](super::Responder). Default: by returning.
    #[must_use]
    pub const fn later(mut self) -> Self {
        self.later = true;
        self
    }

    /// Marks it as one whose only argument and whose answer are bytes in an encoding of its own.
    /// Default: MessagePack.
    #[must_use]
    pub const fn raw(mut self) -> Self {
        self.encoding = Encoding::Raw;
        self
    }

    /// Sets the type of the items that the caller sends. Default: it sends none.
    #[must_use]
    pub const fn items_in(mut self, type_name: &'static str) -> Self {
        self.items_in = Some(type_name);
        self
    }

    /// Sets the type of the items that the method gives. Default: it gives none.
    #[must_use]
    pub const fn items_out(mut self, type_name: &'static str) -> Self {
        self.items_out = Some(type_name);
        self
    }

    /// Sets how long either side waits for an item. Default: what the client's options say.
    #[must_use]
    pub const fn item_timeout(mut self, timeout: Duration) -> Self {
        self.item_timeout = Some(timeout);
        self
    }

    /// Whether a call of it carries items, in either direction.
    pub const fn is_stream(&self) -> bool {
        self.items_in.is_some() || self.items_out.is_some()
    }

    /// The service's name: the path without the method's.
    pub fn service(&self) -> &'static str {
        self.path
            .rsplit_once('.')
            .map_or("", |(service, _)| service)
    }
}

/// Whether a method is one of health, which every server has and tells whatever else it does.
pub(crate) fn is_health(path: &str) -> bool {
    path.starts_with("brokerless.health.v1.")
}
