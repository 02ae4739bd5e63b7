//! What the file may say, and what is said of what it may not.

use super::*;
use std::time::Duration;

#[test]
fn every_key_is_read() {
    let given = parse(
        r#"
        # In front of the calculators.
        listen = ["tcp://*:7000", "ipc:///tmp/a, 7001"]
        control = "7002"
        name = "edge"
        policy = "round-robin"
        home = "eu/eu-1"
        by-priority = true
        hops-max = 2
        queue = 10
        bytes-max = "1MiB"
        blob-bytes-max = 4096
        window-max = 64
        linger = "30s"
        stats = "500ms"
        [[node]]
        endpoint = "tcp://10.0.0.1:7070"
        [[node]]
        endpoint = "tcp://10.0.0.2:7070"
        weight = 3
        priority = 1
        region = "eu"
        zone = "eu-1"
        latitude = 52.5
        longitude = 13
        "#,
    )
    .expect("it is right");
    assert_eq!(given.listen.map(|list| list.len()), Some(3));
    assert_eq!(given.control.map(|list| list.len()), Some(1));
    let second = Member::new("tcp://10.0.0.2:7070").weight(3).priority(1);
    let second = second.zone("eu", "eu-1").at(52.5, 13.0);
    let nodes = vec![Member::new("tcp://10.0.0.1:7070"), second];
    assert_eq!(given.nodes, Some(nodes));
    assert_eq!(given.linger, Some(Duration::from_secs(30)));
    assert_eq!(given.stats, Some(Duration::from_millis(500)));
    let plain = given.plain;
    assert_eq!(plain.name.as_deref(), Some("edge"));
    assert_eq!(plain.policy, "round-robin".parse().ok());
    assert_eq!(plain.home.as_deref(), Some("eu/eu-1"));
    assert_eq!((plain.by_priority, plain.hops_max), (Some(true), Some(2)));
    assert_eq!((plain.queue, plain.bytes_max), (Some(10), Some(1 << 20)));
    assert_eq!(
        (plain.blob_bytes_max, plain.window_max),
        (Some(4096), Some(64))
    );
    assert_eq!(parse("").expect("nothing"), Given::default());
}

#[test]
fn what_is_wrong_is_named_with_its_line_and_rule() {
    let node = "[[node]]\nendpoint = \"tcp://h:1\"\n";
    for (text, line, rule) in [
        (
            "listn = \"x\"".to_owned(),
            "line 1, `listn = \"x\"`",
            "unknown field",
        ),
        (
            "\nlisten = \"tcp://x\"".to_owned(),
            "line 2, `listen` is",
            "port is missing",
        ),
        (
            "listen = \">tcp://x:1\"".to_owned(),
            "line 1, `listen` is",
            "leave out the `>`",
        ),
        (
            "listen = []".to_owned(),
            "line 1, `listen` is []",
            "or a list of them",
        ),
        (
            "\n\nlinger = \"5 parsecs\"".to_owned(),
            "line 3, `linger` is",
            "such as 500ms",
        ),
        (
            "stats = \"1ms\"".to_owned(),
            "line 1, `stats` is",
            "100ms to 1h",
        ),
        (
            "queue = -1".to_owned(),
            "line 1, `queue` is -1",
            "it is 1 to 1000000",
        ),
        (
            "\nhops-max = 65".to_owned(),
            "line 2, `hops-max` is 65",
            "it is 1 to 64",
        ),
        (
            "window-max = 5000000000".to_owned(),
            "line 1, `window-max` is 5000000000",
            "it is 1 to 65536",
        ),
        (
            "bytes-max = \"1023B\"".to_owned(),
            "line 1, `bytes-max` is \"1023B\"",
            "it is 1KiB to 1TiB",
        ),
        (
            "blob-bytes-max = \"2TiB\"".to_owned(),
            "line 1, `blob-bytes-max` is \"2TiB\"",
            "it is 1B to 1TiB",
        ),
        (
            "linger = \"25h\"".to_owned(),
            "line 1, `linger` is \"25h\"",
            "it is 0s to 24h",
        ),
        (
            format!("\nname = \"{}\"", "n".repeat(256)),
            "line 2, `name` is",
            "it has 256 bytes, and at most 255",
        ),
        (
            format!("{node}weight = 1.5"),
            "line 3, `weight = 1.5`",
            "invalid type",
        ),
        (
            format!("{node}region = \"{}\"", "r".repeat(65)),
            "line 3, `region` is of 65 bytes",
            "1 to 64",
        ),
        (
            format!("{node}latitude = nan\nlongitude = 1"),
            "line 3, `latitude` is NaN",
            "-90 to 90",
        ),
        (
            "bytes-max = \"much\"".to_owned(),
            "line 1, `bytes-max`",
            "such as 64MiB",
        ),
        (
            "policy = \"best\"".to_owned(),
            "line 1, policy is best",
            "round-robin",
        ),
        (
            "linger 5s".to_owned(),
            "line 1, `linger 5s`",
            "the file is TOML",
        ),
        (
            format!("{node}weight = -3"),
            "line 3, `weight` is -3",
            "0 to 1000",
        ),
        (
            format!("{node}weight = 1001"),
            "line 3, `weight` is 1001",
            "0 to 1000",
        ),
        (
            format!("{node}weight = \"3\""),
            "line 3, `weight = \"3\"`",
            "invalid type",
        ),
        (
            format!("{node}priority = 256"),
            "line 3, `priority` is 256",
            "0 to 255",
        ),
        (
            format!("{node}zone = \"a\""),
            "line 3, `zone` is \"a\"",
            "of a region",
        ),
        (
            format!("{node}region = \"\""),
            "line 3, `region` is of 0 bytes",
            "1 to 64",
        ),
        (
            format!("{node}latitude = 91"),
            "line 3, `latitude` is 91",
            "-90 to 90",
        ),
        (
            format!("{node}latitude = 9"),
            "line 2, `endpoint`",
            "go together",
        ),
        (
            format!("{node}wieght = 3"),
            "line 3, `wieght = 3`",
            "unknown field",
        ),
        (
            "[[node]]\nweight = 3".to_owned(),
            "line 1, `[[node]]`",
            "missing field",
        ),
        (
            format!("{node}{node}"),
            "line 4, `endpoint` is \"tcp://h:1\"",
            "once",
        ),
        (
            "[[node]]\nendpoint = \"nowhere\"".to_owned(),
            "line 2, `endpoint` is \"nowhere\"",
            "such as \"tcp://10",
        ),
    ] {
        let error = parse(&text).expect_err(&text);
        assert!(
            error.contains(line) && error.contains(rule),
            "{text}: {error}"
        );
    }
}

#[test]
fn the_file_of_the_documentation_is_read() {
    let page = include_str!("../../docs/PROXIES.md");
    let file = page.split("```toml\n").nth(1);
    let file = file.and_then(|rest| rest.split("```").next());
    let given = parse(file.expect("there is one")).expect("it is right");
    let policy = "peak-ewma,choices=3,slow-start=10s,by-place=eu/eu-1";
    assert_eq!(given.plain.policy, policy.parse().ok());
    assert_eq!(given.nodes.map(|nodes| nodes.len()), Some(2));
}
