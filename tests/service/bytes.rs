//! Strings of bytes, as they are on the wire: `bin`, also where there are none.

use std::sync::{Arc, Mutex};

use brokerless::service::support::{read_bytes, read_optional_bytes};
use brokerless::service::{Items, Outcome, Produced, Request, Responder, Service, ServiceInfo};
use brokerless::wire::{Encoder, Payload, decode_value};

use crate::desk::Desk;
use crate::fabric::client::Client;

#[crate::fabric::service(name = "bytes", crate = "crate::fabric")]
trait Bytes {
    fn lengths(
        &self,
        lent: &[u8],
        owned: Vec<u8>,
        perhaps: Option<&[u8]>,
        #[rpc(default)] owned_perhaps: Option<Vec<u8>>,
    ) -> (usize, usize, Option<usize>, Option<usize>);
    fn same(&self, bytes: Vec<u8>) -> Vec<u8>;
    fn perhaps(&self, bytes: Option<&[u8]>) -> Result<Option<Vec<u8>>, String>;
    fn later(&self, bytes: &[u8], answer: Responder<Vec<u8>>);
    fn each(&self) -> Items<'_, Vec<u8>>;
    fn each_perhaps(&self) -> Items<'_, Option<Vec<u8>>>;
}

struct Handler;

impl Bytes for Handler {
    fn lengths(
        &self,
        lent: &[u8],
        owned: Vec<u8>,
        perhaps: Option<&[u8]>,
        owned_perhaps: Option<Vec<u8>>,
    ) -> (usize, usize, Option<usize>, Option<usize>) {
        let owned_perhaps = owned_perhaps.map(|bytes| bytes.len());
        (
            lent.len(),
            owned.len(),
            perhaps.map(<[u8]>::len),
            owned_perhaps,
        )
    }

    fn same(&self, bytes: Vec<u8>) -> Vec<u8> {
        bytes
    }

    fn perhaps(&self, bytes: Option<&[u8]>) -> Result<Option<Vec<u8>>, String> {
        Ok(bytes.map(<[u8]>::to_vec))
    }

    fn later(&self, bytes: &[u8], answer: Responder<Vec<u8>>) {
        answer.send(bytes.to_vec());
    }

    fn each(&self) -> Items<'_, Vec<u8>> {
        Items::new([vec![], vec![7]])
    }

    fn each_perhaps(&self) -> Items<'_, Option<Vec<u8>>> {
        Items::new([None, Some(vec![]), Some(vec![7])])
    }
}

/// Notes what goes through it: the arguments, and then the answer.
struct Noting {
    of: BytesServer<Handler>,
    bodies: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Service for Noting {
    fn info(&self) -> &'static ServiceInfo {
        self.of.info()
    }

    fn call(&self, method: usize, request: Request<'_>) -> Outcome {
        let mut bodies = vec![request.body.to_vec()];
        let outcome = self.of.call(method, request);
        if let Outcome::Answer(answer) = &outcome {
            bodies.push(answer.body.to_vec());
        }
        self.bodies.lock().expect("no panic").extend(bodies);
        outcome
    }
}

#[test]
fn bytes_are_written_as_bin_also_where_there_are_none() {
    // given
    let bodies = Arc::default();
    let service = Noting {
        of: BytesServer::new(Handler),
        bodies: Arc::clone(&bodies),
    };
    let bytes = BytesClient::from(Client(Arc::new(service)));
    // when, then
    let noted = || std::mem::take(&mut *bodies.lock().expect("no panic"));
    let lengths = bytes.lengths(&[7], vec![1, 2], Some(&[]), None);
    assert_eq!(lengths.expect("answered"), (1, 2, Some(0), None));
    assert_eq!(noted()[0], b"\x94\xc4\x01\x07\xc4\x02\x01\x02\xc4\x00\xc0");
    let lengths = bytes.lengths(&[], vec![], None, Some(vec![]));
    assert_eq!(lengths.expect("answered"), (0, 0, None, Some(0)));
    assert_eq!(noted()[0], b"\x94\xc4\x00\xc4\x00\xc0\xc4\x00");
    assert_eq!(bytes.same(vec![]).expect("answered"), []);
    assert_eq!(noted(), [&b"\x91\xc4\x00"[..], b"\xc4\x00"]);
    assert_eq!(bytes.same(vec![9]).expect("answered"), [9]);
    assert_eq!(noted(), [&b"\x91\xc4\x01\x09"[..], b"\xc4\x01\x09"]);
    let perhaps = bytes.perhaps(Some(&[])).expect("answered");
    assert_eq!(perhaps.as_deref(), Some(&[][..]));
    assert_eq!(noted(), [&b"\x91\xc4\x00"[..], b"\xc4\x00"]);
    assert_eq!(bytes.perhaps(None).expect("answered"), None);
    assert_eq!(noted(), [&b"\x91\xc0"[..], b"\xc0"]);
    assert_eq!(bytes.later(&[]).expect("answered"), []);
    assert_eq!(noted(), [b"\x91\xc4\x00"]);
}

