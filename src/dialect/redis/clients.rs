//! The register of connections: what `CLIENT LIST` shows, and how one connection ends or unblocks another.
//!
//! A connection updates its own entry once a round, not once a command. The register holds no socket.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::time::Instant;

use bytes::Bytes;
use parking_lot::Mutex;

use crate::delivery::Listener;
use crate::log::Signal;

/// What another client asked of a blocked one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unblock {
    /// As if the time had run out.
    Timeout,
    /// With an error.
    Error,
}

/// One connection, as the others see it.
#[derive(Debug)]
pub struct Client {
    pub id: u64,
    pub peer: SocketAddr,
    pub local: SocketAddr,
    connected_at: Instant,
    signal: Signal,
    killed: AtomicBool,
    unblock: AtomicU8,
    status: Mutex<Status>,
}

/// What changes in the life of a connection.
#[derive(Debug, Clone)]
pub struct Status {
    pub name: Bytes,
    pub library_name: Bytes,
    pub library_version: Bytes,
    pub user: String,
    pub database: u32,
    pub protocol: i64,
    pub channels: usize,
    pub patterns: usize,
    /// Commands queued in a transaction, or -1.
    pub queued: i64,
    pub blocked: bool,
    pub watching: bool,
    pub no_evict: bool,
    pub no_touch: bool,
    pub last_command: &'static str,
    pub last_at: Instant,
    /// Bytes read and not yet run; bytes not yet sent.
    pub input_bytes: usize,
    pub output_bytes: usize,
    /// What it listens with, which knows how much waits for it.
    pub listener: Option<Listener>,
}

impl Status {
    /// What waits to be sent, in bytes: a subscriber that does not read does not say so itself.
    fn waiting_bytes(&self) -> usize {
        self.listener.as_ref().map_or(self.output_bytes, Listener::behind_bytes)
    }
}

impl Client {
    /// Changes what the others see.
    pub fn update(&self, change: impl FnOnce(&mut Status)) {
        change(&mut self.status.lock());
    }

    /// A copy of what the others see.
    pub fn status(&self) -> Status {
        self.status.lock().clone()
    }

    /// What wakes the connection.
    pub fn signal(&self) -> &Signal {
        &self.signal
    }

    /// Asks the connection to close.
    pub fn kill(&self) {
        self.killed.store(true, Ordering::Release);
        self.signal.notify_one();
    }

    /// Whether it was asked to close.
    pub fn is_killed(&self) -> bool {
        self.killed.load(Ordering::Acquire)
    }

    /// Asks a blocked connection to go on. `false` if it is not blocked.
    pub fn unblock(&self, how: Unblock) -> bool {
        if !self.status.lock().blocked {
            return false;
        }
        let code = match how {
            Unblock::Timeout => 1,
            Unblock::Error => 2,
        };
        self.unblock.store(code, Ordering::Release);
        self.signal.notify_one();
        true
    }

    /// Takes the request to go on, if there is one.
    pub fn take_unblock(&self) -> Option<Unblock> {
        match self.unblock.swap(0, Ordering::AcqRel) {
            1 => Some(Unblock::Timeout),
            2 => Some(Unblock::Error),
            _ => None,
        }
    }

    /// The type in `CLIENT LIST TYPE` and `CLIENT KILL TYPE`.
    pub fn kind(&self) -> &'static str {
        let status = self.status.lock();
        if status.channels + status.patterns > 0 { "pubsub" } else { "normal" }
    }

    /// The line of `CLIENT LIST`, without line end.
    pub fn line(&self) -> String {
        let status = self.status();
        let mut flags = String::new();
        for (set, flag) in [
            (status.channels + status.patterns > 0, 'P'),
            (status.queued >= 0, 'x'),
            (status.blocked, 'b'),
            (status.no_evict, 'e'),
            (status.no_touch, 'T'),
        ] {
            if set {
                flags.push(flag);
            }
        }
        if flags.is_empty() {
            flags.push('N');
        }
        format!(
            "id={} addr={} laddr={} fd={} name={} age={} idle={} flags={flags} db={} sub={} psub={} ssub=0 multi={} qbuf={} \
             qbuf-free=0 argv-mem=0 multi-mem=0 rbs=0 rbp=0 obl={} oll=0 omem={} tot-mem={} events=r cmd={} user={} redir=-1 \
             resp={} lib-name={} lib-ver={}",
            self.id,
            self.peer,
            self.local,
            self.id,
            String::from_utf8_lossy(&status.name),
            self.connected_at.elapsed().as_secs(),
            status.last_at.elapsed().as_secs(),
            status.database,
            status.channels,
            status.patterns,
            status.queued,
            status.input_bytes,
            status.waiting_bytes(),
            status.waiting_bytes(),
            status.input_bytes + status.waiting_bytes(),
            if status.last_command.is_empty() { "NULL" } else { status.last_command },
            if status.user.is_empty() { "(superuser)" } else { &status.user },
            status.protocol,
            String::from_utf8_lossy(&status.library_name),
            String::from_utf8_lossy(&status.library_version),
        )
    }
}

/// All connections, by id.
#[derive(Debug, Default)]
pub struct Clients {
    entries: Mutex<BTreeMap<u64, Arc<Client>>>,
    last_id: AtomicU64,
}

impl Clients {
    /// Registers a connection, unless there are `clients_max` already.
    pub fn register(&self, peer: SocketAddr, local: SocketAddr, signal: Signal, clients_max: usize) -> Option<Arc<Client>> {
        let mut entries = self.entries.lock();
        if entries.len() >= clients_max {
            return None;
        }
        let now = Instant::now();
        let client = Arc::new(Client {
            id: self.last_id.fetch_add(1, Ordering::Relaxed) + 1,
            peer,
            local,
            connected_at: now,
            signal,
            killed: AtomicBool::new(false),
            unblock: AtomicU8::new(0),
            status: Mutex::new(Status {
                name: Bytes::new(),
                library_name: Bytes::new(),
                library_version: Bytes::new(),
                user: "default".to_owned(),
                database: 0,
                protocol: 2,
                channels: 0,
                patterns: 0,
                queued: -1,
                blocked: false,
                watching: false,
                no_evict: false,
                no_touch: false,
                last_command: "",
                last_at: now,
                input_bytes: 0,
                output_bytes: 0,
                listener: None,
            }),
        });
        entries.insert(client.id, Arc::clone(&client));
        Some(client)
    }

    /// Forgets a connection that is gone.
    pub fn remove(&self, id: u64) {
        self.entries.lock().remove(&id);
    }

    pub fn get(&self, id: u64) -> Option<Arc<Client>> {
        self.entries.lock().get(&id).cloned()
    }

    /// All connections in order of their ids.
    pub fn all(&self) -> Vec<Arc<Client>> {
        self.entries.lock().values().cloned().collect()
    }

    pub fn len(&self) -> usize {
        self.entries.lock().len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
