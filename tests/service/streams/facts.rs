//! A service with a method of each form, and what holds of it over any fabric: `super` says over
//! which.

use std::fmt;

use brokerless::service::{Context, Incoming, Items};
use brokerless::{Blob, CallError, Code, Ran, Status};
use serde::{Deserialize, Serialize};

use super::fabric::client::{Duplex, Sink, Stream};
use super::{fabric, tenant};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Line {
    number: u32,
    text: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Odd(i64);

impl fmt::Display for Odd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is odd", self.0)
    }
}

#[fabric::service(name = "streams.v1", crate = "super::fabric")]
pub(crate) trait Streams {
    /// The lines of the text that is kept, from this one on.
    fn lines(&self, from: u32) -> Items<'_, Line>;
    fn words(&self, of: &str) -> Result<Items<'_, String>, Status>;
    fn halves(&self, values: Vec<i64>) -> Result<Items<'_, i64>, Odd>;
    fn until(&self, fault: u32) -> Items<'_, u32>;
    fn chunks(&self, ctx: &Context<'_>, data: Blob, bytes: u32) -> Items<'_, Blob>;
    fn perhaps(&self) -> Items<'_, Option<Blob>>;
    fn lists(&self) -> Items<'_, Vec<Blob>>;
    fn bytes(&self) -> Items<'_, Vec<u8>>;
    fn perhaps_bytes(&self) -> Items<'_, Option<Vec<u8>>>;
    fn grown(&self, from: u32, #[rpc(default)] to: Option<u32>) -> Items<'_, u32>;

    fn total(&self, values: Incoming<i64>) -> i64;
    fn scaled(
        &self,
        ctx: &Context<'_>,
        unit: &str,
        #[rpc(default)] factor: Option<i64>,
        values: Incoming<i64>,
    ) -> Result<String, Odd>;
    fn joined(&self, parts: Incoming<Blob>) -> Result<Blob, Status>;
    fn counted(&self, lists: Incoming<Vec<Blob>>) -> Vec<u32>;
    fn sizes(&self, parts: Incoming<Option<Vec<u8>>>) -> Vec<Option<usize>>;
    fn first(&self, values: Incoming<i64>) -> Option<i64>;

    fn chat(&self, words: Incoming<String>) -> Items<'_, String>;
    fn doubled(&self, least: i64, values: Incoming<i64>) -> Result<Items<'_, i64>, Odd>;

    #[rpc(raw)]
    fn raw_out(&self, body: &[u8]) -> Items<'_, Vec<u8>>;
    #[rpc(raw)]
    fn raw_in(&self, body: &[u8], parts: Incoming<Blob>) -> Vec<u8>;
    #[rpc(raw)]
    fn raw_both(&self, body: &[u8], parts: Incoming<Vec<u8>>) -> Result<Items<'_, Blob>, Odd>;

    #[rpc(name = "slow-count", timeout = "2s", item_timeout = "50ms", idempotent)]
    fn slow(&self) -> Items<'_, u8>;
}

struct Kept {
    text: String,
}

impl Streams for Kept {
    fn lines(&self, from: u32) -> Items<'_, Line> {
        let lines = (0..).zip(self.text.lines());
        let lines = lines.map(|(number, text)| Line {
            number,
            text: text.to_owned(),
        });
        Items::new(lines.skip(from as usize))
    }

    fn words(&self, of: &str) -> Result<Items<'_, String>, Status> {
        let line = self.text.lines().find(|line| line.starts_with(of));
        let line = line.ok_or_else(|| Status::not_found("no such line"))?;
        Ok(Items::new(line.split(' ').map(str::to_owned)))
    }

