//! Links: bind, connect, accept, bytes both ways.

use std::collections::HashSet;
use std::io::{self, IoSlice};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use proptest::prelude::*;
use rustix::event::PollFlags;
use rustix::io::{FdFlags, fcntl_getfd};
use rustix::net::sockopt;

use super::super::stream::LinkKind;
use super::super::{
    BindError, Endpoint, Keepalive, LinkOptions, Listener, RemoteAddr, Stream, Target,
    needs_resolver, resolve, start_connect,
};
use super::{Directory, accept, bind, bind_error, connect, endpoint, pair, wait};

/// Writes on one side, reads all of it on the other.
fn carry(from: &Stream, to: &Stream) {
    assert_eq!(from.send(b"he").unwrap(), 2);
    let slices = [IoSlice::new(b"ll"), IoSlice::new(b"o")];
    assert_eq!(from.send_vectored(&slices).unwrap(), 3);
    let mut read = Vec::with_capacity(5);
    while read.len() < 5 {
        wait(to, PollFlags::IN);
        to.recv_spare(&mut read, 5).unwrap();
    }
    assert_eq!(read, b"hello");
}

fn has_ipv6() -> bool {
    std::net::TcpListener::bind("[::1]:0").is_ok()
}

fn port(endpoint: &Endpoint) -> u16 {
    match endpoint {
        Endpoint::Tcp(tcp) => tcp.port(),
        Endpoint::Ipc(_) | Endpoint::Inproc(_) => panic!("{endpoint} has no port"),
    }
}

#[test]
fn bytes_cross_every_kind_of_link_both_ways() {
    let directory = Directory::new("kinds");
    let path = directory.ipc("s");
    let name = format!("ipc://@link-test-{}", std::process::id());
    let mut texts = vec!["tcp://127.0.0.1:*", "tcp://127.0.0.1:0", &path, "ipc://*"];
    if cfg!(any(target_os = "linux", target_os = "android")) {
        texts.extend(["tcp://lo:*", &name]);
    }
    if has_ipv6() {
        texts.push("tcp://[::1]:*");
    }
    for text in texts {
        let (client, server, remote) = pair(text);
        carry(&client, &server);
        carry(&server, &client);
        let kind = if text.starts_with("tcp") {
            LinkKind::Tcp
        } else {
            LinkKind::Unix
        };
        assert_eq!((client.kind(), server.kind()), (kind, kind), "{text}");
        assert_eq!(
            remote.limit_key().is_some(),
            kind == LinkKind::Tcp,
            "{text}"
        );
    }
}

#[test]
fn every_descriptor_is_non_blocking_and_closed_on_exec() {
    for text in ["tcp://127.0.0.1:*", "ipc://*"] {
        let listener = bind(text);
        let client = connect(listener.endpoint()).unwrap();
        let (server, _) = accept(&listener);
        let flags = |fd: std::os::fd::BorrowedFd<'_>| {
            let status = rustix::fs::fcntl_getfl(fd).unwrap();
            (
                fcntl_getfd(fd).unwrap().contains(FdFlags::CLOEXEC),
                status.contains(rustix::fs::OFlags::NONBLOCK),
            )
        };
        use std::os::fd::AsFd;
        assert_eq!(flags(listener.as_fd()), (true, true), "{text}");
        assert_eq!(flags(client.as_fd()), (true, true), "{text}");
        assert_eq!(flags(server.as_fd()), (true, true), "{text}");
    }
}

#[test]
fn accept_on_an_empty_queue_is_none() {
    for text in ["tcp://127.0.0.1:*", "ipc://*"] {
        assert!(bind(text).accept().unwrap().is_none(), "{text}");
    }
}

