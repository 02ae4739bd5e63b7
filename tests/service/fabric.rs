//! The fabric with another client: it calls a service in the thread that waits.
//!
//! Generated code is told of it by `crate = "crate::fabric"`, as it is of any other path.

pub(crate) use brokerless::*;

pub(crate) mod client {
    //! A client of one service, without anything in between.

    use std::convert::Infallible;
    use std::sync::Arc;

    use brokerless::service::{MethodInfo, Outcome, Service, ServiceInfo};
    use brokerless::wire::{DecodeError, EncodeError, Payload, decode_value};
    use brokerless::{CallError, Error, Ran, RpcError, Status};
    use serde::de::DeserializeOwned;

    use crate::desk::Desk;
    pub(crate) use crate::flow::{Duplex, Sink, Stream};

    /// What a client connects to: nobody, here.
    pub(crate) trait Endpoints {}

    #[derive(Clone, Debug, Default, PartialEq)]
    pub(crate) struct Call {
        pub(crate) tenant: Option<&'static str>,
    }

    impl Call {
        pub(crate) fn new() -> Self {
            Call::default()
        }
    }

    /// What every generated client has; here nobody asks for it.
    #[expect(
        dead_code,
        reason = "it is implemented, and that is all that is asked of it"
    )]
    pub(crate) trait Calls: Clone {
        fn client(&self) -> &Client;
        fn options(&self) -> &Call;
        #[must_use]
        fn with(&self, options: Call) -> Self;
    }

    #[derive(Clone)]
    pub(crate) struct Client(pub(crate) Arc<dyn Service>);

    /// How a call came out: its answer, or its error and what the method says to that.
    pub(crate) type Answer = Result<Payload, (Status, Option<Box<Payload>>, Ran)>;

    type Finish<T, E> = fn(&Answer) -> Result<T, CallError<E>>;

    pub(crate) struct ClientBuilder<C>(std::marker::PhantomData<C>);

    impl Client {
        pub(crate) fn builder_of<C>(_: &'static ServiceInfo) -> ClientBuilder<C> {
            ClientBuilder(std::marker::PhantomData)
        }

        pub(crate) fn connect(_: impl Endpoints) -> Result<Client, Error> {
            unreachable!("nobody has endpoints here")
        }

        fn ask(
            &self,
            method: &'static MethodInfo,
            options: &Call,
            arguments: Result<Payload, EncodeError>,
        ) -> Answer {
            let asked = arguments.map_err(|error| (error.into(), None, Ran::No))?;
            let info = self.0.info();
            let index = info.index_of(method.name).expect("a method of the service");
            let mut desk = Desk::new(info, index);
            if let Some(tenant) = options.tenant {
                desk.metadata.insert("tenant", tenant).expect("short");
            }
            match desk.run(&self.0, index, &asked) {
                Outcome::Answer(payload) => Ok(payload),
                Outcome::Failed { status, typed, ran } => Err((status, typed, ran)),
                other => panic!("{other:?}"),
            }
        }

        pub(crate) fn call<T, E>(
            &self,
            method: &'static MethodInfo,
            options: &Call,
            arguments: Result<Payload, EncodeError>,
            finish: Finish<T, E>,
        ) -> Result<T, CallError<E>> {
            finish(&self.ask(method, options, arguments))
        }

        pub(crate) fn begin<T, E>(
            &self,
            method: &'static MethodInfo,
            options: &Call,
            arguments: Result<Payload, EncodeError>,
            finish: Finish<T, E>,
        ) -> Result<Pending<T, E>, CallError<E>> {
            Ok(Pending {
                answer: self.ask(method, options, arguments),
                finish,
            })
        }

        pub(crate) fn send_oneway(
            &self,
            method: &'static MethodInfo,
            options: &Call,
            arguments: Result<Payload, EncodeError>,
        ) -> Result<(), CallError> {
            let answer = self.ask(method, options, arguments);
            finish(&answer, brokerless::service::support::read_value::<()>)
        }
    }

    pub(crate) struct Pending<T, E = Infallible> {
        answer: Answer,
        finish: Finish<T, E>,
    }

    impl<T, E> Pending<T, E> {
        pub(crate) fn wait(self) -> Result<T, CallError<E>> {
            (self.finish)(&self.answer)
        }
    }

    pub(crate) fn finish<T>(
        answer: &Answer,
        read: fn(&Payload) -> Result<T, DecodeError>,
    ) -> Result<T, CallError> {
        match answer {
            Ok(payload) => Ok(read(payload).expect("a value of the type")),
            Err((status, _, ran)) => Err(RpcError::new(status.clone(), *ran).into()),
        }
    }

    pub(crate) fn finish_typed<T, E: DeserializeOwned>(
        answer: &Answer,
        read: fn(&Payload) -> Result<T, DecodeError>,
    ) -> Result<T, CallError<E>> {
        match answer {
            Ok(payload) => Ok(read(payload).expect("a value of the type")),
            Err((_, Some(own), _)) => Err(CallError::Method(
                decode_value(&own.body).expect("an error of the type"),
            )),
            Err((status, None, ran)) => Err(RpcError::new(status.clone(), *ran).into()),
        }
    }
}
