//! The handshake, rule by rule, and at every split point of its input.

use proptest::prelude::*;

use super::*;

const GREETING: usize = 64;

fn local(socket_type: SocketType, identity: &'static [u8], responder: bool) -> Local {
    Local {
        socket_type,
        identity: Bytes::from_static(identity),
        heartbeats: false,
        responder,
    }
}

fn dealer() -> Handshake {
    Handshake::new(
        local(SocketType::Dealer, b"me", false),
        HandshakeLimits::default(),
    )
}

fn router() -> Handshake {
    Handshake::new(
        local(SocketType::Router, b"", true),
        HandshakeLimits::default(),
    )
}

fn greeting(major: u8, minor: u8) -> Vec<u8> {
    let greeting = Greeting {
        version: Version { major, minor },
        as_server: false,
    };
    greeting.encode("NULL").to_vec()
}

fn ready(properties: &[(&str, &[u8])]) -> Vec<u8> {
    let mut data = Vec::new();
    for (name, value) in properties {
        assert!(metadata::put(&mut data, name, value));
    }
    let mut frame = Vec::new();
    command::ready(&mut frame, &data);
    frame
}

/// A responding router that has the peer's greeting, fed this.
fn router_fed(bytes: &[u8]) -> Result<Progress, Violation> {
    let mut router = router();
    assert_eq!(router.feed(&greeting(3, 1)), Ok(Progress::More));
    router.feed(bytes)
}

fn refused(bytes: &[u8]) -> Violation {
    router_fed(bytes).unwrap_err()
}

fn peer(progress: Result<Progress, Violation>) -> PeerInfo {
    match progress {
        Ok(Progress::Ready(peer)) => peer,
        other => panic!("{other:?}"),
    }
}

/// Feeds all of `bytes` in pieces of at most `piece`, and never more than is wanted.
fn drip(
    handshake: &mut Handshake,
    bytes: &[u8],
    piece: usize,
) -> (usize, Result<Progress, Violation>) {
    let mut fed = 0;
    while fed < bytes.len() && handshake.wants() > 0 {
        let next = piece.min(handshake.wants()).min(bytes.len() - fed);
        match handshake.feed(&bytes[fed..fed + next]) {
            Ok(Progress::More) => fed += next,
            end => return (fed + next, end),
        }
    }
    (fed, Ok(Progress::More))
}

#[test]
fn a_dealer_begins_with_these_bytes() {
    let mut dealer = dealer();
    let mut golden = b"\xFF\0\0\0\0\0\0\0\0\x7F\x03\x01NULL".to_vec();
    golden.resize(GREETING, 0);
    assert_eq!(dealer.take_output(), golden);
    assert!(!dealer.has_output());

    dealer.feed(&greeting(3, 1)).unwrap();
    assert_eq!(
        dealer.take_output(),
        b"\x04\x2B\x05READY\x0BSocket-Type\0\0\0\x06DEALER\x08Identity\0\0\0\x02me"
    );
}

#[test]
fn who_judges_silence_says_so() {
    for judges in [false, true] {
        let ours = Local {
            heartbeats: judges,
            ..local(SocketType::Dealer, b"me", false)
        };
        let mut dealer = Handshake::new(ours, HandshakeLimits::default());
        let mut router = router();
        router.feed(&dealer.take_output()).unwrap();
        dealer.feed(&router.take_output()).unwrap();
        match router.feed(&dealer.take_output()).unwrap() {
            Progress::Ready(peer) => assert_eq!(peer.judges_silence(), judges),
            Progress::More => panic!("the peer is ready"),
        }
    }
}

#[test]
fn identity_goes_out_from_the_types_that_others_send_it_from() {
    for socket_type in SocketType::ALL {
        let mut handshake =
            Handshake::new(local(socket_type, b"", false), HandshakeLimits::default());
        handshake.feed(&greeting(3, 1)).unwrap();
        let output = handshake.take_output();
        let sent = output.windows(8).any(|window| window == b"Identity");
        let expected = matches!(
            socket_type,
            SocketType::Req | SocketType::Dealer | SocketType::Router
        );
        assert_eq!(sent, expected, "{socket_type}");
    }
}

