//! A weighted pool: work spread over servers by weight, past one that hangs.
//!
//! ZeroMQ's DEALER gives each server the same share, and goes on giving to one that has stopped
//! answering. A `WeightedDealer` gives by weight, and each server has a credit: what it may have
//! unanswered. One that hangs strands its credit and no more; what it had is given to others by
//! number after a while, and its credit is given back to it. Weights change while the
//! pool works.
//!
//! ```text
//! cargo run -p brokerless-patterns --example weighted_pool
//! ```

#![allow(clippy::print_stdout)]

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use brokerless_patterns::retry::{Arrival, Requests};
use brokerless_patterns::{Frame, Router, Server, WeightedDealer};

const CREDIT: u32 = 4;
const LIMIT: Duration = Duration::from_secs(60);
/// After so long a task is given to somebody else, where one may hang.
const PATIENCE: Duration = Duration::from_millis(100);

/// Answers with its name, unless it hangs.
fn serve(router: &Router, name: &str, hangs: &AtomicBool) {
    while let Ok((peer, message)) = router.recv() {
        if !hangs.load(Ordering::Relaxed) {
            let _ = router.send(&peer, [message[0].clone(), Frame::from(name)]);
        }
    }
}

/// Has the tasks done, each once, with `window` of them under way; gives who did how many. One that is
/// not done for so long is given to somebody else.
fn run(
    pool: &WeightedDealer,
    requests: &mut Requests,
    tasks: usize,
    window: usize,
    patience: Duration,
) -> Result<(BTreeMap<String, usize>, usize), Box<dyn Error>> {
    let mut shares = BTreeMap::new();
    let mut under_way: BTreeMap<u64, Instant> = BTreeMap::new();
    let (mut begun, mut done, mut again) = (0, 0, 0);
    let limit = Instant::now() + LIMIT;
    while done < tasks {
        assert!(Instant::now() < limit, "{done} of {tasks} tasks done");
        while begun < tasks && under_way.len() < window {
            let id = requests.open();
            pool.send_timeout(id.to_be_bytes().to_vec(), LIMIT)?;
            under_way.insert(id, Instant::now());
            begun += 1;
        }
        for (id, since) in &mut under_way {
            if since.elapsed() > patience && pool.try_send(id.to_be_bytes().to_vec()).is_ok() {
                *since = Instant::now();
                again += 1;
            }
        }
        let Ok((_, message)) = pool.recv_timeout(Duration::from_millis(20)) else {
            continue;
        };
        let id = u64::from_be_bytes(message[0][..].try_into()?);
        // An answer of the one that was thought to hang may come late: it does not count twice.
        if requests.answered(id) == Arrival::Expected && under_way.remove(&id).is_some() {
            *shares.entry(message[1].to_str()?.to_owned()).or_insert(0) += 1;
            done += 1;
        }
    }
    Ok((shares, again))
}

fn shares_of(shares: &BTreeMap<String, usize>) -> [usize; 3] {
    ["big", "middle", "small"].map(|name| shares.get(name).copied().unwrap_or(0))
}

/// Waits until a server is connected, or is not.
fn until_connected(pool: &WeightedDealer, server: &Server, wanted: bool) {
    let limit = Instant::now() + LIMIT;
    let is_so = || {
        let stats = pool.servers();
        stats
            .iter()
            .any(|one| one.server == *server && one.connected == wanted)
    };
    while !is_so() {
        assert!(
            Instant::now() < limit,
            "{server:?}: connected is not {wanted}"
        );
        // What comes meanwhile is late: nothing is under way.
        let _ = pool.recv_timeout(Duration::from_millis(5));
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
    let names = ["big", "middle", "small"];
    let hangs = AtomicBool::new(false);
    let never = AtomicBool::new(false);
    // The first will be bound again: a path is nobody else's meanwhile, where a port may be.
    let path = std::env::temp_dir().join(format!("weighted-pool-{}", std::process::id()));
    let path = format!("ipc://{}", path.display());
    let routers: Vec<Arc<Router>> = [&*path, "tcp://127.0.0.1:*", "tcp://127.0.0.1:*"]
        .iter()
        .map(|at| Router::bind(at).map(Arc::new))
        .collect::<Result<_, _>>()?;
    let places: Vec<String> = routers
        .iter()
        .map(|router| router.local_endpoints()[0].to_string())
        .collect();
    let pool = WeightedDealer::new()?;
    let mut servers = Vec::new();
    for (place, weight) in places.iter().zip([3, 2, 1]) {
        let server = pool.add(place, weight)?;
        pool.set_credit(&server, Some(CREDIT));
        servers.push(server);
    }
    let mut requests = Requests::new(1);

    std::thread::scope(|scope| {
        for (router, name) in routers.iter().zip(names) {
            let hangs = if name == "big" { &hangs } else { &never };
            scope.spawn(move || serve(router, name, hangs));
        }
        let _end = AtEnd(|| {
            for router in &routers {
                let _ = router.close();
            }
        });
        let mut story = || -> Result<Arc<Router>, Box<dyn Error>> {
            for server in &servers {
                until_connected(&pool, server, true);
            }
            // Nobody hangs: however slow the machine, nothing is given to another.
            let (shares, _) = run(&pool, &mut requests, 60, 1, LIMIT)?;
            println!("weights 3:2:1, 60 tasks: {shares:?}");
            assert_eq!(shares_of(&shares), [30, 20, 10]);

            hangs.store(true, Ordering::Relaxed);
            let (shares, again) = run(&pool, &mut requests, 60, 12, PATIENCE)?;
            println!("big hangs, 60 tasks: {shares:?}, {again} given to others");
            let stranded = pool.servers()[0].outstanding;
            assert_eq!((shares_of(&shares)[0], stranded), (0, CREDIT));
            assert!(again >= CREDIT as usize);

            // It is started anew, at the same place.
            let _ = routers[0].close();
            until_connected(&pool, &servers[0], false);
            // What it had in hand has been given to others: it is expected of it no more.
            pool.forgive(&servers[0]);
            let anew = Arc::new(Router::bind(&places[0])?);
            hangs.store(false, Ordering::Relaxed);
            let router = anew.clone();
            let hangs = &hangs;
            scope.spawn(move || serve(&router, "big", hangs));
            until_connected(&pool, &servers[0], true);
            for (server, weight) in servers.iter().zip([1, 1, 2]) {
                pool.set_weight(server, weight);
            }
            let (shares, _) = run(&pool, &mut requests, 60, 1, LIMIT)?;
            println!("big is back, weights 1:1:2, 60 tasks: {shares:?}");
            assert_eq!(shares_of(&shares).iter().sum::<usize>(), 60);
            assert!(
                shares_of(&shares)
                    .iter()
                    .all(|share| (10..=35).contains(share))
            );
            Ok(anew)
        };
        let anew = story()?;
        let _ = anew.close();
        Ok(())
    })
}
