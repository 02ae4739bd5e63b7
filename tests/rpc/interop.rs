//! The names and sizes of gRPC's interop list, between ourselves, over every transport.
//! Its cases `close_after_header` and `close_mid_body` are in `breaking.rs`.

use std::time::{Duration, Instant};

use brokerless::client::{Call, Client};
use brokerless::wire::Payload;
use brokerless::{Blob, Code, Ran};

use crate::desk::DeskClient;
use crate::support::{PATIENCE, Served, inproc, node, transports, until};

/// What a server of these tests takes at most in one part.
const PART_MAX: u64 = 1 << 20;

/// Does the same over each transport.
fn everywhere(test: impl Fn(&Served, &DeskClient)) {
    for endpoint in transports() {
        let served = Served::at(&endpoint, |builder| builder.blob_bytes_max(PART_MAX));
        test(&served, &served.client());
    }
}

/// A call whose answer tells that the connection is still the same one.
#[track_caller]
fn is_served_still(served: &Served, desk: &DeskClient) {
    assert_eq!(desk.add(2, 3), Ok(5), "{}", served.endpoint);
    let stats = served.server.stats();
    let closes: u64 = stats.sockets.iter().flat_map(|s| s.closes.values()).sum();
    assert_eq!(closes, 0, "{}: {stats:#?}", served.endpoint);
}

#[test]
fn empty_call() {
    everywhere(|_, desk| assert_eq!(desk.empty(), Ok(())));
}

#[test]
fn large_call() {
    everywhere(|_, desk| {
        let answer = desk.large(Blob::from(vec![1; 271_828]), 314_159);
        assert_eq!(answer.expect("a blob").len(), 314_159);
        let bytes: Vec<u8> = (0..271_828u32).map(|n| n as u8).collect();
        assert_eq!(desk.bytes(&bytes), Ok(bytes));
    });
}

#[test]
fn max_frame() {
    everywhere(|served, desk| {
        let most = Blob::from(vec![1; PART_MAX as usize]);
        let answer = desk.large(most, PART_MAX).expect("as much as fits");
        assert_eq!(answer.len() as u64, PART_MAX);
        is_served_still(served, desk);
    });
}

#[test]
fn over_max_frame_names_the_limit_and_its_option_and_leaves_the_connection() {
    everywhere(|served, desk| {
        let over = Blob::from(vec![1; PART_MAX as usize + 1]);
        let error = desk.large(over, 1).expect_err("too large");
        assert_eq!(
            (error.code(), error.ran()),
            (Code::ResourceExhausted, Ran::No)
        );
        for word in ["blob 0", "1048577", "1048576", "blob_bytes_max"] {
            assert!(error.to_string().contains(word), "{error}");
        }
        is_served_still(served, desk);

        // The answer, too.
        let error = desk
            .large(Blob::new(), PART_MAX + 1)
            .expect_err("too large");
        assert_eq!(
            (error.code(), error.ran()),
            (Code::ResourceExhausted, Ran::Yes)
        );
        assert!(error.to_string().contains("blob_bytes_max"), "{error}");
        is_served_still(served, desk);
    });
}

#[test]
fn far_over_max_frame_is_refused_before_it_is_sent() {
    // More than the transport would take: sent, it would cost the connection.
    everywhere(|served, desk| {
        assert_eq!(desk.empty(), Ok(()), "there is a session");
        let over = Blob::from(vec![1; (64 << 20) + 1]);
        let error = desk.large(over, 1).expect_err("too large");
        assert_eq!(
            (error.code(), error.ran()),
            (Code::ResourceExhausted, Ran::No),
            "{error}"
        );
        assert!(error.to_string().contains("blob_bytes_max"), "{error}");
        is_served_still(served, desk);
    });
}

#[test]
fn multi_frame_body() {
    everywhere(|_, desk| {
        let blobs: Vec<Blob> = (0..100u8).map(|n| Blob::from(vec![n; 1000])).collect();
        let mut turned = desk.turn(blobs.clone()).expect("blobs");
        turned.reverse();
        assert_eq!(turned, blobs);
        assert_eq!(desk.turn(Vec::new()), Ok(Vec::new()));
        let empty = vec![Blob::new(), Blob::from_static(b"x"), Blob::new()];
        assert_eq!(desk.turn(empty.clone()), Ok(empty));
    });
}

#[test]
fn metadata_text_and_binary() {
    everywhere(|_, desk| {
        let text = "blau \u{1f535}\n";
        let bytes = [0u8, 255, 1, 0xc1];
        let options = Call::new()
            .metadata("tenant", text)
            .metadata_bytes("trace", &bytes);
        let with = desk.with(options);
        let got = with.metadata("tenant", "trace");
        assert_eq!(got, Ok((Some(text.to_owned()), bytes.to_vec())));
        assert_eq!(desk.metadata("tenant", "trace"), Ok((None, Vec::new())));
    });
}