#[test]
fn a_peer_of_3_0_is_taken() {
    let mut router = router();
    router.feed(&greeting(3, 0)).unwrap();
    let peer = peer(router.feed(&ready(&[("Socket-Type", b"REQ"), ("Identity", b"")])));
    assert_eq!(peer.version, Version { major: 3, minor: 0 });
    assert_eq!(peer.socket_type, SocketType::Req);
    assert!(peer.identity.is_empty() && peer.properties.is_empty());
}

#[test]
fn a_responder_holds_its_ready_until_admit() {
    let mut router = router();
    router.take_output();
    router.feed(&greeting(3, 1)).unwrap();
    peer(router.feed(&ready(&[("Socket-Type", b"DEALER")])));
    assert!(!router.has_output());
    router.admit();
    router.admit();
    let output = router.take_output();
    assert!(output.starts_with(b"\x04\x29\x05READY"), "{output:?}");
    assert_eq!(output.len(), 2 + 0x29);
}

#[test]
fn admit_before_the_greeting_is_remembered() {
    let mut router = router();
    router.admit();
    assert_eq!(router.take_output().len(), GREETING);
    router.feed(&greeting(3, 1)).unwrap();
    assert!(router.take_output().starts_with(b"\x04\x29\x05READY"));
}

#[test]
fn refuse_sends_error_in_place_of_ready_and_takes_nothing_more() {
    let mut router = router();
    router.take_output();
    router.feed(&greeting(3, 1)).unwrap();
    peer(router.feed(&ready(&[("Socket-Type", b"DEALER")])));
    router.refuse("identity-in-use");
    router.refuse("again");
    router.admit();
    let output = router.take_output();
    assert_eq!(output, b"\x04\x16\x05ERROR\x0Fidentity-in-use");
    assert_eq!(router.wants(), 0);
    assert_eq!(router.feed(b"whatever"), Ok(Progress::More));

    let mut dealer = dealer();
    dealer.feed(&greeting(3, 1)).unwrap();
    let violation = dealer.feed(&output).unwrap_err();
    assert_eq!(
        violation,
        Violation::PeerError {
            reason: "identity-in-use".into()
        }
    );
    assert!(violation.is_fatal_for_retry());
}

#[test]
fn a_violation_can_be_told_to_the_peer_but_not_to_a_stranger() {
    let mut router = router();
    router.take_output();
    router.feed(&greeting(3, 1)).unwrap();
    let violation = router.feed(&ready(&[("Socket-Type", b"PUB")])).unwrap_err();
    router.refuse(violation.name());
    assert_eq!(
        router.take_output(),
        b"\x04\x1B\x05ERROR\x14incompatible-sockets"
    );

    for stranger in [
        &b"GET / HTTP/1.1"[..],
        &greeting(2, 0),
        &greeting(3, 1)[..63],
    ] {
        let mut router = self::router();
        router.take_output();
        let _ = router.feed(stranger);
        router.refuse("no");
        assert!(!router.has_output());
    }
}

#[test]
fn an_error_reason_is_escaped_and_cut_at_255_bytes() {
    assert_eq!(
        refused(b"\x04\x0D\x05ERROR\x06\x1b[2Jno"),
        Violation::PeerError {
            reason: "\\x1b[2Jno".into()
        }
    );
    let mut router = router();
    router.feed(&greeting(3, 1)).unwrap();
    router.take_output();
    router.refuse(&"x".repeat(1000));
    let output = router.take_output();
    assert_eq!(output.len(), 9 + 1 + 5 + 1 + 255);
    assert_eq!(output[..9], [0x06, 0, 0, 0, 0, 0, 0, 1, 6]);
}

#[test]
fn an_http_client_is_refused_at_its_first_byte() {
    let violation = router().feed(b"G").unwrap_err();
    assert_eq!(violation.name(), "bad-signature");
}

