//! What runs in a process that takes a stream, and how far it has come.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use brokerless::client::Client;
use brokerless::patterns::Options;

use super::work::WorkClient;

/// The first argument that makes this program one.
pub(crate) const ROLE: &str = "role-taker";

/// Takes numbers without end at an endpoint, with so many on their way, and notes in a file how
/// many it has taken. It stops when its input ends, and says how many they were.
#[allow(clippy::print_stdout, reason = "it speaks to its parent")]
pub(crate) fn run(mut arguments: impl Iterator<Item = String>) {
    let mut argument = || arguments.next().expect("an argument");
    let endpoint = argument();
    let window = argument().parse().expect("a number");
    let notes = File::options().write(true).open(argument());
    let notes = notes.expect("a file to write to");
    let patience = Duration::from_secs(20);
    let options = Options::new()
        .heartbeat_timeout(patience)
        .heartbeat_ttl(patience);
    let builder = Client::builder().options(options).stream_items(window);
    let client = builder.connect(endpoint);
    let work = WorkClient::from(client.expect("an endpoint"));
    let numbers = work.numbers(u64::MAX).expect("a stream");
    println!("ready 1");
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut rest = Vec::new();
            let _ = std::io::stdin().read_to_end(&mut rest);
            over.store(true, Ordering::Relaxed);
        });
        let mut taken = 0u64;
        for number in numbers {
            assert_eq!(number.expect("an item"), taken, "in order");
            taken += 1;
            notes
                .write_all_at(&taken.to_le_bytes(), 0)
                .expect("room for a note");
            if over.load(Ordering::Relaxed) {
                break;
            }
        }
        println!("took {taken}");
    });
}

/// How many items such a process has taken: known while it is stopped, too.
pub(crate) struct Taken(PathBuf);

impl Taken {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("bl-faults-{}-{number}.taken", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, 0u64.to_le_bytes()).expect("room for a file");
        Taken(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn count(&self) -> u64 {
        let bytes = std::fs::read(&self.0).expect("the file is there");
        u64::from_le_bytes(bytes.try_into().expect("8 bytes"))
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}
