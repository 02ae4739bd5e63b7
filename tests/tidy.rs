//! The style of the house, checked: what a reviewer would otherwise have to look for.
//!
//! Each rule is a function from the repository's files to the faults in them. Each is tested
//! twice: it finds nothing here, and it finds what is planted.
//!
//! | file | what |
//! |---|---|
//! | `tidy/source.rs` | the files, and enough of Rust's grammar |
//! | `tidy/rules.rs` | rules about code and manifests |
//! | `tidy/words.rs` | rules about prose |
//!
//! # Not here
//!
//! What rustfmt, clippy and rustdoc find: `make check` runs them beside this.

#[path = "tidy/rules.rs"]
mod rules;
#[path = "tidy/source.rs"]
mod source;
#[path = "tidy/words.rs"]
mod words;

use source::{Source, Tree};

/// A file that a rule does not hold for, and why: rule, path, reason. One that is no longer
/// needed is a fault, too.
const EXCEPTIONS: &[(&str, &str, &str)] = &[
    (
        "sleeps",
        "bench/src/harness/neighbours.rs",
        "the stretch of time is what is measured: there is nothing to wait for",
    ),
    (
        "sleeps",
        "patterns/tests/hostile/support/canary.rs",
        "a canary naps, and finds out by how much it overslept",
    ),
    (
        "unsafe_code",
        "macros/tests/refused/promises.rs",
        "what the attribute of a service refuses: it is never compiled",
    ),
];

/// Something that is against a rule.
#[derive(Debug)]
struct Fault {
    path: String,
    line: usize,
    what: String,
}

impl Fault {
    fn at(file: &Source, offset: usize, what: impl Into<String>) -> Self {
        Self::on(file, file.line(offset), what)
    }

    fn on(file: &Source, line: usize, what: impl Into<String>) -> Self {
        Fault {
            path: file.path.clone(),
            line,
            what: what.into(),
        }
    }
}

type Rule = fn(&Tree) -> Vec<Fault>;

/// Every rule, with the name that its exceptions go by.
const RULES: &[(&str, Rule)] = &[
    ("lengths", rules::lengths),
    ("headers", rules::headers),
    ("unsafe_code", rules::unsafe_code),
    ("pure_rooms", rules::pure_rooms),
    ("direction", rules::direction),
    ("leftovers", rules::leftovers),
    ("sleeps", rules::sleeps),
    ("unwraps", rules::unwraps),
    ("dependencies", rules::dependencies),
    ("binaries", rules::binaries),
    ("defaults", rules::defaults),
    ("invariants", rules::invariants),
    ("of_the_way", words::of_the_way),
    ("pointers", words::pointers),
    ("targets_explained", words::targets_explained),
];

/// The faults left after the exceptions, and the exceptions that were not needed.
fn left(name: &str, faults: Vec<Fault>, exceptions: &[(&str, &str, &str)]) -> Vec<String> {
    let excepted = |path: &str| {
        let mut exceptions = exceptions.iter();
        exceptions.any(|(rule, place, _)| *rule == name && *place == path)
    };
    let mut left: Vec<String> = faults
        .iter()
        .filter(|fault| !excepted(&fault.path))
        .map(|fault| format!("{}:{}: {}", fault.path, fault.line, fault.what))
        .collect();
    for (rule, path, reason) in exceptions {
        if *rule == name && !faults.iter().any(|fault| fault.path == *path) {
            left.push(format!("{path}: needs no exception any more ({reason})"));
        }
    }
    left
}

#[test]
fn the_repository_is_tidy() {
    let tree = Tree::load();
    let mut report = Vec::new();
    for (name, rule) in RULES {
        let found = left(name, rule(&tree), EXCEPTIONS);
        report.extend(found.into_iter().map(|fault| format!("{name}: {fault}")));
    }
    let count = report.len();
    assert!(report.is_empty(), "{count} faults\n{}", report.join("\n"));
}

