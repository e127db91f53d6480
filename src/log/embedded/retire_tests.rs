//! Retirement beside writers: on a disk that takes for ever to sync a segment, appends become durable all the same.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use parking_lot::Mutex;

use super::disk::{Disk, File, FileSystem, Name, Open, OpenFile, Space};
use super::testing::{Place, settings};
use crate::log::record::Compression;
use crate::log::*;

/// A disk that says when a segment's log is to be synced, and does it when it is told to.
#[derive(Debug, Clone)]
struct Slow {
    disk: Disk,
    asked: Sender<()>,
    told: Arc<Mutex<Receiver<()>>>,
}

#[derive(Debug)]
struct SlowFile(File, Slow);

impl FileSystem for Slow {
    fn open(&self, path: &Path, how: Open) -> io::Result<File> {
        let file = self.disk.open(path, how)?;
        let is_data =
            path.parent().is_some_and(|directory| directory.ends_with("orders-0")) && path.ends_with("00000000000000000000.log");
        Ok(if is_data { Arc::new(SlowFile(file, self.clone())) } else { file })
    }
    fn names(&self, directory: &Path) -> io::Result<Vec<Name>> {
        self.disk.names(directory)
    }
    fn exists(&self, path: &Path) -> bool {
        self.disk.exists(path)
    }
    fn create_directory(&self, path: &Path) -> io::Result<()> {
        self.disk.create_directory(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename(from, to)
    }
    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.disk.remove_file(path)
    }
    fn remove_directory(&self, path: &Path) -> io::Result<()> {
        self.disk.remove_directory(path)
    }
    fn space(&self, directory: &Path) -> io::Result<Space> {
        self.disk.space(directory)
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        self.disk.sync_directory(path)
    }
}

impl OpenFile for SlowFile {
    fn read_exact_at(&self, bytes: &mut [u8], at: u64) -> io::Result<()> {
        self.0.read_exact_at(bytes, at)
    }
    fn write_all_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        self.0.write_all_at(bytes, at)
    }
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        self.0.append(bytes)
    }
    fn set_length(&self, bytes: u64) -> io::Result<()> {
        self.0.set_length(bytes)
    }
    fn length(&self) -> io::Result<u64> {
        self.0.length()
    }
    fn sync_data(&self) -> io::Result<()> {
        self.1.asked.send(()).map_err(io::Error::other)?;
        self.1.told.lock().recv().map_err(io::Error::other)?;
        self.0.sync_data()
    }
    fn sync_all(&self) -> io::Result<()> {
        self.0.sync_all()
    }
}

#[test]
fn writers_and_readers_go_on_while_a_segment_is_synced() {
    let directory = tempfile::tempdir().expect("a directory");
    let (asked, is_asked) = channel();
    let (tell, told) = channel();
    let disk = Disk::new(Slow { disk: Disk::default(), asked, told: Arc::new(Mutex::new(told)) });
    let topic = TopicSettings { retention_ms: None, ..TopicSettings::default() };
    let place = Place::open(settings(directory.path(), disk), &topic);
    for _ in 0..10 {
        place.append(&[(1, Some("old".into()))], Compression::None, 7);
    }
    let written = place.partition.bounds().end;
    std::thread::scope(|scope| {
        let retiring = scope.spawn(|| place.retire_all());
        is_asked.recv_timeout(Duration::from_secs(30)).expect("a segment is synced");
        for _ in 0..100 {
            place.append(&[(1, Some("new".into()))], Compression::None, 7);
        }
        let end = place.partition.bounds().end;
        assert_eq!(end, written + 100);
        let waited = std::time::Instant::now();
        while place.partition.bounds().durable < end {
            assert!(waited.elapsed() < Duration::from_secs(30), "appends wait for the retirement");
            std::thread::yield_now();
        }
        assert_eq!(place.read().len() as u64, end);
        for _ in 0..1_000 {
            tell.send(()).expect("the disk is there");
        }
        retiring.join().expect("it retires");
    });
    assert_eq!(place.read().len() as u64, written + 100);
}
