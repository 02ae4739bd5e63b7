//! epoll, with an eventfd as the alarm.

use std::io;
use std::mem::MaybeUninit;
use std::time::Duration;

use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::event::{EventfdFlags, Timespec, eventfd};
use rustix::fd::{BorrowedFd, OwnedFd};
use rustix::io::Errno;

use super::{ALARM_TOKEN, EVENTS_MAX, Interest, Ready};
use crate::counters;
use crate::engine::waiter::Alarm;

#[derive(Debug)]
pub(crate) struct Poller {
    epoll: OwnedFd,
    alarm: OwnedFd,
}

fn flags(interest: Interest) -> EventFlags {
    let mut flags = EventFlags::empty();
    flags.set(EventFlags::IN | EventFlags::RDHUP, interest.read);
    flags.set(EventFlags::OUT, interest.write);
    flags
}

impl Poller {
    pub(crate) fn new() -> io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let alarm = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        // On edges only: each ring is reported once, and the counter never has to be read.
        let on_edges = EventFlags::IN | EventFlags::ET;
        epoll::add(&epoll, &alarm, EventData::new_u64(ALARM_TOKEN), on_edges)?;
        Ok(Poller { epoll, alarm })
    }

    pub(crate) fn add(&self, fd: BorrowedFd<'_>, token: u64, interest: Interest) -> io::Result<()> {
        counters::system_call();
        Ok(epoll::add(
            &self.epoll,
            fd,
            EventData::new_u64(token),
            flags(interest),
        )?)
    }

    pub(crate) fn modify(
        &self,
        fd: BorrowedFd<'_>,
        token: u64,
        interest: Interest,
    ) -> io::Result<()> {
        counters::system_call();
        Ok(epoll::modify(
            &self.epoll,
            fd,
            EventData::new_u64(token),
            flags(interest),
        )?)
    }

    pub(crate) fn delete(&self, fd: BorrowedFd<'_>) -> io::Result<()> {
        counters::system_call();
        Ok(epoll::delete(&self.epoll, fd)?)
    }

    /// Waits for readiness, the alarm or the timeout, whichever comes first; the alarm is not
    /// reported. A timeout is
    /// rounded up to whole milliseconds.
    pub(crate) fn wait(&self, ready: &mut Vec<Ready>, timeout: Option<Duration>) -> io::Result<()> {
        let timeout = timeout.map(|timeout| {
            let millis = timeout.as_nanos().div_ceil(1_000_000).min(i32::MAX as u128) as i64;
            Timespec {
                tv_sec: millis / 1000,
                tv_nsec: millis % 1000 * 1_000_000,
            }
        });
        ready.clear();
        // The kernel's events cannot be kept by a type that changes threads; their room costs
        // nothing on the stack.
        let mut room = [MaybeUninit::<epoll::Event>::uninit(); EVENTS_MAX];
        counters::system_call();
        match epoll::wait(&self.epoll, &mut room[..], timeout.as_ref()) {
            Ok((events, _)) => ready.extend(events.iter().filter_map(|event| {
                let (data, flags) = (event.data, event.flags);
                (data.u64() != ALARM_TOKEN).then(|| Ready {
                    token: data.u64(),
                    readable: flags.intersects(EventFlags::IN | EventFlags::RDHUP),
                    writable: flags.contains(EventFlags::OUT),
                    hung_up: flags.intersects(EventFlags::HUP | EventFlags::ERR),
                })
            })),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }
}

impl Alarm for Poller {
    fn ring(&self) {
        // It can fail only by a full counter, after 2^64 rings; the alarm is set then anyway.
        counters::system_call();
        let _ = rustix::io::write(&self.alarm, &1u64.to_ne_bytes());
    }
}