#[test]
fn an_exception_holds_for_its_file_and_rule_only_and_not_for_ever() {
    let tree = Tree::of(&[("a.rs", "fn a() {}"), ("b.rs", "fn b() {}")]);
    let exceptions = [("headers", "a.rs", "why")];
    assert_eq!(left("headers", rules::headers(&tree), &exceptions).len(), 1);
    assert_eq!(left("headers", Vec::new(), &exceptions).len(), 1);
    assert_eq!(left("lengths", Vec::new(), &exceptions).len(), 0);
}

/// What a rule finds in these files: path, line and what it says.
fn found(rule: Rule, files: &[(&str, &str)]) -> Vec<String> {
    left("", rule(&Tree::of(files)), &[])
}

/// The rule finds what is planted in each of these files, and nothing in the others.
#[track_caller]
fn plant(rule: Rule, bad: &[(&str, &str)], good: &[(&str, &str)]) {
    for file in bad {
        assert!(!found(rule, &[*file]).is_empty(), "not seen: {file:?}");
    }
    for file in good {
        assert_eq!(found(rule, &[*file]), [""; 0], "seen in: {file:?}");
    }
}

#[test]
fn a_long_file_is_found() {
    let (long, short) = ("//\n".repeat(801), "//\n".repeat(800));
    plant(
        rules::lengths,
        &[("a.rs", &long)],
        &[("a.rs", &short), ("a.md", &long)],
    );
}

#[test]
fn a_file_without_a_header_is_found() {
    plant(
        rules::headers,
        &[
            ("a.rs", "use b;\n"),
            ("a.rs", "//!\n"),
            ("a.rs", "/// A.\nfn a() {}\n"),
            ("a.rs", ""),
        ],
        &[
            ("a.rs", "//! A.\n"),
            ("a.rs", "#![no_main]\n\n//! A.\n"),
            ("a.py", ""),
        ],
    );
}

#[test]
fn unsafe_outside_of_its_fence_or_without_a_reason_is_found() {
    let fence = "patterns/src/engine/poller/kqueue.rs";
    plant(
        rules::unsafe_code,
        &[
            ("src/a.rs", "fn a() { unsafe { b() } }"),
            ("src/a.rs", "#![allow(unsafe_code)]"),
            ("tests/a.rs", "unsafe impl A for B {}"),
            (fence, "fn a() {\n    unsafe { b() }\n}"),
        ],
        &[
            (
                fence,
                "fn a() {\n    // SAFETY: `b` has no duties.\n    unsafe { b() }\n}",
            ),
            (
                "src/a.rs",
                "// unsafe\nfn a() { b(\"unsafe\", r#\"unsafe \"#, '\"') }",
            ),
            ("src/a.rs", "#![deny(unsafe_code)]"),
        ],
    );
}

#[test]
fn io_time_and_chance_in_a_room_without_io_are_found() {
    let room = "patterns/src/zmtp/a.rs";
    plant(
        rules::pure_rooms,
        &[
            (room, "use std::net::TcpStream;"),
            (room, "use std::{fmt, net::{IpAddr, Ipv4Addr}};"),
            (room, "fn a() { std::thread::yield_now() }"),
            (room, "use std::time::{Duration, Instant};"),
            (room, "fn a() { let now = Instant::now(); }"),
            (room, "use std::collections::HashMap;"),
            (room, "use parking_lot::Mutex;"),
            (
                room,
                "#[cfg(any(test, feature = \"a\"))] use std::net::IpAddr;",
            ),
            ("patterns/src/message.rs", "use std::time::SystemTime;"),
            ("patterns/src/balance/a.rs", "use std::hash::RandomState;"),
            ("src/wire/a.rs", "thread_local! {}"),
            ("src/machine/a.rs", "use std::time::Instant;"),
        ],
        &[
            (
                room,
                "use std::time::Duration;\nuse std::collections::BTreeMap;",
            ),
            (room, "// std::net\nfn a() { b(\"std::net::IpAddr\") }"),
            (room, "#[cfg(test)]\nmod tests { use std::time::Instant; }"),
            ("patterns/src/engine/a.rs", "use std::time::Instant;"),
            ("src/server/a.rs", "use std::time::Instant;"),
        ],
    );
}

