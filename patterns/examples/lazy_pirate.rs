//! Lazy Pirate: a client that asks again, of a server that fails in every way it can.
//!
//! The server loses a request, loses a reply, answers too late, and once not at all. The client
//! gives each request a deadline, a few attempts with pauses between them that are spread by
//! chance, and pays for repeating them from a budget, so that a server in trouble is not buried.
//! All attempts of a request go under one number: a reply that comes after its request was
//! answered is known as late and does not pass for the next one's. The server knows a request
//! again by the client's number and its own, and does no job twice. Whoever gives up says so.
//!
//! ```text
//! cargo run -p brokerless-patterns --example lazy_pirate
//! ```

#![allow(clippy::print_stdout)]

use std::collections::BTreeMap;
use std::error::Error;
use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

use brokerless_patterns::retry::{Arrival, Attempts, Budget, GiveUp, Next, Policy, Requests};
use brokerless_patterns::{Dealer, Frame, Router};

/// Attempts that do for a server which answers in the end, however slow the machine is.
const ENOUGH: u32 = 50;
/// Answers that the server remembers, to give them again.
const REMEMBERED: usize = 1000;

fn random() -> u64 {
    RandomState::new().hash_one(0)
}

fn number(frame: &Frame) -> Option<u64> {
    Some(u64::from_be_bytes(frame[..].try_into().ok()?))
}

struct Client {
    socket: Dealer,
    /// With a request's number, the key by which the server knows it again.
    name: u64,
    requests: Requests,
    budget: Budget,
    start: Instant,
    retries: u32,
    late: u32,
}

impl Client {
    fn connect(endpoint: &str) -> Result<Client, Box<dyn Error>> {
        Ok(Client {
            socket: Dealer::connect(endpoint)?,
            name: random(),
            requests: Requests::new(random()),
            budget: Budget::new(100, 10),
            start: Instant::now(),
            retries: 0,
            late: 0,
        })
    }

    fn send(&self, kind: &str, id: u64, task: &str) -> Result<(), Box<dyn Error>> {
        let key = [self.name.to_be_bytes(), id.to_be_bytes()].concat();
        let frames = [Frame::from(kind), Frame::from(key), Frame::from(task)];
        Ok(self.socket.send(frames)?)
    }

    fn ask(
        &mut self,
        task: &str,
        attempts_max: u32,
    ) -> Result<Result<String, GiveUp>, Box<dyn Error>> {
        let policy = Policy {
            attempts_max,
            patience: Duration::from_millis(60),
            pause: Duration::from_millis(10),
            ..Policy::default()
        };
        let mut attempts = Attempts::new(policy, self.start.elapsed() + Duration::from_secs(60));
        let id = self.requests.open();
        self.budget.request();
        loop {
            let until = attempts.begin(self.start.elapsed());
            self.send("ASK", id, task)?;
            if let Some(answer) = self.wait(id, until)? {
                return Ok(Ok(answer));
            }
            let now = self.start.elapsed();
            match attempts.failed(now, random(), &mut self.budget) {
                Next::Again { at } => {
                    println!("  no answer to attempt {}, asking again", attempts.made());
                    if let Some(answer) = self.wait(id, at)? {
                        return Ok(Ok(answer));
                    }
                    self.retries += 1;
                }
                Next::GiveUp(why) => {
                    self.requests.give_up(id);
                    self.send("CANCEL", id, task)?;
                    return Ok(Err(why));
                }
            }
        }
    }

    /// Waits for the answer to this request; others are late.
    fn wait(&mut self, wanted: u64, until: Duration) -> Result<Option<String>, Box<dyn Error>> {
        while let Ok(message) = self.socket.recv_deadline(self.start + until) {
            let [id, answer] = message.frames() else {
                continue;
            };
            let Some(id) = number(id) else { continue };
            match self.requests.answered(id) {
                Arrival::Expected if id == wanted => return Ok(Some(answer.to_str()?.to_owned())),
                Arrival::Late => {
                    self.late += 1;
                    println!("  a late answer came, and was taken for what it is");
                }
                Arrival::Expected | Arrival::Unknown => {}
            }
        }
        Ok(None)
    }
}

/// What the server did.
#[derive(Default)]
struct Done {
    jobs: u32,
    again: u32,
    cancelled: u32,
}

fn serve(router: &Router) -> Done {
    let mut done = Done::default();
    // What was asked, by key: how often, and the answer once there is one.
    let mut ledger: BTreeMap<Vec<u8>, (u32, Option<String>)> = BTreeMap::new();
    while let Ok((peer, message)) = router.recv() {
        let [kind, key, task] = message.frames() else {
            continue;
        };
        let (Ok(task), Some(id)) = (task.to_str(), key.get(8..16)) else {
            continue;
        };
        if *kind == "CANCEL" {
            done.cancelled += u32::from(ledger.remove(&key[..]).is_some());
            continue;
        }
        if ledger.len() >= REMEMBERED {
            ledger.pop_first();
        }
        let (asked, answer) = ledger.entry(key.to_vec()).or_default();
        *asked += 1;
        let is_first = *asked == 1;
        if task == "never" || (is_first && task == "lost request") {
            continue;
        }
        match answer {
            Some(_) => done.again += 1,
            None => done.jobs += 1, // the work: here and nowhere else
        }
        let answer = answer.get_or_insert_with(|| format!("{task}: done"));
        let replies = match (task, is_first) {
            ("lost reply" | "late reply", true) => 0,
            ("late reply", false) => 2, // the one that was held up, and the one from the ledger
            _ => 1,
        };
        for _ in 0..replies {
            // A client that has gone gets nothing, and that is all.
            let _ = router.send(&peer, [Frame::from(id), Frame::from(&**answer)]);
        }
    }
    done
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
    let router = Router::bind("tcp://127.0.0.1:*")?;
    let mut client = Client::connect(&router.local_endpoints()[0].to_string())?;
    let done = std::thread::scope(|scope| -> Result<Done, Box<dyn Error>> {
        let server = scope.spawn(|| serve(&router));
        {
            let _end = AtEnd(|| {
                let _ = router.close();
            });
            for task in ["plain", "lost request", "lost reply", "late reply", "plain"] {
                println!("{task}");
                let answer = client.ask(task, ENOUGH)?;
                assert_eq!(answer, Ok(format!("{task}: done")));
            }
            println!("never");
            let why = client.ask("never", 3)?.expect_err("nobody answers that");
            println!("  gave up: {why}");
            assert_eq!(client.ask("plain", ENOUGH)?, Ok("plain: done".into()));
        }
        Ok(server.join().expect("the server"))
    })?;

    println!(
        "{} jobs done once each, {} answers given again, {} retries, {} late answers, {} cancelled",
        done.jobs, done.again, client.retries, client.late, done.cancelled
    );
    assert_eq!((done.jobs, done.cancelled), (6, 1));
    assert!(done.again >= 2 && client.late >= 1 && client.retries >= 5);
    assert!(client.requests.is_empty());
    Ok(())
}
