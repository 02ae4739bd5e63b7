//! `bl-proxy` as a user runs it.

use std::sync::atomic::{AtomicBool, Ordering};

use brokerless::builtin::{Condition, HealthCheckClient};
use brokerless::patterns::Req;
use brokerless::service::Context;
use brokerless::{Client, Server};
use rustix::process::Signal;
use serde_json::Value;

use crate::support::{ANY, Device, File, PATIENCE, asks, numbers, outcome, until};

#[brokerless::service(name = "shop.v1")]
trait Shop {
    #[rpc(inline)]
    fn add(&self, x: i64, y: i64) -> i64;
    /// Ends once it is cancelled.
    fn hold(&self, ctx: &Context<'_>) -> bool;
}

#[derive(Default)]
struct Handler {
    holds: AtomicBool,
}

impl Shop for Handler {
    fn add(&self, x: i64, y: i64) -> i64 {
        x + y
    }

    fn hold(&self, ctx: &Context<'_>) -> bool {
        self.holds.store(true, Ordering::SeqCst);
        let end = std::time::Instant::now() + PATIENCE;
        while !ctx.is_cancelled() && std::time::Instant::now() < end {
            std::thread::yield_now();
        }
        true
    }
}

fn node() -> (Server, String) {
    let server = Server::builder().service(ShopServer::new(Handler::default()));
    let server = server.bind(ANY).unwrap();
    let endpoint = server.local_endpoints()[0].to_string();
    (server, endpoint)
}

fn shop(proxy: &Device) -> ShopClient {
    let client = Client::builder().timeout(PATIENCE);
    ShopClient::from(client.connect(proxy.endpoint("listen")).unwrap())
}

fn stats(control: &Req) -> Value {
    serde_json::from_str(&asks(control, "STATISTICS")).unwrap()
}

#[test]
fn calls_pass_and_are_counted() {
    let (_server, node) = node();
    let proxy = Device::start(
        "bl-proxy",
        &[
            "--listen",
            ANY,
            "--node",
            &format!("{node}=3"),
            "--control",
            ANY,
            "--name",
            "edge",
        ],
    );
    let shop = shop(&proxy);
    for n in 0..10 {
        assert_eq!(shop.add(n, 1), Ok(n + 1));
    }
    let control = Req::connect(proxy.endpoint("control")).unwrap();
    let stats = stats(&control);
    assert_eq!(
        (&stats["name"], &stats["state"]),
        (&"edge".into(), &"running".into())
    );
    assert_eq!(
        (&stats["passed"], &stats["answered"]),
        (&10.into(), &10.into())
    );
    let of_node = &stats["nodes"][0];
    assert_eq!(
        (&of_node["endpoint"], &of_node["state"]),
        (&node.into(), &"up".into())
    );
    assert_eq!(
        (&of_node["weight"], &of_node["sent"]),
        (&3.into(), &10.into())
    );
    for key in [
        "credit_calls",
        "in_flight",
        "errors",
        "latency_us",
        "lost",
        "round_trip_us",
    ] {
        assert!(of_node[key].is_u64(), "{key}: {of_node}");
    }
    assert!(asks(&control, "HALT").contains("STATISTICS, TERMINATE"));
    assert!(asks(&control, "RELOAD").starts_with("ERROR there is no configuration file"));
    assert_eq!(asks(&control, "TERMINATE"), "OK");
    let (code, lines) = proxy.end();
    assert_eq!(code, 0);
    assert!(
        lines[0].starts_with("passed 10 answered=10 errors=0"),
        "{lines:?}"
    );
    assert_eq!(numbers(&lines[1])["running"], 0);
}

#[test]
fn the_file_is_read_again_when_it_changes_and_when_it_is_told() {
    let ((one, first), (two, second)) = (node(), node());
    let head = format!("listen = \"{ANY}\"\ncontrol = \"{ANY}\"\npolicy = \"weighted\"\n");
    let with = |node: &str, more: &str| format!("{head}{more}[[node]]\nendpoint = \"{node}\"\n");
    let file = File::new(&with(&first, ""));
    let proxy = Device::start("bl-proxy", &["--config", file.path()]);
    let control = Req::connect(proxy.endpoint("control")).unwrap();
    let shop = shop(&proxy);
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let calls = scope.spawn(|| {
            let mut n = 0;
            while !over.load(Ordering::SeqCst) {
                assert_eq!(shop.add(n, 1), Ok(n + 1));
                n += 1;
            }
        });
        until("the first is called", || one.stats().answered > 10);
        // By itself.
        file.write(&(with(&first, "") + &format!("[[node]]\nendpoint = \"{second}\"\nweight = 5")));
        assert_eq!(proxy.line("added"), format!("added {second} weight=5"));
        until("the second is called", || two.stats().answered > 10);
        // And as it is told: which may come first.
        file.write(&with(&second, "stats = \"100ms\"\n"));
        let answer = asks(&control, "RELOAD");
        assert!(answer.starts_with("OK"), "{answer}");
        assert_eq!(proxy.line("removed"), format!("removed {first}"));
        assert!(numbers(&proxy.line("stats"))["passed"] > 20);
        until("the first is parted from", || one.stats().callers == 0);
        over.store(true, Ordering::SeqCst);
        calls.join().unwrap();
    });
}

