//! REQ: asks and waits for the answer.

use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;

use super::common::{Handle, common_methods, receive_methods, send_methods};
use super::core::{Core, Sent};
use super::error::{RecvError, SendError, SendRefusal};
use crate::engine::pipe::Pipe;
use crate::message::{Frame, Message};
use crate::zmtp::SocketType;

/// A socket that sends a request and receives its answer, one after the other.
///
/// The requests go to the peers in turn. Each carries a number that the answer has to bring back,
/// so that an answer which comes too late is never taken for that of the next request.
///
/// After a timeout the program may ask again: [`send`](Self::send) is allowed once the socket
/// has been told to forget the request with [`give_up`](Self::give_up).
///
/// ```
/// use brokerless_patterns::{Rep, Req};
///
/// let rep = Rep::bind("inproc://req-example")?;
/// let req = Req::connect("inproc://req-example")?;
/// req.send("2 + 2")?;
/// assert_eq!(rep.recv()?[0], "2 + 2");
/// rep.send("4")?;
/// assert_eq!(req.recv()?[0], "4");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Req {
    core: Handle,
    asked: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    number: u32,
    /// The connection that it went to: only from there its answer may come.
    peer: u64,
    waiting: bool,
}

impl Req {
    fn on(core: Arc<Core>) -> Self {
        Req {
            core: Handle(core),
            asked: Mutex::default(),
        }
    }

    /// Puts the number and the delimiter before the request, and takes them off if it comes back.
    fn attempt(&self, message: Message) -> Sent {
        // Held while sending, which never blocks here: two threads cannot both have the turn.
        let mut asked = self.asked.lock();
        if asked.waiting {
            return Err((SendRefusal::OutOfTurn, message));
        }
        let number = asked.number.wrapping_add(1);
        let mut frames = message.into_parts();
        frames.insert(0, Frame::new());
        frames.insert(0, Frame::copy_from_slice(&number.to_be_bytes()));
        match self.core.try_send_any(Message::from_parts(frames)) {
            Ok(pipe) => {
                *asked = State {
                    number,
                    peer: pipe.id,
                    waiting: true,
                };
                Ok(())
            }
            Err((refusal, message)) => {
                let mut frames = message.into_parts();
                frames.drain(..2);
                Err((refusal, Message::from_parts(frames)))
            }
        }
    }

    fn send_by(&self, deadline: Option<Instant>, message: Message) -> Result<(), SendError> {
        self.core
            .send_until(deadline, message, |message| self.attempt(message))
    }

    fn receive(&self, deadline: Option<Instant>) -> Result<Message, RecvError> {
        let (number, peer) = {
            let asked = self.asked.lock();
            if !asked.waiting {
                return Err(RecvError::OutOfTurn);
            }
            (asked.number, asked.peer)
        };
        let answer = self.core.receive_with(deadline, || {
            loop {
                let (pipe, message) = self.core.try_receive()?;
                if let Some(answer) = self.answer(&pipe, message, number, peer) {
                    return Some(answer);
                }
            }
        })?;
        let mut asked = self.asked.lock();
        if asked.number == number {
            asked.waiting = false;
        }
        Ok(answer)
    }

    /// The answer without its envelope, if it is one to the request of this number, from the peer
    /// that was asked.
    fn answer(&self, pipe: &Pipe, message: Message, number: u32, peer: u64) -> Option<Message> {
        let mut frames = message.into_parts();
        let fits = pipe.id == peer
            && frames.len() >= 3
            && frames[0] == &number.to_be_bytes()
            && frames[1].is_empty();
        if !fits {
            // Late, or from a peer that does not keep to the pattern.
            self.core.misfit(pipe);
            return None;
        }
        frames.drain(..2);
        Some(Message::from_parts(frames))
    }

    /// Forgets the request whose answer is awaited; it is dropped if it comes. True if there was
    /// one.
    pub fn give_up(&self) -> bool {
        std::mem::take(&mut self.asked.lock().waiting)
    }
}

common_methods!(Req, SocketType::Req, "a REP or ROUTER");
send_methods!(Req);
receive_methods!(Req, Message);