#[test]
fn a_zmtp_2_peer_is_refused_at_the_version_byte() {
    let mut router = router();
    assert_eq!(router.feed(&greeting(1, 5)[..10]), Ok(Progress::More));
    let violation = router.feed(&[1]).unwrap_err();
    assert_eq!(violation, Violation::UnsupportedVersion { major: 1 });
    assert!(violation.is_fatal_for_retry());
}

#[test]
fn another_mechanism_closes() {
    let greeting = Greeting {
        version: Version::OURS,
        as_server: true,
    };
    for mechanism in ["PLAIN", "CURVE", "NULL2", "X"] {
        let violation = router().feed(&greeting.encode(mechanism)).unwrap_err();
        assert_eq!(violation.name(), "mechanism-mismatch", "{mechanism}");
    }
}

#[test]
fn wants_is_what_is_missing_and_no_more() {
    let mut router = router();
    assert_eq!(router.wants(), 64);
    router.feed(&greeting(3, 1)[..10]).unwrap();
    assert_eq!(router.wants(), 54);
    router.feed(&greeting(3, 1)[10..]).unwrap();
    assert_eq!(router.wants(), 2);
    router.feed(&[0x06]).unwrap();
    assert_eq!(router.wants(), 8);
    router.feed(&[0]).unwrap();
    assert_eq!(router.wants(), 7);
    router.feed(&[0, 0, 0, 0, 0, 0x10, 0]).unwrap();
    assert_eq!(router.wants(), 0x1000);
    router.feed(&[5]).unwrap();
    assert_eq!(router.wants(), 0xFFF);
}

#[test]
fn a_long_header_for_a_short_command_is_taken() {
    let short = ready(&[("Socket-Type", b"REQ")]);
    let mut long = vec![0x06, 0, 0, 0, 0, 0, 0, 0];
    long.extend_from_slice(&short[1..]);
    assert_eq!(peer(router_fed(&long)).socket_type, SocketType::Req);
}

#[test]
fn frame_flags_are_judged_by_the_first_byte() {
    for flags in 0..=255u8 {
        let verdict = router_fed(&[flags]);
        let expected = match flags {
            0x04 | 0x06 => Ok(Progress::More),
            0x05 | 0x07 => Err(Violation::CommandWithMore),
            0x00..=0x03 => Err(Violation::MessageBeforeReady),
            _ => Err(Violation::ReservedFlags { flags }),
        };
        assert_eq!(verdict, expected, "flags {flags:#04x}");
    }
}

#[test]
fn a_command_over_the_limit_is_refused_from_its_length() {
    // Given a limit of 1,000 bytes, when one more is announced, then the header alone decides.
    let limits = HandshakeLimits {
        command_bytes_max: 1000,
        properties_max: 8,
    };
    let start = || {
        let mut router = Handshake::new(local(SocketType::Router, b"", true), limits);
        router.feed(&greeting(3, 1)).unwrap();
        router
    };
    for bytes in [1001, 1 << 20, u64::MAX >> 1] {
        let mut header = vec![0x06];
        header.extend_from_slice(&bytes.to_be_bytes());
        assert_eq!(
            start().feed(&header),
            Err(Violation::CommandTooLarge { bytes, max: 1000 })
        );
    }
    // When exactly the limit is announced, then memory is taken with the first byte of the body, and exactly.
    let mut router = start();
    router.feed(&[0x06, 0, 0, 0, 0, 0, 0, 0x03, 0xE8]).unwrap();
    let held = |router: &Handshake| match &router.state {
        State::Body { bytes, .. } => bytes.capacity(),
        other => panic!("{other:?}"),
    };
    assert_eq!(held(&router), 0);
    for _ in 0..999 {
        router.feed(&[5]).unwrap();
        assert_eq!(held(&router), 1000);
    }
}

#[test]
fn a_length_with_the_top_bit_is_refused_at_that_byte() {
    assert_eq!(refused(&[0x06, 0x80]), Violation::LengthOutOfRange);
    assert_eq!(refused(&[0x06, 0xFF]), Violation::LengthOutOfRange);
    assert_eq!(router_fed(&[0x06, 0x7F]), Ok(Progress::More));
}

