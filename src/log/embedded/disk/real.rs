//! The operating system's files, as they are.

use std::fs::{File as SystemFile, OpenOptions};
use std::io::{self, Write};
use std::num::NonZeroU64;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use rustix::buffer::spare_capacity;
use rustix::fs::Advice;

use super::{File, FileSystem, Hold, Name, Open, OpenFile, Space};

/// The file system of the operating system.
#[derive(Debug)]
pub struct Real;

impl FileSystem for Real {
    fn open(&self, path: &Path, how: Open) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.read(true);
        match how {
            Open::Read => &mut options,
            Open::Write => options.write(true),
            Open::Create => options.write(true).create(true).truncate(false),
            Open::CreateNew => options.write(true).create_new(true),
            Open::Append => options.append(true).create(true),
        };
        Ok(Arc::new(options.open(path)?))
    }

    fn names(&self, directory: &Path) -> io::Result<Vec<Name>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(directory)? {
            let entry = entry?;
            if let Ok(name) = entry.file_name().into_string() {
                names.push(Name { name, is_directory: entry.file_type()?.is_dir() });
            }
        }
        Ok(names)
    }

    fn exists(&self, path: &Path) -> bool {
        path.exists()
    }

    fn create_directory(&self, path: &Path) -> io::Result<()> {
        std::fs::create_dir_all(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn remove_directory(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_dir_all(path)
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        SystemFile::open(path)?.sync_all()
    }

    fn space(&self, directory: &Path) -> io::Result<Space> {
        let found = rustix::fs::statvfs(directory)?;
        let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
        Ok(Space { total_bytes: bytes(found.f_blocks), available_bytes: bytes(found.f_bavail) })
    }

    fn hold(&self, directory: &Path) -> io::Result<Option<Hold>> {
        Hold::exclusive(directory)
    }
}

impl OpenFile for SystemFile {
    fn read_exact_at(&self, bytes: &mut [u8], at: u64) -> io::Result<()> {
        FileExt::read_exact_at(self, bytes, at)
    }

    /// Into memory that was not filled with zeros before.
    fn read_at(&self, length: usize, at: u64) -> io::Result<Bytes> {
        let mut bytes = Vec::with_capacity(length);
        while bytes.len() < length {
            let from = at + bytes.len() as u64;
            match rustix::io::pread(self, spare_capacity(&mut bytes), from) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        bytes.truncate(length);
        Ok(bytes.into())
    }

    fn will_read(&self, at: u64, bytes: usize) {
        let _ = rustix::fs::fadvise(self, at, NonZeroU64::new(bytes as u64), Advice::WillNeed);
    }

    fn write_all_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        FileExt::write_all_at(self, bytes, at)
    }

    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        let mut end = self;
        end.write_all(bytes)
    }

    fn set_length(&self, bytes: u64) -> io::Result<()> {
        self.set_len(bytes)
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn sync_data(&self) -> io::Result<()> {
        Self::sync_data(self)
    }

    fn sync_all(&self) -> io::Result<()> {
        Self::sync_all(self)
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        Some(self.as_fd())
    }
}
