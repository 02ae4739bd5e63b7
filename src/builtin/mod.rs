//! Services that every server offers, unless it was told not to: health, reflection, statistics, echo.
//!
//! They run on the thread that receives, so that they answer while every worker is busy; but for
//! what looks at every caller and socket.
//!
//! ```
//! use brokerless::builtin::{Condition, HealthCheckClient, ReflectionClient};
//! use brokerless::server::Server;
//!
//! let server = Server::builder().bind("inproc://builtin-example")?;
//! let health = HealthCheckClient::connect("inproc://builtin-example")?;
//! assert_eq!(health.check("brokerless.echo.v1")?, Condition::Serving);
//!
//! let reflection = ReflectionClient::connect("inproc://builtin-example")?;
//! let about = reflection.describe("brokerless.echo.v1")?;
//! assert_eq!(about.methods[0].path, "brokerless.echo.v1.text");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Not here
//!
//! The server that offers them (`crate::server`).

mod echo;
mod health;
mod reflection;
mod stats;

use std::sync::Arc;

pub use echo::{Echo, EchoBegin, EchoClient, EchoServer};
pub use health::{
    Condition, Health, HealthCheck, HealthCheckBegin, HealthCheckClient, HealthCheckServer,
};
pub use reflection::{
    ArgumentDescription, MethodDescription, Reflection, ReflectionBegin, ReflectionClient,
    ReflectionServer, ServiceDescription,
};
pub use stats::{
    CALLERS_MAX, CallerReport, MethodReport, PoolReport, SocketReport, Stats, StatsBegin,
    StatsClient, StatsReport, StatsServer, StreamReport,
};
pub(crate) use stats::{Observed, Observer};

use crate::service::{Service, ServiceInfo};

/// Statistics alone, for a server that passes on the calls of all other services.
pub(crate) fn stats(observer: &Observer) -> Arc<dyn Service> {
    Arc::new(StatsServer::new(observer.clone()))
}

/// All of them, for a server of these services.
pub(crate) fn services(
    offered: &[&'static ServiceInfo],
    health: &Health,
    observer: &Observer,
) -> Vec<Arc<dyn Service>> {
    let own = [
        EchoClient::SERVICE,
        HealthCheckClient::SERVICE,
        ReflectionClient::SERVICE,
        StatsClient::SERVICE,
    ];
    let all: Vec<&'static ServiceInfo> = offered.iter().copied().chain(own).collect();
    let checker = health::Checker {
        health: health.clone(),
        services: all.iter().map(|about| about.name).collect(),
    };
    vec![
        Arc::new(EchoServer::new(echo::Echoes)),
        Arc::new(HealthCheckServer::new(checker)),
        Arc::new(ReflectionServer::new(reflection::Reflector {
            services: all,
        })),
        Arc::new(StatsServer::new(observer.clone())),
    ]
}
