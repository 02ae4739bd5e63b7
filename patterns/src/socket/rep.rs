//! REP: receives a request and answers it.

use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;
use smallvec::SmallVec;

use super::common::{Handle, common_methods, receive_methods};
use super::core::Core;
use super::error::{RecvError, SendError, SendRefusal};
use crate::engine::pipe::Pipe;
use crate::message::{Frame, Message};
use crate::zmtp::SocketType;

/// Addresses before the delimiter at most: devices that a request may have passed.
const HOPS_MAX: usize = 32;

/// A socket that receives a request and sends its answer, one after the other.
///
/// A request that is received before the last one was answered gives up that answer: its sender
/// gets none. Requests without an envelope are dropped and counted as `misfit`.
///
/// For several requests at once, use a [`Router`](crate::Router).
///
/// ```
/// use brokerless_patterns::{Rep, Req};
///
/// let rep = Rep::bind("inproc://rep-example")?;
/// let req = Req::connect("inproc://rep-example")?;
/// req.send("name?")?;
/// let request = rep.recv()?;
/// rep.send(request)?;
/// assert_eq!(req.recv()?[0], "name?");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Rep {
    core: Handle,
    asker: Mutex<Option<Asker>>,
}

struct Asker {
    pipe: Arc<Pipe>,
    /// What came before the request, the delimiter included.
    envelope: SmallVec<[Frame; 2]>,
}

impl Rep {
    fn on(core: Arc<Core>) -> Self {
        Rep {
            core: Handle(core),
            asker: Mutex::default(),
        }
    }

    fn receive(&self, deadline: Option<Instant>) -> Result<Message, RecvError> {
        let (asker, request) = self.core.receive_with(deadline, || {
            loop {
                let (pipe, message) = self.core.try_receive()?;
                match open(message) {
                    Some((envelope, request)) => return Some((Asker { pipe, envelope }, request)),
                    None => self.core.misfit(&pipe),
                }
            }
        })?;
        *self.asker.lock() = Some(asker);
        Ok(request)
    }

    /// Answers the request that was received last.
    ///
    /// # Errors
    ///
    /// If there is none, or its sender has gone or takes no more; the answer comes back.
    ///
    /// # Blocking
    ///
    /// Never.
    pub fn send(&self, answer: impl Into<Message>) -> Result<(), SendError> {
        let answer = answer.into();
        let Some(Asker { pipe, mut envelope }) = self.asker.lock().take() else {
            return Err(self.core.refuse((SendRefusal::OutOfTurn, answer)));
        };
        let before = envelope.len();
        envelope.extend(answer);
        self.core
            .try_send_to(&pipe, Message::from_parts(envelope))
            .map_err(|error| {
                let reason = error.reason();
                let mut frames = error.into_message().into_parts();
                frames.drain(..before);
                SendError::new(reason, Message::from_parts(frames))
            })
    }
}

/// Takes a message apart into envelope, delimiter included, and request.
fn open(message: Message) -> Option<(SmallVec<[Frame; 2]>, Message)> {
    let mut frames = message.into_parts();
    let delimiter = frames
        .iter()
        .take(HOPS_MAX + 1)
        .position(|frame| frame.is_empty())?;
    if delimiter + 1 == frames.len() {
        return None;
    }
    let request = frames.drain(delimiter + 1..).collect();
    Some((frames, Message::from_parts(request)))
}

common_methods!(Rep, SocketType::Rep, "a REQ or DEALER");
receive_methods!(Rep, Message);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_envelope_ends_at_the_first_empty_frame() {
        let (envelope, request) = open(Message::from(["a", "b", "", "q", "", "r"])).unwrap();
        assert_eq!(envelope.len(), 3);
        assert_eq!(request, Message::from(["q", "", "r"]));
    }

    #[test]
    fn what_has_no_delimiter_or_no_request_is_no_request() {
        assert!(open(Message::from(["a", "b"])).is_none());
        assert!(open(Message::from(["a", ""])).is_none());
        let far: Vec<Frame> = (0..40)
            .map(|_| "hop".into())
            .chain(["".into(), "q".into()])
            .collect();
        assert!(open(Message::from(far)).is_none());
    }
}
