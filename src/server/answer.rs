//! Answers to bytes, in the form in which the call came.
//!
//! # Invariants
//!
//! 1. No answer goes out that its caller would have to refuse by closing the connection. (test
//!    `an_answer_over_the_limit_becomes_an_error`)

use brokerless_patterns::{Frame, Message};

use super::call::{Form, Target};
use super::serve::Settings;
use crate::service::Outcome;
use crate::status::Status;
use crate::values::Ran;
use crate::wire::{
    Credit, ErrorHead, Load, Payload, ReplyHead, Version, Written, encode_error,
    encode_plain_error, encode_plain_reply, encode_reply, write_reply,
};

/// Blobs of the longest answer: with its envelope and a long return path, its frames are within
/// what sockets take by default.
const BLOBS_MAX: usize = 1000;

/// What an answer says beside its outcome.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Report {
    pub(super) load: Option<Load>,
    pub(super) credit: Option<Credit>,
}

impl Report {
    pub(super) fn new(load: Option<Load>, credit: Option<Credit>) -> Self {
        Report { load, credit }
    }
}

/// The message that ends a call.
pub(super) fn of_outcome(target: &Target, outcome: Outcome, report: Report) -> Message {
    match outcome {
        Outcome::Answer(payload) => reply(target, payload, report),
        Outcome::Failed { status, typed, ran } => {
            error(target, &status, ran, typed.map(|own| *own), report)
        }
        // Nobody asks for the answer of a call that is answered later.
        Outcome::Later => error(
            target,
            &Status::internal("the handler gave no answer"),
            Ran::Yes,
            None,
            report,
        ),
    }
}

/// Why an answer cannot go out, if it is too large.
pub(super) fn too_large(outcome: &Outcome, settings: &Settings) -> Option<Status> {
    let payload = match outcome {
        Outcome::Answer(payload) => payload,
        Outcome::Failed {
            typed: Some(payload),
            ..
        } => payload,
        Outcome::Failed { typed: None, .. } | Outcome::Later => return None,
    };
    part_too_large(payload, settings, "the answer")
}

/// Why this cannot go out, if a part of it is too large, or it has too many.
pub(super) fn part_too_large(payload: &Payload, settings: &Settings, what: &str) -> Option<Status> {
    let bytes_max = settings.blob_bytes_max;
    let bytes = payload.bytes() as u64;
    // What all of them are within, each is.
    if bytes <= bytes_max.min(settings.call_bytes_max) && payload.blobs.len() <= BLOBS_MAX {
        return None;
    }
    let frames = std::iter::once(&payload.body).chain(&payload.blobs);
    let largest = frames.map(|frame| frame.len() as u64).max().unwrap_or(0);
    if largest > bytes_max {
        return Some(Status::resource_exhausted(format!(
            "{what} has a part of {largest} bytes: at most {bytes_max} are sent; raise the server's option blob_bytes_max, or split it"
        )));
    }
    let all_max = settings.call_bytes_max;
    if bytes > all_max {
        return Some(Status::resource_exhausted(format!(
            "{what} has {bytes} bytes: at most {all_max} are sent; raise the server's option call_bytes_max, or split it"
        )));
    }
    let blobs = payload.blobs.len();
    (blobs > BLOBS_MAX).then(|| {
        Status::resource_exhausted(format!(
            "{what} has {blobs} blobs: at most {BLOBS_MAX} are sent; split it"
        ))
    })
}

/// The envelope of a reply that nothing stands before, and that has a payload: it may be lent.
pub(super) fn reply_head(target: &Target, report: Report) -> Option<Written> {
    let Form::Session(version) = target.form else {
        return None;
    };
    (!target.oneway).then(|| write_reply(&head(target, report), version))
}

fn head(target: &Target, report: Report) -> ReplyHead {
    ReplyHead {
        id: target.id,
        load: report.load,
        credit: report.credit,
    }
}

fn reply(target: &Target, payload: Payload, report: Report) -> Message {
    let (path, version) = match &target.form {
        Form::Session(version) => (None, *version),
        Form::Sessionless(path) => (Some(path), Version::NEWEST),
        Form::Plain(path) => {
            let frame = encode_plain_reply(&payload).unwrap_or_else(|fault| {
                let status = Status::internal(format!("the answer cannot be encoded: {fault}"));
                encode_plain_error(&status, Ran::Yes)
            });
            return path.put_before(Message::single(frame));
        }
    };
    let envelope = encode_reply(&head(target, report), version);
    let message = if target.oneway {
        Message::single(envelope)
    } else {
        payload.into_message(envelope)
    };
    match path {
        Some(path) => path.put_before(message),
        None => message,
    }
}

/// The message that says why there is no answer.
pub(super) fn error(
    target: &Target,
    status: &Status,
    ran: Ran,
    typed: Option<Payload>,
    report: Report,
) -> Message {
    let envelope = |version| -> Frame {
        let mut head = ErrorHead::new(target.id, status, ran);
        head.typed = typed.is_some();
        head.load = report.load;
        head.credit = report.credit;
        encode_error(&head, version)
    };
    let (path, envelope) = match &target.form {
        Form::Session(version) => (None, envelope(*version)),
        Form::Sessionless(path) => (Some(path), envelope(Version::NEWEST)),
        Form::Plain(path) => {
            return path.put_before(Message::single(encode_plain_error(status, ran)));
        }
    };
    let message = match typed {
        Some(payload) => payload.into_message(envelope),
        None => Message::single(envelope),
    };
    match path {
        Some(path) => path.put_before(message),
        None => message,
    }
}
