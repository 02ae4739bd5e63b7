//! kqueue, with a user event as the alarm.
//!
//! epoll watches a descriptor as a whole, kqueue each direction by a filter of its own:
//!
//! | watched for | read filter | write filter |
//! |---|---|---|
//! | reading | level | |
//! | reading and writing | level | level |
//! | writing | | level |
//! | nothing | | edge, for the end only |
//!
//! Whoever reads or writes meets the end there, after what was left to read. A descriptor that is
//! watched for nothing has hung up once it cannot be written to any more: by then neither
//! direction works, as with epoll. The end that the read filter would see is not meant: it comes
//! when the other side has no more to say, and what it said before may still be unread. An edge is
//! also news of room, for which a wait ends early, with nothing to report.
//!
//! # Not here
//!
//! Systems whose kqueue has no user events: OpenBSD, NetBSD.

// The package's only module with unsafe code: rustix leaves it to the caller of `kevent` to see to
// the descriptors that are named in it.
#![allow(unsafe_code)]

use core::ffi::c_void;
use core::ptr::without_provenance_mut;
use std::io;
use std::mem::MaybeUninit;
use std::time::Duration;

use rustix::event::kqueue::{
    Event, EventFilter, EventFlags, UserDefinedFlags, UserFlags, kevent, kqueue,
};
use rustix::fd::{AsRawFd, BorrowedFd, OwnedFd};
use rustix::io::{Errno, FdFlags, fcntl_setfd, retry_on_intr};

use super::{ALARM_TOKEN, EVENTS_MAX, Interest, Ready};
use crate::engine::waiter::Alarm;

/// Changes that are made in one call at most.
const CHANGES_MAX: usize = 3;
/// The longest wait: some systems refuse times that are far off. Whoever waits comes back for more.
const WAIT_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// The alarm's number among user events.
const ALARM: isize = 0;

// With a receipt for each change all are tried, and the call reports nothing else.
const LEVEL: EventFlags = EventFlags::ADD.union(EventFlags::RECEIPT);
const EDGE: EventFlags = LEVEL.union(EventFlags::CLEAR);
const GONE: EventFlags = EventFlags::DELETE.union(EventFlags::RECEIPT);

#[derive(Debug)]
pub(crate) struct Poller {
    kqueue: OwnedFd,
}

#[cfg(not(target_pointer_width = "64"))]
compile_error!("a token does not fit what this system's kqueue hands back with an event");

/// A token, as what the kernel hands back with an event.
fn udata(token: u64) -> *mut c_void {
    without_provenance_mut(token as usize)
}

fn alarm(flags: EventFlags, action: UserFlags) -> Event {
    let filter = EventFilter::User {
        ident: ALARM,
        flags: action,
        user_flags: UserDefinedFlags::new(0),
    };
    Event::new(filter, flags, udata(ALARM_TOKEN))
}

impl Poller {
    pub(crate) fn new() -> io::Result<Self> {
        let poller = Poller { kqueue: kqueue()? };
        fcntl_setfd(&poller.kqueue, FdFlags::CLOEXEC)?;
        // On edges: each ring is reported once, and nothing has to be reset.
        poller.change(&[alarm(EDGE, UserFlags::NOINPUT)])?;
        Ok(poller)
    }

    pub(crate) fn add(&self, fd: BorrowedFd<'_>, token: u64, interest: Interest) -> io::Result<()> {
        let data = udata(token);
        let read = |flags| Event::new(EventFilter::Read(fd.as_raw_fd()), flags, data);
        let write = |flags| Event::new(EventFilter::Write(fd.as_raw_fd()), flags, data);
        // A filter that is there stays on edges or levels when it is added again: so it goes first.
        match (interest.read, interest.write) {
            (true, true) => self.change(&[read(LEVEL), write(GONE), write(LEVEL)]),
            (true, false) => self.change(&[read(LEVEL), write(GONE)]),
            (false, true) => self.change(&[read(GONE), write(GONE), write(LEVEL)]),
            (false, false) => self.change(&[read(GONE), write(GONE), write(EDGE)]),
        }
    }

