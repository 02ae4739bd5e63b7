//! Streams of the fabric in `fabric.rs`: each call has a thread of its own, and queues without end.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::Mutex;
use std::thread;

use brokerless::service::{
    Batch, Item, MethodInfo, Outcome, Produced, RawIncoming, Service, Supply,
};
use brokerless::wire::{DecodeError, EncodeError, Encoder, Payload};
use brokerless::{CallError, Ran, RpcError, Status};
use crossbeam_channel::{Receiver, Sender, never, unbounded};

use crate::desk::Desk;
use crate::fabric::client::{Answer, Call, Client};

pub(crate) type Read<T> = fn(&Item<'_>) -> Result<T, DecodeError>;
pub(crate) type Write<T> = fn(&mut Encoder, T) -> Result<Produced, EncodeError>;
pub(crate) type Finish<T, E> = fn(&Answer) -> Result<T, CallError<E>>;

/// A call that runs.
struct Flow {
    /// Items to the method; `None` once none follow.
    to: Option<Sender<Payload>>,
    /// Items from it.
    from: Receiver<Payload>,
    /// How it came out, after its last item.
    end: Receiver<Answer>,
}

impl Flow {
    fn begin(
        client: &Client,
        method: &'static MethodInfo,
        options: &Call,
        arguments: Result<Payload, EncodeError>,
    ) -> Result<Self, RpcError> {
        let asked = arguments.map_err(|error| RpcError::new(Status::from(error), Ran::No))?;
        let (service, tenant) = (Arc::clone(&client.0), options.tenant);
        let (to, supply) = unbounded();
        let (items, from) = unbounded();
        let (ended, end) = unbounded();
        thread::spawn(move || {
            let index = service.info().index_of(method.name).expect("a method");
            let mut desk = Desk::new(service.info(), index);
            if let Some(tenant) = tenant {
                desk.metadata.insert("tenant", tenant).expect("short");
            }
            let supply = Items { supply, first: 0 };
            desk.incoming = Mutex::new(method.items_in.map(|_| RawIncoming::new(supply)));
            let outcome = match method.items_out {
                None => desk.run(&*service, index, &asked),
                Some(_) => drive(&*service, index, &desk, &asked, &items),
            };
            let answer = match outcome {
                Outcome::Answer(payload) => Ok(payload),
                Outcome::Failed { status, typed, ran } => Err((status, typed, ran)),
                other => panic!("{other:?}"),
            };
            // Nobody may be there to hear it.
            let _ = ended.send(answer);
        });
        let to = Some(to);
        Ok(Flow { to, from, end })
    }

    fn send(&self, item: Result<Payload, EncodeError>) -> Result<(), RpcError> {
        let item = item.map_err(|error| RpcError::new(Status::from(error), Ran::Maybe))?;
        let ended = || RpcError::new(Status::failed_precondition("no more"), Ran::Maybe);
        let to = self.to.as_ref().ok_or_else(ended)?;
        to.send(item).map_err(|_| ended())
    }
}

fn drive(
    service: &dyn Service,
    index: usize,
    desk: &Desk,
    asked: &Payload,
    items: &Sender<Payload>,
) -> Outcome {
    let mut request = desk.request(&asked.body, &asked.blobs);
    request.encoding = request.running.method().encoding;
    let mut produce = match service.open(index, request) {
        Ok(produce) => produce,
        Err(outcome) => return outcome,
    };
    loop {
        let mut encoder = Encoder::answer();
        let produced = match produce.next(&mut encoder) {
            Produced::End(outcome) => return outcome,
            produced => produced,
        };
        let item = payload(encoder, produced);
        if items.send(item).is_err() {
            return Outcome::failed(Status::cancelled("nobody listens"));
        }
    }
}

/// Items on their way to a method, each alone in its message.
struct Items {
    supply: Receiver<Payload>,
    first: u64,
}

impl Supply for Items {
    fn next(&mut self) -> Option<Result<Batch, Status>> {
        let Payload { body, blobs } = self.supply.recv().ok()?;
        let first = self.first;
        self.first += 1;
        Some(Ok(Batch {
            first,
            count: 1,
            body,
            blobs,
        }))
    }

    fn took(&mut self, _: u32, _: u64) {}

    fn receiver(&mut self, _: Batch) -> Receiver<brokerless::service::RawItem> {
        never()
    }
}

pub(crate) struct Stream<T, E = Infallible> {
    flow: Flow,
    read: Read<T>,
    finish: Finish<(), E>,
    over: bool,
}

impl<T, E> Iterator for Stream<T, E> {
    type Item = Result<T, CallError<E>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.over {
            return None;
        }
        if let Ok(Payload { body, blobs }) = self.flow.from.recv() {
            let item = Item {
                bytes: &body,
                body: &body,
                blobs: &blobs,
            };
            return Some(Ok((self.read)(&item).expect("an item of the type")));
        }
        self.over = true;
        let end = self.flow.end.recv().expect("it ended");
        (self.finish)(&end).err().map(Err)
    }
}

