//! The life of an ipc socket's file: made by `bind`, removed by `Drop`.
//!
//! ```text
//! bind path -- in use? --> connect to it
//!                            refused  -> nobody listens: remove, bind again
//!                            accepted -> in use
//!                            not a socket -> refused, never removed
//! ```
//!
//! Between `bind` and `listen` a live socket looks stale, and between looking and removing a stale
//! one can be replaced. So the directory is locked (`flock`) from the one to the other: processes
//! that bind through this module do not race each other. The lock is a courtesy: where it cannot
//! be had within a second, binding goes on without it.
//!
//! # Invariants
//!
//! 1. Only a socket file that nobody listens on is replaced.
//!    (`the_socket_file_of_a_live_listener_is_refused`, `a_regular_file_is_never_removed`)
//! 2. Drop removes the file only while it is the one that bind made.
//!    (`drop_leaves_a_file_that_took_its_place`)

use std::fs::{self, DirBuilder, File, TryLockError};
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, connect};

use super::bind_error::{BindError, refusal};
use super::endpoint::{Endpoint, PATH_BYTES_MAX};
use super::endpoint_error::EndpointError;
use super::socket;

/// How long to wait for another process that is binding in the same directory.
const LOCK_WITHIN: Duration = Duration::from_secs(1);
/// Random names to try for a temporary directory.
const TEMPORARY_TRIES: u32 = 16;

/// Keeps other processes from binding in this directory while the value lives.
pub(super) fn lock_directory(directory: &Path) -> Option<File> {
    let file = File::open(directory).ok()?;
    let deadline = Instant::now() + LOCK_WITHIN;
    loop {
        match file.try_lock() {
            Ok(()) => return Some(file),
            Err(TryLockError::Error(_)) => return None,
            Err(TryLockError::WouldBlock) if Instant::now() >= deadline => return None,
            Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(1)),
        }
    }
}

/// Removes the socket file at `path` if nobody listens on it.
pub(super) fn remove_stale(
    endpoint: &Endpoint,
    path: &Path,
    addr: &SocketAddrUnix,
) -> Result<(), BindError> {
    let in_use = || BindError::InUse {
        endpoint: endpoint.clone(),
    };
    let failed = |error: io::Error| refusal(endpoint, error);
    let Some(before) = FileId::of(path).map_err(failed)? else {
        return Ok(());
    };
    if !before.is_socket {
        return Err(BindError::NotASocket {
            endpoint: endpoint.clone(),
        });
    }
    let probe = socket::open(AddressFamily::UNIX).map_err(failed)?;
    match connect(&probe, addr) {
        Err(Errno::CONNREFUSED) => {}
        Err(Errno::NOENT) => return Ok(()),
        Err(error @ (Errno::ACCESS | Errno::PERM)) => return Err(failed(error.into())),
        // Connected, or a full backlog, or a socket of another type: somebody holds it.
        Ok(()) | Err(_) => return Err(in_use()),
    }
    if FileId::of(path).map_err(failed)? != Some(before) {
        return Err(in_use());
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(error)),
        _ => Ok(()),
    }
}

/// Which file a path leads to, links not followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FileId {
    device: u64,
    inode: u64,
    is_socket: bool,
}

impl FileId {
    /// `None` where there is no file.
    fn of(path: &Path) -> io::Result<Option<FileId>> {
        match fs::symlink_metadata(path) {
            Ok(meta) => Ok(Some(FileId {
                device: meta.dev(),
                inode: meta.ino(),
                is_socket: meta.file_type().is_socket(),
            })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// The file of a bound ipc socket; removed on drop if it is still that file.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    id: FileId,
    // Dropped after the file in it is gone.
    _directory: Option<TemporaryDirectory>,
}

impl SocketFile {
    pub(super) fn made(path: PathBuf) -> io::Result<SocketFile> {
        let id = FileId::of(&path)?.ok_or(io::ErrorKind::NotFound)?;
        Ok(SocketFile {
            path,
            id,
            _directory: None,
        })
    }

    /// The same, in a directory that goes with it.
    pub(super) fn within(mut self, directory: TemporaryDirectory) -> SocketFile {
        self._directory = Some(directory);
        self
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if matches!(FileId::of(&self.path), Ok(Some(id)) if id == self.id)
            && let Err(error) = fs::remove_file(&self.path)
        {
            log::debug!("socket file {} stays: {error}", self.path.display());
        }
    }
}

/// The directory of an `ipc://*` socket, which only this user may enter.
#[derive(Debug)]
pub(super) struct TemporaryDirectory(PathBuf);

impl TemporaryDirectory {
    pub(super) fn create() -> io::Result<TemporaryDirectory> {
        let parent = std::env::temp_dir();
        let mut tries = 1;
        loop {
            // Unguessable is not needed, since an existing name is refused; unlikely to be taken is.
            let random = RandomState::new().hash_one(std::process::id()) as u32;
            let path = parent.join(format!("zmq-{}-{random:08x}", std::process::id()));
            match DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => return Ok(TemporaryDirectory(path)),
                Err(error)
                    if error.kind() == io::ErrorKind::AlreadyExists && tries < TEMPORARY_TRIES =>
                {
                    tries += 1;
                }
                Err(error) => return Err(error),
            }
        }
    }

    pub(super) fn socket_path(&self, endpoint: &Endpoint) -> Result<Box<str>, BindError> {
        let path = self.0.join("socket");
        let Some(text) = path.to_str() else {
            let error = io::Error::new(
                io::ErrorKind::InvalidInput,
                "the temporary directory's path is not utf-8; set TMPDIR to one that is",
            );
            return Err(refusal(endpoint, error));
        };
        if text.len() > PATH_BYTES_MAX {
            return Err(BindError::Endpoint(EndpointError::TooLong {
                endpoint: endpoint.to_string().into(),
                part: "ipc path",
                bytes: text.len(),
                bytes_max: PATH_BYTES_MAX,
            }));
        }
        Ok(text.into())
    }
}

impl Drop for TemporaryDirectory {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir(&self.0) {
            log::debug!("temporary directory {} stays: {error}", self.0.display());
        }
    }
}
