//! Freelance: a client and several servers with no broker between, any of which may fail.
//!
//! One server is not there, one hangs, one dies in the middle of a call and starts anew. The
//! client fails over within the call: it asks the next server when one does not answer in time,
//! under the same number, and never before. That a server says it is there is no answer to a
//! request; an answer that comes after another server's is late, and does not pass for the next
//! one's. What the client knows of a server it keeps by connection and by the name and epoch that
//! the server announces, not by address: one that starts anew begins with a clean record.
//!
//! ```text
//! cargo run -p brokerless-patterns --example freelance
//! ```

#![allow(clippy::print_stdout)]

use std::error::Error;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use brokerless_patterns::retry::{Arrival, Requests};
use brokerless_patterns::{Dealer, Frame, Message, Router, Waitable, wait_any_timeout};

const LIMIT: Duration = Duration::from_secs(60);
const PATIENCE: Duration = Duration::from_millis(80);

/// A server, as the client sees it.
struct Place {
    socket: Dealer,
    /// The name and the epoch that it announced last.
    announced: Option<(String, u64)>,
    failures: u32,
}

struct Client {
    places: Vec<Place>,
    requests: Requests,
    late: u32,
    restarts: u32,
    failovers: u32,
}

impl Client {
    fn connect(endpoints: &[String]) -> Result<Client, brokerless_patterns::Error> {
        let place = |endpoint: &String| {
            Ok::<_, brokerless_patterns::Error>(Place {
                socket: Dealer::connect(endpoint)?,
                announced: None,
                failures: 0,
            })
        };
        Ok(Client {
            places: endpoints.iter().map(place).collect::<Result<_, _>>()?,
            requests: Requests::new(1),
            late: 0,
            restarts: 0,
            failovers: 0,
        })
    }

    /// Asks every server who it is. One that is not there gets it when it comes.
    fn greet(&self) {
        for place in &self.places {
            // A full queue has greetings enough in it.
            let _ = place.socket.try_send("HELLO");
        }
    }

    /// Takes in what comes until then; ends early with the answer to this request.
    fn listen(&mut self, wanted: Option<u64>, until: Instant) -> Option<(String, String)> {
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let sockets: Vec<&dyn Waitable> = self.places.iter().map(|p| &p.socket as _).collect();
            let from = wait_any_timeout(&sockets, left)?;
            while let Ok(message) = self.places[from].socket.try_recv() {
                if let Some(answer) = self.take(from, &message, wanted) {
                    return Some(answer);
                }
            }
            wanted?; // with nothing to wait for, what came is enough
        }
    }

    fn take(
        &mut self,
        from: usize,
        message: &Message,
        wanted: Option<u64>,
    ) -> Option<(String, String)> {
        // Both kinds of message say who sends: [name, epoch], and [.., number, answer].
        let (name, epoch) = (message[0].to_str().ok()?, number(message.frames().get(1)?)?);
        let place = &mut self.places[from];
        let announced = Some((name.to_owned(), epoch));
        if place.announced != announced {
            if place.announced.is_some() {
                println!("  {name} has started anew");
                self.restarts += 1;
            }
            (place.announced, place.failures) = (announced, 0);
        }
        let [_, _, id, answer] = message.frames() else {
            return None; // it is there: no answer
        };
        let id = number(id)?;
        match self.requests.answered(id) {
            Arrival::Expected if wanted == Some(id) => {
                place.failures = 0;
                Some((answer.to_str().ok()?.to_owned(), name.to_owned()))
            }
            Arrival::Late => {
                println!("  {name} answers late, and is not heard");
                self.late += 1;
                None
            }
            Arrival::Expected | Arrival::Unknown => None,
        }
    }

    /// Has a task done by one server or another; gives the answer and who gave it.
    fn call(&mut self, task: &str) -> Result<(String, String), Box<dyn Error>> {
        println!("{task}");
        let limit = Instant::now() + LIMIT;
        let id = self.requests.open();
        let mut asked = Vec::new();
        while Instant::now() < limit {
            let known = |&i: &usize| self.places[i].announced.is_some();
            let mut order: Vec<usize> = (0..self.places.len()).filter(known).collect();
            order.sort_by_key(|i| (asked.contains(i), self.places[*i].failures));
            let Some(&next) = order.first() else {
                self.greet();
                self.listen(None, Instant::now() + PATIENCE);
                continue;
            };
            if !asked.is_empty() {
                self.failovers += 1;
            }
            asked.push(next);
            let frames = [
                Frame::from("ASK"),
                Frame::from(id.to_be_bytes().to_vec()),
                task.into(),
            ];
            let sent = self.places[next].socket.try_send(frames).is_ok();
            let until = (Instant::now() + PATIENCE).min(limit);
            let answer = if sent {
                self.listen(Some(id), until)
            } else {
                None
            };
            if let Some(answer) = answer {
                return Ok(answer);
            }
            let place = &mut self.places[next];
            place.failures += 1;
            if let Some((name, _)) = &place.announced {
                println!("  {name} does not answer: the next one is asked");
            }
        }
        self.requests.give_up(id);
        Err(format!("{task}: nobody answered within {LIMIT:?}").into())
    }

    fn listen_until(&mut self, what: &str, is_so: impl Fn(&Client) -> bool) {
        let limit = Instant::now() + LIMIT;
        while !is_so(self) {
            assert!(Instant::now() < limit, "{what}: not within {LIMIT:?}");
            self.listen(None, Instant::now() + Duration::from_millis(20));
        }
    }
}

