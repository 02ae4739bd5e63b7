//! What sees every call of a client.

use std::time::Instant;

use crate::metadata::Metadata;
use crate::{RpcError, Status};

/// A call that is about to be made.
#[derive(Debug)]
#[non_exhaustive]
pub struct Outgoing<'c> {
    /// Service and method: `calc.v1.add`.
    pub path: &'c str,
    /// When it has to have ended.
    pub deadline: Instant,
    /// What is sent along. It may be changed.
    pub metadata: Metadata,
}

/// Sees every call of a client before it is sent and after it has ended.
///
/// It runs on the calling thread, except that a call in flight that nobody waits for ends where
/// its answer is finished. Keep it short: it is on the way of every call.
pub trait Interceptor: Send + Sync {
    /// Before a call is sent: its metadata and deadline may be changed.
    ///
    /// # Errors
    ///
    /// A status refuses the call: it is not sent, and ends with this and `ran() = No`.
    fn before(&self, call: &mut Outgoing<'_>) -> Result<(), Status> {
        let _ = call;
        Ok(())
    }

    /// After a call has ended: with an answer, or by this error. Once for each call that
    /// [`before`](Self::before) was asked about. A call that goes one way has ended for its caller
    /// once it is on its way, or waits to be.
    fn after(&self, path: &str, error: Option<&RpcError>) {
        let _ = (path, error);
    }
}
