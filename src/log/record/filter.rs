//! Leaving records out of a batch: those that stay keep their offsets, timestamps, and their batch its place and its producer.
//!
//! A batch that lost records still says from which offset to which it goes. A batch that waits for its deletions to be seen
//! holds the time until which they stay (KIP-534), in the place of its base timestamp.

use std::ops::Range;

use bytes::Bytes;

use super::builder::seal;
use super::fields::{RecordView, put_record};
use super::header::{BATCH_HEADER_BYTES, BatchHeader};
use super::varint::Input;
use super::{BatchError, Compression, Limits};

/// What becomes of one record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stay {
    /// It stays.
    Kept,
    /// It stays until the batch's horizon, which is set if there is none yet.
    UntilHorizon,
    /// It goes.
    Gone,
}

/// What is left of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Filtered {
    /// All of it, as it was.
    Unchanged,
    /// Other bytes, at the same offsets.
    Changed(Bytes),
    /// Nothing.
    Nothing,
}

/// Looks at each record in the batch with its offset, until `look` returns false. Nothing is kept of them.
///
/// # Errors
/// What [`super::records`] reports of damaged batches.
pub fn each_record(
    bytes: &Bytes,
    base_offset: u64,
    limits: &Limits,
    mut look: impl FnMut(u64, &RecordView<'_>) -> bool,
) -> Result<(), BatchError> {
    let (header, payload) = open(bytes, limits)?;
    let mut input = Input::new(&payload);
    for index in 0..header.record_count.unsigned_abs() {
        let view = RecordView::read(&mut input).ok_or(BatchError::Record(index))?;
        if !look(base_offset.saturating_add(u64::from(view.offset_delta)), &view) {
            break;
        }
    }
    Ok(())
}

/// The header and the records, decompressed.
fn open(bytes: &Bytes, limits: &Limits) -> Result<(BatchHeader, Bytes), BatchError> {
    let header = BatchHeader::parse(bytes)?;
    let need = header.total_bytes();
    if need > bytes.len() {
        return Err(BatchError::Truncated { need, have: bytes.len() });
    }
    if header.record_count < 0 {
        return Err(BatchError::Count);
    }
    let packed = bytes.slice(BATCH_HEADER_BYTES..need);
    let payload = match header.compression()? {
        Compression::None => packed,
        compression => Bytes::from(compression.decompress(&packed, limits.decompressed_bytes_max)?),
    };
    Ok((header, payload))
}

/// Asks of each record in the batch, by its offset, whether it stays; `horizon_ms` is set where one is needed.
///
/// # Errors
/// What [`super::records`] reports of damaged batches, and what the compressor says.
pub fn filter_batch(
    bytes: &Bytes,
    base_offset: u64,
    horizon_ms: i64,
    limits: &Limits,
    mut stays: impl FnMut(u64, &RecordView<'_>) -> Stay,
) -> Result<Filtered, BatchError> {
    let (header, payload) = open(bytes, limits)?;
    let mut kept = Vec::new();
    let mut waits = false;
    let mut input = Input::new(&payload);
    let count = header.record_count.unsigned_abs();
    for index in 0..count {
        let start = payload.len() - input.rest().len();
        let view = RecordView::read(&mut input).ok_or(BatchError::Record(index))?;
        let end = payload.len() - input.rest().len();
        match stays(base_offset.saturating_add(u64::from(view.offset_delta)), &view) {
            Stay::Gone => continue,
            Stay::UntilHorizon => waits = true,
            Stay::Kept => {}
        }
        kept.push((start..end, view));
    }
    if kept.is_empty() {
        return Ok(Filtered::Nothing);
    }
    let sets_horizon = waits && header.delete_horizon_ms().is_none();
    if kept.len() as u64 == u64::from(count) && !sets_horizon {
        return Ok(Filtered::Unchanged);
    }
    let mut changed = header;
    changed.record_count = i32::try_from(kept.len()).map_err(|_| BatchError::Count)?;
    if sets_horizon {
        changed.set_delete_horizon(horizon_ms);
    }
    if !header.is_log_append_time() {
        let newest = kept.iter().map(|(_, view)| header.timestamp_ms(view.timestamp_delta_ms)).max();
        changed.max_timestamp = newest.unwrap_or(header.max_timestamp);
    }
    Ok(Filtered::Changed(pack(&payload, &header, changed, &kept)?))
}

/// A batch of the records that were kept, with another header.
fn pack(
    payload: &Bytes,
    header: &BatchHeader,
    changed: BatchHeader,
    kept: &[(Range<usize>, RecordView<'_>)],
) -> Result<Bytes, BatchError> {
    let mut records = Vec::with_capacity(payload.len());
    for (range, view) in kept {
        if changed.base_timestamp != header.base_timestamp {
            let timestamp_ms = header.base_timestamp.wrapping_add(view.timestamp_delta_ms);
            let delta_ms = timestamp_ms.wrapping_sub(changed.base_timestamp);
            let record = view.to_record(payload, timestamp_ms);
            put_record(&mut records, record.parts(), delta_ms, view.offset_delta);
        } else {
            records.extend_from_slice(payload.get(range.clone()).unwrap_or_default());
        }
    }
    let compression = header.compression()?;
    let packed = compression.compress(&records).map_err(|_| BatchError::Decompress(compression))?;
    let mut out = vec![0; BATCH_HEADER_BYTES];
    out.extend_from_slice(&packed);
    seal(&mut out, changed);
    Ok(Bytes::from(out))
}

#[cfg(test)]
mod tests {
    use super::super::{BatchBuilder, Record, check_batch, records};
    use super::*;

    fn batch(compression: Compression) -> Bytes {
        let mut batch = BatchBuilder::new();
        for number in 0..10_u8 {
            batch.push(&Record {
                key: Some(Bytes::from(vec![number])),
                value: (number != 4).then(|| Bytes::from(vec![number; 100])),
                headers: Vec::new(),
                timestamp_ms: 1000 + i64::from(number),
            });
        }
        batch.finish_compressed(compression).expect("it compresses")
    }

    fn left(bytes: &Bytes) -> Vec<(u64, Record)> {
        records(bytes, 50, &Limits::default()).expect("a batch").collect::<Result<_, _>>().expect("records")
    }

    #[test]
    fn what_stays_keeps_offset_time_and_content_in_every_compression() {
        for compression in Compression::ALL {
            let whole = batch(compression);
            let odd = |offset: u64, _: &RecordView<'_>| if offset % 2 == 1 { Stay::Kept } else { Stay::Gone };
            let Ok(Filtered::Changed(some)) = filter_batch(&whole, 50, 0, &Limits::default(), odd) else {
                panic!("{compression:?}")
            };
            let header = check_batch(&some).expect("undamaged");
            assert_eq!((header.record_count, header.last_offset_delta, header.max_timestamp), (5, 9, 1009));
            assert_eq!(header.compression(), Ok(compression));
            let expected: Vec<_> = left(&whole).into_iter().filter(|(offset, _)| offset % 2 == 1).collect();
            assert_eq!(left(&some), expected);
        }
    }

    #[test]
    fn a_horizon_is_set_once_and_moves_no_timestamp() {
        let whole = batch(Compression::Lz4);
        let waits = |_: u64, record: &RecordView<'_>| if record.value.is_none() { Stay::UntilHorizon } else { Stay::Kept };
        let Ok(Filtered::Changed(marked)) = filter_batch(&whole, 50, 9_999, &Limits::default(), waits) else { panic!("changed") };
        let header = check_batch(&marked).expect("undamaged");
        assert_eq!(header.delete_horizon_ms(), Some(9_999));
        assert_eq!(left(&marked), left(&whole));
        assert_eq!(filter_batch(&marked, 50, 12_345, &Limits::default(), waits), Ok(Filtered::Unchanged));
    }

    #[test]
    fn a_batch_without_what_goes_is_the_same_bytes() {
        let whole = batch(Compression::Zstd);
        assert_eq!(filter_batch(&whole, 50, 0, &Limits::default(), |_, _| Stay::Kept), Ok(Filtered::Unchanged));
        assert_eq!(filter_batch(&whole, 50, 0, &Limits::default(), |_, _| Stay::Gone), Ok(Filtered::Nothing));
    }
}
