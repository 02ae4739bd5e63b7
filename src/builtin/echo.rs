//! Echo: to see that a server is there, and how long it takes to reach it.

use crate::blob::Blob;

/// Answers with what it was given. Offered by every server, unless it was told not to.
#[crate::service(name = "brokerless.echo.v1", crate = "crate")]
pub trait Echo {
    /// Gives the text back.
    #[rpc(inline, idempotent)]
    fn text(&self, text: &str) -> String;

    /// Gives the bytes back, which are copied nowhere.
    #[rpc(inline, idempotent)]
    fn blob(&self, data: Blob) -> Blob;

    /// Answers, and no more.
    #[rpc(inline, idempotent)]
    fn ping(&self);
}

pub(crate) struct Echoes;

impl Echo for Echoes {
    fn text(&self, text: &str) -> String {
        text.to_owned()
    }

    fn blob(&self, data: Blob) -> Blob {
        data
    }

    fn ping(&self) {}
}
