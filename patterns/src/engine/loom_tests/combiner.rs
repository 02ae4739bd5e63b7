//! The write combiner: who writes, what is left to whom, and the end.

use loom::thread::{JoinHandle, spawn};

use super::doubles::{Inbox, Kernel, Wire, new_waiter, parks};
use super::{explore, join};
use crate::engine::outbox::{After, Outbox, Refused};
use crate::engine::pace::Hold;
use crate::engine::sync::{Arc, AtomicBool, Ordering};
use crate::engine::wait::until;
use crate::engine::waiter::WaitList;
use crate::message::Message;

/// Pushes a message of three bytes on the wire.
fn push(outbox: &Outbox<Wire>, id: u8, hold: Hold) -> Result<After, Refused> {
    outbox
        .push(Message::from(vec![id]), hold, 1)
        .map_err(|(why, _)| why)
}

/// A thread that pushes these messages.
fn sender(outbox: &Arc<Outbox<Wire>>, ids: &'static [u8]) -> JoinHandle<()> {
    let outbox = outbox.clone();
    spawn(move || {
        for &id in ids {
            let _ = push(&outbox, id, Hold::Never).expect("the queue has room");
        }
    })
}

/// Each sender's messages are there once, in order.
fn assert_all(messages: &[u8], senders: &[&[u8]]) {
    assert_eq!(messages.len(), senders.concat().len(), "{messages:?}");
    for sender in senders {
        let mine: Vec<u8> = (messages.iter().copied())
            .filter(|id| sender.contains(id))
            .collect();
        assert_eq!(mine, *sender, "of {messages:?}");
    }
}

/// Does what is left to those who are responsible: the leader for a blocked link, the steward for
/// a corked queue. Then nothing is left.
fn finish(outbox: &Outbox<Wire>, wire: &Wire, listed: bool) {
    if listed {
        let _ = outbox.flush();
    }
    if wire.is_watched() {
        let _ = wire.becomes_writable(outbox);
    }
    let counts = outbox.counts();
    assert_eq!(counts.queued, 0, "nobody is responsible for what is left");
    assert_eq!(counts.pushed, counts.written + counts.dropped);
    assert!(
        !wire.is_watched(),
        "the poller would report it again and again"
    );
}

#[test]
fn combined_sends_keep_every_message() {
    // A link that is blocked after a message and a third, and then takes more.
    explore(5, || {
        let outbox = Arc::new(Outbox::new(10, 1000, true));
        let wire = Wire::with_room(4);
        let _ = outbox.attach(wire.clone());
        let senders = [sender(&outbox, &[1, 2]), sender(&outbox, &[3])];
        let _ = wire.becomes_writable(&outbox);
        join(senders);
        finish(&outbox, &wire, false);
        assert_all(&wire.messages(), &[&[1, 2], &[3]]);
    });
    // Two that hold their messages back, and one that does not.
    explore(4, || {
        let outbox = Arc::new(Outbox::new(10, 1000, true));
        let wire = Wire::with_room(1000);
        let _ = outbox.attach(wire.clone());
        let listed = Arc::new(AtomicBool::new(false));
        let corks = [1, 2].map(|id| {
            let (outbox, listed) = (outbox.clone(), listed.clone());
            spawn(move || {
                let after = push(&outbox, id, Hold::Chunk).expect("the queue has room");
                if after.corked {
                    listed.store(true, Ordering::SeqCst);
                }
            })
        });
        let plain = sender(&outbox, &[3]);
        if listed.swap(false, Ordering::SeqCst) {
            let _ = outbox.flush();
        }
        join(corks);
        join([plain]);
        finish(&outbox, &wire, listed.load(Ordering::SeqCst));
        assert_all(&wire.messages(), &[&[1], &[2], &[3]]);
    });
}

#[test]
fn a_change_of_links_keeps_every_message() {
    // The old link is blocked after a message and a third, or fails there.
    for broken in [false, true] {
        explore(5, move || {
            let outbox = Arc::new(Outbox::new(10, 1000, true));
            let (old, new) = (Wire::with_room(4), Wire::with_room(1000));
            old.0.broken.store(broken, Ordering::SeqCst);
            let _ = outbox.attach(old.clone());
            let senders = [sender(&outbox, &[1, 2]), sender(&outbox, &[3])];
            outbox.detach(&old);
            let _ = outbox.attach(new.clone());
            join(senders);
            finish(&outbox, &new, false);
            let messages = [old.messages(), new.messages()].concat();
            assert_all(&messages, &[&[1, 2], &[3]]);
        });
    }
}

#[test]
fn a_link_that_fails_is_taken_down() {
    explore(5, || {
        let outbox = Arc::new(Outbox::new(10, 1000, true));
        let wire = Wire::with_room(4);
        wire.0.broken.store(true, Ordering::SeqCst);
        let _ = outbox.attach(wire.clone());
        join([sender(&outbox, &[1]), sender(&outbox, &[2])]);
        assert!(wire.0.condemned.load(Ordering::SeqCst));
        assert_eq!(outbox.counts().queued, 1);
    });
}

