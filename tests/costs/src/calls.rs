//! What a call costs, counted: system calls, allocations, copies.
//!
//! Both sides are in this process, each with an engine and threads of its own: what is counted is of
//! both together. Neither can do without two system calls, one to send and one to wait: so 5 together
//! are 3 a side at most.
//!
//! The bounds are those of a release build, and a debug build says that it leaves them out: its threads
//! take so long to come back that they find each other asleep, and what could go together goes apart.

use brokerless::client::Together;
use brokerless::patterns::Engine;
use brokerless::proxy::Proxy;
use brokerless::service::{Incoming, Items};
use brokerless::{Blob, Client, Server, scatter};

use crate::counted::Cost;
use crate::rounds::in_rounds;

#[brokerless::service(name = "costs.v1")]
trait Costs {
    #[rpc(inline)]
    fn add(&self, x: i64, y: i64) -> i64;
    fn add_pooled(&self, x: i64, y: i64) -> i64;
    /// Gives back what it was given.
    fn turn(&self, data: Blob) -> Blob;
    fn count(&self, to: i64) -> Items<'_, i64>;
    fn total(&self, values: Incoming<i64>) -> i64;
    fn echo(&self, values: Incoming<i64>) -> Items<'_, i64>;
    /// This blob, so many times.
    fn repeat(&self, data: Blob, times: u64) -> Items<'_, Blob>;
    fn keep(&self, parts: Incoming<Blob>) -> u64;
}

struct Handler;

impl Costs for Handler {
    fn add(&self, x: i64, y: i64) -> i64 {
        x + y
    }
    fn add_pooled(&self, x: i64, y: i64) -> i64 {
        x + y
    }
    fn turn(&self, data: Blob) -> Blob {
        data
    }
    fn count(&self, to: i64) -> Items<'_, i64> {
        Items::new(0..to)
    }
    fn total(&self, values: Incoming<i64>) -> i64 {
        values.map_while(Result::ok).sum()
    }
    fn echo(&self, values: Incoming<i64>) -> Items<'_, i64> {
        Items::fallible(values)
    }
    fn repeat(&self, data: Blob, times: u64) -> Items<'_, Blob> {
        Items::new((0..times).map(move |_| data.clone()))
    }
    fn keep(&self, parts: Incoming<Blob>) -> u64 {
        parts
            .map_while(Result::ok)
            .map(|part| part.len() as u64)
            .sum()
    }
}

/// What one call cost, both sides together.
fn measured(count: usize, mut calls: impl FnMut(usize)) -> Cost {
    // Warm: buffers and windows have their sizes, and the threads have learned their pace.
    calls(count / 4);
    Cost::of_each(count, || calls(count))
}

/// Server and client, each on an engine of its own.
fn connected(endpoint: &str) -> (Server, CostsClient) {
    let server = Server::builder()
        .service(CostsServer::new(Handler))
        .bind(endpoint)
        .unwrap();
    let endpoint = server.local_endpoints()[0].to_string();
    let engine = Engine::new().unwrap();
    let client = Client::builder().engine(&engine).connect(endpoint).unwrap();
    (server, client.into())
}

/// Holds what one call costs to its bounds. How often threads find each other asleep is the machine's
/// as well: the best of several rounds counts.
fn within(what: &str, count: usize, mut calls: impl FnMut(usize), bounds: impl Fn(&Cost) -> bool) {
    let cost = in_rounds(what, || {
        let cost = measured(count, &mut calls);
        match bounds(&cost) {
            true => Ok(cost),
            false => Err(format!("{cost:?}")),
        }
    });
    println!("{what}: {cost:?}");
}

fn pipelined(client: &CostsClient, count: usize, window: usize) {
    let begin = client.begin();
    let mut flying = std::collections::VecDeque::with_capacity(window);
    for n in 0..count {
        if flying.len() == window {
            let pending: brokerless::Pending<i64> = flying.pop_front().unwrap();
            pending.wait().unwrap();
        }
        flying.push_back(begin.add(n as i64, 1).unwrap());
    }
    for pending in flying {
        pending.wait().unwrap();
    }
}

/// Calls that are begun together.
const BATCH: usize = 100;

