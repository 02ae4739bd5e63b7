//! The queue over a link in memory.

use super::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// A link in memory that takes `room` bytes.
#[derive(Debug, Clone, Default)]
pub(super) struct Memory {
    taken: Arc<Mutex<Vec<u8>>>,
    room: Arc<AtomicUsize>,
    watched: Arc<AtomicBool>,
}

impl Memory {
    pub(super) fn with_room(room: usize) -> Self {
        Memory {
            room: Arc::new(room.into()),
            ..Memory::default()
        }
    }

    pub(super) fn make_room(&self, room: usize) {
        self.room.store(room, Ordering::SeqCst);
    }

    pub(super) fn taken(&self) -> Vec<u8> {
        self.taken.lock().clone()
    }
}

impl Link for Memory {
    fn write(&self, batch: &mut Encoder) -> (usize, Wrote) {
        let bytes = batch.to_vec();
        let n = bytes.len().min(self.room.load(Ordering::SeqCst));
        self.room.fetch_sub(n, Ordering::SeqCst);
        self.taken.lock().extend_from_slice(&bytes[..n]);
        let whole = batch.advance(n);
        (
            whole,
            if batch.is_empty() {
                Wrote::All
            } else {
                Wrote::Blocked
            },
        )
    }
    fn watch(&self, blocked: bool) {
        self.watched.store(blocked, Ordering::SeqCst);
    }
    fn condemn(&self) {}
    fn same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.taken, &other.taken)
    }
}

fn push(outbox: &Outbox<Memory>, text: &str) -> Result<(), Refused> {
    match outbox.push(Message::from(text), Hold::Never, 1) {
        Ok(_) => Ok(()),
        Err((why, _)) => Err(why),
    }
}

#[test]
fn messages_before_a_link_wait_for_it_up_to_the_limit() {
    let outbox = Outbox::new(2, 1000, true);
    push(&outbox, "a").unwrap();
    push(&outbox, "b").unwrap();
    assert_eq!(push(&outbox, "c"), Err(Refused::Full));
    let link = Memory::with_room(100);
    let after = outbox.attach(link.clone());
    assert!(after.room, "who was refused hears of room");
    assert_eq!(link.taken.lock()[..], [0, 1, b'a', 0, 1, b'b']);
}

#[test]
fn bytes_are_limited_but_one_message_always_fits() {
    let outbox = Outbox::<Memory>::new(100, 10, true);
    let _ = outbox
        .push(Message::from(vec![0; 50]), Hold::Never, 1)
        .unwrap();
    assert_eq!(push(&outbox, "x"), Err(Refused::Full));
}

#[test]
fn a_blocked_link_is_watched_and_written_when_it_takes_more() {
    let outbox = Outbox::new(10, 1000, true);
    let link = Memory::with_room(2);
    let _ = outbox.attach(link.clone());
    push(&outbox, "ab").unwrap();
    push(&outbox, "cd").unwrap();
    assert!(link.watched.load(Ordering::SeqCst));
    assert_eq!(outbox.counts().queued, 2);
    link.room.store(100, Ordering::SeqCst);
    let _ = outbox.writable(&link);
    assert!(!link.watched.load(Ordering::SeqCst));
    assert_eq!(link.taken.lock()[..], [0, 2, b'a', b'b', 0, 2, b'c', b'd']);
}

#[test]
fn held_messages_wait_for_the_flush_or_a_chunk() {
    let outbox = Outbox::new(1000, 1 << 20, true);
    let link = Memory::with_room(1 << 20);
    let _ = outbox.attach(link.clone());
    assert!(
        outbox
            .push(Message::from("a"), Hold::Chunk, 1)
            .unwrap()
            .corked
    );
    assert!(
        !outbox
            .push(Message::from("b"), Hold::Chunk, 1)
            .unwrap()
            .corked,
        "listed once"
    );
    assert!(link.taken.lock().is_empty());
    let _ = outbox.flush();
    assert_eq!(link.taken.lock().len(), 6);
    let _ = outbox
        .push(Message::from(vec![0; CHUNK]), Hold::Chunk, 1)
        .unwrap();
    assert!(link.taken.lock().len() > CHUNK, "a chunk goes at once");
}

#[test]
fn a_flood_is_gathered_further_where_several_threads_push() {
    let gathered = |pushers: usize| {
        let outbox = Outbox::new(1000, 1 << 20, true);
        let link = Memory::with_room(1 << 20);
        let _ = outbox.attach(link.clone());
        let mut pushed = 0;
        while link.taken.lock().is_empty() {
            let message = Message::from(vec![0; 64]);
            let _ = outbox
                .push(message, Hold::Sip, 1 + pushed % pushers)
                .unwrap();
            pushed += 1;
        }
        pushed
    };
    assert_eq!(gathered(1), SIP.div_ceil(66));
    assert_eq!(gathered(2), CHUNK.div_ceil(66).min(CHUNK_MESSAGES));
}

#[test]
fn what_is_only_held_back_fills_no_queue() {
    let outbox = Outbox::new(2, 1000, true);
    let link = Memory::with_room(100);
    let _ = outbox.attach(link.clone());
    for _ in 0..10 {
        let _ = outbox.push(Message::from("x"), Hold::Chunk, 1).unwrap();
    }
    assert_eq!(outbox.counts().written, 8);
    link.make_room(0);
    let mut refused = 0;
    for _ in 0..10 {
        refused += usize::from(outbox.push(Message::from("x"), Hold::Chunk, 1).is_err());
    }
    assert_eq!((refused, outbox.counts().queued), (10, 2));
}

#[test]
fn a_new_link_gets_what_the_old_one_did_not_take_whole() {
    let outbox = Outbox::new(10, 1000, true);
    let old = Memory::with_room(5);
    let _ = outbox.attach(old.clone());
    for text in ["a", "b", "c"] {
        push(&outbox, text).unwrap();
    }
    outbox.detach(&old);
    push(&outbox, "d").unwrap();
    let new = Memory::with_room(100);
    let _ = outbox.attach(new.clone());
    assert_eq!(new.taken.lock()[..], [0, 1, b'b', 0, 1, b'c', 0, 1, b'd']);
}

#[test]
fn the_books_balance() {
    let balanced = |outbox: &Outbox<Memory>| {
        let counts = outbox.counts();
        assert_eq!(
            counts.pushed,
            counts.written + counts.dropped + counts.queued as u64
        );
        counts
    };
    for keeps in [false, true] {
        let outbox = Outbox::new(10, 1000, keeps);
        let link = Memory::with_room(4);
        let _ = outbox.attach(link.clone());
        for text in ["a", "b", "c"] {
            push(&outbox, text).unwrap();
            balanced(&outbox);
        }
        outbox.detach(&link);
        let counts = balanced(&outbox);
        assert_eq!(
            (counts.written, counts.dropped),
            (1, if keeps { 0 } else { 2 })
        );
        if !keeps {
            assert_eq!(
                push(&outbox, "d"),
                Err(Refused::Gone),
                "it has no other link"
            );
        }
        outbox.close();
        let counts = balanced(&outbox);
        assert_eq!((counts.dropped, counts.queued), (2, 0));
        assert_eq!(push(&outbox, "d"), Err(Refused::Gone));
    }
}
