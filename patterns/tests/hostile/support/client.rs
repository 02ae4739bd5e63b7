//! A good client, and how it fared.
//!
//! It asks, waits for the answer, and asks again a little later, from a thread and an engine of
//! its own, until it is told to end.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use brokerless_patterns::{Dealer, Engine, Options};
use crossbeam_channel::{RecvTimeoutError, Sender};

use super::canary::Delays;
use super::figures::Figures;
use super::process::RouterProcess;
use super::{canary, eventually, ms};

/// The pause between an answer and the next question.
const PACE: Duration = Duration::from_millis(2);
/// A question without an answer for so long is lost.
const LOST: Duration = Duration::from_secs(5);

/// A client that is at work.
pub(crate) struct GoodClient {
    stop: Sender<()>,
    rounds: Arc<AtomicU64>,
    thread: Option<JoinHandle<Outcome>>,
}

/// How it fared.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// Questions that were answered.
    pub(crate) rounds: u64,
    /// The longest that an answer took, without what the machine's stalls and others' load had in
    /// it; with that; and when it was asked for.
    pub(crate) worst: (Duration, Duration, Duration),
    /// Why it ended before it was told to.
    pub(crate) failure: Option<String>,
    /// Its socket's counts.
    pub(crate) figures: Figures,
}

impl GoodClient {
    /// Starts one, and waits until it has been answered.
    #[track_caller]
    pub(crate) fn start(router: &RouterProcess) -> Self {
        Self::start_slow(router, PACE)
    }

    /// As [`start`](Self::start), with this pause.
    #[track_caller]
    pub(crate) fn start_slow(router: &RouterProcess, pace: Duration) -> Self {
        let (stop, stopped) = crossbeam_channel::bounded::<()>(0);
        let rounds = Arc::<AtomicU64>::default();
        let (endpoint, counted) = (router.endpoint.clone(), rounds.clone());
        let process = router.process.pid();
        let thread = std::thread::spawn(move || {
            let engine = Engine::new().expect("descriptors are free");
            let dealer = Dealer::with(Options::new().engine(&engine)).expect("default options");
            let delays = Delays::of(process);
            dealer
                .connect_to(&endpoint)
                .expect("an endpoint to connect to");
            let began = Instant::now();
            let mut outcome = Outcome {
                rounds: 0,
                worst: <_>::default(),
                failure: None,
                figures: Figures::default(),
            };
            while matches!(stopped.recv_timeout(pace), Err(RecvTimeoutError::Timeout)) {
                let before = delays.total();
                match ask(&dealer, outcome.rounds) {
                    Ok((asked, answered)) => {
                        // The first one waits for the connection.
                        if outcome.rounds > 0 {
                            let whole = answered - asked;
                            let delayed = whole.saturating_sub(delays.total() - before);
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
            outcome.figures = Figures::of(&dealer.stats());
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

    /// Questions answered so far.
    pub(crate) fn rounds(&self) -> u64 {
        self.rounds.load(Ordering::Acquire)
    }

    /// Waits until `more` further questions have been answered.
    #[track_caller]
    pub(crate) fn until_rounds(&self, more: u64) {
        let goal = self.rounds() + more;
        eventually("the good client is answered", LOST + ms(1000), || {
            (self.rounds() >= goal).then_some(())
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

fn ask(dealer: &Dealer, number: u64) -> Result<(Instant, Instant), String> {
    let mut question = [b'.'; 64];
    question[..8].copy_from_slice(&number.to_be_bytes());
    let asked = Instant::now();
    dealer
        .send(&question[..])
        .map_err(|error| error.to_string())?;
    let answer = dealer
        .recv_timeout(LOST)
        .map_err(|error| format!("{error}; {}", Figures::of(&dealer.stats())))?;
    let answered = Instant::now();
    if answer.len() != 1 || answer[0] != question[..] {
        return Err(format!("another's answer: {answer:?}"));
    }
    Ok((asked, answered))
}

impl Outcome {
    /// Every question was answered, within `bar` net of the machine's stalls, over one connection.
    #[track_caller]
    pub(crate) fn assert_answered_throughout(&self, bar: Duration) {
        assert_eq!(self.failure, None, "after {} rounds", self.rounds);
        let (worst, whole, asked) = self.worst;
        assert!(
            worst <= bar,
            "the worst of {} round trips took {worst:?} ({whole:?} with the machine's stalls), \
             asked for {asked:?} after the beginning",
            self.rounds
        );
        assert!(self.figures.all_closes().is_empty(), "{}", self.figures);
        self.figures.assert_balanced("the good client");
        assert_eq!(self.figures.get("written"), self.rounds);
        assert_eq!(self.figures.get("received"), self.rounds);
    }
}
