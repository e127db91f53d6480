//! A gateway for tests: the built program as a child process on free ports of loopback with a data directory of its own.
//!
//! It can be killed as a crash would, ended in order, and started again on the same data and the same ports. Nothing here
//! knows a protocol. Waiting is for a condition with a deadline, never for a time.
#![allow(dead_code, clippy::expect_used, clippy::panic, clippy::print_stderr, clippy::unwrap_used)]

use std::fs::File;
use std::future::Future;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Longer than any start, recovery or delivery in a test takes on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(30);

const POLL: Duration = Duration::from_millis(5);
const LISTENERS: [&str; 4] = ["kafka", "amqp", "redis", "http"];

/// A running gateway. Dropping it kills the process and removes its data.
pub struct Gateway {
    child: Option<Child>,
    output: Option<JoinHandle<String>>,
    addresses: Addresses,
    settings: Vec<(String, String)>,
    home: tempfile::TempDir,
}

/// Where the listeners are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
pub struct Addresses {
    pub kafka: SocketAddr,
    pub amqp: SocketAddr,
    pub redis: SocketAddr,
    pub http: SocketAddr,
}

/// What a gateway shall be started with.
#[derive(Default)]
pub struct Builder {
    settings: Vec<(String, String)>,
    within: Option<PathBuf>,
}

impl Builder {
    /// Sets one key of the configuration, as in `("limits.connections", "10")`.
    #[must_use]
    pub fn set(mut self, key: &str, value: impl ToString) -> Self {
        self.settings.push((key.to_owned(), value.to_string()));
        self
    }

    /// Keeps its data below a directory instead of that for temporary files.
    #[must_use]
    pub fn within(mut self, directory: &Path) -> Self {
        self.within = Some(directory.to_owned());
        self
    }

    /// Starts the gateway and returns when it serves.
    pub fn start(self) -> Gateway {
        let within = self.within.unwrap_or_else(std::env::temp_dir);
        let home = tempfile::Builder::new().prefix("trunkline-test-").tempdir_in(within).expect("temporary directory");
        let mut gateway = Gateway { child: None, output: None, addresses: Addresses::unset(), settings: self.settings, home };
        gateway.launch();
        gateway
    }
}

impl Gateway {
    /// A gateway with the built-in settings.
    pub fn start() -> Self {
        Self::builder().start()
    }

    /// A gateway with settings of the test's own.
    pub fn builder() -> Builder {
        Builder::default()
    }

    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// `host:port` for Kafka clients.
    pub fn kafka(&self) -> String {
        self.addresses.kafka.to_string()
    }

    /// A URL for AMQP clients.
    pub fn amqp(&self) -> String {
        format!("amqp://guest:guest@{}/%2f", self.addresses.amqp)
    }

    /// A URL for Redis clients.
    pub fn redis(&self) -> String {
        format!("redis://{}/", self.addresses.redis)
    }

    /// The base of HTTP URLs, without a slash at the end.
    pub fn http(&self) -> String {
        format!("http://{}", self.addresses.http)
    }

    pub fn data_dir(&self) -> PathBuf {
        self.home.path().join("data")
    }

    /// The process id, while it runs.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("the gateway runs").id()
    }

    /// What the gateway has logged so far, over all its starts.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.home.path().join("stderr")).unwrap_or_default()
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("kill");
            child.wait().expect("wait");
        }
        self.join_output();
    }

    /// SIGTERM; waits for the end and returns how it ended.
    pub fn terminate(&mut self) -> ExitStatus {
        self.signal(rustix::process::Signal::TERM);
        self.wait_for_end()
    }

    pub fn signal(&self, signal: rustix::process::Signal) {
        let child = self.child.as_ref().expect("the gateway runs");
        rustix::process::kill_process(rustix::process::Pid::from_child(child), signal).expect("signal");
    }

    /// Waits until the process has ended by itself.
    pub fn wait_for_end(&mut self) -> ExitStatus {
        let mut child = self.child.take().expect("the gateway runs");
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            match child.try_wait().expect("wait") {
                Some(status) => break Some(status),
                None if Instant::now() >= deadline => break None,
                None => std::thread::sleep(POLL),
            }
        };
        if status.is_none() {
            let _ = child.kill();
            let _ = child.wait();
        }
        self.join_output();
        status.unwrap_or_else(|| panic!("the gateway did not end; its log:\n{}", self.log()))
    }

    /// Starts again on the same data and the same addresses, after a kill or an end.
    pub fn restart(&mut self) {
        assert!(self.child.is_none(), "end the gateway first");
        self.launch();
    }

    /// Kills and starts again.
    pub fn crash(&mut self) {
        self.kill();
        self.restart();
    }

    fn launch(&mut self) {
        let stderr = File::options().create(true).append(true).open(self.home.path().join("stderr")).expect("log file");
        let mut command = command();
        command.current_dir(self.home.path()).stdout(Stdio::piped()).stderr(stderr).stdin(Stdio::null());
        command.env("TRUNKLINE_DATA_DIR", self.data_dir());
        for (name, address) in LISTENERS.iter().zip(self.addresses.all()) {
            command.env(variable(&format!("{name}.listen")), address.to_string());
        }
        for (key, value) in &self.settings {
            command.env(variable(key), value);
        }
        let mut child = command.spawn().expect("the gateway starts");
        let stdout = child.stdout.take().expect("its output");
        self.child = Some(child);
        let (ready, output) = read_output(stdout);
        self.output = Some(output);
        if !ready {
            self.kill();
            panic!("the gateway did not become ready; its log:\n{}", self.log());
        }
        let text = std::fs::read_to_string(self.data_dir().join("listening.json")).expect("listening.json");
        self.addresses = serde_json::from_str(&text).expect("addresses");
    }

    fn join_output(&mut self) {
        if let Some(output) = self.output.take() {
            let _ = output.join();
        }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("--- the gateway's log ---\n{}", self.log());
        }
    }
}

