//! What a crash leaves at the end of a segment that batches were being moved to: any part of what was not synced, holes in front of
//! whole batches included. All of it is in the journal still. Both a start and `trunkline log verify` ask here.

use std::io;

use crate::log::embedded::scan::BatchScan;
use crate::log::record::{BATCH_HEADER_BYTES, BatchHeader, CHECKSUMMED_FROM};
use crate::log::stored::StoredBatch;

/// What a disk writes whole or not at all, in bytes.
const SECTOR_BYTES: u64 = 512;

/// Whether that is what lies where the scan stands, where no batch is whole and in its place. What lies before ends before
/// `next_offset`; from `in_journal_from` on the journal has everything. The scan stays.
pub fn is_torn(scan: &mut BatchScan, next_offset: u64, in_journal_from: u64) -> io::Result<bool> {
    let at = scan.at();
    let only_here = next_offset..in_journal_from;
    let Some(claimed) = scan.claimed_offset()? else { return Ok(true) };
    if only_here.contains(&claimed) {
        return Ok(false);
    }
    let Some(header) = scan.bytes(BATCH_HEADER_BYTES as u64)? else { return Ok(true) };
    let is_sealed = BatchHeader::parse(&header).is_ok_and(|header| header.is_sealed());
    if !is_sealed && !lacks_sector(header.get(..CHECKSUMMED_FROM).unwrap_or_default(), at) {
        return Ok(false);
    }
    if only_here.is_empty() {
        return Ok(true);
    }
    // What was synced ends before the first hole.
    let is_of_before =
        |batch: &StoredBatch| batch.base_offset >= next_offset && batch.last_offset < in_journal_from && batch.is_intact();
    let follows = scan.next_batch(at, is_of_before)?;
    scan.seek(at);
    Ok(follows.is_none())
}

/// Whether some sector's part of what should be the beginning of a batch was never written.
fn lacks_sector(beginning: &[u8], at: u64) -> bool {
    let in_first = usize::try_from(SECTOR_BYTES - at % SECTOR_BYTES).unwrap_or(usize::MAX);
    let (first, second) = beginning.split_at(in_first.min(beginning.len()));
    [first, second].iter().any(|part| !part.is_empty() && part.iter().all(|byte| *byte == 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_of_which_one_sector_is_missing_is_no_flipped_bit() {
        let head = [7; CHECKSUMMED_FROM];
        let mut half = head;
        half[10..].fill(0);
        assert!(!lacks_sector(&head, 502) && !lacks_sector(&half, 0) && !lacks_sector(&half, 503));
        assert!(lacks_sector(&half, 502) && lacks_sector(&[0; CHECKSUMMED_FROM], 1000));
    }
}
