//! What a child process is: the serving or the driving end of one system under one workload, or what stands between.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};

use super::process::Process;
use super::scenario::{Load, Workload};
use super::slice::Question;
use super::{pin, process};
use crate::systems::{self, System};

const START_WITHIN: Duration = Duration::from_secs(10);

/// The hidden subcommands.
#[derive(Debug, Subcommand)]
pub(crate) enum Role {
    #[command(hide = true)]
    Serve(Child),
    #[command(hide = true)]
    Drive(Child),
    /// Stands between the two, under [`Load::Queue`].
    #[command(hide = true)]
    Device(Child),
}

#[derive(Debug, Args)]
pub(crate) struct Child {
    #[arg(long)]
    system: String,
    #[arg(long, value_parser = workload_named)]
    workload: &'static Workload,
    /// Not pinned without.
    #[arg(long)]
    core: Option<usize>,
    /// For inproc, in place of an endpoint.
    #[arg(long)]
    server_core: Option<usize>,
    #[arg(long)]
    endpoint: Option<String>,
}

impl Role {
    /// Plays the role until the parent is done with it.
    pub(crate) fn play(&self) -> Result<()> {
        match self {
            Self::Serve(child) => child.serve(),
            Self::Drive(child) => child.drive(),
            Self::Device(child) => child.device(),
        }
    }
}

impl Child {
    fn serve(&self) -> Result<()> {
        process::leave_with_the_parent();
        let system = self.prepare()?;
        let endpoint = self.endpoint.as_deref().context("no endpoint")?;
        let mut device = None;
        system.serve(self.workload.load, endpoint, &mut |bound| {
            if self.workload.load != Load::Queue {
                return process::say_ready(bound);
            }
            // The clients' address is the device's.
            let mut arguments = vec!["device".to_owned(), "--system".to_owned()];
            arguments.extend([&self.system, "--workload", self.workload.name].map(str::to_owned));
            arguments.extend(["--endpoint".to_owned(), bound.to_owned()]);
            if let Some(core) = self.core {
                arguments.extend(["--core".to_owned(), core.to_string()]);
            }
            let started = Process::start(format!("{} device", self.system), arguments)?;
            let front = device.insert(started).ready(START_WITHIN)?;
            process::say_ready(&front)
        })
    }

    fn device(&self) -> Result<()> {
        process::leave_with_the_parent();
        let system = self.prepare()?;
        let backend = self.endpoint.as_deref().context("no endpoint")?;
        system.device(backend, &mut process::say_ready)
    }

    fn drive(&self) -> Result<()> {
        let system = self.prepare()?;
        let mut driver = match (&self.endpoint, self.server_core) {
            (Some(endpoint), _) => system.connect(self.workload.load, endpoint)?,
            (None, Some(server_core)) => system.inproc(server_core)?,
            (None, None) => bail!("neither an endpoint nor a core for the server"),
        };
        process::say_ready("")?;
        process::answer_the_parent(|question| {
            Ok(match serde_json::from_str(question)? {
                Question::Slice(plan) => serde_json::to_string(&driver.slice(&plan)?)?,
                Question::Open(schedule) => serde_json::to_string(&driver.open(&schedule)?)?,
            })
        })
    }

    fn prepare(&self) -> Result<&'static dyn System> {
        if let Some(core) = self.core {
            pin::to_core(core)?;
        }
        systems::named(self.workload, &self.system).context("no such system")
    }
}

fn workload_named(name: &str) -> Result<&'static Workload> {
    Workload::named(name).context("no such workload")
}