#[test]
fn items_of_bytes_are_bin_too() {
    let service = BytesServer::new(Handler);
    let items = |method: &str| {
        let index = service.info().index_of(method).expect("a method");
        let desk = Desk::new(service.info(), index);
        let mut produce = service
            .open(index, desk.request(b"\x90", &[]))
            .expect("items");
        let next = || {
            let mut encoder = Encoder::answer();
            match produce.next(&mut encoder) {
                Produced::Item => Some(encoder.finish().body.to_vec()),
                _ => None,
            }
        };
        std::iter::from_fn(next).collect::<Vec<_>>()
    };
    assert_eq!(items("each"), [&b"\xc4\x00"[..], b"\xc4\x01\x07"]);
    let perhaps = [&b"\xc0"[..], b"\xc4\x00", b"\xc4\x01\x07"];
    assert_eq!(items("each_perhaps"), perhaps);
}

#[test]
fn no_bytes_are_taken_as_an_empty_array_and_owned_ones_as_numbers() {
    let service = BytesServer::new(Handler);
    let ask = |method: &str, body: &'static [u8]| {
        let index = service.info().index_of(method).expect("a method");
        let asked = Payload::raw(body);
        let desk = Desk::new(service.info(), index);
        match desk.run(&service, index, &asked) {
            Outcome::Answer(answer) => answer.body,
            other => panic!("no answer: {other:?}"),
        }
    };
    let lengths = |body| decode_value::<(u8, u8, Option<u8>, Option<u8>)>(&ask("lengths", body));
    let answer = lengths(b"\x94\x90\x90\x90\x90");
    assert_eq!(answer, Ok((0, 0, Some(0), Some(0))));
    let answer = lengths(b"\x94\xc4\x01\x07\x93\x01\x02\x03\xc0\x91\x05");
    assert_eq!(answer, Ok((1, 3, None, Some(1))));
    assert_eq!(lengths(b"\x93\x90\x90\xc0"), Ok((0, 0, None, None)));
    assert_eq!(ask("later", b"\x91\x90")[..], *b"\xc4\x00");
    assert_eq!(
        ask("same", b"\x91\x92\x01\xcc\xff")[..],
        *b"\xc4\x02\x01\xff"
    );
    let answer = |body: &[u8]| read_bytes(&Payload::raw(body.to_vec())).ok();
    assert_eq!(answer(b"\x90"), Some(vec![]));
    assert_eq!(answer(b"\x92\x01\x02"), Some(vec![1, 2]));
    assert_eq!(answer(b"\xc4\x02\x01\x02"), Some(vec![1, 2]));
    for other in [
        &b"\xa1a"[..],
        b"\xc0",
        b"\x91\xcd\x01\x00",
        b"\xc4\x01\x01\x01",
        b"\xc4\x02\x01",
    ] {
        assert_eq!(answer(other), None, "{other:?}");
    }
    let perhaps = |body: &[u8]| read_optional_bytes(&Payload::raw(body.to_vec())).ok();
    assert_eq!(perhaps(b"\xc0"), Some(None));
    assert_eq!(perhaps(b"\x90"), Some(Some(vec![])));
    assert_eq!(perhaps(b"\x07"), None);
}