#[test]
fn a_policy_has_its_options_from_the_file_or_a_flag() {
    let [(near, first), (far, second)] = [node(), node()];
    let file = File::new(&format!(
        "listen = \"{ANY}\"\n[policy]\nname = \"least-in-flight\"\nchoices = 3\nslow-start = 0\n\
         by-distance = \"52.5/13.4\"\n\
         [[node]]\nendpoint = \"{first}\"\nlatitude = 50.1\nlongitude = 8.7\n\
         [[node]]\nendpoint = \"{second}\"\nlatitude = 40.7\nlongitude = -74.0\n"
    ));
    let calls = |arguments: &[&str]| {
        let proxy = Device::start("bl-proxy", arguments);
        let shop = shop(&proxy);
        // Both have to be there before it says anything which is called.
        until("both are reached", || {
            let peers = [&near, &far].map(|node| node.stats().callers);
            peers == [1, 1]
        });
        let before = [&near, &far].map(|node| node.stats().answered);
        (0..20).for_each(|n| assert_eq!(shop.add(n, 1), Ok(n + 1)));
        let after = [&near, &far].map(|node| node.stats().answered);
        proxy.signal(Signal::TERM);
        assert_eq!(proxy.end().0, 0);
        until("both are left", || {
            [&near, &far].map(|node| node.stats().callers) == [0, 0]
        });
        [after[0] - before[0], after[1] - before[1]]
    };
    assert_eq!(calls(&["--config", file.path()]), [20, 0]);
    // From New York, as the flag says, which outranks the file.
    let here = "least-in-flight,slow-start=0s,by-distance=40.7/-74";
    let arguments = ["--config", file.path(), "--policy", here];
    assert_eq!(calls(&arguments), [0, 20]);
}

#[test]
fn a_file_that_leaves_nobody_at_home_is_refused() {
    let [(near, first), (_far, second)] = [node(), node()];
    let with = |zone: &str, weight: u32| {
        format!(
            "listen = \"{ANY}\"\ncontrol = \"{ANY}\"\nhome = \"eu/eu-1\"\n\
             [[node]]\nendpoint = \"{first}\"\nregion = \"eu\"\nzone = \"{zone}\"\nweight = {weight}\n\
             [[node]]\nendpoint = \"{second}\"\nregion = \"eu\"\nzone = \"eu-2\"\n"
        )
    };
    let file = File::new(&with("eu-1", 1));
    let proxy = Device::start("bl-proxy", &["--config", file.path()]);
    let control = Req::connect(proxy.endpoint("control")).unwrap();
    file.write(&with("eu-l", 1));
    let answer = asks(&control, "RELOAD");
    let rule = "zone is eu-1: no node is there; there are eu/eu-2, eu/eu-l";
    assert!(answer.starts_with("ERROR "), "{answer}");
    for part in [rule, file.path(), "weight = 0"] {
        assert!(answer.contains(part), "{answer}");
    }
    // It is not even started with.
    let (code, _, error) = outcome("bl-proxy", &["--config", file.path()]);
    assert!(code == 2 && error.contains(rule), "{error}");
    let shop = shop(&proxy);
    until("calls stay at home", || {
        let before = near.stats().answered;
        assert_eq!(shop.add(2, 3), Ok(5));
        near.stats().answered > before
    });
    // The way out.
    file.write(&with("eu-1", 0));
    let answer = asks(&control, "RELOAD");
    assert!(answer.starts_with("OK"), "{answer}");
    assert_eq!(shop.add(2, 3), Ok(5));
}

