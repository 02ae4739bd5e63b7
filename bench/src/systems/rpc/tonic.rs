//! tonic: gRPC, calls and streams over HTTP/2. Messages and service are written out, as its generator would.
//!
//! As it comes, like everybody; and a second time with larger frames of HTTP/2 than its 16 KiB, which help large payloads.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll};

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, iter};
use tonic::body::Body as TonicBody;
use tonic::client::Grpc;
use tonic::codegen::{Body, BoxFuture, Service, StdError, http};
use tonic::server::{NamedService, ServerStreamingService, StreamingService, UnaryService};
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Request, Response, Status, Streaming};
use tonic_prost::ProstCodec;

use super::{calls, check_item, tasks};
use crate::harness::calls::{Calls, Runs, SLOW};
use crate::harness::scenario::{Load, Transport, Workload};
use crate::harness::slice::Laps;
use crate::systems::{Driver, System};

/// Bytes of the largest frame of HTTP/2, of the one that is tuned for payloads.
const FRAME_MAX: u32 = 1 << 20;

const ADD: &str = "/calc.v1.Calculator/Add";
const ADD_POOLED: &str = "/calc.v1.Calculator/AddPooled";
const SLOW_ADD: &str = "/calc.v1.Calculator/Slow";
const ECHO: &str = "/calc.v1.Calculator/Echo";
const NUMBERS: &str = "/calc.v1.Calculator/Numbers";
const PAYLOADS: &str = "/calc.v1.Calculator/Payloads";
const PING_PONG: &str = "/calc.v1.Calculator/PingPong";

#[derive(Debug)]
pub(crate) struct Tonic {
    name: &'static str,
    frame_max: Option<u32>,
}

impl Tonic {
    /// As it comes.
    pub(crate) const DEFAULT: Tonic = Tonic {
        name: "tonic",
        frame_max: None,
    };
    /// Tuned for payloads.
    pub(crate) const TUNED: Tonic = Tonic {
        name: "tonic-1m",
        frame_max: Some(FRAME_MAX),
    };
}

impl System for Tonic {
    fn name(&self) -> &'static str {
        self.name
    }

    fn can(&self, workload: &Workload) -> bool {
        let wanted = match self.frame_max {
            None => true,
            Some(_) => matches!(
                workload.load,
                Load::Call(Calls::Payload(_) | Calls::Payloads(_))
            ),
        };
        wanted && workload.transport == Transport::Tcp && tasks::can(workload)
    }

    fn notes(&self) -> &'static [&'static str] {
        &[
            "tonic: its defaults, one single-threaded tokio runtime a side, TCP_NODELAY; tonic-1m: the same with frames of up to 1 MiB, its best of six settings for payloads",
            "tonic, pooled: spawn_blocking, as blocking handlers need it; *_threads_64 and pipelined_256: as many tasks",
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
            let incoming = TcpIncoming::bind(address.parse()?)?.with_nodelay(Some(true));
            ready(&format!("tcp://{}", incoming.local_addr()?))?;
            Server::builder()
                .max_frame_size(self.frame_max)
                .add_service(Calculator)
                .serve_with_incoming(incoming)
                .await?;
            bail!("the server ended")
        })
    }

    fn connect(&self, load: Load, endpoint: &str) -> Result<Box<dyn Driver>> {
        let address = endpoint
            .strip_prefix("tcp://")
            .context("not a tcp endpoint")?;
        let mut endpoint = Endpoint::from_shared(format!("http://{address}"))?.tcp_nodelay(true);
        if let Some(frame_max) = self.frame_max {
            endpoint = endpoint.max_frame_size(frame_max);
        }
        tasks::driver(calls(load)?, async move {
            let channel = endpoint.connect().await?;
            Ok(Client(Grpc::new(channel)))
        })
    }

    fn inproc(&self, _server_core: usize) -> Result<Box<dyn Driver>> {
        bail!("tonic has no inproc")
    }
}

#[derive(Clone, PartialEq, prost::Message)]
struct AddRequest {
    #[prost(int64, tag = "1")]
    x: i64,
    #[prost(int64, tag = "2")]
    y: i64,
}

