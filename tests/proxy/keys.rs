//! Calls that belong together go to one node, through a proxy as without one.

use brokerless::client::{Call, Client};
use brokerless::patterns::{Frame, Req};
use brokerless::proxy::Member;
use brokerless::wire::{CallHead, Envelope, Payload, Version, encode_call};
use brokerless::{Code, Policy, Ran};

use crate::desk::DeskClient;
use crate::fleet::{Fleet, proxy};
use crate::hostile::Caller;
use crate::support::{ByHand, PATIENCE, Served, inproc};

fn by_key(nodes: usize) -> Fleet {
    let fleet = Fleet::at("tcp://127.0.0.1:*", nodes, |builder| {
        builder.policy(Policy::consistent_hash())
    });
    fleet.up(nodes);
    fleet
}

/// How many calls each node gets while this runs.
fn shares(nodes: &[Served], run: impl FnOnce()) -> Vec<u64> {
    let counts = || nodes.iter().map(|node| node.server.stats().calls);
    let before: Vec<u64> = counts().collect();
    run();
    counts().zip(before).map(|(now, then)| now - then).collect()
}

#[test]
fn calls_of_one_key_go_to_one_node_through_proxies_and_beside_them() {
    let fleet = by_key(4);
    let behind = Member::new(&*fleet.endpoint);
    // One that does not pick by key itself, and may be within the process.
    let outer = proxy(&inproc(), [behind], |builder| {
        builder.policy(Policy::adaptive())
    });
    let outer = outer.local_endpoints()[0].to_string();
    let outer = DeskClient::connect(&outer).expect("an endpoint");
    let edge = fleet.desk();
    let members = fleet.nodes.iter().map(|node| Member::new(&*node.endpoint));
    let beside = DeskClient::builder().policy(Policy::consistent_hash());
    let beside = beside.nodes(members).connect(()).expect("nodes");
    let beside_is_up = || {
        let nodes = beside.client().stats().nodes;
        let up = |state| state == brokerless::machine::NodeState::Up;
        nodes.into_iter().all(|node| up(node.state))
    };
    crate::support::until("nodes are up", beside_is_up);
    let mut used = [false; 4];
    for user in 0..40 {
        let user = format!("user-{user}");
        let got = shares(&fleet.nodes, || {
            for desk in [&edge, &outer, &beside] {
                assert_eq!(desk.whose(user.len() as u64, &user), Ok(user.len() as u64));
                let said = desk.with(Call::new().key(&*user));
                assert_eq!(said.add(2, 3), Ok(5));
            }
        });
        let home = got.iter().position(|calls| *calls > 0).expect("some calls");
        assert_eq!(got[home], 6, "{user}: {got:?}");
        used[home] = true;
    }
    assert_eq!(used, [true; 4], "keys spread");
}

#[test]
fn a_proxy_that_picks_by_key_refuses_calls_that_bring_none() {
    let fleet = by_key(2);
    let desk = fleet.desk();
    let error = desk.add(2, 3).expect_err("no key");
    assert_eq!(
        (error.code(), error.ran()),
        (Code::FailedPrecondition, Ran::No)
    );
    for part in ["desk.v1.add", "consistent-hash", "Call::key", "`key`"] {
        assert!(error.to_string().contains(part), "{error}");
    }
    let req = Req::connect(&fleet.endpoint).expect("an endpoint");
    req.send(b"\x92\xabdesk.v1.add\x92\x02\x03".to_vec())
        .expect("it is sent");
    let plain = req.recv_timeout(PATIENCE).expect("an answer");
    assert_eq!(&plain.first()[..2], [0x93, 9], "its code is the same");
    // No node was asked, and none is thought worse of.
    let nodes = fleet.proxy.stats().nodes;
    assert!(nodes.iter().all(|node| node.sent + node.errors == 0));
    assert_eq!(desk.with(Call::new().key(&7)).add(2, 3), Ok(5));
    // What every server has comes from one of them.
    let client = Client::connect(&*fleet.endpoint).expect("an endpoint");
    let echo = Payload::raw(b"\x91\xa2hi".to_vec());
    let echo = client.call_raw("brokerless.echo.v1.text", &Call::new(), echo);
    assert!(echo.is_ok(), "{echo:?}");
    // From another language a key is a number of the call.
    let caller = Caller::new(&fleet.endpoint);
    let mut head = CallHead::new(1, "desk.v1.add", PATIENCE.as_micros() as u64);
    head.key = Some(7);
    let envelope = encode_call(&head, Version::NEWEST).expect("it fits");
    caller.send([envelope, Frame::from_static(b"\x92\x02\x03")]);
    assert_eq!(caller.reply(1), [5]);
    fleet.quiet();
}

/// The key of the next call that comes to this node.
fn told(node: &ByHand) -> Option<u64> {
    loop {
        let (peer, message) = node.router.recv_timeout(PATIENCE).expect("a message");
        match Envelope::decode(message.first()).expect("an envelope") {
            Envelope::Hello(hello) => node.welcome(&peer, hello.version, 16),
            Envelope::Call(head) => {
                node.reply(&peer, head.id, &[1]);
                return head.key;
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn nobody_but_a_proxy_is_told_of_keys() {
    let node = ByHand::new("tcp://127.0.0.1:*");
    let edge = proxy(
        "tcp://127.0.0.1:*",
        [Member::new(&*node.endpoint)],
        |builder| builder.policy(Policy::consistent_hash()),
    );
    let edge = edge.local_endpoints()[0].to_string();
    for endpoint in [&edge, &node.endpoint] {
        let desk = DeskClient::connect(endpoint).expect("an endpoint");
        let call = desk.begin().whose(1, "ann").expect("it is sent");
        assert_eq!(told(&node), None);
        assert_eq!(call.wait(), Ok(1));
    }
    // Behind a device anybody may be: whoever is there is told.
    let client = DeskClient::builder().sessionless(4);
    let desk = client.connect(&node.endpoint).expect("an endpoint");
    let call = desk.begin().whose(1, "ann").expect("it is sent");
    // A bye of the one before may come first.
    let found = loop {
        let (_, message) = node.router.recv_timeout(PATIENCE).expect("a message");
        let call = message
            .iter()
            .find_map(|frame| match Envelope::decode(frame) {
                Ok(Envelope::Call(head)) => Some(head.key),
                _ => None,
            });
        if let Some(key) = call {
            break key;
        }
    };
    assert_eq!(found, Some(brokerless::balance::hash(b"\xa3ann")));
    drop(call);
}
