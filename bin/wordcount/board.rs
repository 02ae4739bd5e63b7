//! What is known of the work while it goes on: who has done how much, and how fast.
//!
//! The thread that gathers writes it down, the one that sees to the workers reads it.

use std::time::{Duration, Instant};

use brokerless::client::{ClientStats, NodeState};
use brokerless::scatter::{Fate, Told};
use hdrhistogram::Histogram;

use super::Failure;
use super::args::DemoArgs;
use super::crew::Crew;
use super::heart::Counts;
use super::progress::Row;
use super::report::Report;
use super::text::Selection;

/// The longest round trip that is told from longer ones: an hour.
const ROUND_TRIP_MAX_US: u64 = 3_600_000_000;

fn histogram() -> Result<Histogram<u64>, Failure> {
    Histogram::new_with_bounds(1, ROUND_TRIP_MAX_US, 3)
        .map_err(|error| Failure::run(error.to_string()))
}

/// One worker, as the work goes.
#[derive(Debug)]
struct Place {
    endpoint: String,
    round_trips: Histogram<u64>,
}

/// What has been done so far.
#[derive(Debug)]
pub(super) struct Board {
    pub(super) report: Report,
    pub(super) started: Instant,
    round_trips: Histogram<u64>,
    places: Vec<Place>,
    /// Why it cannot be done.
    pub(super) failure: Option<String>,
    /// Bytes of each task.
    sizes: Vec<u64>,
}

impl Board {
    pub(super) fn new(
        args: &DemoArgs,
        selection: &Selection,
        crew: &Crew,
    ) -> Result<Self, Failure> {
        let place = |endpoint: &String| -> Result<Place, Failure> {
            Ok(Place {
                endpoint: endpoint.clone(),
                round_trips: histogram()?,
            })
        };
        let places = crew.workers.iter().map(|worker| place(&worker.endpoint));
        Ok(Board {
            report: Report::new(args, selection),
            started: Instant::now(),
            round_trips: histogram()?,
            places: places.collect::<Result<_, _>>()?,
            failure: None,
            sizes: Vec::new(),
        })
    }

    /// The next task has so many bytes.
    pub(super) fn drawn(&mut self, bytes: u64) {
        self.sizes.push(bytes);
    }

    /// A task has ended; gives what was counted, if it has been.
    pub(super) fn ended(&mut self, told: Told<Counts>) -> Option<Counts> {
        self.report.sent_again += u64::from(told.calls.saturating_sub(1));
        let counts = match told.fate {
            Fate::Done(counts) => counts,
            Fate::Failed(error) => {
                let failure = format!("task {} has failed: {error}", told.task);
                self.failure.get_or_insert(failure);
                return None;
            }
            Fate::Cancelled | Fate::NotBegun => return None,
        };
        let micros = u64::try_from(told.took.as_micros()).unwrap_or(u64::MAX);
        self.round_trips.saturating_record(micros);
        let bytes = self.sizes.get(told.task).copied().unwrap_or_default();
        let mut places = self.places.iter_mut();
        let at = places.position(|place| Some(&*place.endpoint) == told.node.as_deref());
        if let Some(worker) = at
            && let Some(place) = self.places.get_mut(worker)
        {
            place.round_trips.saturating_record(micros);
            self.report.credit(worker, counts.pid, bytes);
        }
        Some(counts)
    }

    /// The part of the work that is done.
    pub(super) fn part(&self) -> f64 {
        self.report.bytes as f64 / self.report.bytes_in_all.max(1) as f64
    }

    /// How far it is, in a line.
    pub(super) fn line(&self) -> String {
        self.report.line(self.started.elapsed())
    }

    /// Each worker in a row.
    pub(super) fn rows(&self, stats: &ClientStats) -> Vec<Row> {
        let tasks: u64 = self.report.workers.iter().map(|worker| worker.tasks).sum();
        let workers = self.report.workers.iter().zip(&self.places);
        let row = workers.map(|(tally, place)| {
            let node = stats
                .nodes
                .iter()
                .find(|node| node.endpoint == place.endpoint);
            let quantile =
                |quantile| Duration::from_micros(place.round_trips.value_at_quantile(quantile));
            Row {
                name: tally.name,
                weight: tally.weight,
                tasks: tally.tasks,
                share: tally.tasks as f64 / tasks.max(1) as f64,
                in_flight: node.map_or(0, |node| node.in_flight),
                p50: quantile(0.5),
                p99: quantile(0.99),
                state: match node.map(|node| node.state) {
                    Some(NodeState::Up) => "up",
                    Some(NodeState::Draining | NodeState::Leaving) => "leaving",
                    _ => "away",
                },
            }
        });
        row.collect()
    }

    /// What came of it, once everything has come in.
    pub(super) fn into_report(
        mut self,
        elapsed: Duration,
        table: &super::words::Table,
        top: usize,
    ) -> Report {
        for (tally, place) in self.report.workers.iter_mut().zip(&self.places) {
            tally.round_trip_ms = super::report::RoundTrip::of(&place.round_trips);
        }
        let round_trips = &self.round_trips;
        self.report.summarise(elapsed, table, round_trips, top);
        self.report
    }
}
