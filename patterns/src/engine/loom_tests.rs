//! The interleavings of the hand-over and the write combiner, explored by loom.
//!
//! ```text
//! RUSTFLAGS="--cfg loom" cargo test -p brokerless-patterns --lib --release loom_tests
//! ```
//!
//! Each model runs once for every order in which its threads can take turns, with at most so many
//! turns taken away from a thread that could go on (`LOOM_MAX_PREEMPTIONS` sets another bound).
//! What is lost shows as a thread that waits for ever: loom calls that a deadlock. A thread that
//! spins instead of parking exceeds loom's branches.
//!
//! The kernel is a [`Kernel`] here, a connection a [`Wire`], and a deadline comes at once.

use std::time::Instant;

use loom::sync::Condvar;
use loom::thread::{JoinHandle, spawn};

use super::alarm::{NEVER, Nap};
use super::lead::{Lead, Watch};
use super::outbox::{After, Link, Outbox, Refused, Wrote};
use super::pace::Hold;
use super::steward::Steward;
use super::sync::{Arc, AtomicBool, AtomicU32, AtomicU64, Fences, Mutex, Ordering, place};
use super::wait::{lead_or_follow, until};
use super::waiter::{Alarm, LEAD, LEAVE, READY, WaitList, Waiter};
use crate::message::Message;
use crate::zmtp::encoder::Encoder;

fn explore(preemptions: usize, model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.max_branches = 5_000;
    builder.preemption_bound = Some(preemptions);
    let model = Arc::new(model);
    for fences in [Fences::AfterWrites, Fences::BeforeReads] {
        place(fences);
        let model = model.clone();
        builder.check(move || model());
    }
}

fn join<T>(threads: impl IntoIterator<Item = JoinHandle<T>>) {
    for thread in threads {
        thread.join().expect("the thread ends");
    }
}

// What the engine stands on.

/// The poller, with what has come in for two sockets.
#[derive(Default)]
struct Kernel {
    state: Mutex<(bool, Vec<usize>)>,
    changed: Condvar,
}

impl Kernel {
    fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Ends when something has come in, or by the alarm.
    fn poll(&self, may_block: bool) -> Vec<usize> {
        let mut state = self.state.lock();
        while may_block && !state.0 && state.1.is_empty() {
            state = self.changed.wait(state).expect("no thread has panicked");
        }
        state.0 = false;
        std::mem::take(&mut state.1)
    }

    fn comes_in(&self, socket: usize) {
        self.state.lock().1.push(socket);
        self.changed.notify_one();
    }
}

impl Alarm for Kernel {
    fn ring(&self) {
        self.state.lock().0 = true;
        self.changed.notify_one();
    }
}

fn new_waiter(kernel: &Arc<Kernel>) -> Arc<Waiter> {
    Arc::new(Waiter::new(kernel.clone()))
}

/// A pause without polling, by a thread that has all the time.
fn parks(waiter: &Waiter) -> impl FnMut(bool) -> bool {
    |_| {
        waiter.park(None);
        false
    }
}

/// Messages that wait to be taken, and who waits for them.
#[derive(Default)]
struct Inbox {
    messages: Mutex<usize>,
    readers: WaitList,
    closed: AtomicBool,
}

impl Inbox {
    fn deliver(&self) {
        *self.messages.lock() += 1;
        self.readers.wake(1);
    }

    fn take(&self) -> Option<()> {
        let mut messages = self.messages.lock();
        *messages = messages.checked_sub(1)?;
        Some(())
    }
}

/// A connection that takes some bytes, and then is blocked until it is given more room.
#[derive(Clone, Default)]
struct Wire(Arc<WireState>);

#[derive(Default)]
struct WireState {
    room: AtomicU32,
    watched: AtomicBool,
    in_use: AtomicBool,
    broken: AtomicBool,
    condemned: AtomicBool,
    taken: std::sync::Mutex<Vec<u8>>,
}

impl Wire {
    fn with_room(room: u32) -> Self {
        let wire = Wire::default();
        wire.0.room.store(room, Ordering::SeqCst);
        wire
    }

    fn is_watched(&self) -> bool {
        self.0.watched.load(Ordering::SeqCst)
    }

    /// As the leader does for each connection that the poller reports.
    fn becomes_writable(&self, outbox: &Outbox<Wire>) -> After {
        self.0.room.store(1000, Ordering::SeqCst);
        if self.is_watched() {
            outbox.writable(self)
        } else {
            After::default()
        }
    }

    /// The messages that went out whole.
    fn messages(&self) -> Vec<u8> {
        let taken = self.0.taken.lock().expect("no thread has panicked");
        let whole = taken.chunks_exact(3);
        whole
            .map(|frame| {
                assert_eq!(frame[..2], [0, 1], "frames are not torn");
                frame[2]
            })
            .collect()
    }
}

