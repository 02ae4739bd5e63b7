//! A connection as its pipe writes to it.

use std::io;
use std::sync::Arc;

use super::conn::Conn;
use super::outbox::{Link, Wrote};
use crate::zmtp::encoder::Encoder;

/// A connection as its pipe writes to it.
#[derive(Clone)]
pub(crate) struct ConnLink(pub(crate) Arc<Conn>);

impl Link for ConnLink {
    fn write(&self, batch: &mut Encoder) -> (usize, Wrote) {
        let mut whole = 0;
        loop {
            let (n, asked) = {
                let slices = batch.slices();
                match &slices[..] {
                    [] => return (whole, Wrote::All),
                    [one] => (self.0.stream.send(one), one.len()),
                    many => (
                        self.0.stream.send_vectored(many),
                        many.iter().map(|slice| slice.len()).sum(),
                    ),
                }
            };
            match n {
                Ok(n) => {
                    whole += batch.advance(n);
                    if batch.is_empty() {
                        return (whole, Wrote::All);
                    }
                    if n < asked {
                        // The socket's buffer is full: the poller says when it is not.
                        return (whole, Wrote::Blocked);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return (whole, Wrote::Blocked);
                }
                Err(_) => return (whole, Wrote::Failed),
            }
        }
    }

    fn watch(&self, blocked: bool) {
        self.0.watch_for(|interest| interest.write = blocked);
    }

    fn condemn(&self) {
        self.0.shared.condemn(self.0.token);
    }

    fn same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}
