//! What is known of methods with streams without calling them.

use std::time::Duration;

use brokerless::builtin::ServiceDescription;
use brokerless::service::{Context, Incoming, Items, MethodInfo};
use brokerless::{Blob, Status};

/// Streams.
#[brokerless::service(name = "streams.v2")]
trait Streams {
    /// Gives them.
    #[rpc(item_timeout = "250ms", timeout = "1h", pool = "disk")]
    fn given(&self, ctx: &Context<'_>, path: &str) -> Result<Items<'_, Vec<Blob>>, String>;
    #[rpc(idempotent)]
    fn taken(&self, start: i64, values: Incoming<(u8, String)>) -> Result<i64, Status>;
    fn both(&self, words: Incoming<std::string::String>) -> Items<'_, Option<u8>>;
    #[rpc(raw)]
    fn raw(&self, body: &[u8]) -> Items<'_, Blob>;
    fn neither(&self, x: u8) -> u8;
}

fn method(name: &str) -> &'static MethodInfo {
    let info = StreamsClient::SERVICE;
    &info.methods[info.index_of(name).expect("a method of this name")]
}

#[test]
fn a_method_knows_the_items_that_travel() {
    let items = |name| (method(name).items_in, method(name).items_out);
    assert_eq!(items("given"), (None, Some("Vec<Blob>")));
    assert_eq!(items("taken"), (Some("(u8, String)"), None));
    let both = (Some("std::string::String"), Some("Option<u8>"));
    assert_eq!(items("both"), both);
    assert_eq!(items("raw"), (None, Some("Blob")));
    assert_eq!(items("neither"), (None, None));
    let streams = ["given", "taken", "both", "raw", "neither"].map(|m| method(m).is_stream());
    assert_eq!(streams, [true, true, true, true, false]);
}

#[test]
fn items_are_neither_arguments_nor_the_answer() {
    let names = |name| method(name).arguments.iter().map(|argument| argument.name);
    assert_eq!(names("given").collect::<Vec<_>>(), ["path"]);
    assert_eq!(names("taken").collect::<Vec<_>>(), ["start"]);
    assert_eq!(names("both").count(), 0);
    let gives = |name| (method(name).returns, method(name).error);
    assert_eq!(gives("given"), ("()", Some("String")));
    assert_eq!(gives("taken"), ("i64", None));
    assert_eq!(gives("both"), ("()", None));
}

#[test]
fn options_of_streams_are_as_they_were_written() {
    let given = method("given");
    let (hour, item) = (Duration::from_secs(3600), Duration::from_millis(250));
    let times = (given.timeout, given.item_timeout, given.pool);
    assert_eq!(times, (Some(hour), Some(item), Some("disk")));
    assert!(method("taken").idempotent);
    assert_eq!(method("both").item_timeout, None);
    assert_eq!(given.docs, "Gives them.");
}

#[test]
fn reflection_tells_of_the_items() {
    let description = ServiceDescription::from(StreamsClient::SERVICE);
    let [given, taken, .., neither] = &description.methods[..] else {
        panic!("{description:?}");
    };
    assert_eq!(given.items_out.as_deref(), Some("Vec<Blob>"));
    assert_eq!((&given.items_in, given.item_timeout_ms), (&None, Some(250)));
    assert_eq!(taken.items_in.as_deref(), Some("(u8, String)"));
    assert_eq!((&taken.items_out, taken.item_timeout_ms), (&None, None));
    assert_eq!((&neither.items_in, &neither.items_out), (&None, &None));
}