impl Link for Wire {
    fn write(&self, batch: &mut Encoder) -> (usize, Wrote) {
        let wire = &self.0;
        assert!(
            !wire.in_use.swap(true, Ordering::SeqCst),
            "one thread writes at a time"
        );
        let bytes = batch.to_vec();
        let n = bytes.len().min(wire.room.load(Ordering::SeqCst) as usize);
        // A broken link takes its bytes, and fails after them.
        wire.room.fetch_sub(n as u32, Ordering::SeqCst);
        let mut taken = wire.taken.lock().expect("no thread has panicked");
        taken.extend_from_slice(&bytes[..n]);
        drop(taken);
        let whole = batch.advance(n);
        let wrote = match batch.is_empty() {
            true => Wrote::All,
            false if wire.broken.load(Ordering::SeqCst) => Wrote::Failed,
            false => Wrote::Blocked,
        };
        wire.in_use.store(false, Ordering::SeqCst);
        (whole, wrote)
    }

    fn watch(&self, blocked: bool) {
        self.0.watched.store(blocked, Ordering::SeqCst);
    }

    fn condemn(&self) {
        self.0.condemned.store(true, Ordering::SeqCst);
    }

    fn same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

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

// The waiter.

#[test]
fn a_signal_is_never_lost() {
    // Parked.
    explore(5, || {
        let waiter = new_waiter(&Kernel::new());
        let signals = [READY, LEAD].map(|bit| {
            let waiter = waiter.clone();
            spawn(move || waiter.signal(bit))
        });
        let mut seen = 0;
        while seen != READY | LEAD {
            waiter.park(None);
            seen |= waiter.take(READY | LEAD);
        }
        join(signals);
    });
    // In the kernel.
    explore(4, || {
        let kernel = Kernel::new();
        let waiter = new_waiter(&kernel);
        let signals = [READY, LEAVE].map(|bit| {
            let waiter = waiter.clone();
            spawn(move || waiter.signal(bit))
        });
        let mut seen = 0;
        while seen != READY | LEAVE {
            waiter.polling(|may_block| kernel.poll(may_block));
            seen |= waiter.take(READY | LEAVE);
        }
        join(signals);
    });
}

#[test]
fn a_wake_is_used_or_passed_on() {
    // One reader's time is over before it has parked; a signal of its last wait comes late. It
    // has taken what it found, or leaves it to the other.
    explore(3, || {
        let kernel = Kernel::new();
        let inbox = Arc::new(Inbox::default());
        let other = {
            let (kernel, inbox) = (kernel.clone(), inbox.clone());
            spawn(move || {
                let waiter = new_waiter(&kernel);
                let ready = || inbox.take();
                until(&waiter, &[&inbox.readers], false, ready, parks(&waiter))
                    .expect("it has no deadline");
            })
        };
        let waiter = new_waiter(&kernel);
        let late = {
            let waiter = waiter.clone();
            spawn(move || waiter.signal(READY))
        };
        let delivery = {
            let inbox = inbox.clone();
            spawn(move || inbox.deliver())
        };
        let found = until(&waiter, &[&inbox.readers], false, || inbox.take(), |_| true);
        if found.is_some() {
            inbox.deliver();
        }
        join([other, late, delivery]);
    });
    // A reader that waits for two sockets finds something in one of them.
    explore(2, || {
        let kernel = Kernel::new();
        let inboxes = Arc::new([Inbox::default(), Inbox::default()]);
        let readers = [0, 1].map(|socket| {
            let (kernel, inboxes) = (kernel.clone(), inboxes.clone());
            spawn(move || {
                let waiter = new_waiter(&kernel);
                let inbox = &inboxes[socket];
                let ready = || inbox.take();
                until(&waiter, &[&inbox.readers], false, ready, parks(&waiter))
                    .expect("it has no deadline");
            })
        });
        let delivery = {
            let inboxes = inboxes.clone();
            spawn(move || inboxes.iter().for_each(Inbox::deliver))
        };
        let waiter = new_waiter(&kernel);
        let ready = || inboxes.iter().position(|inbox| *inbox.messages.lock() > 0);
        let lists = [&inboxes[0].readers, &inboxes[1].readers];
        until(&waiter, &lists, false, ready, |_| true);
        join(readers);
        join([delivery]);
    });
}

#[test]
fn a_nudge_is_never_lost() {
    explore(4, || {
        let steward = Arc::new(Steward::new());
        let waiter = steward.employ(new_waiter(&Kernel::new()));
        let work = Arc::new(AtomicU32::new(0));
        let users = [(); 2].map(|()| {
            let (steward, work) = (steward.clone(), work.clone());
            spawn(move || {
                work.fetch_add(1, Ordering::SeqCst);
                steward.nudge();
            })
        });
        let mut done = 0;
        loop {
            done += work.swap(0, Ordering::SeqCst);
            if done == 2 {
                break;
            }
            waiter.take(READY);
            let left = || work.load(Ordering::SeqCst) > 0;
            if steward.parks(NEVER, || NEVER, left) {
                waiter.park(None);
                steward.wakes();
            }
        }
        join(users);
    });
}

#[test]
fn a_poll_never_sleeps_past_a_timer_or_work() {
    const DUE: u64 = 5;
    explore(3, || {
        let kernel = Kernel::new();
        let nap = Arc::new(Nap::new());
        let arms = {
            let (kernel, nap) = (kernel.clone(), nap.clone());
            spawn(move || {
                nap.set_next_timer(DUE);
                if nap.sleeps_past(DUE) {
                    kernel.ring();
                }
            })
        };
        let works = {
            let (kernel, nap) = (kernel.clone(), nap.clone());
            spawn(move || {
                if nap.leave_work() {
                    kernel.ring();
                }
            })
        };
        let (mut fired, mut worked) = (false, false);
        loop {
            worked |= nap.take_work();
            if nap.next_timer() == DUE {
                nap.set_next_timer(NEVER);
                fired = true;
            }
            if fired && worked {
                break;
            }
            // The kernel ends a poll that has an end.
            let until = nap.begin(NEVER);
            kernel.poll(until == Some(NEVER));
            nap.end();
        }
        join([arms, works]);
    });
}

#[test]
fn a_watched_poll_is_ended_in_time() {
    // The kernel does not end these polls: the steward does, when its clock says so. One by a
    // deadline, and then one by a timer that is armed meanwhile.
    const DEADLINE: u64 = 3;
    const DUE: u64 = 5;
    explore(2, || {
        let kernel = Kernel::new();
        let (nap, clock) = (Arc::new(Nap::new()), Arc::new(AtomicU64::new(1)));
        let steward = Arc::new(Steward::new());
        let waiter = steward.employ(new_waiter(&kernel));
        let stopped = Arc::new(AtomicBool::new(false));
        let arms = {
            let (kernel, nap, steward) = (kernel.clone(), nap.clone(), steward.clone());
            spawn(move || {
                nap.set_next_timer(DUE);
                if nap.sleeps_past(DUE) {
                    kernel.ring();
                }
                steward.nudge();
            })
        };
        let leads = {
            let (kernel, nap, steward) = (kernel.clone(), nap.clone(), steward.clone());
            let (clock, stopped) = (clock.clone(), stopped.clone());
            spawn(move || {
                let is_over = |end| clock.load(Ordering::SeqCst) >= end;
                let poll = |deadline| {
                    let until = nap.begin(deadline).expect("there is no work");
                    if until != NEVER {
                        steward.watch_until(until);
                    }
                    if !is_over(until) {
                        kernel.poll(true);
                    }
                    nap.end();
                };
                while !is_over(DEADLINE) {
                    poll(DEADLINE);
                }
                while !(nap.next_timer() == DUE && is_over(DUE)) {
                    poll(NEVER);
                }
                stopped.store(true, Ordering::SeqCst);
                steward.stop();
            })
        };
        let look = || match nap.ends() {
            NEVER => NEVER,
            ends if ends > clock.load(Ordering::SeqCst) => ends,
            _ => {
                kernel.ring();
                NEVER
            }
        };
        loop {
            waiter.take(READY | LEAVE);
            let is_stopped = || stopped.load(Ordering::SeqCst);
            if is_stopped() {
                break;
            }
            let ends = look();
            if steward.parks(ends, look, is_stopped) {
                if ends == NEVER {
                    waiter.park(None);
                } else {
                    clock.store(ends, Ordering::SeqCst); // it parks until then
                }
                steward.wakes();
            }
        }
        join([arms, leads]);
    });
}

// The lead.

/// What only the one who leads touches.
#[derive(Default)]
struct Throne(AtomicBool);

impl Throne {
    fn sit<R>(&self, reign: impl FnOnce() -> R) -> R {
        assert!(!self.0.swap(true, Ordering::SeqCst), "two threads lead");
        let result = reign();
        self.0.store(false, Ordering::SeqCst);
        result
    }
}

/// A thread that waits once: it leads when it may, and hands the lead on.
fn user(lead: &Arc<Lead>, throne: &Arc<Throne>, deadline: Option<Instant>) -> JoinHandle<()> {
    let (lead, throne) = (lead.clone(), throne.clone());
    spawn(move || wait_once(&lead, &throne, &new_waiter(&Kernel::new()), deadline))
}

/// As `wait` does, without a clock.
fn follow(lead: &Lead, waiter: &Arc<Waiter>, deadline: Option<Instant>, drive: impl FnOnce()) {
    let now = Instant::now();
    lead_or_follow(lead, waiter, deadline, true, now, |now| {
        drive();
        now
    });
}

fn wait_once(lead: &Lead, throne: &Throne, waiter: &Arc<Waiter>, deadline: Option<Instant>) {
    follow(lead, waiter, deadline, || throne.sit(|| {}));
}

#[test]
fn two_threads_never_lead() {
    // Threads that wait.
    explore(4, || {
        let (lead, throne) = (Arc::new(Lead::new()), Arc::new(Throne::default()));
        let users = [(); 2].map(|()| user(&lead, &throne, None));
        wait_once(&lead, &throne, &new_waiter(&Kernel::new()), None);
        join(users);
        assert!(lead.is_free());
    });
    // And the steward.
    explore(2, || {
        let (lead, throne) = (Arc::new(Lead::new()), Arc::new(Throne::default()));
        let kernel = Kernel::new();
        let steward = new_waiter(&kernel);
        let left = Arc::new(AtomicU32::new(2));
        let users = [(); 2].map(|()| {
            let (lead, throne, left) = (lead.clone(), throne.clone(), left.clone());
            let (kernel, steward) = (kernel.clone(), steward.clone());
            spawn(move || {
                wait_once(&lead, &throne, &new_waiter(&kernel), None);
                left.fetch_sub(1, Ordering::SeqCst);
                steward.signal(LEAVE); // the last one ends the model
            })
        });
        loop {
            steward.take(LEAVE);
            if left.load(Ordering::SeqCst) == 0 {
                break;
            }
            if lead.watch(&steward, true) == Watch::Taken {
                throne.sit(|| {
                    while !steward.has(LEAVE) {
                        steward.polling(|may_block| kernel.poll(may_block));
                    }
                });
                lead.leave(true);
            } else {
                loom::thread::yield_now();
            }
        }
        join(users);
        assert!(lead.is_free());
    });
}

#[test]
fn a_lead_handed_over_is_never_dropped() {
    // To one whose time is over, while another one waits for it.
    explore(4, || {
        let (lead, throne) = (Arc::new(Lead::new()), Arc::new(Throne::default()));
        let users = [(); 2].map(|()| user(&lead, &throne, None));
        let waiter = new_waiter(&Kernel::new());
        wait_once(&lead, &throne, &waiter, Some(Instant::now()));
        join(users);
        assert!(lead.try_enter(), "nobody leads");
        assert!(!lead.enter(&waiter));
        assert!(!waiter.has(LEAD), "nothing keeps a follower from parking");
    });
    // Left free for one that did not come back: the steward hands it on at its second look.
    explore(5, || {
        let (lead, throne) = (Arc::new(Lead::new()), Arc::new(Throne::default()));
        assert!(lead.try_enter());
        let follows = user(&lead, &throne, None);
        lead.leave(false);
        let steward = new_waiter(&Kernel::new());
        for _ in 0..2 {
            lead.watch(&steward, false);
        }
        join([follows]);
        assert!(lead.is_free());
    });
}

#[test]
fn everybody_gets_his_message_whoever_leads() {
    explore(3, || {
        let kernel = Kernel::new();
        let lead = Arc::new(Lead::new());
        let throne = Arc::new(Throne::default());
        let inboxes = Arc::new([Inbox::default(), Inbox::default()]);
        let receive = |socket: usize| {
            let (kernel, lead, throne) = (kernel.clone(), lead.clone(), throne.clone());
            let inboxes = inboxes.clone();
            move || {
                let waiter = new_waiter(&kernel);
                let drive = || {
                    while !waiter.has(READY) {
                        for socket in waiter.polling(|may_block| kernel.poll(may_block)) {
                            inboxes[socket].deliver();
                        }
                    }
                };
                let pause = |_| {
                    follow(&lead, &waiter, None, || throne.sit(drive));
                    false
                };
                let inbox = &inboxes[socket];
                until(&waiter, &[&inbox.readers], false, || inbox.take(), pause)
                    .expect("it has no deadline");
            }
        };
        let peer = {
            let kernel = kernel.clone();
            spawn(move || [0, 1].map(|socket| kernel.comes_in(socket)))
        };
        let other = spawn(receive(0));
        receive(1)();
        join([other]);
        join([peer]);
        assert!(lead.is_free());
    });
}

// The write combiner.

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
    explore(4, || {
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
    explore(3, || {
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
        explore(4, move || {
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
    explore(4, || {
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
