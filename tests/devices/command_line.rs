//! Flags, files, help and man pages of the device programs.

use brokerless::patterns::{Rep, Req};

use crate::support::{ANY, Device, File, PATIENCE, PROGRAMS, numbers, outcome};

#[test]
fn bad_input_is_named_with_the_rule_and_the_way_out() {
    let unknown = File::new("frontend = \"*\"\nbackend = \"*\"\nretries = 3");
    let no_endpoint = File::new("frontend = \"tcp://x\"\nbackend = \"*\"");
    for (name, _) in PROGRAMS {
        for (arguments, value, way_out) in [
            (&[][..], "the frontend", "such as tcp://127.0.0.1:5559"),
            (&["--frontend", "*"], "the backend", "--backend"),
            (&["--frontend", "tcp://x"], "tcp://x", "tcp://x:5555"),
            (
                &["--frontend", "*", "--backend", "carrier://pigeon"],
                "carrier",
                "use tcp, ipc",
            ),
            (
                &["--backend", ">tcp://*:5559"],
                ">tcp://*:5559",
                "`>` connects",
            ),
            (
                &["--linger", "5 parsecs"],
                "5 parsecs",
                "such as 500ms or 5s",
            ),
            (&["--stats", "1ms"], "1ms", "100ms to 1h"),
            (&["--queue-messages", "0"], "0", "1 to 10000000"),
            (&["--queue-bytes", "much"], "much", "such as 64MiB"),
            (
                &["--config", "/nowhere.toml"],
                "/nowhere.toml",
                "give --config a file",
            ),
            (
                &["--config", unknown.path()],
                "`retries` is 3",
                "there are frontend",
            ),
            (
                &["--config", no_endpoint.path()],
                "`frontend` is \"tcp://x\"",
                "write tcp://x:5555",
            ),
            (
                &["--frontend", "*", "--backend", "*", "--queue-bytes", "9"],
                "'9' for '--queue-bytes <SIZE>'",
                "1KiB to 1TiB",
            ),
            (
                &["--frontend", "7,8,7", "--backend", "*"],
                "7` twice",
                "give it once",
            ),
        ] {
            let (code, stdout, stderr) = outcome(name, arguments);
            assert_eq!((code, &*stdout), (2, ""), "{arguments:?}: {stderr}");
            assert!(stderr.starts_with("error: "), "{stderr}");
            assert!(
                stderr.contains(value) && stderr.contains(way_out),
                "{stderr}"
            );
        }
        let (_, _, stderr) = outcome(name, &["--config", unknown.path()]);
        assert!(stderr.contains(unknown.path()), "{stderr}");
    }
}

#[test]
fn an_address_in_use_is_an_error_on_the_way() {
    let taken = Rep::bind(ANY).unwrap();
    let taken = taken.local_endpoints()[0].to_string();
    for (name, _) in PROGRAMS {
        let (code, stdout, stderr) = outcome(name, &["--frontend", ANY, "--backend", &taken]);
        assert_eq!((code, &*stdout), (1, ""), "{stderr}");
        assert!(stderr.contains(&taken), "{stderr}");
    }
}

#[test]
fn flags_outrank_the_file() {
    let file = File::new("frontend = \"@ipc://*\"\nbackend = \"*\"\nstats = \"1h\"");
    let arguments = [
        "--config",
        file.path(),
        "--frontend",
        ANY,
        "--stats",
        "100ms",
    ];
    let device = Device::start("bl-queue", &arguments);
    assert!(device.endpoint("frontend").starts_with("tcp://"));
    assert_eq!(device.all("frontend").len(), 1);
    device.line("stats");
    device.line("stats");
}

#[test]
fn a_line_of_statistics_has_what_moved_and_how_fast() {
    let arguments = ["--frontend", ANY, "--backend", ANY, "--stats", "100ms"];
    let device = Device::start("bl-queue", &arguments);
    let worker = Rep::connect(device.endpoint("backend")).unwrap();
    let client = Req::connect(device.endpoint("frontend")).unwrap();
    client.send("x").unwrap();
    worker.recv_timeout(PATIENCE).unwrap();
    worker.send("y").unwrap();
    client.recv_timeout(PATIENCE).unwrap();
    let line = loop {
        let line = device.line("stats state=running ");
        if numbers(&line)["from_backend"] == 1 {
            break line;
        }
    };
    let numbers = numbers(&line);
    assert_eq!(numbers["from_frontend"], 1);
    assert!(numbers["from_frontend_bytes"] >= 1);
    assert_eq!(
        (numbers["frontend_peers"], numbers["backend_peers"]),
        (1, 1)
    );
    assert_eq!((numbers["queued"], numbers["dropped"]), (0, 0));
    assert!(line.contains(" from_backend_rate=") && line.contains(" from_backend_byte_rate="));
}

#[test]
fn help_has_every_flag_and_examples_that_are_understood() {
    for (name, _) in PROGRAMS {
        let (code, help, _) = outcome(name, &["--help"]);
        assert_eq!(code, 0);
        for part in [
            "--frontend <EP>",
            "--linger <TIME>",
            "both sides bind",
            "Examples:",
            "130",
        ] {
            assert!(help.contains(part), "{part}: {help}");
        }
        let mut examples = 0;
        for line in help
            .lines()
            .filter_map(|line| line.trim().strip_prefix(name))
        {
            if !line.starts_with(" --") {
                continue;
            }
            examples += 1;
            // Taken for what they are, but for the one flag that nobody has.
            let arguments = line.split(' ').filter(|part| !part.is_empty());
            let arguments: Vec<&str> = arguments.map(|part| part.trim_matches('\'')).collect();
            let (code, _, stderr) = outcome(name, &[&arguments[..], &["--nobody-has"]].concat());
            assert_eq!(code, 2);
            assert!(stderr.contains("'--nobody-has'"), "{line}: {stderr}");
        }
        assert!(examples >= 3, "{help}");
        let (code, version, _) = outcome(name, &["--version"]);
        assert_eq!(
            (code, version),
            (0, format!("{name} {}\n", env!("CARGO_PKG_VERSION")))
        );
    }
}

#[test]
fn every_program_has_a_man_page() {
    for (name, _) in PROGRAMS {
        let (code, page, stderr) = outcome(name, &["--man"]);
        assert_eq!(code, 0, "{stderr}");
        let title = format!(".TH {name} 1");
        assert!(page.lines().any(|line| line.starts_with(&title)), "{page}");
        for part in [
            ".SH NAME",
            ".SH SYNOPSIS",
            ".SH OPTIONS",
            "frontend",
            "Examples:",
        ] {
            assert!(page.contains(part), "{part}: {page}");
        }
        assert!(!page.contains("\\-\\-man"));
    }
}
