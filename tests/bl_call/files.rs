//! Bytes and blobs from files, from standard input, and to files.

use crate::support::{Folder, run, run_with, serve};

#[test]
fn blobs_come_from_files_and_in_several_spellings() {
    let (_server, at) = serve();
    let folder = Folder::new();
    let bytes: Vec<u8> = (0..=255).cycle().take(1 << 20).collect();
    let sum: u64 = bytes.iter().map(|byte| u64::from(*byte)).sum();
    let file = folder.file("data.bin", &bytes);
    for given in [format!("@{file}"), format!("data=@{file}")] {
        let line = [&*at, "calc.v1.store", "zeros", &given];
        assert_eq!(run(&line).fine(), format!("{sum}\n"));
    }
    let object = format!("{{\"name\":\"x\",\"data\":\"@{file}\"}}");
    let out = run(&[&at, "calc.v1.store", &object]).fine();
    assert_eq!(out, format!("{sum}\n"));
    let out = run_with(&[&at, "calc.v1.store", "x", "@-"], &bytes).fine();
    assert_eq!(out, format!("{sum}\n"));
    for given in [
        "AQID",
        "hex:010203",
        "text:\u{1}\u{2}\u{3}",
        "[1,2,3]",
        "base64:AQID",
    ] {
        let out = run(&[&at, "calc.v1.store", "x", given]).fine();
        assert_eq!(out, "6\n", "{given}");
    }
}

#[test]
fn text_and_json_come_from_files_too() {
    let (_server, at) = serve();
    let folder = Folder::new();
    let text = folder.file("a.txt", "gr\u{fc}n".as_bytes());
    let out = run(&[&at, "brokerless.echo.v1.text", &format!("@{text}")]).fine();
    assert_eq!(out, "\"gr\u{fc}n\"\n");
    let out = run(&[&at, "brokerless.echo.v1.text", "\"@a\""]).fine();
    assert_eq!(out, "\"@a\"\n");
    let list = folder.file("list.json", b"[1, 2, 3]\n");
    let out = run(&[&at, "calc.v1.sum", &format!("@{list}"), "{}"]).fine();
    assert_eq!(out, "6\n");
    let all = folder.file("all.json", br#"{"x": 1, "y": 2}"#);
    let out = run(&[&at, "calc.v1.add", "--data", &format!("@{all}")]).fine();
    assert_eq!(out, "3\n");
}

#[test]
fn an_answer_goes_to_a_file_as_it_is() {
    let (_server, at) = serve();
    let folder = Folder::new();
    let file = folder.path("out");
    let run_to = |file: &str, line: &[&str]| {
        let line = [&[&*at], line, &["--output", file]].concat();
        run(&line)
    };
    assert_eq!(run_to(&file, &["calc.v1.load", "1000000"]).fine(), "");
    assert_eq!(folder.read("out"), vec![7; 1_000_000]);
    assert_eq!(run_to(&file, &["calc.v1.reverse", "text:abc"]).fine(), "");
    assert_eq!(folder.read("out"), b"cba");
    assert_eq!(run_to(&file, &["calc.v1.find", "aba", "a"]).fine(), "");
    assert_eq!(folder.read("out"), b"[0,2]\n");
    let blobs = r#"["text:one","text:two"]"#;
    assert_eq!(run_to(&file, &["calc.v1.parts", blobs]).fine(), "");
    assert_eq!(
        (folder.read("out.1"), folder.read("out.2")),
        (b"two".to_vec(), b"one".to_vec())
    );
    assert_eq!(
        run_to("-", &["calc.v1.load", "3"]).fine(),
        "\u{7}\u{7}\u{7}"
    );
    let out = run(&[&at, "calc.v1.load", "3"]).fine();
    assert_eq!(out, "\"BwcH\"\n");
    assert_eq!(run(&[&at, "calc.v1.load", "0"]).fine(), "null\n");
    let out = run(&[&at, "calc.v1.parts", blobs]).fine();
    assert_eq!(out, "[\"dHdv\",\"b25l\"]\n");
}

#[test]
fn a_file_that_cannot_be_is_told_before_anything_is_called() {
    let (server, at) = serve();
    let folder = Folder::new();
    for (line, what) in [
        (
            &["calc.v1.load", "3", "-o", "/nowhere/at/all"][..],
            "there is no such folder",
        ),
        (&["calc.v1.load", "3", "-o", "/"], "it is a folder"),
        (
            &["calc.v1.store", "x", "@/nowhere/at/all"],
            "cannot read /nowhere/at/all: No such file",
        ),
        (&["calc.v1.store", "x", "@"], "no file is named"),
        (
            &["calc.v1.store", "x", "hello!"],
            "write @FILE, @- for standard input, base64",
        ),
        (
            &["calc.v1.store", "@-", "@-"],
            "standard input is read once",
        ),
        (&["calc.v1.add", "-d", "@/nowhere"], "cannot read /nowhere"),
    ] {
        run(&[&[&*at], line].concat()).failed(2, &["error: ", what]);
    }
    let kept = folder.file("kept", b"as it was");
    run(&[&at, "calc.v1.tenant", "-o", &kept]).failed(1, &["whose is it?"]);
    assert_eq!(folder.read("kept"), b"as it was");
    let stats = server.stats();
    let called = |path: &str| {
        stats
            .methods
            .iter()
            .any(|of| of.path == path && of.calls > 0)
    };
    assert!(!called("calc.v1.load") && !called("calc.v1.store"));
}