fn in_order(client: &CostsClient, count: usize) {
    for _ in 0..count / BATCH {
        let begun: Vec<_> = (0..BATCH as i64)
            .map(|n| client.begin().add(n, 1).unwrap())
            .collect();
        for pending in begun {
            pending.wait().unwrap();
        }
    }
}

fn whichever_first(client: &CostsClient, count: usize) {
    for _ in 0..count / BATCH {
        let mut calls = Together::new();
        for n in 0..BATCH as i64 {
            calls.put(n, client.begin().add(n, 1).unwrap());
        }
        while let Some((n, sum)) = calls.wait_any() {
            assert_eq!(sum, Ok(n + 1));
        }
    }
}

fn scattered(client: &CostsClient, count: usize) {
    for _ in 0..count / BATCH {
        let running = scatter(0..BATCH as i64).over(client);
        let running = running.run(|client, n| client.begin().add(*n, 1)).unwrap();
        assert!(running.gather().is_complete());
    }
}

#[test]
#[cfg_attr(
    debug_assertions,
    ignore = "slow threads find each other asleep more often: the bounds are those of a release build; `make costs`"
)]
fn a_call_costs_no_more_than_is_promised() {
    let _alone = crate::alone();
    let ipc = std::env::temp_dir().join(format!("brokerless-call-costs-{}", std::process::id()));
    let ipc = format!("ipc://{}", ipc.display());
    for endpoint in ["tcp://127.0.0.1:*", &ipc, "inproc://call-costs"] {
        let (_server, client) = connected(endpoint);

        within(
            &format!("{endpoint} add"),
            20_000,
            |count| (0..count as i64).for_each(|n| assert_eq!(client.add(n, 1), Ok(n + 1))),
            |add| add.system_calls <= 5.0 && add.allocations <= 3.0,
        );
        within(
            &format!("{endpoint} add, in the default pool"),
            20_000,
            |count| (0..count as i64).for_each(|n| assert_eq!(client.add_pooled(n, 1), Ok(n + 1))),
            |pooled| pooled.system_calls <= 5.0 && pooled.allocations <= 3.0,
        );
        // Within the process a system call wakes a thread: one on each side for a call at most,
        // where both sides take turns on one core, and far fewer else.
        let most = if endpoint.starts_with("inproc") {
            1.0
        } else {
            0.5
        };
        within(
            &format!("{endpoint} add, 256 in flight"),
            100_000,
            |count| pipelined(&client, count, 256),
            |pipelined| pipelined.system_calls < 2.0 * most && pipelined.allocations <= 3.0,
        );

        // What waits for any, or scatters, costs about what it costs to wait in order.
        // Who waits for any is woken for the first of several, not for the last: no more than that.
        let seen = in_rounds(&format!("{endpoint} {BATCH} at once"), || {
            let one = measured(20_000, |count| in_order(&client, count));
            let any = measured(20_000, |count| whichever_first(&client, count));
            let all = measured(20_000, |count| scattered(&client, count));
            let seen = format!("{one:?}, any first: {any:?}, scattered: {all:?}");
            let holds = any.allocations <= one.allocations + 0.5
                && all.allocations <= one.allocations + 1.0
                && any.system_calls <= one.system_calls + 1.5
                && all.system_calls <= one.system_calls + 1.5;
            if holds { Ok(seen) } else { Err(seen) }
        });
        println!("{endpoint} {BATCH} at once: {seen}");

        let data = Blob::from(vec![7; 1 << 20]);
        // Envelopes and bodies are gathered into the write buffer, and copied out of the read
        // buffer where they stay: none of it is the blob's.
        within(
            &format!("{endpoint} 1 MiB there and back"),
            200,
            |count| {
                for _ in 0..count {
                    assert_eq!(client.turn(data.clone()).unwrap().len(), data.len());
                }
            },
            |large| large.bytes_copied < 1024.0,
        );
    }
}

