//! A good client, and how it fared.
//!
//! It makes a round (asks and is answered, sends and receives), and another a little later, from a
//! thread and an engine of its own, until it is told to end.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use brokerless_patterns::{Engine, Options};
use crossbeam_channel::{RecvTimeoutError, Sender};

use super::canary::Delays;
use super::figures::Figures;
use super::waiting::hold;
use super::{canary, eventually, ms};

/// The pause between a round and the next.
pub(crate) const PACE: Duration = Duration::from_millis(2);
/// A round that is not over after so long is lost.
pub(crate) const LOST: Duration = Duration::from_secs(20);

/// What is added to the bar on its worst round, without optimisation.
const SLACK: Duration = if cfg!(debug_assertions) {
    ms(900)
} else {
    Duration::ZERO
};

/// What such a client does.
pub(crate) trait Rounds {
    /// Makes the round of this number; says when it began and when it was over.
    ///
    /// # Errors
    ///
    /// What went wrong, in words.
    fn make(&mut self, number: u64) -> Result<(Instant, Instant), String>;
    /// Its sockets' counts.
    fn figures(&self) -> Figures;
}

/// Options for its sockets: that the other side was slow is seen in a round, and said with its
/// time, not by a connection that has ended.
pub(crate) fn patient(engine: &Engine) -> Options {
    Options::new()
        .heartbeat_timeout(LOST)
        .heartbeat_ttl(LOST)
        .engine(engine)
}

/// A client that is at work.
pub(crate) struct GoodClient {
    stop: Sender<()>,
    rounds: Arc<AtomicU64>,
    thread: Option<JoinHandle<Outcome>>,
}

/// How it fared.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// Rounds that were made.
    pub(crate) rounds: u64,
    /// The longest that one took, without what the machine's stalls and others' load had in
    /// it; with that; and when it began.
    pub(crate) worst: (Duration, Duration, Duration),
    /// Why it ended before it was told to.
    pub(crate) failure: Option<String>,
    /// Its sockets' counts.
    pub(crate) figures: Figures,
}

impl GoodClient {
    /// Starts one that goes through `process`, and waits until it has made a round.
    #[track_caller]
    pub(crate) fn begin<R: Rounds>(
        process: u32,
        pace: Duration,
        connect: impl FnOnce() -> R + Send + 'static,
    ) -> Self {
        let (stop, stopped) = crossbeam_channel::bounded::<()>(0);
        let rounds = Arc::<AtomicU64>::default();
        let counted = rounds.clone();
        let thread = std::thread::spawn(move || {
            let delays = Delays::of(process);
            let mut client = connect();
            let began = Instant::now();
            let mut outcome = Outcome {
                rounds: 0,
                worst: <_>::default(),
                failure: None,
                figures: Figures::default(),
            };
            while matches!(stopped.recv_timeout(pace), Err(RecvTimeoutError::Timeout)) {
                let before = delays.total();
                match client.make(outcome.rounds) {
                    Ok((asked, answered)) => {
                        // The first one waits for the connection.
                        if outcome.rounds > 0 {
                            let whole = answered - asked;
                            let delayed =
                                whole.saturating_sub(delays.total().saturating_sub(before));
                            let taken = canary::net(asked, answered).min(delayed);
                            outcome.worst = outcome.worst.max((taken, whole, asked - began));
                        }
                        outcome.rounds += 1;
                        counted.store(outcome.rounds, Ordering::Release);
                    }
                    Err(failure) => {
                        outcome.failure = Some(format!("round {}: {failure}", outcome.rounds));
                        break;
                    }
                }
            }
            outcome.figures = client.figures();
            outcome
        });
        let client = GoodClient {
            stop,
            rounds,
            thread: Some(thread),
        };
        client.until_rounds(1);
        client
    }

    /// Rounds made so far.
    pub(crate) fn rounds(&self) -> u64 {
        self.rounds.load(Ordering::Acquire)
    }

    /// Waits until `more` further rounds have been made, or it has failed: then it says so when it
    /// is finished.
    #[track_caller]
    pub(crate) fn until_rounds(&self, more: u64) {
        let goal = self.rounds() + more;
        eventually("the good client is served", LOST + ms(1000), || {
            let failed = self.thread.as_ref().is_some_and(JoinHandle::is_finished);
            (failed || self.rounds() >= goal).then_some(())
        });
    }

    /// Ends it; says how it fared.
    #[track_caller]
    pub(crate) fn finish(mut self) -> Outcome {
        // One that failed has ended already.
        let _ = self.stop.send(());
        let thread = self.thread.take().expect("it is finished once");
        thread.join().expect("the good client does not panic")
    }
}

impl Outcome {
    /// Every round was made, within `bar` net of the machine's stalls, and no connection ended.
    #[track_caller]
    pub(crate) fn assert_served(&self, bar: Duration) {
        let bar = bar + SLACK;
        assert_eq!(self.failure, None, "after {} rounds", self.rounds);
        let (worst, whole, asked) = self.worst;
        assert!(self.figures.all_closes().is_empty(), "{}", self.figures);
        hold(worst <= bar, || {
            format!(
                "the worst of {} rounds took {worst:?} ({whole:?} with the machine's stalls), begun \
                 {asked:?} after the beginning; {}",
                self.rounds, self.figures
            )
        });
    }
}
