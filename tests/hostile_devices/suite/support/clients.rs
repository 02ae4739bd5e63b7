//! A good client for each device: asks through a queue, publishes through a forwarder, hands work
//! to a streamer; and stands at the other side of it, too.
//!
//! Who gives each worker its turn gives hostile ones theirs: what such a one was given does not
//! come back. A client beside them sends again after a moment, as any has to whose workers may
//! die, and skips what comes late.

use std::time::{Duration, Instant};

use brokerless_patterns::{
    Engine, Frame, Message, Pub, Pull, Push, RecvError, Rep, Req, SocketStats, Sub,
};

use super::figures::Figures;
use super::good::{LOST, Rounds, patient};

/// What the good client publishes under.
const TOPIC: &str = "good";

/// Both ends of a path through a device.
pub(crate) enum Ends {
    Queue(Req, Rep),
    Forwarder(Pub, Sub),
    Streamer(Push, Pull),
}

/// A good client.
pub(crate) struct Client {
    ends: Ends,
    /// What is not through after so long is sent again.
    soon: Duration,
    /// The same, for the attempt that is under way: later and later once many have failed, or a
    /// slow machine would never see one through.
    again: Duration,
    sent_again: u64,
}

impl Client {
    /// One for the device of this program, with an engine of its own.
    pub(crate) fn connect(program: &str, front: &str, back: &str, again: Duration) -> Self {
        let engine = Engine::new().expect("descriptors are free");
        let options = || patient(&engine);
        macro_rules! linked {
            ($kind:ident, $endpoint:expr) => {{
                let socket = $kind::with(options()).expect("default options");
                socket.connect_to($endpoint).expect("an endpoint");
                socket
            }};
        }
        let ends = match program {
            "bl-queue" => Ends::Queue(linked!(Req, front), linked!(Rep, back)),
            "bl-forwarder" => {
                let sub = linked!(Sub, back);
                sub.subscribe(TOPIC).expect("it is open");
                Ends::Forwarder(linked!(Pub, front), sub)
            }
            _ => Ends::Streamer(linked!(Push, front), linked!(Pull, back)),
        };
        Client {
            ends,
            soon: again,
            again,
            sent_again: 0,
        }
    }

    fn send(&self, message: Message) -> Result<(), String> {
        let sent = match &self.ends {
            Ends::Queue(req, _) => {
                req.give_up();
                req.send_timeout(message, LOST)
            }
            Ends::Forwarder(publisher, _) => publisher.send(message),
            Ends::Streamer(push, _) => push.send_timeout(message, LOST),
        };
        sent.map_err(|error| error.to_string())
    }

    /// The next message at the other end, within `again`. A worker answers it at once.
    fn receive(&self) -> Result<Message, RecvError> {
        match &self.ends {
            Ends::Queue(_, rep) => {
                let message = rep.recv_timeout(self.again)?;
                // Whom nobody can answer any more needs no answer.
                let _ = rep.send(message.clone());
                Ok(message)
            }
            Ends::Forwarder(_, sub) => sub.recv_timeout(self.again),
            Ends::Streamer(_, pull) => pull.recv_timeout(self.again),
        }
    }

    /// What the sender still has to hear.
    fn answer(&self) -> Result<Option<Message>, RecvError> {
        match &self.ends {
            Ends::Queue(req, _) => req.recv_timeout(self.again).map(Some),
            Ends::Forwarder(..) | Ends::Streamer(..) => Ok(None),
        }
    }

    fn stats(&self) -> [SocketStats; 2] {
        match &self.ends {
            Ends::Queue(req, rep) => [req.stats(), rep.stats()],
            Ends::Forwarder(publisher, sub) => [publisher.stats(), sub.stats()],
            Ends::Streamer(push, pull) => [push.stats(), pull.stats()],
        }
    }

    /// Whether it is what was sent: an answer has to be that of the last attempt, and work is done
    /// whichever attempt brought it.
    fn is_it(&self, received: &Message, message: &Message) -> bool {
        match &self.ends {
            Ends::Queue(..) => received == message,
            Ends::Forwarder(..) | Ends::Streamer(..) => {
                received.len() == 2 && received[1].get(..8) == message[1].get(..8)
            }
        }
    }

    /// One attempt; true if the message was through.
    fn attempt(&self, message: &Message) -> Result<bool, String> {
        let timed_out = |error| match error {
            RecvError::Timeout => Ok(false),
            error => Err(error.to_string()),
        };
        self.send(message.clone())?;
        let begin = Instant::now();
        loop {
            match self.receive() {
                Ok(received) if self.is_it(&received, message) => break,
                // Another's, or one that comes late.
                Ok(_) if begin.elapsed() > self.again => return Ok(false),
                Ok(_) => {}
                Err(error) => return timed_out(error),
            }
        }
        match self.answer() {
            Ok(Some(answer)) if answer != *message => Err("another's answer".into()),
            Ok(_) => Ok(true),
            Err(error) => timed_out(error),
        }
    }
}

impl Rounds for Client {
    fn make(&mut self, number: u64) -> Result<(Instant, Instant), String> {
        let began = Instant::now();
        for attempt in 0_u32.. {
            self.again = self.soon * 2_u32.pow(attempt.saturating_sub(5).min(6));
            let mut body = vec![b'.'; 64];
            body[..8].copy_from_slice(&number.to_be_bytes());
            body[8..16].copy_from_slice(&u64::from(attempt).to_be_bytes());
            if self.attempt(&Message::from([Frame::from(TOPIC), Frame::from(body)]))? {
                return Ok((began, Instant::now()));
            }
            // The first one may have come before whoever is to receive it.
            self.sent_again += u64::from(number > 0);
            if began.elapsed() >= LOST {
                break;
            }
        }
        Err(format!("not through; {}", self.figures()))
    }

    fn figures(&self) -> Figures {
        let mut figures = Figures::default();
        for (end, stats) in ["sender", "receiver"].into_iter().zip(self.stats()) {
            for (reason, count) in stats.closes {
                figures.set(&format!("closes.{reason}-at-the-{end}"), count);
            }
        }
        figures.set("sent_again", self.sent_again);
        figures
    }
}
