//! The verdict on every record: pure bookkeeping, no clock, no I/O, no client library.
//!
//! A record has a producer and a dense sequence number. It is *owed* to one reader or to each of them ([`Audience`]) from the
//! moment the broker acknowledged it. What is owed and never finished is lost; what is finished again is a duplicate; a first
//! copy that comes after a later record of its producer, in the eyes of one consumer, is out of order.

use std::collections::HashMap;

/// To how many readers a record is owed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// All consumers together are one reader.
    Shared,
    /// Every consumer slot is a reader of its own; a replacement reads on in the slot of the one it replaces.
    Each,
}

/// One finished delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finished {
    /// The consumer's place: 0 and up, below the number of consumers.
    pub slot: u32,
    /// The consumer itself: a replacement is another instance in the same slot.
    pub instance: u32,
    pub producer: u32,
    pub sequence: u64,
}

/// What the ledger made of one delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Note {
    First,
    Again,
    /// Names a record or a slot that this run does not have.
    Foreign,
}

/// The sums of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Records handed to the client library.
    pub attempted: u64,
    /// Records that the broker acknowledged.
    pub sent: u64,
    /// Records that the broker refused, or whose acknowledgement never came.
    pub refused: u64,
    /// Finished deliveries, all copies.
    pub delivered: u64,
    /// First copies, one a record and reader.
    pub distinct: u64,
    /// Acknowledged and owed to a reader that never finished it.
    pub lost: u64,
    /// Deliveries beyond the first to the same reader.
    pub duplicated: u64,
    /// First copies after a later record of the same producer, seen by one consumer.
    pub out_of_order: u64,
    /// Payloads that were not whole.
    pub corrupt: u64,
    /// Deliveries of records that this run never sent.
    pub foreign: u64,
}

impl Tally {
    /// Deliveries for each acknowledged record; 0 when nothing was acknowledged.
    pub fn copies_a_record(&self) -> f64 {
        if self.sent == 0 { 0.0 } else { self.delivered as f64 / self.sent as f64 }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Open,
    Acknowledged,
    Refused,
}

/// The book of one model's run.
pub struct Ledger {
    audience: Audience,
    slots: u32,
    fates: Vec<Vec<Fate>>,
    /// By reader, then producer, then sequence: how often it was finished, saturating.
    copies: Vec<Vec<Vec<u8>>>,
    newest_seen: HashMap<(u32, u32), u64>,
    tally: Tally,
}

impl Ledger {
    /// A book for that many producers and consumer slots.
    pub fn new(audience: Audience, producers: u32, slots: u32) -> Self {
        let readers = match audience {
            Audience::Shared => 1,
            Audience::Each => slots,
        };
        Self {
            audience,
            slots,
            fates: vec![Vec::new(); producers as usize],
            copies: vec![vec![Vec::new(); producers as usize]; readers as usize],
            newest_seen: HashMap::new(),
            tally: Tally::default(),
        }
    }

    /// Opens the producer's next record and gives its sequence number; `None` for a producer that the run does not have.
    pub fn attempt(&mut self, producer: u32) -> Option<u64> {
        let fates = self.fates.get_mut(producer as usize)?;
        let sequence = fates.len() as u64;
        fates.push(Fate::Open);
        for reader in &mut self.copies {
            reader.get_mut(producer as usize)?.push(0);
        }
        self.tally.attempted += 1;
        Some(sequence)
    }

    /// The broker has acknowledged the record: from now on it is owed.
    pub fn acknowledge(&mut self, producer: u32, sequence: u64) {
        if self.close(producer, sequence, Fate::Acknowledged) {
            self.tally.sent += 1;
            self.tally.lost +=
                self.copies.iter().filter(|reader| copies_of(reader, producer, sequence) == Some(0)).count() as u64;
        }
    }

    /// The broker has refused the record, or will not answer any more: nobody is owed it.
    pub fn refuse(&mut self, producer: u32, sequence: u64) {
        if self.close(producer, sequence, Fate::Refused) {
            self.tally.refused += 1;
        }
    }

    /// A consumer has finished a record.
    pub fn finish(&mut self, finished: Finished) -> Note {
        let Finished { slot, instance, producer, sequence } = finished;
        self.tally.delivered += 1;
        let Some((copies, fate)) = self.entry(slot, producer, sequence) else {
            self.tally.foreign += 1;
            return Note::Foreign;
        };
        let first = *copies == 0;
        *copies = copies.saturating_add(1);
        if !first {
            self.tally.duplicated += 1;
            return Note::Again;
        }
        self.tally.distinct += 1;
        if fate == Fate::Acknowledged {
            self.tally.lost -= 1;
        }
        let newest = self.newest_seen.entry((instance, producer)).or_insert(sequence);
        if sequence < *newest {
            self.tally.out_of_order += 1;
        }
        *newest = sequence.max(*newest);
        Note::First
    }

    /// A consumer got a payload that is not whole.
    pub fn corrupt(&mut self) {
        self.tally.corrupt += 1;
    }

    /// The sums as of now; `lost` is what is still owed.
    pub fn tally(&self) -> Tally {
        self.tally
    }

    /// Every record has its fate, and nothing is owed any more.
    pub fn settled(&self) -> bool {
        self.tally.attempted == self.tally.sent + self.tally.refused && self.tally.lost == 0
    }

    fn close(&mut self, producer: u32, sequence: u64, fate: Fate) -> bool {
        let entry = self.fates.get_mut(producer as usize).and_then(|fates| fates.get_mut(index(sequence)));
        match entry {
            Some(open @ Fate::Open) => {
                *open = fate;
                true
            }
            Some(Fate::Acknowledged | Fate::Refused) | None => false,
        }
    }

    fn entry(&mut self, slot: u32, producer: u32, sequence: u64) -> Option<(&mut u8, Fate)> {
        if slot >= self.slots {
            return None;
        }
        let reader = match self.audience {
            Audience::Shared => 0,
            Audience::Each => slot as usize,
        };
        let fate = *self.fates.get(producer as usize)?.get(index(sequence))?;
        let copies = self.copies.get_mut(reader)?.get_mut(producer as usize)?.get_mut(index(sequence))?;
        Some((copies, fate))
    }
}

fn copies_of(reader: &[Vec<u8>], producer: u32, sequence: u64) -> Option<u8> {
    reader.get(producer as usize)?.get(index(sequence)).copied()
}

fn index(sequence: u64) -> usize {
    usize::try_from(sequence).unwrap_or(usize::MAX)
}

#[cfg(test)]
#[path = "ledger_tests.rs"]
mod tests;
