//! The seam between the engine and the file system: everything that the engine asks of files goes through here.
//!
//! What a crash leaves behind hangs on the order of a few calls. A disk that is handed in can fail each of them, delay it,
//! or forget what was not synced, so the engine is tested against every disk that it may meet.

mod real;
#[cfg(test)]
pub mod simulated;
mod whole;

use std::fmt::Debug;
use std::io;
use std::ops::Deref;
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

pub use whole::{Hold, copy_file, link_file};

/// A handle on a file system; clones share it.
#[derive(Debug, Clone)]
pub struct Disk(Arc<dyn FileSystem>);

/// An open file; clones share it.
pub type File = Arc<dyn OpenFile>;

/// For what a file is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Open {
    /// To be read. It must be there.
    Read,
    /// To be read and written over. It must be there.
    Write,
    /// To be read and written over; made where there is none.
    Create,
    /// To be read and written over. It must not be there.
    CreateNew,
    /// To be read and added to; made where there is none.
    Append,
}

/// A name in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    /// The name itself; one that is no text is left out of what is found.
    pub name: String,
    /// Whether it names a directory.
    pub is_directory: bool,
}

/// The room of a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// All of it, in bytes.
    pub total_bytes: u64,
    /// What may still be written, in bytes.
    pub available_bytes: u64,
}

/// What the engine asks of a file system. Durable is what a sync of the file covers, and what a sync of its directory names.
pub trait FileSystem: Debug + Send + Sync {
    /// Opens a file.
    fn open(&self, path: &Path, how: Open) -> io::Result<File>;

    /// What is in a directory, in no order.
    fn names(&self, directory: &Path) -> io::Result<Vec<Name>>;

    /// Whether there is such a file or directory.
    fn exists(&self, path: &Path) -> bool;

    /// Makes a directory and those above it; it may be there.
    fn create_directory(&self, path: &Path) -> io::Result<()>;

    /// Gives a file or directory another name. What had that name is replaced if it is a file.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    fn remove_file(&self, path: &Path) -> io::Result<()>;

    /// Removes a directory and all that is in it.
    fn remove_directory(&self, path: &Path) -> io::Result<()>;

    /// Makes the names in a directory durable.
    fn sync_directory(&self, path: &Path) -> io::Result<()>;

    /// The room of the file system that a directory lies in.
    fn space(&self, directory: &Path) -> io::Result<Space>;

    /// The right to remove or replace files of a data directory; `None` while another process needs them to stay.
    fn hold(&self, directory: &Path) -> io::Result<Option<Hold>> {
        let _ = directory;
        Ok(Some(Hold::nobody_else()))
    }
}

/// What the engine asks of an open file. A write that fails may have been done in part.
pub trait OpenFile: Debug + Send + Sync {
    /// Fills `bytes` from a position; fails if the file ends before.
    fn read_exact_at(&self, bytes: &mut [u8], at: u64) -> io::Result<()>;

    /// So many bytes from a position on; fails if the file ends before.
    fn read_at(&self, length: usize, at: u64) -> io::Result<Bytes> {
        let mut bytes = BytesMut::zeroed(length);
        self.read_exact_at(&mut bytes, at)?;
        Ok(bytes.freeze())
    }

    /// So many bytes from a position on will be read soon. Only a hint.
    fn will_read(&self, at: u64, bytes: usize) {
        let _ = (at, bytes);
    }

    /// Writes all of `bytes` at a position.
    fn write_all_at(&self, bytes: &[u8], at: u64) -> io::Result<()>;

    /// Adds `bytes` to the end of a file that was opened for that.
    fn append(&self, bytes: &[u8]) -> io::Result<()>;

    /// Cuts the file, or lengthens it with zeros.
    fn set_length(&self, bytes: u64) -> io::Result<()>;

    /// The size of the file, in bytes.
    fn length(&self) -> io::Result<u64>;

    /// Makes the content durable, and as much of the rest as is needed to read it.
    fn sync_data(&self) -> io::Result<()>;

    /// Makes the content and all that is known of the file durable.
    fn sync_all(&self) -> io::Result<()>;

    /// The file as the operating system knows it, if it does: for what goes from file to socket directly.
    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}

impl Disk {
    /// The operating system's files.
    pub fn real() -> Self {
        Self::new(real::Real)
    }

    /// A disk that does what `files` does.
    pub fn new(files: impl FileSystem + 'static) -> Self {
        Self(Arc::new(files))
    }

    /// All of a file.
    pub fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let file = self.open(path, Open::Read)?;
        let length = usize::try_from(file.length()?).map_err(io::Error::other)?;
        let mut bytes = BytesMut::zeroed(length);
        file.read_exact_at(&mut bytes, 0)?;
        Ok(bytes.into())
    }

    /// Removes a directory and all that is in it, if it is there.
    pub fn clear_directory(&self, path: &Path) -> io::Result<()> {
        absent_is_fine(self.remove_directory(path))
    }

    /// Removes a file, if it is there.
    pub fn clear_file(&self, path: &Path) -> io::Result<()> {
        absent_is_fine(self.remove_file(path))
    }
}

impl Default for Disk {
    fn default() -> Self {
        Self::real()
    }
}

impl Deref for Disk {
    type Target = dyn FileSystem;

    fn deref(&self) -> &Self::Target {
        &*self.0
    }
}

fn absent_is_fine(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
