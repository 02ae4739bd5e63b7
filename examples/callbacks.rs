//! Callbacks: whoever calls serves something, too, and says where it can be called back.
//!
//! ```text
//! caller  -- brew(2 cups, "tcp://127.0.0.1:4711") -->  kitchen
//!         <-- ready(1) --                              calls the caller's own service
//!         <-- ready(2) --
//!         <-- 2 cups -------------------------------   answers
//! ```
//!
//! The call back is an ordinary call: with a deadline, which is what is left of the call that it
//! serves, and with an error if nobody is there any more.
//!
//! ```text
//! cargo run --example callbacks
//! ```

#![allow(clippy::print_stdout)]

use std::error::Error;
use std::sync::mpsc::{Sender, channel};

use brokerless::service::Context;
use brokerless::{CallError, Code, Server, Status};

/// What the kitchen does.
#[brokerless::service(name = "kitchen.v1")]
pub trait Kitchen {
    /// Brews so many cups, and tells whoever listens at that endpoint of each. How many it liked.
    fn brew(&self, cups: u32, tell: &str) -> Result<u32, Status>;
}

/// What a guest does.
#[brokerless::service(name = "guest.v1")]
pub trait Guest {
    /// A cup is ready: whether the guest likes it.
    fn ready(&self, ctx: &Context<'_>, cup: u32) -> bool;
}

struct Cook;

impl Kitchen for Cook {
    fn brew(&self, cups: u32, tell: &str) -> Result<u32, Status> {
        let guest = GuestClient::connect(tell)
            .map_err(|error| Status::invalid_argument(format!("{tell}: {error}")))?;
        let mut liked = 0;
        for cup in 1..=cups {
            // Its deadline is what is left of this call's.
            liked += u32::from(guest.ready(cup)?);
        }
        Ok(liked)
    }
}

struct Listening {
    heard: Sender<u32>,
}

impl Guest for Listening {
    fn ready(&self, ctx: &Context<'_>, cup: u32) -> bool {
        println!("cup {cup} is ready, with {:.0?} left", ctx.time_left());
        // With nobody left to hear of it, it is liked no less.
        let _ = self.heard.send(cup);
        cup.is_multiple_of(2)
    }
}

/// Runs the example; a test does, too.
pub fn main() -> Result<(), Box<dyn Error>> {
    let kitchen = Server::builder()
        .service(KitchenServer::new(Cook))
        .bind("tcp://127.0.0.1:*")?;
    let brewing = KitchenClient::connect(endpoint(&kitchen))?;

    let (heard, hears) = channel();
    let guest = Server::builder()
        .service(GuestServer::new(Listening { heard }))
        .bind("tcp://127.0.0.1:*")?;
    let at = endpoint(&guest);

    assert_eq!(brewing.brew(4, &at), Ok(2));
    assert_eq!(hears.try_iter().collect::<Vec<_>>(), [1, 2, 3, 4]);

    // A guest that has left: the kitchen's own call fails, and so does the one that it serves.
    drop(guest);
    let error = brewing.brew(1, &at).expect_err("nobody is there");
    println!("{error}");
    assert_eq!(error.code(), Code::Unavailable);
    assert!(matches!(error, CallError::Rpc(_)));
    Ok(())
}

fn endpoint(server: &Server) -> String {
    server.local_endpoints()[0].to_string()
}