    fn halves(&self, values: Vec<i64>) -> Result<Items<'_, i64>, Odd> {
        match values.iter().find(|value| *value % 2 != 0) {
            Some(odd) => Err(Odd(*odd)),
            None => Ok(Items::new(values.into_iter().map(|value| value / 2))),
        }
    }

    fn until(&self, fault: u32) -> Items<'_, u32> {
        Items::fallible((0..).map(move |number| {
            if number < fault {
                Ok(number)
            } else {
                Err(Status::data_loss("here it ends"))
            }
        }))
    }

    fn chunks(&self, ctx: &Context<'_>, data: Blob, bytes: u32) -> Items<'_, Blob> {
        assert_eq!(ctx.method().items_out, Some("Blob"));
        let bytes = bytes as usize;
        let starts = (0..data.len()).step_by(bytes);
        Items::new(starts.map(move |at| {
            let end = data.len().min(at + bytes);
            Blob::from(data.as_frame().slice(at..end))
        }))
    }

    fn perhaps(&self) -> Items<'_, Option<Blob>> {
        Items::new([None, Some(Blob::new()), Some(Blob::from_static(b"x")), None])
    }

    fn lists(&self) -> Items<'_, Vec<Blob>> {
        let blobs = |count: usize| vec![Blob::from_static(b"blob"); count];
        Items::new((0..4).map(blobs))
    }

    fn bytes(&self) -> Items<'_, Vec<u8>> {
        Items::new((0..4).map(|count| vec![7; count]))
    }

    fn perhaps_bytes(&self) -> Items<'_, Option<Vec<u8>>> {
        Items::new([None, Some(Vec::new()), Some(vec![1, 2])])
    }

    fn grown(&self, from: u32, to: Option<u32>) -> Items<'_, u32> {
        Items::new(from..to.unwrap_or(from + 3))
    }

    fn total(&self, values: Incoming<i64>) -> i64 {
        values.map_while(Result::ok).sum()
    }

    fn scaled(
        &self,
        ctx: &Context<'_>,
        unit: &str,
        factor: Option<i64>,
        values: Incoming<i64>,
    ) -> Result<String, Odd> {
        let mut total = 0;
        for value in values.map_while(Result::ok) {
            if value % 2 != 0 {
                return Err(Odd(value));
            }
            total += value * factor.unwrap_or(1);
        }
        let tenant = ctx.metadata().get("tenant").unwrap_or("nobody");
        Ok(format!("{total} {unit} for {tenant}"))
    }

    fn joined(&self, parts: Incoming<Blob>) -> Result<Blob, Status> {
        let parts = parts.collect::<Result<Vec<_>, _>>()?;
        let bytes = parts.iter().map(|part| &part[..]);
        Ok(Blob::from(bytes.collect::<Vec<_>>().concat()))
    }

    fn counted(&self, lists: Incoming<Vec<Blob>>) -> Vec<u32> {
        lists
            .map_while(Result::ok)
            .map(|l| l.len() as u32)
            .collect()
    }

    fn sizes(&self, parts: Incoming<Option<Vec<u8>>>) -> Vec<Option<usize>> {
        let parts = parts.map_while(Result::ok);
        parts.map(|part| part.map(|part| part.len())).collect()
    }

    fn first(&self, mut values: Incoming<i64>) -> Option<i64> {
        values.next().and_then(Result::ok)
    }

    fn chat(&self, words: Incoming<String>) -> Items<'_, String> {
        Items::fallible(words.map(|word| Ok(word?.to_uppercase())))
    }

    fn doubled(&self, least: i64, values: Incoming<i64>) -> Result<Items<'_, i64>, Odd> {
        if least % 2 != 0 {
            return Err(Odd(least));
        }
        let values = values.map_while(Result::ok);
        Ok(Items::new(
            values
                .filter(move |value| *value >= least)
                .map(|value| 2 * value),
        ))
    }

    fn raw_out(&self, body: &[u8]) -> Items<'_, Vec<u8>> {
        let body = body.to_vec();
        Items::new((0..=body.len()).map(move |end| body[..end].to_vec()))
    }

    fn raw_in(&self, body: &[u8], parts: Incoming<Blob>) -> Vec<u8> {
        let mut all = body.to_vec();
        for part in parts.map_while(Result::ok) {
            all.extend_from_slice(&part);
        }
        all
    }

    fn raw_both(&self, body: &[u8], parts: Incoming<Vec<u8>>) -> Result<Items<'_, Blob>, Odd> {
        if !body.len().is_multiple_of(2) {
            return Err(Odd(body.len() as i64));
        }
        let turned = |part: Vec<u8>| Blob::from(part.into_iter().rev().collect::<Vec<_>>());
        Ok(Items::fallible(parts.map(move |part| part.map(turned))))
    }

    fn slow(&self) -> Items<'_, u8> {
        Items::new([1, 2, 3])
    }
}

const TEXT: &str = "first line\nsecond and last";

fn kept() -> StreamsServer<Kept> {
    let text = TEXT.to_owned();
    StreamsServer::new(Kept { text })
}

macro_rules! served {
    ($guard:ident, $client:ident) => {
        let ($guard, client) = super::serve(kept());
        let $client = StreamsClient::from(client);
    };
}

/// All that a stream gives.
#[track_caller]
fn all<T, E: fmt::Debug>(stream: Result<Stream<T, E>, CallError<E>>) -> Vec<T> {
    let items = stream.expect("begun").collect::<Result<_, _>>();
    items.expect("items without an error")
}

