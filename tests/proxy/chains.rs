//! Proxies behind proxies, and round in a loop.

use brokerless::proxy::{Member, Proxy};
use brokerless::{Code, Ran};

use crate::desk::DeskClient;
use crate::fleet::{proxy, up};
use crate::hostile::Caller;
use crate::support::{Served, inproc};

fn behind(endpoint: &str, next: &str, hops: u32) -> Proxy {
    proxy(endpoint, [Member::new(next)], |builder| {
        builder.hops_max(hops)
    })
}

fn local(proxy: &Proxy) -> String {
    proxy.local_endpoints()[0].to_string()
}

#[test]
fn calls_pass_three_proxies() {
    for endpoint in ["tcp://127.0.0.1:*".to_owned(), inproc()] {
        let node = Served::new();
        let third = behind("tcp://127.0.0.1:*", &node.endpoint, 4);
        let second = behind(&endpoint, &local(&third), 4);
        let first = behind("tcp://127.0.0.1:*", &local(&second), 4);
        let desk = DeskClient::connect(local(&first)).expect("an endpoint");
        assert_eq!(desk.add(2, 3), Ok(5));
        let error = desk.fail(5, "no such thing", true).expect_err("it fails");
        assert_eq!((error.code(), error.ran()), (Code::NotFound, Ran::Yes));
        let held = desk.begin().hold().expect("it is sent");
        node.desk.has_begun(1);
        held.cancel();
        node.desk.has_cancelled(1);
    }
}

#[test]
fn a_chain_longer_than_the_hop_limit_is_refused() {
    let node = Served::new();
    let second = behind("tcp://127.0.0.1:*", &node.endpoint, 1);
    let first = behind("tcp://127.0.0.1:*", &local(&second), 1);
    let desk = DeskClient::connect(local(&second)).expect("an endpoint");
    assert_eq!(desk.add(2, 3), Ok(5), "one proxy");
    let desk = DeskClient::connect(local(&first)).expect("an endpoint");
    let error = desk.add(2, 3).expect_err("two are too many");
    assert_eq!(
        (error.code(), error.ran()),
        (Code::FailedPrecondition, Ran::No)
    );
    assert_eq!(second.stats().refused["over-hops"], 1);
    assert_eq!(node.server.stats().calls, 1);
}

#[test]
fn a_loop_of_proxies_ends_at_the_hop_limit() {
    let other = inproc();
    let one = behind(&inproc(), &other, 4);
    let other = behind(&other, &local(&one), 4);
    up(&one, 1);
    up(&other, 1);
    let caller = Caller::new(&local(&one));
    caller.call(1, "desk.v1.add", &[0x92, 2, 3]);
    let (code, ran, message, _) = caller.error(1);
    assert_eq!(
        (code, ran),
        (Code::FailedPrecondition, Ran::No),
        "{message}"
    );
    assert!(
        message.contains("loop") && message.contains("the proxy edge"),
        "{message}"
    );
    assert_eq!(one.stats().passed + other.stats().passed, 4);
}
