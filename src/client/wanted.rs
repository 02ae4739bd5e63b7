//! What is called, and how: by a method that is known, or by a path.

use std::sync::Arc;
use std::time::Duration;

use super::options::Call;
use super::slot::Path;
use super::stream::Conduit;
use crate::service::MethodInfo;
use crate::wire::Encoding;

/// What is called, and how.
pub(super) struct Wanted {
    pub(super) path: Path,
    pub(super) timeout: Option<Duration>,
    pub(super) idempotent: bool,
    pub(super) oneway: bool,
    pub(super) encoding: Encoding,
    /// Which argument is the key.
    pub(super) key: Option<usize>,
    /// What it has beside arguments and answer, if it streams.
    pub(super) conduit: Option<Arc<Conduit>>,
}

impl Wanted {
    pub(super) fn of(method: &'static MethodInfo, options: &Call) -> Self {
        Wanted {
            path: Path::Static(method.path),
            timeout: method.timeout,
            idempotent: method.idempotent || options.idempotent,
            oneway: false,
            encoding: method.encoding,
            key: method.key,
            conduit: None,
        }
    }

    pub(super) fn named(path: &str, options: &Call) -> Self {
        Wanted {
            path: Path::Shared(path.into()),
            timeout: None,
            idempotent: options.idempotent,
            oneway: false,
            encoding: Encoding::MessagePack,
            key: None,
            conduit: None,
        }
    }
}
