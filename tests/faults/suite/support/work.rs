//! The service that is called, and the notes of what has run.
//!
//! A note is written before the handler does anything else, by one system call, so that it
//! outlives the process.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use brokerless::Blob;
use brokerless::service::{Context, Items};

use super::{ms, pass};

/// Whose call it is, and which.
pub(crate) type Stamp = (u64, u64);

#[brokerless::service(name = "faults.v1")]
pub(crate) trait Work {
    /// Gives back what it is given.
    #[rpc(inline)]
    fn stamp(&self, caller: u64, nonce: u64) -> Stamp;
    /// The same, in the worker pool.
    fn pooled(&self, caller: u64, nonce: u64) -> Stamp;
    /// Runs until nobody wants it any more.
    fn hold(&self, ctx: &Context<'_>, caller: u64, nonce: u64) -> Stamp;
    /// Panics.
    fn fall(&self, caller: u64, nonce: u64) -> Stamp;
    /// So many bytes.
    #[rpc(inline)]
    fn bulk(&self, bytes: u64) -> Blob;
    /// Numbers, from 0.
    fn numbers(&self, count: u64) -> Items<'_, u64>;
    /// Parts of so many bytes, without end.
    fn parts(&self, bytes: u64) -> Items<'_, Blob>;
}

const BEGAN: u8 = b'b';
const CANCELLED: u8 = b'c';
const NOTE: usize = 17;

/// Notes down what runs.
pub(crate) struct Worker {
    notes: File,
}

impl Worker {
    pub(crate) fn noting(path: &str) -> Self {
        let notes = OpenOptions::new().create(true).append(true).open(path);
        Worker {
            notes: notes.expect("a file to write to"),
        }
    }

    fn note(&self, what: u8, (caller, nonce): Stamp) {
        let mut bytes = [what; NOTE];
        bytes[1..9].copy_from_slice(&caller.to_le_bytes());
        bytes[9..].copy_from_slice(&nonce.to_le_bytes());
        (&self.notes).write_all(&bytes).expect("room for a note");
    }
}

impl Work for Worker {
    fn stamp(&self, caller: u64, nonce: u64) -> Stamp {
        self.note(BEGAN, (caller, nonce));
        (caller, nonce)
    }

    fn pooled(&self, caller: u64, nonce: u64) -> Stamp {
        self.note(BEGAN, (caller, nonce));
        (caller, nonce)
    }

    fn hold(&self, ctx: &Context<'_>, caller: u64, nonce: u64) -> Stamp {
        self.note(BEGAN, (caller, nonce));
        while !ctx.is_cancelled() {
            pass(ms(1));
        }
        self.note(CANCELLED, (caller, nonce));
        (caller, nonce)
    }

    fn fall(&self, caller: u64, nonce: u64) -> Stamp {
        self.note(BEGAN, (caller, nonce));
        panic!("as handlers do");
    }

    fn bulk(&self, bytes: u64) -> Blob {
        Blob::from(vec![7; bytes as usize])
    }

    fn numbers(&self, count: u64) -> Items<'_, u64> {
        Items::new(0..count)
    }

    fn parts(&self, bytes: u64) -> Items<'_, Blob> {
        // Each in memory of its own: what is held is seen.
        Items::new(std::iter::repeat_with(move || {
            Blob::from(vec![7; bytes as usize])
        }))
    }
}

/// A file of notes, which goes with the test.
pub(crate) struct Notes(PathBuf);

impl Notes {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("bl-faults-{}-{number}.notes", std::process::id());
        Notes(std::env::temp_dir().join(name))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    fn read(&self, what: u8) -> HashMap<Stamp, u32> {
        let bytes = std::fs::read(&self.0).expect("notes were taken");
        let mut found = HashMap::new();
        for note in bytes.chunks_exact(NOTE).filter(|note| note[0] == what) {
            let number = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().expect("8 bytes"));
            let stamp = (number(&note[1..9]), number(&note[9..]));
            *found.entry(stamp).or_default() += 1;
        }
        found
    }

    /// What has run, and how often.
    pub(crate) fn ran(&self) -> HashMap<Stamp, u32> {
        self.read(BEGAN)
    }

    /// Whose handlers have seen that they are cancelled.
    pub(crate) fn cancelled(&self) -> HashMap<Stamp, u32> {
        self.read(CANCELLED)
    }
}

impl Drop for Notes {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Tells threads that it is over, however the test ends: else it would wait for them.
pub(crate) struct Ends<'o>(pub(crate) &'o AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
