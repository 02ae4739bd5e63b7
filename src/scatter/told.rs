//! What became of each task, and of all of them.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::machine::Over;
use crate::{CallError, Code, Ran, Status};

/// How one task ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate<R, E = std::convert::Infallible> {
    /// With this value.
    Done(R),
    /// With this error, which its last call ended with.
    Failed(CallError<E>),
    /// It had been called, and was given up when the scatter was over. [`Told::ran`] says whether
    /// it may have run.
    Cancelled,
    /// It was never called.
    NotBegun,
}

/// What is told of one task.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Told<R, E = std::convert::Infallible> {
    /// Its number, in the order of the tasks, from 0.
    pub task: usize,
    /// How it ended.
    pub fate: Fate<R, E>,
    /// The endpoint of the node that it was last at; none if it was at none.
    pub node: Option<Arc<str>>,
    /// How often it was called.
    pub calls: u32,
    /// Whether it has run, as far as all of its calls tell.
    pub ran: Ran,
    /// From its last call to that one's end.
    pub took: Duration,
}

impl<R, E> Told<R, E> {
    /// Its value, if it is done.
    pub fn value(&self) -> Option<&R> {
        match &self.fate {
            Fate::Done(value) => Some(value),
            Fate::Failed(_) | Fate::Cancelled | Fate::NotBegun => None,
        }
    }

    /// Its error, if it has failed.
    pub fn error(&self) -> Option<&CallError<E>> {
        match &self.fate {
            Fate::Failed(error) => Some(error),
            Fate::Done(_) | Fate::Cancelled | Fate::NotBegun => None,
        }
    }
}

/// What a scatter came to: the fate of each task, in the order of the tasks.
///
/// Tasks that were not drawn are here as [`Fate::NotBegun`] where their iterator says exactly how
/// many they are; otherwise they are still in it, and not counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gathered<R, E = std::convert::Infallible> {
    pub(super) tasks: Vec<Told<R, E>>,
    pub(super) over: Over,
}

impl<R, E> Gathered<R, E> {
    /// What is told of each task, in order.
    pub fn tasks(&self) -> &[Told<R, E>] {
        &self.tasks
    }

    /// The same, taken out.
    pub fn into_tasks(self) -> Vec<Told<R, E>> {
        self.tasks
    }

    /// Why it was over.
    pub fn over(&self) -> Over {
        self.over
    }

    /// Whether every task is done.
    pub fn is_complete(&self) -> bool {
        self.over == Over::Complete && self.done() == self.tasks.len()
    }

    /// How many tasks are done.
    pub fn done(&self) -> usize {
        self.values().count()
    }

    /// How many tasks have failed.
    pub fn failed(&self) -> usize {
        self.errors().count()
    }

    /// The values of those that are done, in order, with the numbers of their tasks.
    pub fn values(&self) -> impl Iterator<Item = (usize, &R)> {
        let tasks = self.tasks.iter();
        tasks.filter_map(|told| Some((told.task, told.value()?)))
    }

    /// The errors of those that have failed, in order, with the numbers of their tasks.
    pub fn errors(&self) -> impl Iterator<Item = (usize, &CallError<E>)> {
        let tasks = self.tasks.iter();
        tasks.filter_map(|told| Some((told.task, told.error()?)))
    }

    /// The values of all tasks, in order.
    ///
    /// # Errors
    ///
    /// If a task is not done: how many are, and the first error.
    pub fn into_values(self) -> Result<Vec<R>, ScatterError<E>> {
        if self.is_complete() {
            let values = self.tasks.into_iter().filter_map(|told| match told.fate {
                Fate::Done(value) => Some(value),
                Fate::Failed(_) | Fate::Cancelled | Fate::NotBegun => None,
            });
            return Ok(values.collect());
        }
        let (over, done, tasks) = (self.over, self.done(), self.tasks.len());
        let mut told = self.tasks.into_iter();
        let first = told.find_map(|told| match told.fate {
            Fate::Failed(error) => Some((told.task, error)),
            Fate::Done(_) | Fate::Cancelled | Fate::NotBegun => None,
        });
        Err(ScatterError {
            over,
            done,
            tasks,
            first,
        })
    }
}

/// Not every task is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScatterError<E = std::convert::Infallible> {
    over: Over,
    done: usize,
    tasks: usize,
    first: Option<(usize, CallError<E>)>,
}

impl<E> ScatterError<E> {
    /// Why the scatter was over.
    pub fn over(&self) -> Over {
        self.over
    }

    /// How many tasks are done.
    pub fn done(&self) -> usize {
        self.done
    }

    /// The first task in order that has failed, and its error.
    pub fn first(&self) -> Option<(usize, &CallError<E>)> {
        self.first.as_ref().map(|(task, error)| (*task, error))
    }

    fn code(&self) -> Code {
        match (self.over, &self.first) {
            (Over::Deadline, _) => Code::DeadlineExceeded,
            (Over::Cancelled, _) => Code::Cancelled,
            (_, Some((_, error))) => error.code(),
            (Over::NoNode, None) => Code::Unavailable,
            _ => Code::Aborted,
        }
    }
}

impl<E: fmt::Display> fmt::Display for ScatterError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (done, tasks) = (self.done, self.tasks);
        write!(f, "{done} of {tasks} tasks are done")?;
        f.write_str(match self.over {
            Over::Complete => "",
            Over::SuccessLimit => ", as many as were wanted",
            Over::FailLimit => ", and as many have failed as were put up with",
            Over::Deadline => ", and the time was over",
            Over::Cancelled => ", and the others were cancelled",
            Over::NoNode => ", and no node can be reached",
        })?;
        match &self.first {
            Some((task, error)) => write!(f, "; task {task} has failed: {error}"),
            None => Ok(()),
        }
    }
}

impl<E: fmt::Debug + fmt::Display> std::error::Error for ScatterError<E> {}

/// A handler passes on what a scatter of its own came to.
impl<E: fmt::Display> From<ScatterError<E>> for Status {
    fn from(error: ScatterError<E>) -> Status {
        Status::new(error.code(), error.to_string())
    }
}
