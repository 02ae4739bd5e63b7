//! What the user calls as generated code calls its own does not get in the way.

#![allow(dead_code, clippy::new_ret_no_self, clippy::wrong_self_convention)]

use std::sync::Arc;

use crate::fabric::client::Client;

/// Names that generated code would use, were it not for whole paths.
mod shadowed {
    pub(super) struct Option;
    pub(super) struct Result;
    pub(super) struct String;
    pub(super) struct Vec;
    pub(super) struct Arc;
    pub(super) struct Service;
    pub(super) struct Client;
    pub(super) struct Call;
    pub(super) struct Encoder;
    pub(super) struct Outcome;
    pub(super) struct Box;
    pub(super) struct Stream;
    pub(super) struct Sink;
    pub(super) struct Duplex;
    pub(super) trait Produce {}
    pub(super) trait Iterator {}
    pub(super) trait IntoIterator {}
    pub(super) fn drop() {}
    pub(super) trait From {}
    pub(super) trait Clone {}
    pub(super) trait Send {}
    pub(super) trait Sync {}
    pub(super) trait Sized {}
}

mod service {
    #[allow(unused_imports)]
    use super::shadowed::*;

    #[crate::fabric::service(name = "names", crate = "crate::fabric")]
    pub(in super::super) trait Names: ::core::marker::Send + 'static {
        #[allow(clippy::too_many_arguments)]
        fn all(
            &self,
            request: u8,
            arguments: u8,
            answer: u8,
            encoder: u8,
            client: u8,
            options: u8,
            index: u8,
            handler: u8,
            value_0: u8,
            info_1: u8,
            of: u8,
            r#type: u8,
        ) -> u32;
        fn r#match(&self, r#in: u8) -> u8;
        fn call(&self) -> u8;
        fn info(&self) -> u8;
        fn new(&self) -> u8;
        fn wait(&self) -> u8;
        /// It has a body, which is what is served where nothing else is said.
        fn provided(&self, context: u8) -> u8 {
            context + 1
        }
        fn open(&self, index: u8, status: u8) -> ::brokerless::service::Items<'_, u8> {
            ::brokerless::service::Items::new([index, status])
        }
        fn feed(&self, client: u8, request: ::brokerless::service::Incoming<u8>) -> u8 {
            request.fold(client, |sum, value| sum + value.unwrap_or_default())
        }
        fn duplex(
            &self,
            answer: u8,
            r#in: ::brokerless::service::Incoming<u8>,
        ) -> ::brokerless::service::Items<'_, u8> {
            let sums = r#in.map(move |value| value.map(|value| value + answer));
            ::brokerless::service::Items::fallible(sums)
        }
    }

    pub(in super::super) struct Named;

    impl Names for Named {
        fn all(
            &self,
            a: u8,
            b: u8,
            c: u8,
            d: u8,
            e: u8,
            f: u8,
            g: u8,
            h: u8,
            i: u8,
            j: u8,
            k: u8,
            l: u8,
        ) -> u32 {
            let all = [a, b, c, d, e, f, g, h, i, j, k, l];
            all.iter().fold(0, |sum, digit| sum * 2 + u32::from(*digit))
        }
        fn r#match(&self, r#in: u8) -> u8 {
            r#in
        }
        fn call(&self) -> u8 {
            1
        }
        fn info(&self) -> u8 {
            2
        }
        fn new(&self) -> u8 {
            3
        }
        fn wait(&self) -> u8 {
            4
        }
    }
}

#[crate::fabric::service(name = "empty", crate = "crate::fabric")]
trait Empty {}

/// The fabric under another path yet.
mod vendored {
    pub(super) use brokerless as renamed;
}

#[vendored::renamed::service(name = "renamed", crate = "vendored::renamed")]
trait Renamed {
    fn get(&self, x: u8) -> u8;
}

/// What is not built is not generated either.
#[crate::fabric::service(name = "absent", crate = "crate::fabric")]
#[cfg(any())]
trait Absent {
    fn get(&self, missing: Missing) -> u8;
}

trait Counted {
    fn count(&self) -> u8;
}

impl<T: Counted> Counted for Arc<T> {
    fn count(&self) -> u8 {
        (**self).count() + 1
    }
}

/// What it asks for beside its methods, an `Arc` has to have, too.
#[crate::fabric::service(name = "counted", crate = "crate::fabric")]
trait Counts: Counted {
    fn total(&self) -> u8 {
        self.count()
    }
}

#[test]
fn names_of_the_users_own_do_not_get_in_the_way() {
    let server = service::NamesServer::new(Arc::new(service::Named));
    let names = service::NamesClient::from(Client(Arc::new(server)));
    let all = names.all(1, 0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 1);
    assert_eq!(all.expect("answered"), 0b1011_0010_0001);
    assert_eq!(names.r#match(9).expect("answered"), 9);
    let numbers = [
        names.call(),
        names.info(),
        names.new(),
        names.wait(),
        names.provided(4),
    ];
    assert_eq!(
        numbers.map(|number| number.expect("answered")),
        [1, 2, 3, 4, 5]
    );
    let open = names.open(6, 7).expect("begun");
    assert_eq!(open.map(Result::ok).collect::<Vec<_>>(), [Some(6), Some(7)]);
    assert_eq!(names.feed(1, [2, 3]).expect("answered"), 6);
    let mut duplex = names.duplex(8).expect("begun");
    duplex.send(1).expect("sent");
    assert_eq!(duplex.next().and_then(Result::ok), Some(9));
}

#[test]
fn a_service_may_ask_for_more_than_its_methods() {
    struct One;
    impl Counted for One {
        fn count(&self) -> u8 {
            1
        }
    }
    impl Counts for One {}
    let counts = CountsClient::from(Client(Arc::new(CountsServer::new(Arc::new(One)))));
    assert_eq!(counts.total().expect("answered"), 1);
}

#[test]
fn a_service_may_be_declared_in_a_function() {
    #[crate::fabric::service(name = "local", crate = "crate::fabric")]
    trait Local {
        fn get(&self) -> u8 {
            9
        }
    }
    struct Nine;
    impl Local for Nine {}
    let local = LocalClient::from(Client(Arc::new(LocalServer::new(Nine))));
    assert_eq!(local.get().expect("answered"), 9);
    assert_eq!(RenamedClient::SERVICE.name, "renamed");
}

#[test]
fn raw_identifiers_are_plain_on_the_wire() {
    let methods = service::NamesClient::SERVICE.methods;
    assert_eq!(methods[1].path, "names.match");
    assert_eq!(methods[1].arguments[0].name, "in");
    assert_eq!(methods[0].arguments[11].name, "type");
}