#[test]
fn a_room_that_names_one_above_it_is_found() {
    plant(
        rules::direction,
        &[
            ("patterns/src/zmtp/a.rs", "use crate::engine::Engine;"),
            (
                "patterns/src/zmtp/a.rs",
                "use crate::{message::Frame, socket};",
            ),
            (
                "patterns/src/zmtp/a.rs",
                "use super::super::link::Endpoint;",
            ),
            ("patterns/src/zmtp/mod.rs", "use super::link::Endpoint;"),
            (
                "patterns/src/engine/poller/mod.rs",
                "fn a() { crate::socket::b() }",
            ),
            ("patterns/src/message.rs", "use super::zmtp;"),
            ("patterns/src/link/a.rs", "use crate::event::Event;"),
            (
                "patterns/src/attic/a.rs",
                "//! A room that nobody has placed.",
            ),
            ("src/attic.rs", "//! A room that nobody has placed."),
            ("src/wire/a.rs", "use crate::server::Server;"),
            ("src/client/mod.rs", "use super::server::Server;"),
        ],
        &[
            (
                "patterns/src/zmtp/a.rs",
                "use crate::message::Frame;\nuse super::command;",
            ),
            (
                "patterns/src/engine/poller/epoll.rs",
                "use super::super::shared::Shared;",
            ),
            (
                "patterns/src/engine/a.rs",
                "use crate::{link::Endpoint, zmtp::SocketType};",
            ),
            (
                "patterns/src/engine/a.rs",
                "//! [`crate::socket`]\n#[cfg(test)] use crate::socket;",
            ),
            ("patterns/src/lib.rs", "mod socket; pub use socket::Router;"),
        ],
    );
    // Under the name that the crate's root gives it, too.
    let root = ("patterns/src/lib.rs", "pub use socket::{Router, Dealer};");
    let user = ("patterns/src/engine/a.rs", "use crate::Router;");
    assert_eq!(found(rules::direction, &[root, user]).len(), 1);
}

#[test]
fn what_is_half_done_is_found() {
    plant(
        rules::leftovers,
        &[
            ("a.rs", "fn a() { todo!() }"),
            ("a.rs", "fn a() { unimplemented!(\"b\") }"),
            ("a.rs", "fn a() { dbg!(1); }"),
        ],
        &[("a.rs", "// todo!()\nfn todo() { \"dbg!()\"; }")],
    );
}

#[test]
fn a_test_that_sleeps_is_found() {
    plant(
        rules::sleeps,
        &[
            ("tests/a.rs", "fn a() { std::thread::sleep(b) }"),
            (
                "patterns/src/a.rs",
                "#[cfg(test)]\nmod tests { fn a() { sleep(b) } }",
            ),
            ("tests/interop/a.py", "time.sleep(1)"),
        ],
        &[
            (
                "patterns/src/a.rs",
                "fn a() { sleep(b) }\n#[cfg(test)]\nmod tests {}",
            ),
            ("tests/a.rs", "// sleep(b)\nfn sleepless() { asleep(1) }"),
        ],
    );
    // In a file that is of tests because it is declared so.
    let files = [
        ("patterns/src/a/mod.rs", "#[cfg(test)]\nmod checks;"),
        ("patterns/src/a/checks/deep.rs", "fn a() { sleep(b) }"),
    ];
    assert_eq!(found(rules::sleeps, &files).len(), 1);
}