#[test]
fn who_waits_for_room_hears_of_it() {
    // A queue of one message, and a link that is blocked.
    explore(5, || {
        let outbox = Arc::new(Outbox::new(1, 1000, true));
        let wire = Wire::with_room(1);
        let _ = outbox.attach(wire.clone());
        let writers = Arc::new(WaitList::default());
        let _ = push(&outbox, 1, Hold::Never).expect("the queue has room");
        let waits = waits_for_room(&outbox, &writers);
        if wire.becomes_writable(&outbox).room {
            writers.wake(usize::MAX);
        }
        join([waits]);
        finish(&outbox, &wire, false);
        assert_eq!(wire.messages(), [1, 2]);
    });
    // The link goes while a message is written, of which a large part has been let go of: it
    // cannot be written again, and leaves its place.
    explore(3, || {
        let outbox = Arc::new(Outbox::new(1, 1 << 20, true));
        let (old, new) = (Wire::with_room(5000), Wire::with_room(10_000));
        let writers = Arc::new(WaitList::default());
        let _ = outbox.attach(old.clone());
        let sends = {
            let (outbox, writers) = (outbox.clone(), writers.clone());
            spawn(move || {
                let large = Message::from([vec![1; 4900], vec![1; 200]]);
                if outbox
                    .push(large, Hold::Never, 1)
                    .is_ok_and(|after| after.room)
                {
                    writers.wake(usize::MAX);
                }
            })
        };
        let waits = waits_for_room(&outbox, &writers);
        outbox.detach(&old);
        let _ = outbox.attach(new.clone());
        writers.wake(usize::MAX);
        join([sends, waits]);
        finish(&outbox, &new, false);
    });
}

/// A thread that waits until the queue takes its message.
fn waits_for_room(outbox: &Arc<Outbox<Wire>>, writers: &Arc<WaitList>) -> JoinHandle<()> {
    let (outbox, writers) = (outbox.clone(), writers.clone());
    spawn(move || {
        let waiter = new_waiter(&Kernel::new());
        let ready = || push(&outbox, 2, Hold::Never).ok();
        let after = until(&waiter, &[&writers], false, ready, parks(&waiter));
        if after.expect("it has no deadline").room {
            writers.wake(usize::MAX);
        }
    })
}

// The end.

#[test]
fn closing_wakes_who_waits_and_refuses_who_sends() {
    // While somebody writes and others send: what was taken is written or counted as dropped.
    explore(5, || {
        let outbox = Arc::new(Outbox::new(10, 1000, true));
        let wire = Wire::with_room(4);
        let _ = outbox.attach(wire.clone());
        let senders = [[1, 2], [3, 4]].map(|ids| {
            let outbox = outbox.clone();
            spawn(move || {
                let pushes = ids.map(|id| push(&outbox, id, Hold::Never));
                assert!(
                    pushes[0].is_ok() || pushes[1] == Err(Refused::Gone),
                    "once closed it stays closed"
                );
            })
        });
        outbox.close();
        assert_eq!(push(&outbox, 5, Hold::Never), Err(Refused::Gone));
        join(senders);
        let counts = outbox.counts();
        assert_eq!(counts.queued, 0);
        assert_eq!(counts.pushed, counts.written + counts.dropped);
        assert_eq!(counts.written, wire.messages().len() as u64);
    });
    // While two wait for a message.
    explore(3, || {
        let kernel = Kernel::new();
        let inbox = Arc::new(Inbox::default());
        let receivers = [(); 2].map(|()| {
            let (kernel, inbox) = (kernel.clone(), inbox.clone());
            spawn(move || {
                let ready = || inbox.closed.load(Ordering::SeqCst).then_some(());
                let waiter = new_waiter(&kernel);
                until(&waiter, &[&inbox.readers], false, ready, parks(&waiter))
                    .expect("it has no deadline");
            })
        });
        inbox.closed.store(true, Ordering::SeqCst);
        inbox.readers.wake(usize::MAX);
        join(receivers);
    });
    // While one waits for room.
    explore(4, || {
        let outbox = Arc::new(Outbox::<Wire>::new(1, 1000, true));
        let _ = push(&outbox, 1, Hold::Never).expect("the queue has room");
        let writers = Arc::new(WaitList::default());
        let sends = {
            let (outbox, writers) = (outbox.clone(), writers.clone());
            spawn(move || {
                let waiter = new_waiter(&Kernel::new());
                let ready = || match push(&outbox, 2, Hold::Never) {
                    Err(Refused::Full) => None,
                    result => Some(result),
                };
                let result = until(&waiter, &[&writers], false, ready, parks(&waiter));
                assert_eq!(result, Some(Err(Refused::Gone)));
            })
        };
        outbox.close();
        writers.wake(usize::MAX);
        join([sends]);
    });
}
