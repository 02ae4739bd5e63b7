//! A proxy: it serves what it calls itself, and adds to the metadata of every call.
//!
//! ```text
//! caller --user: ann--> proxy --user: ann, via: proxy, tenant: blue--> store, store
//! ```
//!
//! What a caller sends along goes on; so does its deadline, since a handler's own calls inherit
//! it. Errors come back as they are, with whether the call ran.
//!
//! ```text
//! cargo run --example proxy
//! ```

#![allow(clippy::print_stdout)]

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Mutex;
use std::time::Duration;

use brokerless::service::Context;
use brokerless::{Call, Code, Ran, Server, Status};

/// Keeps values under names, for each tenant.
#[brokerless::service(name = "store.v1")]
pub trait Store {
    /// Keeps a value; who did it, and by which way.
    fn put(&self, ctx: &Context<'_>, name: String, value: String) -> Result<String, Status>;
    /// The value.
    #[rpc(idempotent)]
    fn get(&self, ctx: &Context<'_>, name: &str) -> Result<String, Status>;
}

/// The store itself.
#[derive(Default)]
struct Shelf {
    values: Mutex<BTreeMap<(String, String), String>>,
}

impl Shelf {
    fn key(ctx: &Context<'_>, name: &str) -> Result<(String, String), Status> {
        let tenant = ctx.metadata().get("tenant");
        let tenant = tenant.ok_or_else(|| Status::unauthenticated("a tenant is wanted"))?;
        Ok((tenant.to_owned(), name.to_owned()))
    }
}

impl Store for Shelf {
    fn put(&self, ctx: &Context<'_>, name: String, value: String) -> Result<String, Status> {
        let key = Shelf::key(ctx, &name)?;
        let mut values = self
            .values
            .lock()
            .map_err(|_| Status::internal("poisoned"))?;
        values.insert(key, value);
        let told = |key| ctx.metadata().get(key).unwrap_or("nobody");
        Ok(format!("{} by {}", told("user"), told("via")))
    }

    fn get(&self, ctx: &Context<'_>, name: &str) -> Result<String, Status> {
        let key = Shelf::key(ctx, name)?;
        let values = self
            .values
            .lock()
            .map_err(|_| Status::internal("poisoned"))?;
        let value = values.get(&key).cloned();
        value.ok_or_else(|| Status::not_found(format!("no value {name}")))
    }
}

/// In front of it.
struct Proxy {
    store: StoreClient,
}

impl Proxy {
    /// The store, with what the caller sent along and what is added here.
    fn for_call(&self, ctx: &Context<'_>) -> StoreClient {
        let mut call = Call::new()
            .metadata("via", "proxy")
            .metadata("tenant", "blue");
        if let Some(user) = ctx.metadata().get("user") {
            call = call.metadata("user", user);
        }
        self.store.with(call)
    }
}

impl Store for Proxy {
    fn put(&self, ctx: &Context<'_>, name: String, value: String) -> Result<String, Status> {
        println!("{} puts {name}", ctx.caller().name());
        Ok(self.for_call(ctx).put(name, value)?)
    }

    fn get(&self, ctx: &Context<'_>, name: &str) -> Result<String, Status> {
        Ok(self.for_call(ctx).get(name)?)
    }
}

/// Runs the example; a test does, too.
pub fn main() -> Result<(), Box<dyn Error>> {
    let shelf = Server::builder()
        .service(StoreServer::new(Shelf::default()))
        .bind("tcp://127.0.0.1:*")?;
    let shelf_at = shelf.local_endpoints()[0].to_string();
    let proxy = Server::builder()
        .service(StoreServer::new(Proxy {
            store: StoreClient::connect(&shelf_at)?,
        }))
        .bind("tcp://127.0.0.1:*")?;

    let ann = StoreClient::connect(proxy.local_endpoints()[0].to_string())?.with(
        Call::new()
            .metadata("user", "ann")
            .timeout(Duration::from_secs(5)),
    );
    assert_eq!(
        ann.put("colour".into(), "green".into()),
        Ok("ann by proxy".into())
    );
    assert_eq!(ann.get("colour"), Ok("green".into()));

    // The store's status comes through.
    let error = ann.get("shape").expect_err("there is none");
    println!("{error}");
    assert_eq!((error.code(), error.ran()), (Code::NotFound, Ran::Yes));

    // Who goes past the proxy has no tenant.
    let error = StoreClient::connect(&shelf_at)?
        .get("colour")
        .expect_err("no tenant");
    assert_eq!(error.code(), Code::Unauthenticated);
    Ok(())
}
