//! Help, man page, completions.

use std::process::{Command, Stdio};

use crate::support::{Folder, run, serve, until};

#[test]
fn help_has_every_form_and_examples_that_are_understood() {
    let help = run(&["--help"]).fine();
    for part in [
        "bl-call [OPTIONS] ENDPOINT list",
        "bl-call completions bash|zsh|fish",
        "--repeat <CALLS>",
        "are base64 in JSON, both ways",
        "Exit code:",
        "  3    unreachable",
    ] {
        assert!(help.contains(part), "{part}: {help}");
    }
    let examples = help
        .lines()
        .filter_map(|line| line.strip_prefix("  bl-call "));
    let mut count = 0;
    for example in examples.filter(|example| !example.starts_with("completions")) {
        count += 1;
        let arguments: Vec<&str> = example
            .split(' ')
            .map(|part| part.trim_matches('\''))
            .collect();
        // Taken for what they are, but for the one flag that nobody has.
        let left = run(&[&arguments[..], &["--nobody-has"]].concat());
        left.failed(2, &["'--nobody-has'"]);
    }
    assert!(count >= 8, "{help}");
    let version = run(&["--version"]).fine();
    assert_eq!(version, format!("bl-call {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn there_is_a_man_page() {
    let page = run(&["--man"]).fine();
    assert!(
        page.lines().any(|line| line.starts_with(".TH bl-call 1")),
        "{page}"
    );
    for part in [
        ".SH NAME",
        ".SH SYNOPSIS",
        ".SH OPTIONS",
        "Exit code:",
        "interrupted",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
    assert!(!page.contains("\\-\\-man"));
}

#[test]
fn completions_ask_the_server_for_its_names() {
    let (_server, at) = serve();
    let ask = |line: &str| {
        let out = run(&["complete", "--", &line.replace("AT", &at)]).fine();
        out.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    // It soon gives up, as somebody waits at the keyboard: where the machine is busy that may be
    // before the server has answered.
    let words = |line: &str| {
        let mut words = Vec::new();
        until(line, || {
            words = ask(line);
            !words.is_empty()
        });
        words
    };
    assert_eq!(words("bl-call AT calc.v1.ad"), ["calc.v1.add"]);
    assert_eq!(words("bl-call AT he"), ["health"]);
    assert_eq!(
        words("bl-call --timeout 5s AT describe calc.v1.wa"),
        ["calc.v1.wait"]
    );
    assert_eq!(words("bl-call AT health ca"), ["calc.v1"]);
    assert_eq!(words("bl-call AT calc.v1.add --par"), ["--parallel"]);
    until("the names beside the commands", || {
        ask("bl-call AT ").contains(&"calc.v1.add".to_owned())
    });
    assert_eq!(ask("bl-call AT calc.v1.add "), [""; 0]);
}

/// Whether the shell is there.
fn is_there(shell: &str) -> bool {
    let version = Command::new(shell)
        .arg("--version")
        .stdout(Stdio::null())
        .status();
    version.is_ok_and(|status| status.success())
}

#[test]
fn bash_completes_a_method() {
    let (_server, at) = serve();
    let folder = Folder::new();
    let script = run(&["completions", "bash"]).fine();
    let script = folder.file("bl-call.bash", script.as_bytes());
    if !is_there("bash") {
        eprintln!("bash is not there: its completions are not tried");
        return;
    }
    let line = format!("bl-call {at} calc.v1.ad");
    let program = env!("CARGO_BIN_EXE_bl-call");
    let test = format!(
        "source {script}; COMP_LINE='{line}'; COMP_POINT=${{#COMP_LINE}}; \
         COMP_WORDS=({program} x y); COMP_CWORD=2; _bl_call; echo \"${{COMPREPLY[@]}}\"; complete -p bl-call"
    );
    let mut left = (String::new(), String::new());
    // As above: it may give up before the server has answered.
    until("a word", || {
        let output = Command::new("bash").args(["--norc", "-c", &test]).output();
        let output = output.unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        left = (text(&output.stdout), text(&output.stderr));
        !left.0.starts_with('\n')
    });
    assert_eq!(
        left.0, "calc.v1.add\ncomplete -o default -F _bl_call bl-call\n",
        "{}",
        left.1
    );
}

#[test]
fn every_shell_has_a_script() {
    for (shell, part) in [
        ("bash", "complete -o default -F _bl_call bl-call"),
        ("zsh", "#compdef bl-call"),
        ("fish", "complete -c bl-call"),
    ] {
        let script = run(&["completions", shell]).fine();
        assert!(script.contains(part), "{script}");
        if is_there(shell) {
            let folder = Folder::new();
            let file = folder.file("script", script.as_bytes());
            let checked = Command::new(shell).args(["-n", &file]).status().unwrap();
            assert!(checked.success(), "{shell}");
        }
    }
}