#[test]
fn a_bad_file_is_refused_as_a_whole() {
    let (_server, node) = node();
    let head = format!("listen = \"{ANY}\"\ncontrol = \"{ANY}\"\n");
    let bad = format!("{head}[policy]\nslow-start = \"2h\"\n[[node]]\nendpoint = \"{node}\"\n");
    let good = format!("{head}[[node]]\nendpoint = \"{node}\"\n");
    let file = File::new(&good);
    let proxy = Device::start("bl-proxy", &["--config", file.path()]);
    let control = Req::connect(proxy.endpoint("control")).unwrap();
    let shop = shop(&proxy);
    assert_eq!(shop.add(2, 3), Ok(5));
    for (text, names) in [
        (
            format!("{good}weight = -3\n"),
            "line 5, `weight` is -3: it is 0 to 1000",
        ),
        (format!("{good}[[node]]\n"), "missing field"),
        (head.clone(), "there is no node"),
        (
            format!("queue = 7\n{good}"),
            "only nodes, linger and stats change",
        ),
        ("listen".to_owned(), "line 1, `listen`"),
        (bad, "line 4, slow-start is 2h: from 0s to 1h"),
    ] {
        file.write(&text);
        let answer = asks(&control, "RELOAD");
        assert!(
            answer.starts_with("ERROR ") && answer.contains(names),
            "{answer}"
        );
        if !names.starts_with("there") && !names.starts_with("only") {
            assert!(answer.contains(file.path()), "{answer}");
        }
        assert_eq!(stats(&control)["nodes"][0]["weight"], 1);
        assert_eq!(shop.add(2, 3), Ok(5));
    }
    // It is said on standard output, too, when nobody has asked.
    file.write(&format!("{good}weight = 2000\n"));
    // One of the others may have been looked at on its way.
    let refused = loop {
        let line = proxy.line("refused");
        if line.contains("2000") {
            break line;
        }
    };
    assert!(refused.contains("line"), "{refused}");
    file.write(&format!("{good}weight = 7\n"));
    assert_eq!(proxy.line("changed"), format!("changed {node} weight=7"));
}

#[test]
fn what_cannot_be_is_said_before_anything_runs() {
    for (arguments, names) in [
        (&["--listen", ANY][..], "there is no node"),
        (
            &["--node", "tcp://127.0.0.1:1"],
            "there is no endpoint to listen at",
        ),
        (&["--listen", ANY, "--node", "nowhere"], "nowhere"),
        (
            &["--listen", ANY, "--node", "tcp://h:1", "--policy", "best"],
            "round-robin",
        ),
        (
            &[
                "--listen",
                ANY,
                "--node",
                "tcp://h:1",
                "--policy",
                "random,decay=1s",
            ],
            "decay is 1s: `random` has no such option; peak-ewma has it",
        ),
        (
            &[
                "--listen",
                ANY,
                "--node",
                "tcp://h:1",
                "--home",
                "eu",
                "--policy",
                "random,by-place=us",
            ],
            "home is eu: the policy says by-place already",
        ),
        (
            &["--listen", ANY, "--node", "tcp://h:1", "--hops-max", "65"],
            "'65' for '--hops-max <COUNT>': it is 1 to 64",
        ),
        (
            &["--queue", "5000000000"],
            "'5000000000' for '--queue <COUNT>': it is 1 to 1000000",
        ),
        (
            &["--listen", ANY, "--node", "tcp://h:1,tcp://h:1"],
            "each endpoint once",
        ),
        (&["--config", "/nowhere.toml"], "/nowhere.toml"),
    ] {
        let (code, out, error) = outcome("bl-proxy", arguments);
        assert_eq!((code, &*out), (2, ""), "{arguments:?}: {error}");
        assert!(error.contains(names), "{arguments:?}: {error}");
    }
    let (code, help, _) = outcome("bl-proxy", &["--help"]);
    assert!(code == 0 && help.contains("RELOAD"), "{help}");
    assert!(
        [
            "hot-cold",
            "weight-expiry",
            "by-round-trip",
            "10us to 1s",
            "1KiB to 1TiB",
            "1 to 65536"
        ]
        .iter()
        .all(|word| help.contains(word)),
        "{help}"
    );
    let (code, page, _) = outcome("bl-proxy", &["--man"]);
    assert!(code == 0 && page.starts_with(".ie"), "{page}");
    assert!(page.contains("overprovision"), "{page}");
}