#[test]
fn a_method_gives_items_in_order_until_it_has_no_more() {
    served!(_server, streams);
    let line = |number, text: &str| Line {
        number,
        text: text.to_owned(),
    };
    let both = [line(0, "first line"), line(1, "second and last")];
    assert_eq!(all(streams.lines(0)), both);
    assert_eq!(all(streams.begin().lines(1)), both[1..]);
    assert_eq!(all(streams.lines(2)), []);
    let mut stream = streams.lines(1).expect("begun");
    assert_eq!(stream.next().map(Result::ok), Some(Some(both[1].clone())));
    assert!(stream.next().is_none());
    assert!(stream.next().is_none());
}

#[test]
fn a_method_may_give_an_error_instead_of_items() {
    served!(_server, streams);
    assert_eq!(all(streams.words("second")), ["second", "and", "last"]);
    let items: Vec<_> = streams.words("third").expect("begun").collect();
    let [Err(error)] = &items[..] else {
        panic!("{items:?}");
    };
    assert_eq!((error.code(), error.ran()), (Code::NotFound, Ran::Yes));
    assert_eq!(all(streams.halves(vec![2, 8])), [1, 4]);
    let items: Vec<_> = streams.halves(vec![2, 3]).expect("begun").collect();
    assert!(
        matches!(&items[..], [Err(CallError::Method(Odd(3)))]),
        "{items:?}"
    );
}

#[test]
fn an_error_after_items_is_the_last_that_comes() {
    served!(_server, streams);
    let mut stream = streams.until(3).expect("begun");
    let items: Vec<_> = stream.by_ref().take(3).map(Result::ok).collect();
    assert_eq!(items, [Some(0), Some(1), Some(2)]);
    let error = stream.next().expect("the error").expect_err("it ends");
    assert_eq!((error.code(), error.ran()), (Code::DataLoss, Ran::Yes));
    assert!(stream.next().is_none());
}

#[test]
fn items_may_be_blobs_and_bytes() {
    served!(_server, streams);
    let data = Blob::from((0..10_000).map(|n| n as u8).collect::<Vec<_>>());
    let chunks = all(streams.chunks(data.clone(), 3000));
    let sizes: Vec<_> = chunks.iter().map(|chunk| chunk.len()).collect();
    assert_eq!(sizes, [3000, 3000, 3000, 1000]);
    let bytes: Vec<_> = chunks.iter().map(|chunk| &chunk[..]).collect();
    assert_eq!(bytes.concat(), data[..]);
    let perhaps: Vec<_> = all(streams.perhaps());
    let perhaps: Vec<_> = perhaps.iter().map(|blob| blob.as_deref()).collect();
    assert_eq!(perhaps, [None, Some(&b""[..]), Some(b"x"), None]);
    let lists: Vec<_> = all(streams.lists()).iter().map(Vec::len).collect();
    assert_eq!(lists, [0, 1, 2, 3]);
    let bytes: Vec<_> = all(streams.bytes());
    assert_eq!(bytes, [vec![], vec![7], vec![7; 2], vec![7; 3]]);
    let perhaps = all(streams.perhaps_bytes());
    assert_eq!(perhaps, [None, Some(vec![]), Some(vec![1, 2])]);
}

#[test]
fn a_method_takes_items_until_there_are_no_more() {
    served!(_server, streams);
    assert_eq!(streams.total(1..=1000).expect("a total"), 500_500);
    assert_eq!(streams.total([]).expect("a total"), 0);
    let mut sink: Sink<i64, i64> = streams.begin().total().expect("begun");
    for value in [3, 4, 5] {
        sink.send(value).expect("sent");
    }
    assert_eq!(sink.finish().expect("a total"), 12);
    let sink = streams.begin().total().expect("begun");
    assert_eq!(sink.finish_with(vec![1, 2]).expect("a total"), 3);
}

#[test]
fn other_arguments_come_before_the_items() {
    served!(_server, streams);
    let scaled = streams.scaled("kg", Some(10), [2, 4]).expect("scaled");
    assert_eq!(scaled, "60 kg for nobody");
    let ours = streams.with(tenant("us"));
    let sink = ours.begin().scaled("kg", None).expect("begun");
    assert_eq!(sink.finish_with([2]).expect("scaled"), "2 kg for us");
    let error = streams.scaled("kg", None, [2, 3, 4]).expect_err("odd");
    assert!(matches!(error, CallError::Method(Odd(3))), "{error:?}");
    assert_eq!(all(streams.grown(4, Some(6))), [4, 5]);
    let before = before::StreamsClient::from(streams.client().clone());
    assert_eq!(all(before.grown(4)), [4, 5, 6]);
    assert_eq!(before.scaled("t", [8]).expect("scaled"), "8 t for nobody");
}

