//! The good client that asks the router.

use std::time::{Duration, Instant};

use brokerless_patterns::{Dealer, Engine};

use super::figures::Figures;
use super::good::{GoodClient, LOST, Outcome, PACE, Rounds, patient};
use super::hold;
use super::process::RouterProcess;

struct Asking(Dealer);

impl Rounds for Asking {
    fn make(&mut self, number: u64) -> Result<(Instant, Instant), String> {
        ask(&self.0, number)
    }

    fn figures(&self) -> Figures {
        Figures::of(&self.0.stats())
    }
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
        let endpoint = router.endpoint.clone();
        Self::begin(router.process.pid(), pace, move || {
            let engine = Engine::new().expect("descriptors are free");
            let dealer = Dealer::with(patient(&engine)).expect("options within bounds");
            dealer
                .connect_to(&endpoint)
                .expect("an endpoint to connect to");
            Asking(dealer)
        })
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
    /// It was not given up, where the router judges after so short a silence that the machine can
    /// make it silent.
    #[track_caller]
    pub(crate) fn hold_kept(&self) {
        hold(self.figures.all_closes().is_empty(), || {
            format!("the good client was given up: {}", self.figures)
        });
    }

    /// Every question was answered, within `bar` net of the machine's stalls, over one connection.
    #[track_caller]
    pub(crate) fn assert_answered_throughout(&self, bar: Duration) {
        self.assert_served(bar);
        self.figures.assert_balanced("the good client");
        assert_eq!(self.figures.get("written"), self.rounds);
        assert_eq!(self.figures.get("received"), self.rounds);
    }
}