#[derive(Clone, PartialEq, prost::Message)]
struct AddReply {
    #[prost(int64, tag = "1")]
    sum: i64,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Payload {
    #[prost(bytes = "bytes", tag = "1")]
    data: Bytes,
}

/// So many items, each of so many bytes if they are payloads.
#[derive(Clone, PartialEq, prost::Message)]
struct ItemsRequest {
    #[prost(uint64, tag = "1")]
    count: u64,
    #[prost(uint64, tag = "2")]
    bytes: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Number {
    #[prost(int64, tag = "1")]
    value: i64,
}

type Answers<A> = Pin<Box<dyn Stream<Item = Result<A, Status>> + Send>>;

#[derive(Clone, Debug)]
struct Calculator;

impl NamedService for Calculator {
    const NAME: &'static str = "calc.v1.Calculator";
}

impl<B> Service<http::Request<B>> for Calculator
where
    B: Body + Send + 'static,
    B::Error: Into<StdError> + Send + 'static,
{
    type Response = http::Response<TonicBody>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Self::Error>;

    fn poll_ready(&mut self, _: &mut TaskContext<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        match request.uri().path() {
            ADD => answer(request, |add: AddRequest| async move { Ok(sum(&add)) }),
            ADD_POOLED => answer(request, |add: AddRequest| blocking(move || sum(&add))),
            SLOW_ADD => answer(request, |add: AddRequest| {
                blocking(move || {
                    std::thread::sleep(SLOW);
                    sum(&add)
                })
            }),
            ECHO => answer(request, |payload: Payload| async move { Ok(payload) }),
            NUMBERS => stream(request, |items: ItemsRequest| {
                let numbers = 0..items.count as i64;
                Box::pin(iter(numbers.map(|value| Ok(Number { value })))) as Answers<_>
            }),
            PAYLOADS => stream(request, |items: ItemsRequest| {
                let data = Bytes::from(vec![0x5a; items.bytes as usize]);
                let payload = move |_| Ok(Payload { data: data.clone() });
                Box::pin(iter((0..items.count).map(payload))) as Answers<_>
            }),
            PING_PONG => Box::pin(async move {
                let mut grpc = tonic::server::Grpc::new(ProstCodec::<Number, Number>::default());
                Ok(grpc.streaming(Back, request).await)
            }),
            path => {
                let unknown = Status::unimplemented(path.to_owned()).into_http();
                Box::pin(async move { Ok(unknown) })
            }
        }
    }
}

fn sum(add: &AddRequest) -> AddReply {
    AddReply { sum: add.x + add.y }
}

async fn blocking(work: impl FnOnce() -> AddReply + Send + 'static) -> Result<AddReply, Status> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| Status::internal(error.to_string()))
}

fn answer<B, Q, A, F, W>(
    request: http::Request<B>,
    method: F,
) -> BoxFuture<http::Response<TonicBody>, Infallible>
where
    B: Body + Send + 'static,
    B::Error: Into<StdError> + Send + 'static,
    Q: prost::Message + Default + 'static,
    A: prost::Message + Default + 'static,
    F: Fn(Q) -> W + Send + 'static,
    W: Future<Output = Result<A, Status>> + Send + 'static,
{
    Box::pin(async move {
        let mut grpc = tonic::server::Grpc::new(ProstCodec::<A, Q>::default());
        Ok(grpc.unary(Method(method), request).await)
    })
}

/// One method of the service.
struct Method<F>(F);

impl<Q, A, F, W> UnaryService<Q> for Method<F>
where
    F: Fn(Q) -> W,
    W: Future<Output = Result<A, Status>> + Send + 'static,
{
    type Response = A;
    type Future = BoxFuture<Response<A>, Status>;

    fn call(&mut self, request: Request<Q>) -> Self::Future {
        let answer = (self.0)(request.into_inner());
        Box::pin(async move { Ok(Response::new(answer.await?)) })
    }
}

fn stream<B, Q, A>(
    request: http::Request<B>,
    method: fn(Q) -> Answers<A>,
) -> BoxFuture<http::Response<TonicBody>, Infallible>
where
    B: Body + Send + 'static,
    B::Error: Into<StdError> + Send + 'static,
    Q: prost::Message + Default + 'static,
    A: prost::Message + Default + 'static,
{
    Box::pin(async move {
        let mut grpc = tonic::server::Grpc::new(ProstCodec::<A, Q>::default());
        Ok(grpc.server_streaming(Items(method), request).await)
    })
}

/// A method that gives a stream.
struct Items<Q, A>(fn(Q) -> Answers<A>);

impl<Q, A: Send + 'static> ServerStreamingService<Q> for Items<Q, A> {
    type Response = A;
    type ResponseStream = Answers<A>;
    type Future = BoxFuture<Response<Answers<A>>, Status>;

