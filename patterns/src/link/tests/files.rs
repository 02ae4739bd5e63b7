//! The file of an ipc socket: made, replaced, left alone, removed.

use std::fs;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::sync::Barrier;
use std::thread;

use super::super::{BindError, Endpoint, LinkOptions, Listener};
use super::{Directory, accept, bind, bind_error, connect, endpoint};

#[test]
fn dropping_a_listener_removes_its_socket_file() {
    let directory = Directory::new("drop");
    let listener = bind(&directory.ipc("s"));
    assert!(
        fs::metadata(directory.path("s"))
            .unwrap()
            .file_type()
            .is_socket()
    );
    drop(listener);
    assert!(!directory.path("s").exists());
}

#[test]
fn drop_leaves_a_file_that_took_its_place() {
    let directory = Directory::new("took-its-place");
    let listener = bind(&directory.ipc("s"));
    fs::remove_file(directory.path("s")).unwrap();
    let other = UnixListener::bind(directory.path("s")).unwrap();
    drop(listener);
    assert!(directory.path("s").exists());
    drop(other);
}

#[test]
fn a_stale_socket_file_is_replaced() {
    let directory = Directory::new("stale");
    // Given a socket file whose listener is gone without removing it.
    drop(UnixListener::bind(directory.path("s")).unwrap());
    assert!(directory.path("s").exists());
    // When it is bound again, then it can be connected to.
    let listener = bind(&directory.ipc("s"));
    let _client = connect(listener.endpoint()).expect("connect");
    accept(&listener);
}

#[test]
fn the_socket_file_of_a_live_listener_is_refused() {
    let directory = Directory::new("live");
    let text = directory.ipc("s");
    let listener = bind(&text);
    assert_eq!(
        bind_error(&text),
        format!(
            "endpoint `{text}`: the address is in use; stop the socket that listens there, or choose another path or name"
        )
    );
    // The live one still is: the first connection queued may be the probe.
    let _client = connect(listener.endpoint()).expect("connect");
    accept(&listener);
    accept(&listener);
}

#[test]
fn a_live_listener_with_a_full_backlog_is_refused() {
    let directory = Directory::new("full");
    let text = directory.ipc("s");
    let options = LinkOptions {
        backlog: 0,
        ..LinkOptions::default()
    };
    let listener = Listener::bind(&endpoint(&text), &options).unwrap();
    // Given connections until the backlog takes no more.
    let mut clients = Vec::new();
    let full = loop {
        match connect(listener.endpoint()) {
            Ok(client) => clients.push(client),
            Err(error) => break error,
        }
        assert!(clients.len() < 100, "the backlog never filled");
    };
    if cfg!(any(target_os = "linux", target_os = "android")) {
        assert_eq!(full.kind(), std::io::ErrorKind::ResourceBusy);
    }
    // When it is bound again, then the live listener keeps its file.
    assert!(matches!(
        Listener::bind(&endpoint(&text), &options),
        Err(BindError::InUse { .. })
    ));
    assert!(directory.path("s").exists());
}

#[test]
fn a_socket_of_another_type_that_is_in_use_is_never_removed() {
    let directory = Directory::new("datagram");
    let _other = UnixDatagram::bind(directory.path("s")).unwrap();
    assert!(bind_error(&directory.ipc("s")).contains("the address is in use"));
    assert!(directory.path("s").exists());
}

#[test]
fn a_regular_file_is_never_removed() {
    let directory = Directory::new("regular");
    fs::write(directory.path("s"), "kept").unwrap();
    let text = directory.ipc("s");
    assert_eq!(
        bind_error(&text),
        format!(
            "endpoint `{text}`: the path is a file that is not a socket; move it away or choose another path"
        )
    );
    assert_eq!(fs::read_to_string(directory.path("s")).unwrap(), "kept");
}

#[test]
fn a_link_to_a_stale_socket_is_never_removed() {
    let directory = Directory::new("link");
    drop(UnixListener::bind(directory.path("target")).unwrap());
    std::os::unix::fs::symlink(directory.path("target"), directory.path("s")).unwrap();
    assert!(bind_error(&directory.ipc("s")).contains("not a socket"));
    assert!(fs::symlink_metadata(directory.path("s")).is_ok());
}

#[test]
fn a_missing_directory_is_named() {
    let directory = Directory::new("missing");
    let text = directory.ipc("none/s");
    assert_eq!(
        bind_error(&text),
        format!(
            "endpoint `{text}`: the directory does not exist; create it or choose another path"
        )
    );
}

#[test]
fn a_wildcard_path_is_private_and_removed_with_its_directory() {
    let listener = bind("ipc://*");
    let Endpoint::Ipc(ipc) = listener.endpoint() else {
        panic!("not ipc");
    };
    let path = std::path::PathBuf::from(ipc.path().expect("a real path"));
    let parent = path.parent().unwrap().to_owned();
    let mode = fs::metadata(&parent).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    assert!(path.exists());
    drop(listener);
    assert!(!path.exists());
    assert!(!parent.exists());
}

#[test]
fn two_wildcard_paths_differ() {
    assert_ne!(bind("ipc://*").endpoint(), bind("ipc://*").endpoint());
}

#[test]
fn of_many_that_replace_one_stale_file_exactly_one_wins() {
    let directory = Directory::new("race");
    let text = directory.ipc("s");
    for _ in 0..20 {
        drop(UnixListener::bind(directory.path("s")).unwrap());
        let barrier = Barrier::new(4);
        let results: Vec<_> = thread::scope(|scope| {
            let racer = || {
                barrier.wait();
                Listener::bind(&endpoint(&text), &LinkOptions::default())
            };
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(racer)).collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .collect()
        });
        assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
        assert!(
            results
                .iter()
                .all(|result| matches!(result, Ok(_) | Err(BindError::InUse { .. })))
        );
        let winner = results.into_iter().find_map(Result::ok).unwrap();
        connect(winner.endpoint()).expect("the winner is reachable");
    }
}