    pub(crate) fn modify(
        &self,
        fd: BorrowedFd<'_>,
        token: u64,
        interest: Interest,
    ) -> io::Result<()> {
        self.add(fd, token, interest)
    }

    pub(crate) fn delete(&self, fd: BorrowedFd<'_>) -> io::Result<()> {
        let (fd, data) = (fd.as_raw_fd(), udata(0));
        self.change(&[
            Event::new(EventFilter::Read(fd), GONE, data),
            Event::new(EventFilter::Write(fd), GONE, data),
        ])
    }

    /// Makes the changes, in order; what is to go may not be there.
    fn change(&self, changes: &[Event]) -> io::Result<()> {
        debug_assert!(changes.len() <= CHANGES_MAX);
        let mut room = [MaybeUninit::<Event>::uninit(); CHANGES_MAX];
        loop {
            // SAFETY: the descriptors are borrowed by the caller, hence open while they are named
            // here. The kernel itself takes one off the queue when it is closed later, whether or
            // not it was deleted before. No memory is shared: tokens are not followed.
            let made = unsafe { kevent(&self.kqueue, changes, &mut room, Some(Duration::ZERO)) };
            let receipts = match made {
                Ok((receipts, _)) => receipts,
                Err(Errno::INTR) => continue, // doing it twice changes nothing
                Err(error) => return Err(error.into()),
            };
            let failed = receipts.iter().find_map(|receipt| {
                let errno = Errno::from_raw_os_error(receipt.data() as i32);
                let fails = receipt.flags().contains(EventFlags::ERROR) && receipt.data() != 0;
                (fails && errno != Errno::NOENT).then_some(errno)
            });
            return failed.map_or(Ok(()), |errno| Err(errno.into()));
        }
    }

    /// Waits for readiness, the alarm or the timeout, whichever comes first; the alarm is not
    /// reported.
    pub(crate) fn wait(&self, ready: &mut Vec<Ready>, timeout: Option<Duration>) -> io::Result<()> {
        let timeout = timeout.map(|timeout| timeout.min(WAIT_MAX));
        ready.clear();
        let mut room = [MaybeUninit::<Event>::uninit(); EVENTS_MAX];
        // SAFETY: no descriptor is named but the queue's own, which is open.
        match unsafe { kevent(&self.kqueue, &[], &mut room, timeout) } {
            Ok((events, _)) => ready.extend(events.iter().filter_map(report)),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }
}

/// What is reported of an event.
fn report(event: &Event) -> Option<Ready> {
    let ready = Ready {
        token: event.udata().addr() as u64,
        readable: false,
        writable: false,
        hung_up: false,
    };
    match event.filter() {
        EventFilter::Read(_) => Some(Ready {
            readable: true,
            ..ready
        }),
        EventFilter::Write(_) if !event.flags().contains(EventFlags::CLEAR) => Some(Ready {
            writable: true,
            ..ready
        }),
        EventFilter::Write(_) if event.flags().contains(EventFlags::EOF) => Some(Ready {
            hung_up: true,
            ..ready
        }),
        _ => None, // the alarm, or an edge that is not the end
    }
}

impl Alarm for Poller {
    fn ring(&self) {
        let trigger = alarm(EventFlags::empty(), UserFlags::TRIGGER);
        let mut no_room: [MaybeUninit<Event>; 0] = [];
        // It can fail only if the alarm were not there: `new` has added it.
        let _ = retry_on_intr(|| {
            // SAFETY: no descriptor is named but the queue's own, which is open.
            unsafe {
                kevent(
                    &self.kqueue,
                    &[trigger],
                    &mut no_room[..],
                    Some(Duration::ZERO),
                )
            }
            .map(|_| ())
        });
    }
}
