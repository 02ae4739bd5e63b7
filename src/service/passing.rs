//! A call that is passed on: what it says, whoever said it and wherever it goes.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use crate::Metadata;
use crate::wire::{Encoding, Flags, Flow, Payload};

/// A call that is passed on as it came: nothing of its arguments is decoded, and its frames are
/// shared.
#[derive(Clone)]
pub(crate) struct Passing {
    pub(crate) path: Arc<str>,
    pub(crate) payload: Payload,
    pub(crate) encoding: Encoding,
    pub(crate) metadata: Metadata,
    /// What it is; never that more of them wait, which is for each connection to say.
    pub(crate) flags: Flags,
    /// Programs that have passed it on.
    pub(crate) hops: u8,
    /// What may be sent of its items at first, if its caller takes any.
    pub(crate) window: Option<Flow>,
    /// The hash of its key, if its caller said one.
    pub(crate) key: Option<u64>,
    pub(crate) deadline: Instant,
}

impl fmt::Debug for Passing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Passing")
            .field("path", &self.path)
            .field("bytes", &self.payload.bytes())
            .field("hops", &self.hops)
            .finish_non_exhaustive()
    }
}
