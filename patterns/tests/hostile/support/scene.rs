//! A router, a good client beside the hostile peers, and the oracle over both.

use std::time::Duration;

use super::figures::Figures;
use super::good::{GoodClient, Outcome, PACE};
use super::process::RouterProcess;
use super::{hold, ms};

/// The worst round trip that the good client may see.
pub(crate) const WORST: Duration = ms(100);
/// Two log lines about misbehaviour may not follow each other faster; the line is written a
/// moment after the time is taken.
const LINE_GAP_MS: u64 = 990;

/// Where it happens.
pub(crate) struct Scene {
    pub(crate) router: RouterProcess,
    pub(crate) good: GoodClient,
    /// Whether the router gives up who is silent for a moment.
    is_judged: bool,
}

impl Scene {
    /// A router with these options, and a good client that has been answered.
    #[track_caller]
    pub(crate) fn set(options: &[&str]) -> Self {
        Self::set_slow(options, PACE)
    }

    /// As [`set`](Self::set); the good client pauses for longer.
    #[track_caller]
    pub(crate) fn set_slow(options: &[&str], pace: Duration) -> Self {
        let mut router = RouterProcess::start(options);
        let good = GoodClient::start_slow(&router, pace);
        // Where the time for that is short, it may have come in at its second attempt.
        let figures = router.figures();
        hold(figures.all_closes().is_empty(), || {
            format!("the good client has been closed: {figures}")
        });
        let is_judged = options
            .iter()
            .any(|name| name.starts_with("heartbeat_timeout"));
        Scene {
            router,
            good,
            is_judged,
        }
    }

    pub(crate) fn address(&self) -> String {
        self.router.address().to_owned()
    }

    /// Ends it. The oracle: the good client was answered throughout, the books balance on both
    /// sides, the log kept quiet, and the process leaves in order.
    #[track_caller]
    pub(crate) fn end(self) -> (Outcome, Figures) {
        let Scene {
            mut router,
            good,
            is_judged,
        } = self;
        // What comes last is seen by the client, too.
        good.until_rounds(5);
        let outcome = good.finish();
        if is_judged {
            outcome.hold_kept();
        }
        outcome.assert_answered_throughout(WORST);
        let figures = router.figures();
        figures.assert_balanced("the router");
        assert_quiet(&figures);
        assert!(router.process.end(), "the router leaves in order");
        (outcome, figures)
    }
}

/// At most a line a second about misbehaving peers.
#[track_caller]
pub(crate) fn assert_quiet(figures: &Figures) {
    assert!(
        figures.get("lines_gap_ms") >= LINE_GAP_MS,
        "more than a line a second: {figures}"
    );
}
