//! Readiness of descriptors, from the kernel: epoll on Linux, kqueue on macOS and the BSDs.
//!
//! Both report levels, not edges: what is not read is reported again. Both can be told of
//! descriptors by any thread while another one waits.

#[cfg(any(target_os = "linux", target_os = "android"))]
mod epoll;
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) use epoll::Poller;

#[cfg(not(any(target_os = "linux", target_os = "android")))]
mod kqueue;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(crate) use kqueue::Poller;

/// What a descriptor shall be watched for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Interest {
    pub(crate) read: bool,
    pub(crate) write: bool,
}

/// What a descriptor is ready for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ready {
    pub(crate) token: u64,
    pub(crate) readable: bool,
    pub(crate) writable: bool,
    /// The other side has gone, or the descriptor failed.
    pub(crate) hung_up: bool,
}

/// The token that no descriptor has: the poller's own alarm.
pub(crate) const ALARM_TOKEN: u64 = u64::MAX;
/// Descriptors that one wait reports at most.
pub(crate) const EVENTS_MAX: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::waiter::Alarm;
    use rustix::fd::AsFd;
    use std::io::Write;
    use std::os::unix::net::UnixStream;
    use std::time::{Duration, Instant};

    const READ: Interest = Interest {
        read: true,
        write: false,
    };

    fn wait(poller: &Poller, timeout: Option<Duration>) -> Vec<Ready> {
        let mut ready = Vec::new();
        poller.wait(&mut ready, timeout).unwrap();
        ready
    }

    #[test]
    fn what_is_not_read_is_reported_again_until_it_is_not_watched() {
        let poller = Poller::new().unwrap();
        let (mut ours, theirs) = UnixStream::pair().unwrap();
        poller.add(theirs.as_fd(), 7, READ).unwrap();
        ours.write_all(b"x").unwrap();
        for _ in 0..2 {
            let ready = wait(&poller, None);
            assert_eq!(ready.len(), 1);
            assert!(ready[0].readable && !ready[0].writable && ready[0].token == 7);
        }
        poller
            .modify(
                theirs.as_fd(),
                7,
                Interest {
                    read: false,
                    write: true,
                },
            )
            .unwrap();
        let ready = wait(&poller, None);
        assert!(ready[0].writable && !ready[0].readable);
        poller.delete(theirs.as_fd()).unwrap();
        assert_eq!(wait(&poller, Some(Duration::ZERO)), []);
    }

    #[test]
    fn a_peer_that_closes_is_reported_as_gone() {
        let poller = Poller::new().unwrap();
        let (ours, theirs) = UnixStream::pair().unwrap();
        poller.add(theirs.as_fd(), 1, Interest::default()).unwrap();
        drop(ours);
        assert!(wait(&poller, None)[0].hung_up);
    }

    #[test]
    fn the_alarm_ends_a_wait_that_has_begun_or_will_begin() {
        let poller = Poller::new().unwrap();
        for _ in 0..3 {
            poller.ring();
            assert_eq!(wait(&poller, None), [], "the alarm itself is not reported");
        }
    }

    #[test]
    fn a_wait_ends_by_its_timeout() {
        let poller = Poller::new().unwrap();
        let begin = Instant::now();
        assert_eq!(wait(&poller, Some(Duration::from_millis(5))), []);
        assert!(begin.elapsed() >= Duration::from_millis(5));
    }
}