fn number(frame: &Frame) -> Option<u64> {
    Some(u64::from_be_bytes(frame[..].try_into().ok()?))
}

/// How the servers of the story fail.
#[derive(Default)]
struct Trouble {
    /// The first server answers no requests, only greetings, until this is over.
    hangs: AtomicBool,
    /// The second one ends at its next request.
    dies: AtomicBool,
}

fn serve(router: &Router, name: &str, epoch: u64, trouble: &Trouble) {
    let mut held = Vec::new();
    while let Ok((peer, mut message)) = router.recv() {
        if message[0] == "ASK" {
            message.pop_front();
            held.push((peer.clone(), message));
        }
        if name == "south" && !held.is_empty() && trouble.dies.swap(false, Ordering::Relaxed) {
            let _ = router.close();
            return;
        }
        let epoch = epoch.to_be_bytes().to_vec();
        let _ = router.send(&peer, [Frame::from(name), Frame::from(epoch.clone())]);
        if name == "north" && trouble.hangs.load(Ordering::Relaxed) {
            continue;
        }
        for (peer, mut message) in held.drain(..) {
            message.push_front(epoch.clone());
            message.push_front(name);
            let _ = router.send(&peer, message);
        }
    }
}

/// Does this at the end, however it comes: so that threads that wait on a socket end too.
struct AtEnd<F: FnMut()>(F);

impl<F: FnMut()> Drop for AtEnd<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// Runs the story, and checks it.
pub(crate) fn main() -> Result<(), Box<dyn Error>> {
    let place = |router: &Router| router.local_endpoints()[0].to_string();
    let nobody = {
        let router = Router::bind("ipc://*")?;
        place(&router) // and nobody is there any more, nor comes there
    };
    // South will be bound again: a path is nobody else's meanwhile, where a port may be.
    let path = std::env::temp_dir().join(format!("freelance-{}", std::process::id()));
    let south_at = format!("ipc://{}", path.display());
    let (north, south) = (Router::bind("tcp://127.0.0.1:*")?, Router::bind(&south_at)?);
    let mut client = Client::connect(&[nobody, place(&north), south_at.clone()])?;
    let trouble = Trouble::default();
    let again = Router::with(brokerless_patterns::Options::new())?;

    std::thread::scope(|scope| {
        let _end = AtEnd(|| {
            for router in [&north, &south, &again] {
                let _ = router.close();
            }
        });
        scope.spawn(|| serve(&north, "north", 1, &trouble));
        let first_life = scope.spawn(|| serve(&south, "south", 1, &trouble));
        client.greet();
        client.listen_until("both servers", |client| {
            client.places[1..]
                .iter()
                .all(|place| place.announced.is_some())
        });

        // North says that it is there, and does not answer.
        trouble.hangs.store(true, Ordering::Relaxed);
        let given = client.call("one")?;
        assert_eq!(given, ("one".into(), "south".into()));

        // It answers after all.
        trouble.hangs.store(false, Ordering::Relaxed);
        client.greet();
        client.listen_until("the late answer", |client| client.late >= 1);
        let given = client.call("two")?;
        assert_eq!(given.0, "two");

        // South dies over a request, with the record of the better one.
        client.places[1].failures += 10;
        trouble.dies.store(true, Ordering::Relaxed);
        let given = client.call("three")?;
        assert_eq!(given, ("three".into(), "north".into()));
        first_life.join().expect("south");

        again.bind_to(&south_at)?;
        scope.spawn(|| serve(&again, "south", 2, &trouble));
        client.greet();
        client.listen_until("south, anew", |client| client.restarts == 1);
        assert_eq!(client.places[2].failures, 0);
        client.places[1].failures += 10;
        let given = client.call("four")?;
        assert_eq!(given.0, "four");

        println!(
            "4 calls, {} failovers, {} late answers, {} restart seen",
            client.failovers, client.late, client.restarts
        );
        assert!(client.failovers >= 2 && client.requests.is_empty());
        Ok(())
    })
}