#[test]
fn an_empty_command_is_refused_at_its_header() {
    for header in [&[0x04, 0][..], &[0x06, 0, 0, 0, 0, 0, 0, 0, 0]] {
        assert_eq!(refused(header).name(), "malformed-command");
    }
}

#[test]
fn commands_other_than_ready_are_refused() {
    for name in ["HELLO", "PING", "SUBSCRIBE", "X", "ready"] {
        let mut frame = vec![0x04, name.len() as u8 + 3, name.len() as u8];
        frame.extend_from_slice(name.as_bytes());
        frame.extend_from_slice(&[0, 0]);
        assert_eq!(
            refused(&frame),
            Violation::UnexpectedCommand { name: name.into() }
        );
    }
}

#[test]
fn the_socket_type_must_be_there_and_pair() {
    assert_eq!(refused(&ready(&[])), Violation::MissingSocketType);
    assert_eq!(
        refused(&ready(&[("Identity", b"x")])),
        Violation::MissingSocketType
    );
    assert_eq!(
        refused(&ready(&[("Socket-Type", b"RADIO\n")])),
        Violation::UnknownSocketType {
            name: "RADIO\\n".into()
        }
    );
    for theirs in SocketType::ALL {
        let verdict = router_fed(&ready(&[("socket-TYPE", theirs.name().as_bytes())]));
        if SocketType::Router.accepts(theirs) {
            assert_eq!(peer(verdict).socket_type, theirs);
        } else {
            let violation = verdict.unwrap_err();
            assert_eq!(
                violation,
                Violation::IncompatibleSockets {
                    ours: SocketType::Router,
                    theirs
                }
            );
            assert!(violation.is_fatal_for_retry());
        }
    }
}

#[test]
fn identities_of_1_to_255_bytes_are_taken_whatever_the_type() {
    for socket_type in ["DEALER", "REQ", "ROUTER"] {
        for identity in [&b"x"[..], &[0xFF; 255], b"a\0b"] {
            let frame = ready(&[
                ("Socket-Type", socket_type.as_bytes()),
                ("IDENTITY", identity),
            ]);
            assert_eq!(peer(router_fed(&frame)).identity, identity);
        }
    }
    let with =
        |identity: &[u8]| refused(&ready(&[("Socket-Type", b"REQ"), ("Identity", identity)]));
    assert_eq!(with(&[1; 256]), Violation::IdentityTooLong { bytes: 256 });
    assert_eq!(with(&[0]), Violation::IdentityReserved);
    assert_eq!(with(b"\0\0\0\0\x01"), Violation::IdentityReserved);
    assert_eq!(check_identity(b""), Ok(()));
}

#[test]
fn other_properties_are_handed_over_in_order() {
    let frame = ready(&[
        ("X-Zone", b"eu"),
        ("Socket-Type", b"DEALER"),
        ("Resource", b"a/b"),
    ]);
    assert_eq!(
        peer(router_fed(&frame)).properties,
        [
            ("X-Zone".into(), Bytes::from_static(b"eu")),
            ("Resource".into(), Bytes::from_static(b"a/b"))
        ]
    );
}

#[test]
fn faults_in_the_metadata_are_refused() {
    let frame = |data: &[u8]| {
        let mut frame = Vec::new();
        command::ready(&mut frame, data);
        frame
    };
    assert_eq!(
        refused(&frame(b"\x0BSocket-Type\0\0\0\x07DEALER")).name(),
        "malformed-metadata"
    );
    assert_eq!(
        refused(&ready(&[
            ("Socket-Type", b"REQ"),
            ("socket-type", b"DEALER")
        ]))
        .name(),
        "malformed-metadata"
    );
    let names: Vec<String> = (0..64).map(|i| format!("X-{i}")).collect();
    let mut properties: Vec<(&str, &[u8])> = names.iter().map(|n| (n.as_str(), &b""[..])).collect();
    properties.push(("Socket-Type", b"REQ"));
    assert_eq!(
        refused(&ready(&properties)),
        Violation::TooManyProperties { max: 64 }
    );
    assert!(router_fed(&ready(&properties[1..])).is_ok());
}

