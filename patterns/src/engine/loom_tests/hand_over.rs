//! The hand-over: signals, wakes, nudges, polls that are ended, and the lead.

use std::time::Instant;

use loom::thread::{JoinHandle, spawn};

use super::doubles::{Inbox, Kernel, new_waiter, parks};
use super::{explore, join};
use crate::engine::alarm::{NEVER, Nap};
use crate::engine::lead::{Lead, Watch};
use crate::engine::steward::Steward;
use crate::engine::sync::{Arc, AtomicBool, AtomicU32, AtomicU64, Ordering};
use crate::engine::wait::{lead_or_follow, until};
use crate::engine::waiter::{Alarm, LEAD, LEAVE, READY, Waiter};

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
fn readers_that_run_are_woken_first_and_nobody_is_forgotten() {
    // Two messages for two readers, each of which runs or sleeps as it comes: a wake that went to
    // one that runs is used by it, and the next one goes to the other.
    explore(3, || {
        let kernel = Kernel::new();
        let inbox = Arc::new(Inbox::default());
        let read = || {
            let (kernel, inbox) = (kernel.clone(), inbox.clone());
            move || {
                let waiter = new_waiter(&kernel);
                let ready = || inbox.take();
                until(&waiter, &[&inbox.readers], false, ready, parks(&waiter))
                    .expect("it has no deadline");
            }
        };
        let reader = spawn(read());
        let delivery = {
            let inbox = inbox.clone();
            spawn(move || (0..2).for_each(|_| inbox.deliver()))
        };
        read()();
        join([reader, delivery]);
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
fn what_is_held_back_ends_the_stewards_lead() {
    explore(3, || {
        let kernel = Kernel::new();
        let steward = Arc::new(Steward::new());
        let waiter = steward.employ(new_waiter(&kernel));
        let held_back = Arc::new(AtomicU32::new(0));
        let senders = [(); 2].map(|()| {
            let (steward, held_back) = (steward.clone(), held_back.clone());
            spawn(move || {
                held_back.fetch_add(1, Ordering::SeqCst);
                steward.held_back();
            })
        });
        let mut written = 0;
        while written < 2 {
            steward.set_leads(true);
            written += held_back.swap(0, Ordering::SeqCst);
            if written < 2 {
                waiter.polling(|may_block| kernel.poll(may_block));
            }
            steward.set_leads(false);
            waiter.take(LEAVE);
            written += held_back.swap(0, Ordering::SeqCst);
        }
        join(senders);
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
            // A look before it sleeps, which uses up an alarm that came late.
            kernel.poll(false);
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
                steward.recall();
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
    lead_or_follow(
        lead,
        waiter,
        deadline,
        false,
        || true,
        now,
        |now| {
            drive();
            now
        },
    );
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
        assert!(!lead.enter(&waiter, false));
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
fn a_lead_that_is_offered_is_led_by_one_or_left_free() {
    // By a thread that left it free and is busy after all, beside another one that waits.
    explore(4, || {
        let (lead, throne) = (Arc::new(Lead::new()), Arc::new(Throne::default()));
        assert!(lead.try_enter());
        let users = [(); 2].map(|()| user(&lead, &throne, None));
        lead.leave(false);
        lead.offer();
        join(users);
        assert!(lead.is_free());
        lead.offer();
        assert!(lead.is_free(), "nobody waits for it");
    });
}

#[test]
fn a_lead_that_is_left_to_one_is_led_by_it_or_by_another() {
    // A leader makes way for one that it has woken twice, while that one waits again, or waits no
    // more. The steward looks, as it does each tick.
    for comes_back in [true, false] {
        explore(3, move || {
            let (lead, throne) = (Arc::new(Lead::new()), Arc::new(Throne::default()));
            let regular = new_waiter(&Kernel::new());
            assert!(lead.try_enter());
            for _ in 0..2 {
                assert!(!lead.enter(&regular, true));
                assert!(!lead.withdraw(&regular));
            }
            regular.signal(READY);
            let led = Arc::new(AtomicBool::new(false));
            let reads = {
                let (lead, throne, led) = (lead.clone(), throne.clone(), led.clone());
                spawn(move || {
                    lead.leave(true);
                    wait_once(&lead, &throne, &new_waiter(&Kernel::new()), None);
                    led.store(true, Ordering::SeqCst);
                })
            };
            if comes_back {
                regular.take(READY);
                wait_once(&lead, &throne, &regular, None);
            }
            let steward = new_waiter(&Kernel::new());
            while !led.load(Ordering::SeqCst) {
                lead.watch(&steward, false);
                loom::thread::yield_now();
            }
            join([reads]);
            assert!(lead.is_free());
        });
    }
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