    fn call(&mut self, request: Request<Q>) -> Self::Future {
        let answers = (self.0)(request.into_inner());
        Box::pin(async move { Ok(Response::new(answers)) })
    }
}

/// Gives back what it is given.
struct Back;

impl StreamingService<Number> for Back {
    type Response = Number;
    type ResponseStream = Streaming<Number>;
    type Future = BoxFuture<Response<Streaming<Number>>, Status>;

    fn call(&mut self, request: Request<Streaming<Number>>) -> Self::Future {
        Box::pin(async move { Ok(Response::new(request.into_inner())) })
    }
}

#[derive(Clone)]
struct Client(Grpc<Channel>);

impl Client {
    async fn call<Q, A>(&self, path: &'static str, message: Q) -> Result<A>
    where
        Q: prost::Message + 'static,
        A: prost::Message + Default + 'static,
    {
        let mut grpc = self.0.clone();
        grpc.ready().await?;
        let path = http::uri::PathAndQuery::from_static(path);
        let codec = ProstCodec::<Q, A>::default();
        let answer = grpc.unary(Request::new(message), path, codec).await?;
        Ok(answer.into_inner())
    }
}

impl Client {
    async fn items<A>(&self, path: &'static str, items: ItemsRequest) -> Result<Streaming<A>>
    where
        A: prost::Message + Default + 'static,
    {
        let mut grpc = self.0.clone();
        grpc.ready().await?;
        let path = http::uri::PathAndQuery::from_static(path);
        let codec = ProstCodec::<ItemsRequest, A>::default();
        let answer = grpc
            .server_streaming(Request::new(items), path, codec)
            .await?;
        Ok(answer.into_inner())
    }
}

impl tasks::Client for Client {
    type Payload = Bytes;

    async fn add(&self, runs: Runs, x: i64, y: i64) -> Result<i64> {
        let path = match runs {
            Runs::Inline => ADD,
            Runs::InPool | Runs::InNamedPool => ADD_POOLED,
        };
        let reply: AddReply = self.call(path, AddRequest { x, y }).await?;
        Ok(reply.sum)
    }

    async fn slow(&self, x: i64, y: i64) -> Result<i64> {
        let reply: AddReply = self.call(SLOW_ADD, AddRequest { x, y }).await?;
        Ok(reply.sum)
    }

    async fn echo(&self, data: Bytes) -> Result<Bytes> {
        let payload: Payload = self.call(ECHO, Payload { data }).await?;
        Ok(payload.data)
    }

    async fn numbers(
        &self,
        count: u64,
        mut took: impl FnMut(i64) -> Result<()> + Send,
    ) -> Result<()> {
        let wanted = ItemsRequest { count, bytes: 0 };
        let mut items: Streaming<Number> = self.items(NUMBERS, wanted).await?;
        while let Some(number) = items.message().await? {
            took(number.value)?;
        }
        Ok(())
    }

    async fn payloads(
        &self,
        count: u64,
        bytes: usize,
        mut took: impl FnMut(Bytes) -> Result<()> + Send,
    ) -> Result<()> {
        let bytes = bytes as u64;
        let wanted = ItemsRequest { count, bytes };
        let mut items: Streaming<Payload> = self.items(PAYLOADS, wanted).await?;
        while let Some(payload) = items.message().await? {
            took(payload.data)?;
        }
        Ok(())
    }

    async fn ping_pong(&self, laps: &mut Laps) -> Result<()> {
        let mut grpc = self.0.clone();
        grpc.ready().await?;
        let path = http::uri::PathAndQuery::from_static(PING_PONG);
        let codec = ProstCodec::<Number, Number>::default();
        let (sender, numbers) = mpsc::channel(1);
        let asked = Request::new(ReceiverStream::new(numbers));
        let answer = grpc.streaming(asked, path, codec).await?;
        let mut items = answer.into_inner();
        let mut value = 0;
        while laps.running() {
            value += 1;
            sender.send(Number { value }).await?;
            let item = items.message().await?.context("the stream ended")?;
            check_item(item.value, value)?;
            laps.lap();
        }
        drop(sender);
        ensure!(items.message().await?.is_none(), "items without end");
        Ok(())
    }

    fn payload(bytes: usize) -> Bytes {
        vec![0x5a; bytes].into()
    }

    fn length(payload: &Bytes) -> usize {
        payload.len()
    }
}
