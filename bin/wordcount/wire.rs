//! The messages between the demo and its workers.
//!
//! ```text
//! task:   [ {task, pieces, bytes} ] [ text ] [ text ] ...      the first frame in MessagePack
//! answer: [ {task, pid, words, refused} ] [ [[word, count], ...] ]        both in MessagePack
//! ```
//!
//! Text stands in frames of its own, as it was read. Whatever comes in is checked: nothing here
//! panics, whoever is at the other end.

use std::fmt;

use brokerless::patterns::{Frame, Message};
use serde::{Deserialize, Serialize};

use super::Failure;
use super::words::Table;

/// What a task says of itself.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct TaskHead {
    pub(super) task: u64,
    /// Frames of text that follow.
    pub(super) pieces: u64,
    /// Bytes in them.
    pub(super) bytes: u64,
}

/// What an answer says of itself.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct AnswerHead {
    pub(super) task: u64,
    /// The process that counted.
    pub(super) pid: u32,
    /// Words in all.
    pub(super) words: u64,
    /// Why it was not counted.
    pub(super) refused: Option<String>,
}

/// Why a message is none of these.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed(String);

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn encode(value: &impl Serialize) -> Result<Frame, Failure> {
    let bytes = rmp_serde::to_vec_named(value)
        .map_err(|error| Failure::run(format!("cannot encode a message: {error}")))?;
    Ok(bytes.into())
}

fn decode<'a, T: Deserialize<'a>>(what: &str, frame: &'a Frame) -> Result<T, Malformed> {
    rmp_serde::from_slice(frame)
        .map_err(|error| Malformed(format!("{what} of {} bytes: {error}", frame.len())))
}

/// Makes a task of pieces of text.
pub(super) fn task(task: u64, bytes: u64, pieces: Vec<Frame>) -> Result<Message, Failure> {
    let head = TaskHead {
        task,
        pieces: pieces.len() as u64,
        bytes,
    };
    let head = encode(&head)?;
    Ok(Message::from_frames(std::iter::once(head).chain(pieces)))
}

/// Takes a task apart.
pub(super) fn read_task(message: &Message) -> Result<(TaskHead, Vec<&str>), Malformed> {
    let head: TaskHead = decode("the head of a task", message.first())?;
    let pieces = &message.frames()[1..];
    let bytes: usize = pieces.iter().map(|piece| piece.len()).sum();
    if (head.pieces, head.bytes) != (pieces.len() as u64, bytes as u64) {
        return Err(Malformed(format!(
            "task {} announces {} pieces of {} bytes and has {} of {bytes}",
            head.task,
            head.pieces,
            head.bytes,
            pieces.len()
        )));
    }
    let texts = pieces.iter().map(Frame::to_str).collect::<Result<_, _>>();
    let texts = texts.map_err(|error| Malformed(format!("task {}: {error}", head.task)))?;
    Ok((head, texts))
}

/// Makes an answer: the counts of a task.
pub(super) fn answer(task: u64, pid: u32, table: &Table) -> Result<Message, Failure> {
    let head = AnswerHead {
        task,
        pid,
        words: table.words(),
        refused: None,
    };
    let counts: Vec<(&str, u64)> = table.iter().collect();
    Ok(Message::from([encode(&head)?, encode(&counts)?]))
}

/// Makes an answer that a task cannot be counted.
pub(super) fn refusal(task: u64, pid: u32, why: &Malformed) -> Result<Message, Failure> {
    let head = AnswerHead {
        task,
        pid,
        words: 0,
        refused: Some(why.to_string()),
    };
    Ok(Message::from(encode(&head)?))
}

/// The number of a task that cannot be read otherwise.
pub(super) fn task_number(message: &Message) -> Option<u64> {
    let head: TaskHead = decode("", message.first()).ok()?;
    Some(head.task)
}

/// The first part of an answer, enough to know whether the rest is wanted.
pub(super) fn read_answer(message: &Message) -> Result<AnswerHead, Malformed> {
    let head: AnswerHead = decode("the head of an answer", message.first())?;
    if head.refused.is_none() && message.len() != 2 {
        let (task, frames) = (head.task, message.len());
        return Err(Malformed(format!(
            "the answer to task {task} has {frames} frames; it takes 2"
        )));
    }
    Ok(head)
}

/// Adds the counts of an answer to a table: all of them or none.
pub(super) fn gather(
    head: &AnswerHead,
    message: &Message,
    into: &mut Table,
) -> Result<(), Malformed> {
    let counts = message.frames().get(1);
    let counts = counts.ok_or_else(|| Malformed("an answer without counts".to_owned()))?;
    let counts: Vec<(&str, u64)> = decode("the counts of an answer", counts)?;
    let words = counts
        .iter()
        .try_fold(0u64, |sum, (_, count)| sum.checked_add(*count));
    if words != Some(head.words) {
        return Err(Malformed(format!(
            "the answer to task {} announces {} words and counts others",
            head.task, head.words
        )));
    }
    for (word, count) in counts {
        into.add(word, count);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(text: &str) -> Table {
        let mut table = Table::default();
        table.count(text);
        table
    }

    #[test]
    fn a_task_and_its_answer_arrive_as_they_left() {
        let sent = task(7, 9, vec!["one two".into(), " ü".into()]).unwrap();
        assert!(read_task(&sent).is_err(), "ü has two bytes: 10 in all");
        let sent = task(7, 10, vec!["one two".into(), " ü".into()]).unwrap();
        let (head, pieces) = read_task(&sent).unwrap();
        assert_eq!((head.task, pieces), (7, vec!["one two", " ü"]));

        let answered = answer(7, 1, &counted("one two ü one")).unwrap();
        let head = read_answer(&answered).unwrap();
        let mut gathered = Table::default();
        gather(&head, &answered, &mut gathered).unwrap();
        assert_eq!(gathered, counted("one two ü one"));
    }

    #[test]
    fn what_is_malformed_is_refused_and_leaves_the_table_alone() {
        let mut not_text = task(1, 1, vec![Frame::from(&[0xffu8])]).unwrap();
        assert!(read_task(&not_text).is_err());
        not_text.push("more");
        assert!(read_task(&not_text).is_err());
        assert_eq!(task_number(&not_text), Some(1));
        assert!(read_task(&Message::from("no head")).is_err());
        assert_eq!(task_number(&Message::from("no head")), None);

        let right = answer(1, 1, &counted("a b")).unwrap();
        let wrong = Message::from_frames([
            answer(1, 1, &counted("a b c")).unwrap()[0].clone(),
            right[1].clone(),
        ]);
        let head = read_answer(&wrong).unwrap();
        let mut table = Table::default();
        assert!(gather(&head, &wrong, &mut table).is_err());
        assert_eq!(table, Table::default());
        assert!(read_answer(&Message::from(right[0].clone())).is_err());
    }

    #[test]
    fn every_cut_of_a_message_is_refused_without_a_panic() {
        let sent = task(7, 3, vec!["one".into()]).unwrap();
        let answered = answer(7, 1, &counted("one two")).unwrap();
        let head = read_answer(&answered).unwrap();
        for at in 0..sent[0].len() {
            let cut = Message::from([sent[0].slice(..at), sent[1].clone()]);
            assert!(read_task(&cut).is_err(), "at {at}");
        }
        for at in 0..answered[1].len() {
            let cut = Message::from([answered[0].clone(), answered[1].slice(..at)]);
            assert!(
                gather(&head, &cut, &mut Table::default()).is_err(),
                "at {at}"
            );
        }
    }
}