#[test]
fn blobs_and_bytes_may_be_sent_as_items() {
    served!(_server, streams);
    let parts = [b"ab", &b""[..], b"c"].map(Blob::copy_from_slice);
    let joined = streams.joined(parts).expect("joined");
    assert_eq!(joined[..], *b"abc");
    let lists = [0, 2, 1].map(|count| vec![Blob::new(); count]);
    assert_eq!(streams.counted(lists).expect("counted"), [0, 2, 1]);
    let parts = [None, Some(vec![]), Some(vec![1, 2])];
    let sizes = streams.sizes(parts).expect("answered");
    assert_eq!(sizes, [None, Some(0), Some(2)]);
}

#[test]
fn a_method_that_takes_no_more_items_answers_nevertheless() {
    served!(_server, streams);
    assert_eq!(streams.first(7..50_000).expect("answered"), Some(7));
    assert_eq!(streams.first([]).expect("answered"), None);
}

#[test]
fn items_go_both_ways_in_one_call() {
    served!(_server, streams);
    let mut chat: Duplex<String, String> = streams.chat().expect("begun");
    for word in ["hello", "you"] {
        chat.send(word.to_owned()).expect("sent");
        let answer = chat.next().expect("an item").expect("no error");
        assert_eq!(answer, word.to_uppercase());
    }
    chat.finish_sending();
    assert!(chat.next().is_none());
    let mut doubled = streams.begin().doubled(4).expect("begun");
    for value in [3, 4, 5] {
        doubled.send(value).expect("sent");
    }
    doubled.finish_sending();
    let doubled = doubled.collect::<Result<Vec<_>, _>>();
    assert_eq!(doubled.expect("no error"), [8, 10]);
    let odd: Vec<_> = streams.doubled(3).expect("begun").collect();
    assert!(
        matches!(&odd[..], [Err(CallError::Method(Odd(3)))]),
        "{odd:?}"
    );
}

#[test]
fn items_of_a_raw_method_are_bytes_as_they_are() {
    served!(_server, streams);
    let out = all(streams.raw_out(&[0xc1, 2]));
    assert_eq!(out, [vec![], vec![0xc1], vec![0xc1, 2]]);
    let parts = [&[0xc1; 2][..], &[], &[3]].map(Blob::copy_from_slice);
    let all = streams.raw_in(&[0xff], parts).expect("answered");
    assert_eq!(all, [0xff, 0xc1, 0xc1, 3]);
    let mut both = streams.raw_both(&[0xc1; 2]).expect("begun");
    both.send(vec![0xc1, 2, 3]).expect("sent");
    let turned = both.next().expect("an item").expect("no error");
    assert_eq!(turned[..], [3, 2, 0xc1]);
    both.finish_sending();
    assert!(both.next().is_none());
    let odd: Vec<_> = streams.raw_both(&[1]).expect("begun").collect();
    assert!(
        matches!(&odd[..], [Err(CallError::Method(Odd(1)))]),
        "{odd:?}"
    );
}

#[test]
fn arguments_that_do_not_fit_end_the_call_before_the_method_runs() {
    served!(_server, streams);
    let other = other::StreamsClient::from(streams.client().clone());
    let items: Vec<_> = other.lines("text").expect("begun").collect();
    let [Err(error)] = &items[..] else {
        panic!("{items:?}");
    };
    let said = (error.code(), error.ran());
    assert_eq!(said, (Code::InvalidArgument, Ran::No));
    assert!(error.to_string().contains("argument from"), "{error}");
}

/// As the service was before it grew.
mod before {
    use super::super::fabric;
    use super::{Incoming, Items, Odd};

    #[fabric::service(name = "streams.v1", crate = "super::super::fabric")]
    pub(super) trait Streams {
        fn grown(&self, from: u32) -> Items<'_, u32>;
        fn scaled(&self, unit: &str, values: Incoming<i64>) -> Result<String, Odd>;
    }
}

/// Another service of the same name.
mod other {
    use super::super::fabric;
    use super::Items;

    #[fabric::service(name = "streams.v1", crate = "super::super::fabric")]
    pub(super) trait Streams {
        fn lines(&self, from: &str) -> Items<'_, u32>;
    }
}