#[test]
fn a_bound_wildcard_reports_the_port_it_got() {
    let listener = bind("tcp://*:*");
    let text = listener.endpoint().to_string();
    assert!(text.starts_with("tcp://0.0.0.0:"), "{text}");
    assert_ne!(port(listener.endpoint()), 0);
    let to = format!("tcp://127.0.0.1:{}", port(listener.endpoint()));
    let _client = connect(&endpoint(&to)).unwrap();
    let (_, remote) = accept(&listener);
    assert_eq!(remote.limit_key(), Some(Ipv4Addr::LOCALHOST.into()));
}

#[test]
fn a_dual_stack_wildcard_takes_both_families_and_counts_ipv4_as_ipv4() {
    if !has_ipv6() {
        return;
    }
    let options = LinkOptions {
        ipv6: true,
        ..LinkOptions::default()
    };
    let listener = Listener::bind(&endpoint("tcp://*:*"), &options).unwrap();
    let port = port(listener.endpoint());
    assert_eq!(
        listener.endpoint().to_string(),
        format!("tcp://[::]:{port}")
    );
    for (host, key) in [
        ("127.0.0.1", IpAddr::from(Ipv4Addr::LOCALHOST)),
        ("[::1]", IpAddr::from(Ipv6Addr::LOCALHOST)),
    ] {
        let _client = connect(&endpoint(&format!("tcp://{host}:{port}"))).unwrap();
        let (_, remote) = accept(&listener);
        assert_eq!(remote.limit_key(), Some(key));
    }
}

#[test]
fn an_address_in_use_is_named_with_the_way_out() {
    let listener = bind("tcp://127.0.0.1:*");
    let text = listener.endpoint().to_string();
    assert_eq!(
        bind_error(&text),
        format!(
            "endpoint `{text}`: the address is in use; stop the socket that listens there, choose another port, or bind port * for a free one"
        )
    );
}

#[cfg(any(target_os = "linux", target_os = "android"))]
#[test]
fn an_abstract_name_in_use_is_refused_and_free_after_drop() {
    let text = format!("ipc://@link-in-use-{}", std::process::id());
    let listener = bind(&text);
    assert!(bind_error(&text).contains("the address is in use"));
    drop(listener);
    drop(bind(&text));
}

#[test]
fn a_bind_that_cannot_be_says_why() {
    let not_local = bind_error("tcp://192.0.2.1:*");
    assert_eq!(
        not_local,
        "endpoint `tcp://192.0.2.1:*`: the address is not one of this machine; bind one that is, or * for every address"
    );
    if cfg!(any(target_os = "linux", target_os = "android")) {
        assert_eq!(
            bind_error("tcp://nosuchif0:*"),
            "endpoint `tcp://nosuchif0:*`: no interface `nosuchif0` with an address; bind an address such as 127.0.0.1, an interface of this machine, or * for every address"
        );
    }
    assert_eq!(
        bind_error("inproc://a"),
        "endpoint `inproc://a`: inproc is not a byte link; it has no socket to bind"
    );
    assert!(matches!(
        Listener::bind(&endpoint("tcp://lo:0;h:1"), &LinkOptions::default()),
        Err(BindError::Endpoint(_))
    ));
}

#[test]
fn the_source_address_is_the_one_the_listener_sees() {
    let listener = bind("tcp://127.0.0.1:*");
    let port = port(listener.endpoint());
    let mut sources = vec![("127.0.0.2:0", Ipv4Addr::new(127, 0, 0, 2))];
    if cfg!(any(target_os = "linux", target_os = "android")) {
        sources.push(("lo", Ipv4Addr::LOCALHOST));
    } else {
        sources[0] = ("127.0.0.1:0", Ipv4Addr::LOCALHOST);
    }
    for (source, ip) in sources {
        let to = endpoint(&format!("tcp://{source};127.0.0.1:{port}"));
        let _client = connect(&to).unwrap();
        let (_, remote) = accept(&listener);
        assert_eq!(remote.limit_key(), Some(ip.into()), "{source}");
    }
}

#[test]
fn a_source_of_another_family_is_refused() {
    let to = endpoint("tcp://[::1]:0;127.0.0.1:5555");
    let error = resolve(&to, &LinkOptions::default()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "endpoint `tcp://[::1]:*;127.0.0.1:5555`: source and host have no address family in common; use ipv4 or ipv6 for both"
    );
}