impl Addresses {
    /// Any free ports.
    fn unset() -> Self {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        Self { kafka: any, amqp: any, redis: any, http: any }
    }

    fn all(self) -> [SocketAddr; 4] {
        [self.kafka, self.amqp, self.redis, self.http]
    }
}

/// The built program, untouched by variables of the one who runs the tests.
pub fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trunkline"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("TRUNKLINE_")) {
        command.env_remove(name);
    }
    command
}

/// Polls until `condition` holds. Panics with `what` when it does not within [`PATIENCE`].
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        std::thread::sleep(POLL);
    }
}

/// Polls until `attempt` gives something and returns it. Panics with `what` when it does not within [`PATIENCE`].
pub async fn eventually<T>(what: &str, mut attempt: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = attempt().await {
            return value;
        }
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        tokio::time::sleep(POLL).await;
    }
}

/// Asks until something holds. Panics with `what` when it does not within [`PATIENCE`].
pub async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    eventually(what, async || holds().await.then_some(())).await;
}

/// Awaits `future`. Panics with `what` when it takes longer than [`PATIENCE`].
pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(value) => value,
        Err(_) => panic!("waited in vain: {what}"),
    }
}

/// A name that no other test uses.
pub fn unique(prefix: &str) -> String {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("{prefix}-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Sends one HTTP GET and returns status and body.
pub async fn http_get(address: SocketAddr, path: &str) -> (u16, String) {
    http_ask(address, &format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")).await
}

/// The status and body that a POST of JSON is answered with.
pub async fn http_post(address: SocketAddr, path: &str, json: &str) -> (u16, String) {
    let of_body = format!("Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{json}", json.len());
    http_ask(address, &format!("POST {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{of_body}")).await
}

async fn http_ask(address: SocketAddr, request: &str) -> (u16, String) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(address).await.expect("connect");
    stream.write_all(request.as_bytes()).await.expect("request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("answer");
    let status = answer.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("status");
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default();
    (status, body)
}

/// The files below a directory and their sizes in bytes.
pub fn files_below(directory: &Path) -> Vec<(PathBuf, u64)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).expect("directory").flatten() {
        match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => found.extend(files_below(&entry.path())),
            Ok(metadata) => found.push((entry.path(), metadata.len())),
            Err(_) => {}
        }
    }
    found
}

fn variable(key: &str) -> String {
    if let Some(user) = key.strip_prefix("security.users.") {
        return format!("TRUNKLINE_SECURITY__USERS__{user}");
    }
    format!("TRUNKLINE_{}", key.replace('.', "__").to_uppercase())
}

/// Reads until the ready block has ended (true) or the output has (false), and the rest on a thread, so that the gateway never
/// blocks on a full pipe.
fn read_output(stdout: ChildStdout) -> (bool, JoinHandle<String>) {
    let (sender, receiver) = std::sync::mpsc::channel();
    let output = std::thread::spawn(move || {
        let mut all = String::new();
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if line == "Ready." {
                let _ = sender.send(());
            }
            all.push_str(&line);
            all.push('\n');
        }
        all
    });
    (receiver.recv_timeout(PATIENCE).is_ok(), output)
}
