//! A chat: a stream in and a stream out of one call.
//!
//! ```text
//! ann --"hello"--> room --"ann: hello"--> ann, bob
//! bob --"hi"-----> room --"bob: hi"-----> ann, bob
//! ```
//!
//! What members say comes in on a thread each; what they hear goes out as a stream of items that
//! waits for the next word. So a member takes a thread of the pool while it is there, and the pool
//! is as large as the room.
//!
//! ```text
//! cargo run --example chat
//! ```

#![allow(clippy::print_stdout)]

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use brokerless::server::Pool;
use brokerless::service::{Incoming, Items};
use brokerless::{Code, Server, Status};

/// Members that find room.
const MEMBERS_MAX: u32 = 16;
/// Words that a member may be behind, before it misses some.
const BEHIND_MAX: usize = 256;

/// A room to talk in.
#[brokerless::service(name = "chat.v1")]
pub trait Chat {
    /// Joins under a name: what is said here goes to all, and what all say comes back. It ends
    /// when its member says no more.
    #[rpc(pool = "room")]
    fn join(&self, name: String, words: Incoming<String>) -> Result<Items<'_, String>, Status>;
}

#[derive(Default)]
struct Members(Mutex<BTreeMap<String, SyncSender<String>>>);

impl Members {
    fn enter(&self, name: &str) -> Result<Receiver<String>, Status> {
        let (says, hears) = sync_channel(BEHIND_MAX);
        let mut members = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if members.contains_key(name) {
            return Err(Status::already_exists(format!(
                "{name} is here: take another name"
            )));
        }
        members.insert(name.to_owned(), says);
        drop(members);
        self.tell(&format!("{name} enters"));
        Ok(hears)
    }

    fn leave(&self, name: &str) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(name);
        self.tell(&format!("{name} leaves"));
    }

    fn tell(&self, line: &str) {
        let members = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for member in members.values() {
            // One that is far behind misses it; one that has gone needs it no more.
            let _ = member.try_send(line.to_owned());
        }
    }
}

#[derive(Default)]
struct Room(Arc<Members>);

impl Chat for Room {
    fn join(&self, name: String, words: Incoming<String>) -> Result<Items<'_, String>, Status> {
        let hears = self.0.enter(&name)?;
        let members = self.0.clone();
        std::thread::spawn(move || {
            // The end of its words, or an error: it has gone.
            for word in words.map_while(Result::ok) {
                members.tell(&format!("{name}: {word}"));
            }
            members.leave(&name);
        });
        Ok(Items::new(hears))
    }
}

/// Runs the example; a test does, too.
pub fn main() -> Result<(), Box<dyn Error>> {
    let server = Server::builder()
        .service(ChatServer::new(Room::default()))
        .pool("room", Pool::new().threads(MEMBERS_MAX as usize))
        .bind("tcp://127.0.0.1:*")?;
    let at = server.local_endpoints()[0].to_string();

    let mut ann = ChatClient::connect(&at)?.join("ann".into())?;
    assert_eq!(ann.next(), Some(Ok("ann enters".into())));
    let mut bob = ChatClient::connect(&at)?.join("bob".into())?;
    assert_eq!(bob.next(), Some(Ok("bob enters".into())));
    assert_eq!(ann.next(), Some(Ok("bob enters".into())));

    ann.send("hello".into())?;
    for member in [&mut ann, &mut bob] {
        assert_eq!(member.next(), Some(Ok("ann: hello".into())));
    }

    // The two halves of a member, for two threads.
    let (says, hears) = bob.split();
    let hears = std::thread::spawn(move || hears.map_while(Result::ok).collect::<Vec<_>>());
    let mut says = says.ok_or("nothing can be said")?;
    for word in ["hi", "and good bye"] {
        says.send(word.into())?;
    }
    says.finish();
    let heard = hears.join().map_err(|_| "a panic")?;
    println!("bob heard {heard:?}");
    assert_eq!(heard, ["bob: hi", "bob: and good bye"]);
    for line in ["bob: hi", "bob: and good bye", "bob leaves"] {
        assert_eq!(ann.next(), Some(Ok(line.into())));
    }

    // A name is taken while its member is there.
    let mut other = ChatClient::connect(&at)?.join("ann".into())?;
    let error = other
        .next()
        .ok_or("no error")?
        .expect_err("the name is taken");
    assert_eq!(error.code(), Code::AlreadyExists);
    Ok(())
}