#[test]
fn traffic_behind_ready_is_left_alone() {
    let mut bytes = greeting(3, 1);
    bytes.extend(ready(&[("Socket-Type", b"DEALER")]));
    let end = bytes.len();
    // A second READY is the decoder's to refuse.
    bytes.extend(ready(&[("Socket-Type", b"DEALER")]));

    let mut router = router();
    let (taken, progress) = router.consume(&bytes).unwrap();
    assert_eq!(taken, end);
    peer(Ok(progress));
    assert_eq!(router.wants(), 0);
    assert_eq!(router.consume(&bytes[end..]), Ok((0, Progress::More)));

    for piece in [1, 7, 1000] {
        assert_eq!(drip(&mut self::router(), &bytes, piece).0, end);
    }
    assert_eq!(
        self::router().feed(&bytes),
        Err(Violation::SurplusBytes {
            bytes: bytes.len() - end
        })
    );
}

#[test]
fn a_violation_is_final() {
    let mut router = router();
    router.feed(&greeting(3, 1)).unwrap();
    let first = router.feed(&[0x00]).unwrap_err();
    router.take_output();
    router.admit();
    assert!(!router.has_output());
    assert_eq!(router.wants(), 0);
    assert_eq!(router.feed(&ready(&[("Socket-Type", b"REQ")])), Err(first));
}

#[test]
fn limits_are_held_to_their_bounds() {
    let bounded = |command_bytes_max, properties_max| {
        HandshakeLimits {
            command_bytes_max,
            properties_max,
        }
        .bounded()
    };
    let least = bounded(0, 0);
    assert_eq!((least.command_bytes_max, least.properties_max), (512, 2));
    let most = bounded(usize::MAX, usize::MAX);
    assert_eq!((most.command_bytes_max, most.properties_max), (65536, 1024));
    assert_eq!(
        HandshakeLimits::default().bounded(),
        HandshakeLimits::default()
    );

    // The least still takes the longest identity.
    let mut router = Handshake::new(local(SocketType::Router, b"", true), least);
    router.feed(&greeting(3, 1)).unwrap();
    peer(router.feed(&ready(&[
        ("Socket-Type", b"DEALER"),
        ("Identity", &[1; 255]),
    ])));
}

/// Runs a dialogue in which every transfer is cut by `pieces`, and returns what each side got, and sent.
fn dialogue(pieces: impl Fn(usize) -> usize) -> (PeerInfo, PeerInfo, Vec<u8>, Vec<u8>) {
    let mut sides = [dealer(), router()];
    let mut peers = [None, None];
    let mut sent = [Vec::new(), Vec::new()];
    let mut fed = [0, 0];
    // Each turn feeds at least a byte, and there are fewer than 400.
    for _ in 0..400 {
        for side in 0..2 {
            let output = sides[side].take_output();
            sent[side].extend(output);
        }
        for side in 0..2 {
            let waiting = &sent[1 - side][fed[side]..];
            if waiting.is_empty() {
                continue;
            }
            let take = pieces(fed[side])
                .min(waiting.len())
                .min(sides[side].wants());
            assert!(take > 0);
            if let Progress::Ready(peer) = sides[side].feed(&waiting[..take]).unwrap() {
                assert_eq!(peers[side].replace(peer), None);
                sides[side].admit();
            }
            fed[side] += take;
        }
        if let [Some(router), Some(dealer)] = &peers
            && fed == [sent[1].len(), sent[0].len()]
        {
            let [from_dealer, from_router] = sent;
            return (router.clone(), dealer.clone(), from_dealer, from_router);
        }
    }
    panic!("the dialogue does not end");
}

