//! A peer that announces more than there is memory, in a process of its own: that may end.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Instant;

use brokerless_patterns::{Dealer, Router};

use crate::rig::{LIMIT, MOMENT, Outcome, Rig, TCP, holds, same};

/// The first argument of a process that answers on a ROUTER until its input ends.
pub(crate) const ROLE: &str = "answer-on-a-router";

/// Answers everybody on a ROUTER of this engine.
pub(crate) fn answer(engine: &str) -> Outcome {
    let rigs = Rig::all();
    let rig = rigs.iter().find(|rig| rig.name() == engine);
    let router = rig.ok_or("no such engine")?.make(Router::with)?;
    let mut out = std::io::stdout();
    writeln!(out, "{}", router.bind_to(TCP)?)?;
    out.flush()?;
    loop {
        let (peer, message) = router.recv_timeout(LIMIT)?;
        let _ = router.send(&peer, message); // who has gone meanwhile is not answered
    }
}

pub(crate) fn a_frame_of_exabytes_ends_its_connection_and_nothing_else(rig: &Rig) -> Outcome {
    let mut process = Command::new(std::env::current_exe()?)
        .args([ROLE, rig.name()])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let outcome = announce(rig, &mut process);
    let _ = process.kill(); // it may have ended already
    process.wait()?;
    outcome
}

fn announce(rig: &Rig, process: &mut std::process::Child) -> Outcome {
    let mut endpoint = String::new();
    let out = process.stdout.take().ok_or("no output")?;
    BufReader::new(out).read_line(&mut endpoint)?;
    let endpoint = endpoint.trim_end();
    let mut stranger = TcpStream::connect(endpoint.trim_start_matches("tcp://"))?;
    let mut bytes = [0; 73];
    bytes[0] = 0xff;
    bytes[9..12].copy_from_slice(&[0x7f, 3, 0]);
    bytes[12..16].copy_from_slice(b"NULL");
    bytes[64..66].copy_from_slice(&[2, 0x40]); // a frame of 2^62 bytes
    stranger.write_all(&bytes)?;
    // Until it is parted from: whatever the announcement does has been done then.
    stranger.set_read_timeout(Some(LIMIT))?;
    while match stranger.read(&mut bytes) {
        Err(error) => error.kind() == ErrorKind::Interrupted,
        Ok(count) => count > 0,
    } {}
    let dealer = rig.make(Dealer::with)?;
    dealer.connect_to(endpoint)?;
    let deadline = Instant::now() + LIMIT;
    for _ in 0..3 {
        dealer.send("hello")?;
        let answer = loop {
            if let Ok(answer) = dealer.recv_timeout(MOMENT) {
                break answer;
            }
            holds!(process.try_wait()?.is_none(), "the process has ended");
            holds!(Instant::now() < deadline, "no answer within {LIMIT:?}");
        };
        same!(answer[0], "hello");
    }
    holds!(process.try_wait()?.is_none(), "the process has ended");
    Ok(())
}