#[test]
fn an_item_costs_next_to_nothing() {
    let _alone = crate::alone();
    let ipc = std::env::temp_dir().join(format!("brokerless-item-costs-{}", std::process::id()));
    let ipc = format!("ipc://{}", ipc.display());
    for endpoint in ["tcp://127.0.0.1:*", &ipc, "inproc://item-costs"] {
        let (_server, client) = connected(endpoint);
        // Within the process a thread is woken where a socket would have been read.
        let wakes = if endpoint.starts_with("inproc") {
            0.5
        } else {
            0.1
        };
        streams(&client, endpoint, wakes);
    }
}

#[test]
fn a_proxy_copies_no_blob_and_decodes_nothing() {
    let _alone = crate::alone();
    for endpoint in ["tcp://127.0.0.1:*", "inproc://proxy-costs"] {
        let (server, _direct) = connected("tcp://127.0.0.1:*");
        let node = server.local_endpoints()[0].to_string();
        let proxy = Proxy::builder().nodes([node]).bind(endpoint).unwrap();
        let client = CostsClient::connect(&proxy.local_endpoints()[0]).unwrap();
        let data = Blob::from(vec![7; 10 << 20]);
        // Turned once, so that everything is connected.
        assert_eq!(client.turn(data.clone()).map(|it| it.len()), Ok(10 << 20));
        // Twice what a call costs without one: envelopes and bodies, and nothing of the blob.
        within(
            &format!("{endpoint} 10 MiB there and back by a proxy"),
            20,
            |count| {
                for _ in 0..count {
                    assert_eq!(client.turn(data.clone()).map(|it| it.len()), Ok(10 << 20));
                }
            },
            |large| large.bytes_copied < 2048.0,
        );
        // Of the proxy's own: path, relay, leg, its places in two tables.
        within(
            &format!("{endpoint} by a proxy"),
            20_000,
            |count| {
                for n in 0..count {
                    assert_eq!(client.add(n as i64, 1), Ok(n as i64 + 1));
                }
            },
            |small| small.allocations <= 24.0,
        );
        // The beginning of a frame that was read with what came before it is copied to its rest.
        let data = Blob::from(vec![7; 1 << 20]);
        blobs(
            &client,
            &format!("{endpoint} by a proxy"),
            (100, &data),
            16 * 1024,
        );
    }
}

/// So many items like this, either way: of each no more than so many bytes are copied.
fn blobs(client: &CostsClient, what: &str, (items, data): (usize, &Blob), most: u32) {
    within(
        &format!("{what}, an item of 1 MiB down"),
        items,
        |count| {
            let blobs = client.repeat(data.clone(), count as u64).unwrap();
            let bytes = blobs.map(|blob| blob.unwrap().len()).sum::<usize>();
            assert_eq!(bytes, count << 20);
        },
        |down| down.bytes_copied < f64::from(most),
    );
    within(
        &format!("{what}, an item of 1 MiB up"),
        items,
        |count| {
            let blobs = (0..count).map(|_| data.clone());
            assert_eq!(client.keep(blobs), Ok((count as u64) << 20));
        },
        |up| up.bytes_copied < f64::from(most),
    );
}

fn streams(client: &CostsClient, endpoint: &str, system_calls: f64) {
    within(
        &format!("{endpoint} an item down"),
        100_000,
        |count| {
            let items = client.count(count as i64).unwrap();
            assert_eq!(items.map(Result::unwrap).last(), Some(count as i64 - 1));
        },
        |down| down.allocations <= 0.1 && down.system_calls <= system_calls,
    );
    within(
        &format!("{endpoint} an item up"),
        100_000,
        |count| {
            let count = count as i64;
            assert_eq!(client.total(0..count), Ok((0..count).sum()));
        },
        |up| up.allocations <= 0.1 && up.system_calls <= system_calls,
    );
    let mut echo = client.echo().unwrap();
    // Two to send and two to wait at least; a lead that has to be handed on is one more a side, and
    // a busy machine has more of those.
    within(
        &format!("{endpoint} an item there and back"),
        20_000,
        |count| {
            for n in 0..count as i64 {
                echo.send(n).unwrap();
                assert_eq!(echo.next(), Some(Ok(n)));
            }
        },
        |ping_pong| ping_pong.allocations <= 0.5 && ping_pong.system_calls <= 7.0,
    );
    drop(echo);
    let data = Blob::from(vec![7; 1 << 20]);
    blobs(client, endpoint, (200, &data), 1024);
}
