//! What the fuzzer has found, and the seeds made by hand, said to a running device.
//!
//! Each file is sent in three ways: as it is, in place of a greeting; as it is, behind a
//! handshake; and as the stream that the fuzz target makes of it, in its pieces.

use std::borrow::Cow;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::suite::support::input::{Input, Pieces};
use crate::suite::support::kinds::Kind;
use crate::suite::support::ms;
use crate::suite::support::raw::{Raw, opening};
use crate::suite::support::scene::{Scene, WORST};

/// Connections at once.
const BATCH: usize = 32;
/// The longest stream that is made of a file.
const WIRE_BYTES_MAX: usize = 160 * 1024;
/// A device that reads nothing more from a peer, for good reason or not, is not waited for longer.
const PATIENCE: Duration = ms(10_000);
/// A message of 160 KiB, queued and being read, for each of a batch, and what the allocator keeps.
const BATCH_KIB: u64 = 3 * (BATCH * WIRE_BYTES_MAX / 1024) as u64 + 8 * 1024;
/// Some workers of a batch may have been given what is the good client's.
const WORST_AMONG_WORKERS: Duration = ms(1000);

/// What one connection says: at once, then in pieces.
struct Script<'a> {
    opening: &'a [u8],
    wire: Cow<'a, [u8]>,
    pieces: Pieces,
}

impl Script<'_> {
    fn say(mut self, peer: &mut Raw) {
        peer.send(self.opening);
        let mut at = 0;
        while at < self.wire.len() {
            let end = self.pieces.end(at, self.wire.len());
            peer.send(&self.wire[at..end]);
            at = end;
        }
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("patterns/fuzz")
}

/// The files, each with its target.
fn files() -> Vec<(&'static str, Vec<u8>)> {
    let mut files = Vec::new();
    for target in ["greeting", "frames", "session"] {
        for kind in ["corpus", "seeds"] {
            let folder = folder().join(kind).join(target);
            let entries = fs::read_dir(&folder);
            let entries = entries.unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
            let before = files.len();
            for entry in entries {
                let path = entry.expect("an entry of a folder").path();
                files.push((target, fs::read(path).expect("it is there")));
            }
            assert!(files.len() > before + 10, "{} is empty", folder.display());
        }
    }
    files
}

/// All that a file is to a side whose peers begin with `opening`.
fn scripts<'a>(target: &str, file: &'a [u8], opening: &'a [u8]) -> Vec<Script<'a>> {
    let whole = |opening| Script {
        opening,
        wire: Cow::Borrowed(file),
        pieces: Pieces::of(&[]),
    };
    let mut scripts = vec![whole(&[]), whole(opening)];
    // What comes before the stream is about the fuzz target itself.
    let (settings, opening) = match target {
        "greeting" => (2, &[][..]),
        "frames" => (1, opening),
        _ => return scripts,
    };
    let mut input = Input::new(file);
    input.take(settings);
    let pieces = Pieces::take(&mut input);
    scripts.push(Script {
        opening,
        wire: input.wire(WIRE_BYTES_MAX),
        pieces,
    });
    scripts
}

pub(super) fn what_the_fuzzer_has_found_changes_nothing_for_a_running_device(kind: &Kind) {
    let files = files();
    let mut worst = WORST;
    let scene = Scene::set_with_workers(kind, &[]);
    let before = scene.memory();
    for side in kind.sides() {
        if side.shares {
            worst = WORST_AMONG_WORKERS;
        }
        let address = scene.address(side);
        let opening = opening(side.peers.kind, b"");
        let scripts = files
            .iter()
            .flat_map(|(target, file)| scripts(target, file, &opening));
        let mut scripts = scripts.peekable();
        let mut said = 0;
        while scripts.peek().is_some() {
            let mut peers = Vec::new();
            for script in scripts.by_ref().take(BATCH) {
                said += 1;
                let mut peer = Raw::connect(&address);
                let stream = peer.stream();
                stream
                    .set_write_timeout(Some(PATIENCE))
                    .expect("an option of every stream");
                script.say(&mut peer);
                peer.finish();
                peers.push(peer);
            }
            for peer in &mut peers {
                peer.until_closed(PATIENCE);
            }
        }
        // Each has ended for some reason.
        scene.until("all are counted", ms(2000), |statistics| {
            let closes = crate::suite::support::scene::closes(statistics, side);
            closes.values().sum::<u64>() == said && statistics[side.name]["connections"] == 1
        });
    }
    scene.assert_grown(before, BATCH_KIB);
    scene.good.until_rounds(20);
    scene.end_with(worst);
}
