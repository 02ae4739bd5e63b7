//! Every type that may be an argument or an answer.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use brokerless::service::{Context, Responder, Service};
use brokerless::{Blob, Status};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Query<'q> {
    text: &'q str,
    #[serde(borrow)]
    more: Option<Cow<'q, str>>,
}

#[derive(Serialize, Deserialize)]
enum Shape {
    Point,
    Circle { radius: f64 },
    Named(String, Box<Shape>),
}

type Short<'a> = Query<'a>;

#[brokerless::service(name = "types")]
trait Types: Send + Sync {
    fn text(&self, text: &str, perhaps: Option<&str>, anonymous: &'_ str) -> String;
    fn bytes(&self, bytes: &[u8], perhaps: Option<&[u8]>) -> Vec<u8>;
    fn borrowed(
        &self,
        query: Query<'_>,
        perhaps: Option<Short<'_>>,
        texts: Vec<&str>,
        pair: (&str, u8),
    ) -> u8;
    fn copied_if_need_be(&self, text: Cow<'_, str>, for_ever: Cow<'static, str>);
    fn numbers(&self, a: i8, b: u128, c: f32, d: bool, e: char, f: [u16; 3]) -> (u8, [f64; 2]);
    fn maps(
        &self,
        by_name: HashMap<String, Vec<u64>>,
        by_text: BTreeMap<&str, Shape>,
    ) -> HashMap<u8, Shape>;
    fn shapes(&self, shape: Shape, boxed: Box<Shape>, text: Box<str>) -> Option<Box<Shape>>;
    fn blobs(&self, one: Blob, perhaps: Option<Blob>, more: Vec<Blob>) -> Blob;
    fn blobs_by_path(&self, perhaps: std::option::Option<brokerless::Blob>) -> std::vec::Vec<Blob>;
    fn perhaps(&self) -> Option<Blob>;
    fn status(&self) -> Result<(), Status>;
    fn status_by_path(&self) -> Result<Vec<Blob>, brokerless::Status>;
    fn own(&self) -> Result<Option<Blob>, String>;
    fn by_path(&self) -> std::result::Result<Shape, std::string::String>;
    fn context(&self, ctx: &Context<'_>);
    fn context_and_more(&self, _context: &brokerless::service::Context<'_>, x: u8) -> u8;
    fn later(&self, x: u8, answer: Responder<u8>);
    fn later_blob(&self, ctx: &Context<'_>, answer: Responder<Option<Blob>>);
    fn later_status(&self, answer: Responder<Result<(), Status>>);
    fn later_own(&self, answer: brokerless::service::Responder<Result<Vec<Blob>, String>>);
    #[rpc(oneway, idempotent)]
    fn nothing(&self) -> ();
    #[rpc(idempotent)]
    #[rpc(pool = "a pool", timeout = "1 min")]
    fn defaults(&self, x: u8, #[rpc(default)] y: Option<&str>, #[rpc(default)] z: Option<Blob>);
}

fn serves<T: Types + 'static>(handler: T) -> Arc<dyn Service> {
    Arc::new(TypesServer::new(handler))
}

fn shares(handler: Arc<dyn Types>) -> impl Service {
    TypesServer::new(handler)
}

fn calls(client: &TypesClient) {
    let text = String::from("text");
    let _ = client.text(&text, Some(&text), "");
    let _ = client.borrowed(
        Query {
            text: &text,
            more: None,
        },
        None,
        vec![&text],
        (&text, 1),
    );
    let _ = client.begin().own().map(|pending| pending.wait());
}

#[test]
fn types_are_known_as_they_are_written() {
    let _ = (serves::<Arc<dyn Types>>, shares, calls);
    let methods = TypesClient::SERVICE.methods;
    let returns: Vec<&str> = methods.iter().map(|method| method.returns).collect();
    for written in [
        "Vec<u8>",
        "(u8, [f64; 2])",
        "HashMap<u8, Shape>",
        "Option<Box<Shape>>",
        "std::vec::Vec<Blob>",
        "()",
    ] {
        assert!(returns.contains(&written), "{written}: {returns:?}");
    }
}