#[test]
fn only_host_names_need_the_resolver() {
    for (text, needs) in [
        ("tcp://localhost:1", true),
        ("tcp://lo:0;localhost:1", true),
        ("tcp://127.0.0.1:1", false),
        ("tcp://lo:0;127.0.0.1:1", false),
        ("tcp://[::1]:1", false),
        ("ipc:///a", false),
        ("inproc://a", false),
    ] {
        assert_eq!(needs_resolver(&endpoint(text)), needs, "{text}");
    }
}

#[test]
fn localhost_resolves_to_ipv4_unless_ipv6_is_asked_for() {
    let targets = resolve(&endpoint("tcp://localhost:7"), &LinkOptions::default()).unwrap();
    let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 7));
    assert!(targets.contains(&Target::Tcp {
        to: loopback,
        from: None
    }));
    for target in targets {
        assert!(matches!(target, Target::Tcp { to, .. } if to.is_ipv4()));
    }
}

#[test]
fn what_cannot_be_connected_to_does_not_resolve() {
    for text in ["tcp://*:1", "tcp://127.0.0.1:0", "ipc://*", "inproc://name"] {
        let error = resolve(&endpoint(text), &LinkOptions::default()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{text}");
        assert!(error.to_string().starts_with("endpoint `"), "{error}");
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
#[test]
fn a_scope_resolves_to_the_interface_index() {
    let scope_of = |text: &str| {
        let targets = resolve(&endpoint(text), &LinkOptions::default())?;
        match targets[0] {
            Target::Tcp {
                to: SocketAddr::V6(v6),
                ..
            } => Ok(v6.scope_id()),
            _ => Err(io::Error::from(io::ErrorKind::InvalidData)),
        }
    };
    assert_eq!(scope_of("tcp://[fe80::1%7]:1").unwrap(), 7);
    assert_eq!(scope_of("tcp://[fe80::1%lo]:1").unwrap(), 1);
    let error = scope_of("tcp://[fe80::1%nosuchif0]:1").unwrap_err();
    assert!(
        error
            .to_string()
            .contains("the scope `nosuchif0` is not an interface here"),
        "{error}"
    );
}

#[test]
fn connecting_where_nobody_listens_is_refused() {
    // Bound but not listening: nobody else can take the port meanwhile.
    let held = rustix::net::socket(
        rustix::net::AddressFamily::INET,
        rustix::net::SocketType::STREAM,
        None,
    )
    .unwrap();
    rustix::net::bind(&held, &SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
    let held_at = SocketAddr::try_from(rustix::net::getsockname(&held).unwrap()).unwrap();
    let error = connect(&Endpoint::from(held_at)).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);

    let directory = Directory::new("nobody");
    let error = connect(&endpoint(&directory.ipc("s"))).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
}

#[test]
fn a_self_connection_is_told_from_a_real_one() {
    // Given a free port, which another test may take at any time: then another one.
    let mut tries = 0;
    let stream = loop {
        let free = port(bind("tcp://127.0.0.1:*").endpoint());
        // When a stream connects to it from it.
        let to = endpoint(&format!("tcp://127.0.0.1:{free};127.0.0.1:{free}"));
        match connect(&to) {
            Ok(stream) => break Some(stream),
            Err(_) if tries < 10 => tries += 1,
            Err(_) => break None,
        }
    };
    // Then, where the system lets it, it is known for what it is.
    match stream {
        Some(stream) => assert!(stream.is_self_connected()),
        None if cfg!(any(target_os = "linux", target_os = "android")) => {
            panic!("no self-connection in {tries} tries");
        }
        None => {}
    }
    let (client, server, _) = pair("tcp://127.0.0.1:*");
    assert!(!client.is_self_connected());
    assert!(!server.is_self_connected());
    let (client, server, _) = pair("ipc://*");
    assert!(!client.is_self_connected());
    assert!(!server.is_self_connected());
}

#[test]
fn tcp_streams_have_nodelay_and_the_options_asked_for() {
    let options = LinkOptions {
        keepalive: Some(Keepalive {
            idle_s: 30,
            interval_s: 5,
            count: 4,
        }),
        send_buffer_bytes: Some(64 * 1024),
        recv_buffer_bytes: Some(64 * 1024),
        ..LinkOptions::default()
    };
    let listener = Listener::bind(&endpoint("tcp://127.0.0.1:*"), &options).unwrap();
    let targets = resolve(listener.endpoint(), &options).unwrap();
    let (client, _) = start_connect(&targets[0], &options).unwrap();
    let (server, _) = accept(&listener);
    for stream in [&client, &server] {
        assert!(sockopt::tcp_nodelay(stream).unwrap());
        assert!(sockopt::socket_keepalive(stream).unwrap());
        assert_eq!(sockopt::tcp_keepidle(stream).unwrap().as_secs(), 30);
        assert_eq!(sockopt::tcp_keepintvl(stream).unwrap().as_secs(), 5);
        assert_eq!(sockopt::tcp_keepcnt(stream).unwrap(), 4);
        // Linux reports twice what was set, for its own bookkeeping.
        let set = [64 * 1024, 128 * 1024];
        assert!(set.contains(&sockopt::socket_send_buffer_size(stream).unwrap()));
        assert!(set.contains(&sockopt::socket_recv_buffer_size(stream).unwrap()));
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_connection_that_stays_on_this_machine_is_not_paced() {
    let (ours, theirs, _) = pair("tcp://127.0.0.1:*");
    for stream in [ours, theirs] {
        assert_eq!(sockopt::tcp_congestion(&stream).unwrap(), "reno");
    }
}

#[test]
fn reading_an_empty_stream_would_block_and_a_closed_one_ends() {
    for text in ["tcp://127.0.0.1:*", "ipc://*"] {
        let (client, server, _) = pair(text);
        let mut spare = Vec::with_capacity(8);
        let would_block = io::ErrorKind::WouldBlock;
        assert_eq!(server.recv(&mut [0; 8]).unwrap_err().kind(), would_block);
        assert_eq!(
            server.recv_spare(&mut spare, 8).unwrap_err().kind(),
            would_block
        );
        assert_eq!(
            server.recv_spare(&mut spare, 4).unwrap_err().kind(),
            would_block
        );

        client.shutdown();
        wait(&server, PollFlags::IN);
        assert_eq!(server.recv(&mut [0; 8]).unwrap(), 0);
        assert_eq!(server.recv_spare(&mut spare, 8).unwrap(), 0);
        assert_eq!(server.recv_spare(&mut spare, 4).unwrap(), 0);
    }
}

#[test]
fn writing_to_a_full_stream_would_block() {
    for text in ["tcp://127.0.0.1:*", "ipc://*"] {
        let (client, _server, _) = pair(text);
        let block = [0_u8; 64 * 1024];
        let mut sent = 0;
        let error = loop {
            match client.send(&block) {
                Ok(count) => sent += count,
                Err(error) => break error,
            }
            assert!(sent < 1 << 30, "never full");
        };
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock, "{text}");
    }
}

#[test]
fn writing_to_a_closed_peer_is_an_error() {
    for text in ["tcp://127.0.0.1:*", "ipc://*"] {
        let (client, server, _) = pair(text);
        drop(server);
        // A first write may still be taken, and answered with a reset.
        let error = loop {
            match client.send(b"x") {
                Ok(_) => wait(&client, PollFlags::HUP),
                Err(error) => break error,
            }
        };
        assert!(
            matches!(
                error.kind(),
                io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset
            ),
            "{text}: {error}"
        );
    }
}

#[test]
fn more_slices_than_the_kernel_takes_are_sent_in_part() {
    let (client, server, _) = pair("ipc://*");
    let slices = vec![IoSlice::new(b"x"); 3000];
    let sent = client.send_vectored(&slices).unwrap();
    assert_eq!(sent, 1024);
    let mut read = Vec::with_capacity(3000);
    assert_eq!(server.recv_spare(&mut read, 3000).unwrap(), 1024);
}

#[test]
fn recv_spare_takes_at_most_max_and_never_reallocates() {
    let (client, server, _) = pair("ipc://*");
    let data: Vec<u8> = (0..100).collect();
    client.send(&data).unwrap();

    let mut read = Vec::with_capacity(64);
    read.push(255);
    let (at, capacity) = (read.as_ptr(), read.capacity());
    // Short of the spare capacity, then up to all of it.
    assert_eq!(server.recv_spare(&mut read, 10).unwrap(), 10);
    assert_eq!(server.recv_spare(&mut read, 1000).unwrap(), capacity - 11);
    assert_eq!((read.as_ptr(), read.capacity()), (at, capacity));
    assert_eq!(read[1..], data[..capacity - 1]);

    // No room left, or none allowed, is not the end of the stream.
    let invalid = io::ErrorKind::InvalidInput;
    assert_eq!(
        server.recv_spare(&mut read, 10).unwrap_err().kind(),
        invalid
    );
    let mut roomy = Vec::with_capacity(64);
    assert_eq!(
        server.recv_spare(&mut roomy, 0).unwrap_err().kind(),
        invalid
    );
    assert_eq!(
        server.recv_spare(&mut Vec::new(), 9).unwrap_err().kind(),
        invalid
    );
    assert_eq!(server.recv(&mut []).unwrap_err().kind(), invalid);
}

#[test]
fn many_queued_connections_are_all_accepted() {
    let listener = bind("tcp://127.0.0.1:*");
    let clients: Vec<_> = (0..50)
        .map(|_| connect(listener.endpoint()).unwrap())
        .collect();
    let mut remotes = HashSet::new();
    while remotes.len() < clients.len() {
        match accept(&listener).1 {
            RemoteAddr::Tcp(addr) => assert!(remotes.insert(addr)),
            RemoteAddr::Unix { .. } => panic!("not tcp"),
        }
    }
    assert!(listener.accept().unwrap().is_none());
}

#[test]
fn a_remote_address_displays_what_is_known() {
    let tcp = RemoteAddr::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, 9)));
    assert_eq!(tcp.to_string(), "tcp://127.0.0.1:9");
    let unix = |pid, uid| RemoteAddr::Unix { pid, uid }.to_string();
    assert_eq!(unix(None, None), "ipc peer");
    assert_eq!(unix(Some(7), Some(1000)), "ipc peer pid 7 uid 1000");
}

#[test]
fn a_target_displays_as_an_endpoint() {
    for text in ["tcp://127.0.0.1:9", "tcp://[::1]:9", "ipc:///a", "ipc://a"] {
        let targets = resolve(&endpoint(text), &LinkOptions::default()).unwrap();
        assert_eq!(targets[0].to_string(), text);
    }
    if cfg!(any(target_os = "linux", target_os = "android")) {
        let targets = resolve(&endpoint("ipc://@a"), &LinkOptions::default()).unwrap();
        assert_eq!(targets[0].to_string(), "ipc://@a");
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
proptest! {
    #[test]
    fn netlink_replies_of_any_bytes_are_survived(
        length in prop_oneof![any::<u32>(), 0_u32..64],
        kind in prop_oneof![any::<u16>(), Just(2_u16), Just(3), Just(20)],
        rest in proptest::collection::vec(prop_oneof![any::<u8>(), 0_u8..24], 0..80),
    ) {
        let mut reply = length.to_ne_bytes().to_vec();
        reply.extend(kind.to_ne_bytes());
        reply.extend(rest);
        let mut found = Vec::new();
        let _ = super::super::iface::netlink::read_reply(&reply, 1, &mut found);
        prop_assert!(found.len() <= reply.len() / 16);
    }
}
