//! Running `trunkline log`, and making damage.

use std::path::Path;

use serde_json::Value;

use super::support;

/// What a command said.
pub struct Said {
    pub stdout: String,
    pub stderr: String,
    code: Option<i32>,
}

impl Said {
    pub fn assert_code(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap()
    }

    pub fn json_lines(&self) -> Vec<Value> {
        self.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// `trunkline log` with these arguments.
pub fn log(arguments: &[&str]) -> Said {
    let output = support::command().arg("log").args(arguments).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Said { stdout: text(output.stdout), stderr: text(output.stderr), code: output.status.code() }
}

/// The same on a data directory.
pub fn log_in(directory: &Path, arguments: &[&str]) -> Said {
    let mut all = arguments.to_vec();
    all.extend(["--data-dir", directory.to_str().unwrap()]);
    log(&all)
}

/// A copy to be damaged.
pub fn copy(directory: &Path) -> tempfile::TempDir {
    let to = tempfile::Builder::new().prefix("trunkline-damaged-").tempdir().unwrap();
    copy_into(directory, to.path());
    to
}

/// Copies what is in a directory into another, which is made.
pub fn copy_into(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_into(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Flips one bit of a byte.
pub fn flip(path: &Path, byte: usize) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[byte] ^= 4;
    std::fs::write(path, bytes).unwrap();
}
