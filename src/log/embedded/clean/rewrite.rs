//! Writes what stays of neighbouring segments to one new segment beside them.

use std::io;
use std::path::Path;

use super::judge::{Judge, Whole};
use crate::log::embedded::segment::{Rewriter, Segment};
use crate::log::record::{BatchHeader, Filtered, Limits, Stay, filter_batch};
use crate::log::stored::StoredBatch;

/// What came of it.
#[derive(Debug, Default)]
pub struct Outcome {
    /// The new segment; none if nothing was left.
    pub segment: Option<Segment>,
    /// Bytes of the batches that were left.
    pub written_bytes: u64,
    /// Records that were left out.
    pub gone_records: u64,
    /// Whether the new segment says the same as the old ones.
    pub is_unchanged: bool,
    /// The earliest time at which what waits for its horizon may go, in milliseconds.
    pub horizon_ms: Option<i64>,
}

/// How a rewrite goes on.
pub struct Course<'a> {
    /// The horizon of deletions that have none yet, in milliseconds.
    pub horizon_ms: i64,
    /// Told how many bytes were read or written; false: stop.
    pub moved: &'a mut dyn FnMut(u64) -> bool,
}

/// Rewrites; `None`: it was told to stop, or the new segment cannot hold what stays.
pub fn rewrite(
    rewriter: &mut Rewriter,
    directory: &Path,
    judge: &mut dyn Judge,
    course: &mut Course<'_>,
) -> io::Result<Option<Outcome>> {
    let mut outcome = Outcome { is_unchanged: true, ..Outcome::default() };
    let mut goes_on = true;
    for segment in rewriter.old().to_vec() {
        segment.each_batch(0, |batch| {
            let read = batch.len() as u64;
            let left = judged(&batch, judge, course.horizon_ms, &mut outcome)?;
            let written = left.as_ref().map_or(0, |left| left.len() as u64);
            outcome.written_bytes += written;
            if let Some(left) = left {
                goes_on = rewriter.push(directory, &left)?;
            }
            goes_on = goes_on && (course.moved)(read + written);
            Ok(goes_on)
        })?;
        if !goes_on {
            return Ok(None);
        }
    }
    outcome.segment = rewriter.finish(directory)?;
    Ok(Some(outcome))
}

/// What is left of a batch.
fn judged(batch: &StoredBatch, judge: &mut dyn Judge, horizon_ms: i64, outcome: &mut Outcome) -> io::Result<Option<StoredBatch>> {
    let header = batch.header().map_err(io::Error::other)?;
    let mut waits = false;
    let whole = judge.batch(batch, &header);
    let filtered = match whole {
        Whole::Kept => Filtered::Unchanged,
        Whole::Gone => Filtered::Nothing,
        Whole::Look => filter_batch(batch.body(), batch.base_offset, horizon_ms, &Limits::STORED, |offset, record| {
            let stay = judge.record(&header, offset, record);
            waits |= stay == Stay::UntilHorizon;
            stay
        })
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?,
    };
    let left = match filtered {
        Filtered::Unchanged => Some(batch.clone()),
        Filtered::Changed(bytes) => Some(StoredBatch::new(batch.base_offset, batch.span(), bytes)),
        Filtered::Nothing => None,
    };
    let left_header: Option<BatchHeader> = left.as_ref().and_then(|left| left.header().ok());
    if let Some(left_header) = &left_header {
        judge.was_left(left_header);
        let horizon = left_header.delete_horizon_ms().filter(|_| waits);
        outcome.horizon_ms = outcome.horizon_ms.into_iter().chain(horizon).min();
    }
    let left_records = left_header.as_ref().map_or(0, |header| header.record_count.unsigned_abs());
    outcome.gone_records += u64::from(header.record_count.unsigned_abs().saturating_sub(left_records));
    outcome.is_unchanged &= left_header.is_some_and(|left_header| left_header.crc == header.crc);
    Ok(left)
}