#[test]
fn an_unwrap_in_a_library_is_found() {
    let path = "patterns/src/a.rs";
    plant(
        rules::unwraps,
        &[
            (path, "fn a() { b().unwrap(); }"),
            ("src/a.rs", "fn a() { b()\n  .expect(\"c\"); }"),
        ],
        &[
            (path, "fn a() { b().unwrap_or(1); }\n#[test] fn unwrap() {}"),
            (path, "#[cfg(test)] mod tests { fn a() { b().unwrap(); } }"),
            ("bench/src/a.rs", "fn a() { b().unwrap(); }"),
        ],
    );
}

#[test]
fn a_dependency_without_a_purpose_is_found() {
    plant(
        rules::dependencies,
        &[
            ("Cargo.toml", "[dependencies]\nlog = \"0.4\"\n"),
            ("a/Cargo.toml", "[dev-dependencies]\na.workspace = true\n"),
            (
                "Cargo.toml",
                "[workspace.dependencies]\na = { path = \"a\" }\n",
            ),
            (
                "Cargo.toml",
                "[target.'cfg(loom)'.dependencies]\nloom = \"0.7\"\n",
            ),
            ("Cargo.toml", "[dependencies.log]\nversion = \"0.4\"\n"),
        ],
        &[
            (
                "Cargo.toml",
                "[dependencies]\nlog = \"0.4\" # what happens\n[lints]\na = 1\n",
            ),
            (
                "Cargo.toml",
                "[dependencies]\n# What happens.\nlog = \"0.4\"\n",
            ),
            (
                "Cargo.toml",
                "[dependencies]\n# A.\na = { version = \"1\", features = [\n  \"b\",\n] }\n",
            ),
            (
                "Cargo.toml",
                "# What happens.\n[dependencies.log]\nversion = \"0.4\"\n",
            ),
        ],
    );
}

#[test]
fn a_binary_in_a_library_users_build_is_found() {
    let bare = "[[bin]]\nname = \"a\"\n\n[features]\nb = [] # required-features\n";
    let kept = "[[bin]]\nname = \"a\"\nrequired-features = [\"bin\"]\n\n[lints]\n";
    plant(
        rules::binaries,
        &[("Cargo.toml", bare)],
        &[("Cargo.toml", kept), ("bench/Cargo.toml", bare)],
    );
}

#[test]
fn an_option_without_its_default_is_found() {
    let path = "patterns/src/socket/a.rs";
    plant(
        rules::defaults,
        &[
            (
                path,
                "impl A {\n    /// B.\n    pub fn b(mut self, b: u8) -> Self {}\n}",
            ),
            (
                path,
                "setters! {\n    /// A. Default 1.\n    a: u8;\n    /// B.\n    b: u8;\n}",
            ),
        ],
        &[
            (
                path,
                "/// B. Default 1.\n#[must_use]\npub fn b(mut self, b: u8) -> Self {}",
            ),
            (
                path,
                "setters! {\n    /// A. Default 1.\n    a: u8;\n    /// B.\n    ///\n    /// Default 2.\n    b: u8;\n}",
            ),
            (path, "/// Ends.\npub fn end(mut self) -> Self {}"),
            (path, "/// Next.\npub fn next(&mut self, a: u8) -> u8 {}"),
        ],
    );
}

#[test]
fn an_invariant_without_its_test_is_found() {
    let path = "patterns/src/a.rs";
    let header = |item: &str| {
        format!(
            "//! A.\n//!\n//! # Invariants\n//!\n//! 1. {item}\n\n#[test]\nfn a_is_b() {{}}\nfn a_b() {{}}\nfn b_is_a(rig: &Rig) -> Outcome {{}}\n"
        )
    };
    let bad = [
        "A.",
        "A `b_c` is d.",
        "A. (test `a_is_c`)",
        "A. (`a_is_b`,\n//!    `a_is_c`)",
        "A. (test `a_b`)",
    ];
    let good = [
        "A. (test `a_is_b`)",
        "A. (test `b_is_a`)",
        "A `c_d` (e). (loom test\n//!    `a_is_b` in `tests/b_c`)",
        "A. (same test)",
        "A. (held by the type of b)",
    ];
    for item in bad {
        let text = header(item);
        plant(rules::invariants, &[(path, &text)], &[]);
    }
    for item in good {
        let text = header(item);
        plant(rules::invariants, &[], &[(path, &text)]);
    }
    plant(
        rules::invariants,
        &[],
        &[(path, "//! # Not here\n//!\n//! 1. A.\n")],
    );
}