#[test]
fn status_and_message() {
    everywhere(|served, desk| {
        for number in 1..=16 {
            let error = desk.fail(number, "test status message", true);
            let error = error.expect_err("a status");
            assert_eq!(Some(error.code()), Code::from_number(number));
            assert_eq!(error.ran(), Ran::Yes);
            let error = error.rpc().expect("the fabric's");
            assert_eq!(error.message(), "test status message");
            assert_eq!(error.retry_after(), Some(Duration::from_millis(250)));
            assert_eq!(error.details().expect("some")[..], *b"details");
            assert_eq!(error.node(), Some(&*served.endpoint));
        }
        let error = desk.fail(5, "", false).expect_err("a status");
        let error = error.rpc().expect("the fabric's");
        assert_eq!((error.message(), error.retry_after()), ("", None));
        assert!(error.details().is_none());
    });
}

#[test]
fn special_status_message() {
    everywhere(|served, desk| {
        for message in [
            "\t\ntest with whitespace\r\nand Unicode BMP \u{263a} and non-BMP \u{1f608}\t\n",
            "\0\u{1}\u{7f}\u{80}\u{feff}\u{202e}",
        ] {
            let error = desk.fail(2, message, false).expect_err("a status");
            assert_eq!(error.rpc().expect("the fabric's").message(), message);
        }
        // What is over the limit is cut between characters.
        let long = "\u{20ac}".repeat(5000);
        let error = desk.fail(2, &long, false).expect_err("a status");
        let message = error.rpc().expect("the fabric's").message();
        let kept = message.chars().take_while(|c| *c == '\u{20ac}').count();
        assert!((1000..=4096 / 3).contains(&kept), "{kept} of 5000");
        assert!(message.len() <= 4096, "{}", message.len());
        is_served_still(served, desk);
    });
}

fn call_nothing(desk: &DeskClient, path: &str) -> brokerless::RpcError {
    let payload = Payload::raw(vec![0x90]);
    let answer = desk.client().call_raw(path, &Call::new(), payload);
    answer.expect_err("there is no such method")
}

#[test]
fn unknown_method_names_the_nearest() {
    everywhere(|served, desk| {
        let error = call_nothing(desk, "desk.v1.ad");
        assert_eq!((error.code(), error.ran()), (Code::Unimplemented, Ran::No));
        assert!(error.message().contains("is add"), "{error}");
        is_served_still(served, desk);
    });
}

#[test]
fn unknown_service_names_the_nearest() {
    everywhere(|served, desk| {
        for (path, nearest) in [("dsek.v1.add", "desk.v1"), ("desk.v2.add", "desk.v1")] {
            let error = call_nothing(desk, path);
            assert_eq!((error.code(), error.ran()), (Code::Unimplemented, Ran::No));
            assert!(error.message().contains(nearest), "{error}");
        }
        is_served_still(served, desk);
    });
}

#[test]
fn cancel_before_send_recalls_the_call() {
    for endpoint in transports() {
        let served = Served::at(&endpoint, |builder| builder.window(1).window_max(1));
        let desk = served.client();
        let holding = desk.begin().hold().expect("it begins");
        served.desk.has_begun(1);
        // The one call of the window is taken: this one waits here.
        let waits = desk.begin().hold().expect("it waits");
        assert_eq!(desk.client().stats().calls.waiting, 1);
        waits.cancel();
        let stats = desk.client().stats().calls;
        assert_eq!((stats.waiting, stats.cancelled), (0, 1));
        served.desk.open();
        assert_eq!(holding.wait(), Ok(false));
        assert_eq!(desk.empty(), Ok(()));
        let server = served.server.stats();
        assert_eq!(server.cancels, 0, "there was nothing to tell");
        assert_eq!(served.desk.begun(), 1, "it never ran");
        let report = node(desk.client(), &served.endpoint);
        assert_eq!((report.sent, report.in_flight), (2, 0));
    }
}

#[test]
fn cancel_before_there_is_a_node_recalls_the_call() {
    let endpoint = inproc();
    let client = Client::builder().wait_for_ready(true).connect(&endpoint);
    let desk = DeskClient::from(client.expect("an endpoint"));
    desk.begin().hold().expect("it waits").cancel();
    let served = Served::at(&endpoint, |builder| builder);
    assert_eq!(desk.empty(), Ok(()));
    assert_eq!(served.desk.begun(), 0);
}

#[test]
fn cancel_after_send_reaches_the_handler() {
    everywhere(|served, desk| {
        let pending = desk.begin().hold().expect("it begins");
        served.desk.has_begun(1);
        pending.cancel();
        served.desk.has_cancelled(1);
        is_served_still(served, desk);
        until("the answer that nobody waits for is counted", || {
            let calls = desk.client().stats().calls;
            (calls.held, calls.given_up, calls.late) == (0, 0, 1)
        });
    });
}

