//! Which operation fails, when, and how.

use std::io;
use std::time::Duration;

/// One thing that goes wrong once. A write that fails may have been done in part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// A write finds no room.
    NoSpace,
    /// A write fails in the device.
    WriteError,
    /// A sync fails. What was to be synced is lost, and later syncs do not say so.
    SyncError,
    /// A sync takes so long.
    SlowSync(Duration),
}

/// What an operation is to a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    Write,
    Sync,
    Name,
}

/// What is to go wrong, each with how many operations of its kind go before.
#[derive(Debug, Default)]
pub struct Faults(Vec<(Fault, u32)>);

impl Fault {
    fn operation(self) -> Operation {
        match self {
            Self::NoSpace | Self::WriteError => Operation::Write,
            Self::SyncError | Self::SlowSync(_) => Operation::Sync,
        }
    }

    pub fn error(self) -> io::Error {
        match self {
            Self::NoSpace => io::ErrorKind::StorageFull.into(),
            Self::WriteError | Self::SyncError | Self::SlowSync(_) => io::Error::other("the device failed"),
        }
    }
}

impl Faults {
    pub fn add(&mut self, fault: Fault, others: u32) {
        self.0.push((fault, others));
    }

    /// The fault of an operation that is about to be done.
    pub fn due(&mut self, operation: Operation) -> Option<Fault> {
        let due = self.0.iter().position(|(fault, others)| fault.operation() == operation && *others == 0);
        for (_, others) in self.0.iter_mut().filter(|(fault, _)| fault.operation() == operation) {
            *others = others.saturating_sub(1);
        }
        due.map(|index| self.0.remove(index).0)
    }
}