#[test]
fn words_about_the_way_are_found() {
    plant(
        words::of_the_way,
        &[
            ("a.rs", "// The Prototype did this."),
            ("a.md", "As discussed, it is."),
            ("Makefile", "# FIXME"),
            ("a.rs", "// See issue #12."),
        ],
        &[
            ("a.rs", "// hackney, prototypes_\nlet a = todo;"),
            ("a.md", "An issue of 12 pages."),
        ],
    );
}

#[test]
fn a_pointer_to_nothing_is_found() {
    let bad = [
        ("a.md", "[b](b.md)"),
        ("a.md", "See `b.rs`."),
        ("src/a.rs", "//! See `b.rs`."),
        ("src/a.rs", &format!("/// As {}.md says.", "PLAN")),
        ("a.md", "Run `make nothing`."),
        ("a.md", "```\nmake nothing\n```"),
    ];
    let good = [
        (
            "a.md",
            "[a](a.md#b) [c](https://c.d/e) `make` `a.md` make a cake",
        ),
        (
            "src/a.rs",
            "//! `a.rs`, `src/a.rs`, `*.rs`.\nlet a = \"`b.rs`\";",
        ),
    ];
    plant(words::pointers, &bad, &good);
    let files = [
        ("Makefile", "all: ## All.\n\t:\n"),
        ("a.md", "`make all`\n\n    make all\n"),
    ];
    assert_eq!(found(words::pointers, &files), [""; 0]);
}

#[test]
fn a_target_that_says_nothing_is_found() {
    plant(
        words::targets_explained,
        &[("Makefile", ".PHONY: a b\na: ## A.\nb: a\n")],
        &[("Makefile", ".PHONY: a b a-c\na: ## A.\nb: a ## B.\na-c:\n")],
    );
}

#[test]
fn blanking_keeps_offsets_and_hides_comments_and_strings() {
    let text = "a /* b /* c */ d */ e \"f\\\" // g\" h // i\nj r#\"k\" l\"# m 'n' 'o: '\\'' p b'q' br\"r\" for\"s\" ä";
    let code = source::blank(text);
    assert_eq!(code.len(), text.len());
    assert_eq!(code.find('\n'), text.find('\n'));
    let words: Vec<&str> = source::identifiers(&code).map(|(_, word)| word).collect();
    assert_eq!(words, ["a", "e", "h", "j", "m", "o", "p", "for", "ä"]);
}

#[test]
fn test_items_and_the_files_they_declare_are_known() {
    let tree = Tree::of(&[
        (
            "a/src/b.rs",
            "#[cfg(test)]\nmod c;\n#[cfg(all(test, loom))]\n#[path = \"d_tests.rs\"]\nmod d;\nmod e;",
        ),
        ("a/src/b/c.rs", "fn c() {}"),
        ("a/src/b/c/f.rs", "fn f() {}"),
        (
            "a/src/b/e.rs",
            "#[cfg(all(test, not(loom)))] fn g<A, B>() {} fn e() {} #[cfg(not(test))] fn h() {}",
        ),
        ("a/src/d_tests.rs", "fn d() {}"),
    ]);
    let of_tests: Vec<&str> = tree
        .rust()
        .flat_map(|file| {
            file.words()
                .filter(|(at, _)| file.is_test(*at))
                .map(|(_, word)| word)
        })
        .filter(|word| word.len() == 1)
        .collect();
    assert_eq!(of_tests, ["c", "d", "c", "f", "g", "A", "B", "d"]);
}