#[test]
fn deadline_1ms_on_sleeping_replier() {
    everywhere(|served, desk| {
        assert_eq!(desk.empty(), Ok(()), "there is a session");
        let before = Instant::now();
        let short = desk.with(Call::new().timeout(Duration::from_millis(1)));
        let error = short.hold().expect_err("the handler holds on");
        let took = before.elapsed();
        assert_eq!(error.code(), Code::DeadlineExceeded, "{error}");
        // It may not have got there in time.
        assert_ne!(error.ran(), Ran::Yes);
        assert!(took < PATIENCE / 2, "not by the default: {took:?}");
        if served.desk.begun() > 0 {
            served.desk.has_cancelled(1);
        }
        is_served_still(served, desk);
    });
}

#[test]
fn a_deadline_that_passes_in_the_servers_queue_is_answered_no() {
    let served = Served::at("tcp://127.0.0.1:*", |builder| builder.workers(1));
    let (first, second) = (served.client(), served.client());
    assert_eq!(second.empty(), Ok(()), "there is a session");
    let holding = first.begin().hold().expect("it begins");
    served.desk.has_begun(1);
    // Long enough that it is sent in time on a busy machine, too.
    let short = second.with(Call::new().timeout(Duration::from_secs(1)));
    let error = short.hold().expect_err("all workers are taken");
    assert_eq!(error.code(), Code::DeadlineExceeded, "{error}");
    // The replier's deadline is the caller's and the time on the way: the cancel comes first.
    until("the cancel has come", || served.server.stats().cancels == 1);
    served.desk.open();
    assert_eq!(holding.wait(), Ok(false));
    until("the late call is refused", || {
        let stats = served.server.stats();
        let refused = |why| stats.refused.get(why).copied().unwrap_or_default();
        refused("deadline") + refused("cancelled") == 1
    });
    assert_eq!(served.desk.begun(), 1, "it was not begun");
}

#[test]
fn deadline_met_just_in_time() {
    everywhere(|served, desk| {
        // Its time is still running after a while, on a busy machine, too.
        let patient = desk.with(Call::new().timeout(PATIENCE / 2));
        let mut pending = patient.begin().hold().expect("it begins");
        served.desk.has_begun(1);
        assert!(pending.wait_timeout(Duration::from_millis(100)).is_none());
        served.desk.open();
        assert_eq!(pending.wait(), Ok(false));
    });
}

#[test]
fn concurrent_large() {
    for endpoint in transports() {
        // Their answers are larger than they are: what may be in flight has to fit with its answers
        // into what the transport queues for a caller, 64 MiB.
        let served = Served::at(&endpoint, |builder| builder.window_max(128));
        let desk = served.client();
        let blob = Blob::from(vec![3; 271_828]);
        // Each asks for a little more, so that no answer can pass for another's.
        let pending: Vec<_> = (314_159..315_159)
            .map(|n| (n, desk.begin().large(blob.clone(), n).expect("it begins")))
            .collect();
        for (n, pending) in pending {
            assert_eq!(pending.wait().expect("a blob").len() as u64, n);
        }
        assert_eq!(served.server.stats().answered, 1000);
    }
}

#[test]
fn drain() {
    everywhere(|served, desk| {
        let pending = desk.begin().hold().expect("it begins");
        served.desk.has_begun(1);
        let report = std::thread::scope(|scope| {
            let stopping = scope.spawn(|| served.server.stop_within(PATIENCE));
            until("the client knows that its node leaves", || {
                node(desk.client(), &served.endpoint).last_error == "draining"
            });
            let error = desk.add(2, 3).expect_err("there is no other node");
            assert_eq!((error.code(), error.ran()), (Code::Unavailable, Ran::No));
            assert!(error.to_string().contains("draining"), "{error}");
            served.desk.open();
            assert_eq!(pending.wait(), Ok(false), "what runs is answered");
            stopping.join().expect("it ends")
        });
        assert!(report.is_clean(), "{report:?}");
        assert_eq!((report.told, report.unheard, report.finished), (1, 0, 1));
    });
}

#[test]
fn call_soak() {
    everywhere(|served, desk| {
        for n in 0..1000 {
            assert_eq!(desk.add(n, 1), Ok(n + 1));
        }
        is_served_still(served, desk);
        let report = node(desk.client(), &served.endpoint);
        assert_eq!(
            (report.answered, report.errors, report.in_flight),
            (1001, 0, 0)
        );
    });
}

#[test]
fn channel_soak() {
    everywhere(|served, _| {
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for n in 0..125 {
                        assert_eq!(served.client().add(n, 1), Ok(n + 1), "client {n}");
                    }
                });
            }
        });
        until(
            "all have gone but the client that is there throughout",
            || served.server.stats().callers == 1,
        );
        assert_eq!(served.server.stats().answered, 1000);
    });
}
