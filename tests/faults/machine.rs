//! What is done to a gateway from outside: its system calls fail, or its disk is full.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::support::wait_until;

/// Has system calls of a process failed until it is dropped.
pub struct Tracer(Child);

impl Tracer {
    pub fn inject(pid: u32, what: &str) -> Option<Self> {
        let calls = what.split(':').next().unwrap_or_default();
        let arguments = ["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={calls}"), "-e", &format!("inject={what}"), "-p"];
        let child = Command::new("strace").args(arguments).arg(pid.to_string()).stderr(Stdio::null()).spawn().ok()?;
        let mut tracer = Self(child);
        let is_traced = || {
            let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).expect("it runs").flatten();
            let traced = |status: String| status.lines().any(|line| line.starts_with("TracerPid:") && !line.ends_with("\t0"));
            tasks.map(|task| std::fs::read_to_string(task.path().join("status")).unwrap_or_default()).all(traced)
        };
        let mut has_ended = false;
        wait_until("strace holds every thread", || {
            has_ended = tracer.0.try_wait().expect("waits").is_some();
            has_ended || is_traced()
        });
        (!has_ended).then_some(tracer)
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A file system of its own, for as long as it is kept.
pub struct Mount(tempfile::TempDir);

impl Mount {
    pub fn tmpfs(size: &str) -> Option<Self> {
        let directory = tempfile::tempdir().expect("a directory");
        let options = format!("size={size}");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(directory.path()).output().ok()?;
        mounted.status.success().then(|| Self(directory))
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Takes all the room but so many bytes.
    pub fn fill(&self, but_bytes: u64) -> PathBuf {
        let path = self.path().join("ballast");
        let space = rustix::fs::statvfs(self.path()).expect("it is mounted");
        let bytes = (space.f_bavail * space.f_frsize).saturating_sub(but_bytes);
        std::fs::write(&path, vec![1; usize::try_from(bytes).expect("small")]).expect("there is room");
        path
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}
