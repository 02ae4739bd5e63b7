//! A file server: whole files as blobs, large ones in pieces, both ways.
//!
//! A blob is a frame of its own, which nobody copies. A stream has no more under way than its
//! window (1 MiB by default), so a file may be larger than memory; a reader that stops costs the
//! server that much and no more.
//!
//! ```text
//! cargo run --example files
//! ```

#![allow(clippy::print_stdout)]

use std::error::Error;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use brokerless::service::{Incoming, Items};
use brokerless::{Blob, Code, Server, Status};
use serde::{Deserialize, Serialize};

/// Bytes of a piece.
const PIECE: usize = 64 << 10;

/// A file.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    name: String,
    bytes: u64,
}

/// Files of one directory.
#[brokerless::service(name = "files.v1")]
pub trait Files {
    /// What there is.
    fn list(&self) -> Result<Items<'_, Entry>, Status>;
    /// A whole file.
    #[rpc(idempotent)]
    fn load(&self, name: &str) -> Result<Blob, Status>;
    /// A file from there on, in pieces.
    fn read(&self, name: &str, from: u64) -> Result<Items<'_, Blob>, Status>;
    /// Writes a file that comes in pieces: how many bytes it has.
    fn write(&self, name: String, pieces: Incoming<Blob>) -> Result<u64, Status>;
}

struct Directory(PathBuf);

impl Directory {
    /// Where that file is: here, and nowhere else.
    fn path(&self, name: &str) -> Result<PathBuf, Status> {
        let plain = |c: char| c.is_alphanumeric() || "._-".contains(c);
        if name.is_empty() || name.starts_with('.') || !name.chars().all(plain) {
            let rule = "letters, digits and ._- make a name, and it begins with no dot";
            return Err(Status::invalid_argument(format!("{name:?}: {rule}")));
        }
        Ok(self.0.join(name))
    }
}

fn failed(error: &io::Error) -> Status {
    match error.kind() {
        io::ErrorKind::NotFound => Status::not_found("no such file"),
        _ => Status::internal(error.to_string()),
    }
}

/// The pieces of a file, each read when there is room to send it.
fn pieces(mut file: impl Read) -> impl Iterator<Item = io::Result<Blob>> {
    std::iter::from_fn(move || {
        let mut piece = Vec::with_capacity(PIECE);
        match (&mut file).take(PIECE as u64).read_to_end(&mut piece) {
            Ok(0) => None,
            Ok(_) => Some(Ok(Blob::from(piece))),
            Err(error) => Some(Err(error)),
        }
    })
}

impl Files for Directory {
    fn list(&self) -> Result<Items<'_, Entry>, Status> {
        let entries = fs::read_dir(&self.0).map_err(|error| failed(&error))?;
        Ok(Items::fallible(entries.map(|entry| {
            let entry = entry.map_err(|error| failed(&error))?;
            let known = entry.metadata().map_err(|error| failed(&error))?;
            Ok(Entry {
                name: entry.file_name().to_string_lossy().into_owned(),
                bytes: known.len(),
            })
        })))
    }

    fn load(&self, name: &str) -> Result<Blob, Status> {
        let bytes = fs::read(self.path(name)?).map_err(|error| failed(&error))?;
        Ok(Blob::from(bytes))
    }

    fn read(&self, name: &str, from: u64) -> Result<Items<'_, Blob>, Status> {
        let mut file = File::open(self.path(name)?).map_err(|error| failed(&error))?;
        file.seek(SeekFrom::Start(from))
            .map_err(|error| failed(&error))?;
        Ok(Items::fallible(
            pieces(file).map(|piece| piece.map_err(|error| failed(&error))),
        ))
    }

    fn write(&self, name: String, pieces: Incoming<Blob>) -> Result<u64, Status> {
        let path = self.path(&name)?;
        // Nobody sees half a file: not if the caller goes away either, which is an error here.
        let half = self.0.join(format!(".{name}.half"));
        let written = write_all(&half, pieces);
        match &written {
            Ok(_) => fs::rename(&half, path).map_err(|error| failed(&error))?,
            Err(_) => drop(fs::remove_file(&half)),
        }
        written
    }
}

fn write_all(path: &Path, pieces: Incoming<Blob>) -> Result<u64, Status> {
    let mut file = File::create(path).map_err(|error| failed(&error))?;
    let mut bytes = 0;
    for piece in pieces {
        let piece = piece?;
        file.write_all(&piece).map_err(|error| failed(&error))?;
        bytes += piece.len() as u64;
    }
    Ok(bytes)
}

/// A directory that goes with the example.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        // The system clears what is left behind.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Runs the example; a test does, too.
pub fn main() -> Result<(), Box<dyn Error>> {
    let name = format!("brokerless-files-{}", std::process::id());
    let scratch = Scratch(std::env::temp_dir().join(name));
    fs::create_dir_all(&scratch.0)?;
    let server = Server::builder()
        .service(FilesServer::new(Directory(scratch.0.clone())))
        .bind("tcp://127.0.0.1:*")?;
    let files = FilesClient::connect(server.local_endpoints()[0].to_string())?;

    // Up, in pieces: from anything that can be read.
    let large: Vec<u8> = (0..5_000_000u32).map(|n| (n / 7) as u8).collect();
    let up = pieces(&large[..]).map_while(Result::ok);
    assert_eq!(files.write("large.bin".into(), up)?, large.len() as u64);

    // Down, whole and in pieces.
    assert_eq!(files.load("large.bin")?[..], large[..]);
    let mut down = Vec::new();
    for piece in files.read("large.bin", 1_000_000)? {
        down.extend_from_slice(&piece?);
    }
    assert_eq!(down[..], large[1_000_000..]);
    println!("{} bytes up, {} down", large.len(), down.len());

    // As much as is wanted: to drop a stream is to cancel it.
    let first = files
        .read("large.bin", 0)?
        .next()
        .ok_or("an empty file")??;
    assert_eq!(first.len(), PIECE);

    let listed: Vec<Entry> = files.list()?.collect::<Result<_, _>>()?;
    println!("{listed:?}");
    assert_eq!(listed.len(), 1);

    let error = files.load("../secret").expect_err("not of this directory");
    assert_eq!(error.code(), Code::InvalidArgument);
    let error = files.load("none").expect_err("no such file");
    assert_eq!(error.code(), Code::NotFound);
    Ok(())
}