#[test]
fn bl_call_works_through_it() {
    let (_server, node) = node();
    let proxy = Device::start("bl-proxy", &["--listen", ANY, "--node", &node]);
    let calls = |arguments: &[&str]| {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_bl-call"))
            .arg(proxy.endpoint("listen"))
            .args(arguments)
            .output()
            .unwrap();
        let out = String::from_utf8(output.stdout).unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{arguments:?}: {out}{error}");
        out
    };
    let services = calls(&["list"]);
    assert!(services.contains("shop.v1"), "{services}");
    assert!(services.contains("brokerless.stats.v1"), "{services}");
    let about = calls(&["describe", "shop.v1.add"]);
    assert!(about.contains("x") && about.contains("i64"), "{about}");
    assert_eq!(calls(&["shop.v1.add", "2", "3"]).trim(), "5");
    assert!(calls(&["brokerless.health.v1.check", ""]).contains("serving"));
    assert!(calls(&["brokerless.stats.v1.snapshot"]).contains("answered"));
}

#[test]
fn a_pause_keeps_calls_until_it_is_over() {
    let (server, node) = node();
    let arguments = ["--listen", ANY, "--node", &node, "--control", ANY];
    let proxy = Device::start("bl-proxy", &arguments);
    let control = Req::connect(proxy.endpoint("control")).unwrap();
    let shop = shop(&proxy);
    assert_eq!(shop.add(2, 3), Ok(5));
    assert_eq!(asks(&control, "PAUSE"), "OK");
    let kept = shop.begin().add(3, 4).unwrap();
    until("it is kept", || stats(&control)["kept"] == 1);
    let health = HealthCheckClient::connect(proxy.endpoint("listen")).unwrap();
    assert_eq!(health.check(""), Ok(Condition::Serving));
    assert_eq!(server.stats().answered, 1);
    assert_eq!(asks(&control, "RESUME"), "OK");
    assert_eq!(kept.wait(), Ok(7));
}

#[test]
fn a_signal_drains_for_the_linger_time_at_most_and_a_second_ends_at_once() {
    let (_server, node) = node();
    let arguments = ["--listen", ANY, "--node", &node, "--linger", "300ms"];
    let proxy = Device::start("bl-proxy", &arguments);
    let held = shop(&proxy).begin().hold().unwrap();
    until("it is called", || _server.stats().in_flight == 1);
    proxy.signal(Signal::TERM);
    let (code, lines) = proxy.end();
    assert_eq!(code, 0, "{lines:?}");
    assert!(
        (300..20_000).contains(&numbers(&lines[1])["took_ms"]),
        "{lines:?}"
    );
    assert!(held.wait().is_err());

    let arguments = ["--listen", ANY, "--node", &node, "--linger", "1h"];
    let proxy = Device::start("bl-proxy", &arguments);
    let _held = shop(&proxy).begin().hold().unwrap();
    until("it is called", || _server.stats().in_flight == 1);
    proxy.signal(Signal::TERM);
    let listens = proxy
        .endpoint("listen")
        .trim_start_matches("tcp://")
        .to_owned();
    until("it does not listen any more", || {
        std::net::TcpStream::connect(&listens).is_err()
    });
    proxy.signal(Signal::INT);
    assert_eq!(proxy.end().0, 130);
}