#[test]
fn every_split_of_a_dialogue_ends_the_same() {
    let whole = dialogue(|_| usize::MAX);
    assert_eq!(whole.0.socket_type, SocketType::Router);
    assert_eq!(whole.1.socket_type, SocketType::Dealer);
    assert_eq!(whole.1.identity, &b"me"[..]);
    assert_eq!(whole.1.version, Version::OURS);
    let longest = whole.2.len().max(whole.3.len());
    for split in 1..longest {
        let cut = dialogue(|at| if at < split { split - at } else { usize::MAX });
        assert_eq!(cut, whole, "split at {split}");
    }
    for piece in 1..=9 {
        assert_eq!(dialogue(|_| piece), whole, "pieces of {piece}");
    }
}

#[test]
fn a_stream_fed_at_every_split_without_asking_ends_the_same() {
    let mut bytes = greeting(3, 0);
    bytes.extend(ready(&[
        ("Socket-Type", b"DEALER"),
        ("Identity", &[7; 200]),
        ("X-a", &[1; 90]),
    ]));
    assert_eq!(bytes[64], 0x06);
    let whole = peer(router().feed(&bytes));
    for split in 0..=bytes.len() {
        let mut router = router();
        let first = router.feed(&bytes[..split]);
        let last = match first {
            Ok(Progress::More) => router.feed(&bytes[split..]),
            first => first,
        };
        assert_eq!(peer(last), whole, "split at {split}");
    }
}

/// Bytes that get some way: a greeting and frames, with a few bytes changed.
fn nearly_valid() -> impl Strategy<Value = Vec<u8>> {
    let frame = prop_oneof![
        Just(ready(&[("Socket-Type", b"DEALER"), ("Identity", b"abc")])),
        Just(ready(&[("Socket-Type", b"REQ"), ("X-long", &[9; 300])])),
        Just(b"\x04\x09\x05ERROR\x02no".to_vec()),
        prop::collection::vec(any::<u8>(), 0..40),
        (any::<u64>(), prop::collection::vec(any::<u8>(), 0..40)).prop_map(|(length, body)| {
            let mut frame = vec![0x06];
            frame.extend_from_slice(&(length >> (length % 64)).to_be_bytes());
            frame.extend(body);
            frame
        }),
    ];
    let changes = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4);
    (prop::collection::vec(frame, 1..4), changes).prop_map(|(frames, changes)| {
        let mut bytes = greeting(3, 1);
        bytes.extend(frames.concat());
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes
    })
}

fn input() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![nearly_valid(), prop::collection::vec(any::<u8>(), 0..200)]
}

proptest! {
    #[test]
    fn arbitrary_bytes_stay_within_the_caps(bytes in input(), pieces in prop::collection::vec(1usize..100, 1..20)) {
        let mut handshake = router();
        let cap = HandshakeLimits::default().command_bytes_max;
        let mut fed = 0;
        for piece in pieces.iter().cycle() {
            if fed == bytes.len() {
                break;
            }
            let wants = handshake.wants();
            prop_assert!((1..=cap).contains(&wants));
            let next = (*piece).min(wants).min(bytes.len() - fed);
            let progress = handshake.feed(&bytes[fed..fed + next]);
            fed += next;
            if let State::Body { bytes, .. } = &handshake.state {
                prop_assert!(bytes.capacity() <= cap);
            }
            if progress != Ok(Progress::More) {
                prop_assert_eq!(handshake.wants(), 0);
                break;
            }
        }
        prop_assert!(handshake.take_output().len() < 1024);
    }

    #[test]
    fn arbitrary_bytes_end_the_same_in_any_split(bytes in input(), piece in 1usize..200) {
        let (whole_fed, whole) = drip(&mut router(), &bytes, usize::MAX);
        let (fed, cut) = drip(&mut router(), &bytes, piece);
        let mut reading_ahead = router();
        let ahead = reading_ahead.consume(&bytes);
        prop_assert_eq!(&cut, &whole);
        // Where it ends well, it ends at the same byte.
        if whole.is_ok() {
            prop_assert_eq!(fed, whole_fed);
            prop_assert_eq!(ahead, whole.map(|progress| (whole_fed, progress)));
        } else {
            prop_assert_eq!(ahead.map(|(_, progress)| progress), whole);
        }
    }
}
