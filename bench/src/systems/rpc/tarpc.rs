//! tarpc: calls of Rust types, bincode in length-delimited frames over TCP.

use anyhow::{Context, Result, bail};
use futures_util::StreamExt;
use serde_bytes::ByteBuf;
use tarpc::context::{self, Context as CallContext};
use tarpc::serde_transport;
use tarpc::server::{BaseChannel, Channel};
use tokio::net::{TcpListener, TcpStream};
use tokio_serde::formats::Bincode;
use tokio_util::codec::{Framed, LengthDelimitedCodec};

use super::{calls, tasks};
use crate::harness::calls::{Runs, SLOW};
use crate::harness::scenario::{Load, Transport, Workload};
use crate::harness::slice::Laps;
use crate::systems::{Driver, System};

#[derive(Debug)]
pub(crate) struct Tarpc;

impl System for Tarpc {
    fn name(&self) -> &'static str {
        "tarpc"
    }

    fn can(&self, workload: &Workload) -> bool {
        let streams = matches!(workload.load, Load::Call(calls) if calls.is_stream());
        workload.transport == Transport::Tcp && !streams && tasks::can(workload)
    }

    fn notes(&self) -> &'static [&'static str] {
        &[
            "tarpc: bincode, one single-threaded tokio runtime a side, TCP_NODELAY, a task a request, as its manual has it",
            "tarpc, pooled: spawn_blocking, as blocking handlers need it; *_threads_64 and pipelined_256: as many tasks",
        ]
    }

    fn serve(
        &self,
        load: Load,
        endpoint: &str,
        ready: &mut dyn FnMut(&str) -> Result<()>,
    ) -> Result<()> {
        tasks::runtime(calls(load)?)?.block_on(async {
            let address = endpoint
                .strip_prefix("tcp://")
                .context("not a tcp endpoint")?;
            let listener = TcpListener::bind(address).await?;
            ready(&format!("tcp://{}", listener.local_addr()?))?;
            loop {
                let stream = framed(listener.accept().await?.0)?;
                let transport = serde_transport::new(stream, Bincode::default());
                let requests = BaseChannel::with_defaults(transport).execute(Calc.serve());
                tokio::spawn(requests.for_each(|answer| async move {
                    tokio::spawn(answer);
                }));
            }
        })
    }

    fn connect(&self, load: Load, endpoint: &str) -> Result<Box<dyn Driver>> {
        let address = endpoint
            .strip_prefix("tcp://")
            .context("not a tcp endpoint")?;
        tasks::driver(calls(load)?, async move {
            let stream = framed(TcpStream::connect(address).await?)?;
            let transport = serde_transport::new(stream, Bincode::default());
            let config = tarpc::client::Config::default();
            Ok(CalculatorClient::new(config, transport).spawn())
        })
    }

    fn inproc(&self, _server_core: usize) -> Result<Box<dyn Driver>> {
        bail!("an async task is no other thread")
    }
}

fn framed(stream: TcpStream) -> Result<Framed<TcpStream, LengthDelimitedCodec>> {
    stream.set_nodelay(true)?;
    Ok(Framed::new(stream, LengthDelimitedCodec::new()))
}

#[tarpc::service]
trait Calculator {
    async fn add(x: i64, y: i64) -> i64;
    async fn add_pooled(x: i64, y: i64) -> i64;
    async fn slow(x: i64, y: i64) -> i64;
    async fn echo(payload: ByteBuf) -> ByteBuf;
}

#[derive(Clone, Debug)]
struct Calc;

impl Calculator for Calc {
    async fn add(self, _: CallContext, x: i64, y: i64) -> i64 {
        x + y
    }

    async fn add_pooled(self, _: CallContext, x: i64, y: i64) -> i64 {
        blocking(move || x + y).await
    }

    async fn slow(self, _: CallContext, x: i64, y: i64) -> i64 {
        blocking(move || {
            std::thread::sleep(SLOW);
            x + y
        })
        .await
    }

    async fn echo(self, _: CallContext, payload: ByteBuf) -> ByteBuf {
        payload
    }
}

async fn blocking(work: impl FnOnce() -> i64 + Send + 'static) -> i64 {
    // A sum that is none shows at the client.
    tokio::task::spawn_blocking(work).await.unwrap_or(i64::MIN)
}

impl tasks::Client for CalculatorClient {
    type Payload = ByteBuf;

    async fn add(&self, runs: Runs, x: i64, y: i64) -> Result<i64> {
        Ok(match runs {
            Runs::Inline => CalculatorClient::add(self, context::current(), x, y).await?,
            Runs::InPool | Runs::InNamedPool => self.add_pooled(context::current(), x, y).await?,
        })
    }

    async fn slow(&self, x: i64, y: i64) -> Result<i64> {
        Ok(CalculatorClient::slow(self, context::current(), x, y).await?)
    }

    async fn echo(&self, payload: ByteBuf) -> Result<ByteBuf> {
        Ok(CalculatorClient::echo(self, context::current(), payload).await?)
    }

    async fn numbers(&self, count: u64, _: impl FnMut(i64) -> Result<()> + Send) -> Result<()> {
        bail!("tarpc has no streams, nor one of {count} numbers")
    }

    async fn payloads(
        &self,
        count: u64,
        _: usize,
        _: impl FnMut(ByteBuf) -> Result<()> + Send,
    ) -> Result<()> {
        bail!("tarpc has no streams, nor one of {count} payloads")
    }

    async fn ping_pong(&self, _: &mut Laps) -> Result<()> {
        bail!("tarpc has no streams, nor one both ways")
    }

    fn payload(bytes: usize) -> ByteBuf {
        vec![0x5a; bytes].into()
    }

    fn length(payload: &ByteBuf) -> usize {
        payload.len()
    }
}
