//! What other connections tell a connection: that a consumer's queue is gone.

use bytes::Bytes;
use parking_lot::Mutex;

use crate::log::Signal;

/// A consumer lost its queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumerLost {
    pub channel: u16,
    pub tag: Bytes,
}

/// Filled by any connection, emptied by its owner, whose signal fires.
#[derive(Debug)]
pub struct Mailbox {
    lost: Mutex<Vec<ConsumerLost>>,
    signal: Signal,
}

impl Mailbox {
    pub fn new(signal: Signal) -> Self {
        Self { lost: Mutex::new(Vec::new()), signal }
    }

    pub fn post(&self, lost: ConsumerLost) {
        self.lost.lock().push(lost);
        self.signal.notify_one();
    }

    pub fn drain(&self) -> Vec<ConsumerLost> {
        std::mem::take(&mut *self.lost.lock())
    }
}