pub(crate) struct Sink<I, T, E = Infallible> {
    flow: Flow,
    write: Write<I>,
    finish: Finish<T, E>,
}

impl<I, T, E> Sink<I, T, E> {
    pub(crate) fn send(&mut self, item: I) -> Result<(), CallError<E>> {
        Ok(self.flow.send(written(self.write, item))?)
    }

    pub(crate) fn finish(mut self) -> Result<T, CallError<E>> {
        self.flow.to = None;
        (self.finish)(&self.flow.end.recv().expect("it ended"))
    }

    pub(crate) fn finish_with(
        mut self,
        items: impl IntoIterator<Item = I>,
    ) -> Result<T, CallError<E>> {
        // The method may take no more: its answer says why.
        let _ = items.into_iter().try_for_each(|item| self.send(item));
        self.finish()
    }
}

pub(crate) struct Duplex<I, O, E = Infallible> {
    write: Write<I>,
    stream: Stream<O, E>,
}

impl<I, O, E> Duplex<I, O, E> {
    pub(crate) fn send(&mut self, item: I) -> Result<(), CallError<E>> {
        Ok(self.stream.flow.send(written(self.write, item))?)
    }

    pub(crate) fn finish_sending(&mut self) {
        self.stream.flow.to = None;
    }
}

impl<I, O, E> Iterator for Duplex<I, O, E> {
    type Item = Result<O, CallError<E>>;

    fn next(&mut self) -> Option<Self::Item> {
        self.stream.next()
    }
}

fn written<T>(write: Write<T>, item: T) -> Result<Payload, EncodeError> {
    let mut encoder = Encoder::answer();
    let produced = write(&mut encoder, item)?;
    Ok(payload(encoder, produced))
}

fn payload(encoder: Encoder, produced: Produced) -> Payload {
    match produced {
        Produced::Item => encoder.finish(),
        Produced::Raw(bytes) => Payload::raw(bytes),
        other => panic!("{other:?}"),
    }
}

impl Client {
    pub(crate) fn open<T, E>(
        &self,
        method: &'static MethodInfo,
        options: &Call,
        arguments: Result<Payload, EncodeError>,
        read: Read<T>,
        finish: Finish<(), E>,
    ) -> Result<Stream<T, E>, CallError<E>> {
        let over = false;
        let flow = Flow::begin(self, method, options, arguments)?;
        Ok(Stream {
            flow,
            read,
            finish,
            over,
        })
    }

    pub(crate) fn feed<I, T, E>(
        &self,
        method: &'static MethodInfo,
        options: &Call,
        arguments: Result<Payload, EncodeError>,
        write: Write<I>,
        finish: Finish<T, E>,
    ) -> Result<Sink<I, T, E>, CallError<E>> {
        let flow = Flow::begin(self, method, options, arguments)?;
        Ok(Sink {
            flow,
            write,
            finish,
        })
    }

    pub(crate) fn duplex<I, O, E>(
        &self,
        method: &'static MethodInfo,
        options: &Call,
        arguments: Result<Payload, EncodeError>,
        write: Write<I>,
        read: Read<O>,
        finish: Finish<(), E>,
    ) -> Result<Duplex<I, O, E>, CallError<E>> {
        let stream = self.open(method, options, arguments, read, finish)?;
        Ok(Duplex { write, stream })
    }
}
