//! The format against another implementation of it, against itself, and against bytes that are no batch.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use bytes::{Bytes, BytesMut};
use kafka_protocol::indexmap::IndexMap;
use kafka_protocol::protocol::StrBytes;
use kafka_protocol::records as oracle;
use proptest::prelude::*;

use super::varint::{Input, put_uvarint, put_varint, uvarint_len, varint_len};
use super::*;

fn limits() -> Limits {
    Limits::default()
}

fn arbitrary_bytes(max: usize) -> impl Strategy<Value = Bytes> {
    prop::collection::vec(any::<u8>(), 0..max).prop_map(Bytes::from)
}

fn arbitrary_header() -> impl Strategy<Value = Header> {
    ("[a-zé]{0,9}", prop::option::of(arbitrary_bytes(40))).prop_map(|(key, value)| Header { key: Bytes::from(key), value })
}

fn arbitrary_record() -> impl Strategy<Value = Record> {
    let key = prop::option::of(arbitrary_bytes(40));
    let value = prop::option::of(prop_oneof![arbitrary_bytes(300), Just(Bytes::from(vec![7; 5000]))]);
    let headers = prop::collection::vec(arbitrary_header(), 0..5);
    (key, value, headers, -1_i64..2_000_000_000_000).prop_map(|(key, value, headers, timestamp_ms)| Record {
        key,
        value,
        headers,
        timestamp_ms,
    })
}

fn arbitrary_records() -> impl Strategy<Value = Vec<Record>> {
    prop::collection::vec(arbitrary_record(), 1..12)
}

fn arbitrary_compression() -> impl Strategy<Value = Compression> {
    prop::sample::select(Compression::ALL.to_vec())
}

fn build(records: &[Record], compression: Compression) -> Bytes {
    let mut builder = BatchBuilder::new();
    records.iter().for_each(|record| builder.push(record));
    builder.finish_compressed(compression).unwrap()
}

fn read_all(bytes: &Bytes, base_offset: u64) -> Vec<(u64, Record)> {
    records(bytes, base_offset, &limits()).unwrap().collect::<Result<_, _>>().unwrap()
}

fn numbered(records: Vec<Record>, base_offset: u64) -> Vec<(u64, Record)> {
    (base_offset..).zip(records).collect()
}

/// The oracle keeps headers in a map: only records whose header keys differ can be compared through it.
fn with_unique_header_keys(mut records: Vec<Record>) -> Vec<Record> {
    for record in &mut records {
        let mut seen = std::collections::HashSet::new();
        record.headers.retain(|header| seen.insert(header.key.clone()));
    }
    records
}

fn from_oracle(record: oracle::Record) -> (u64, Record) {
    let headers =
        record.headers.into_iter().map(|(key, value)| Header { key: Bytes::from(key.as_str().to_owned()), value }).collect();
    let ours = Record { key: record.key, value: record.value, headers, timestamp_ms: record.timestamp };
    (record.offset as u64, ours)
}

fn to_oracle(offset: u64, record: &Record) -> oracle::Record {
    let headers: IndexMap<StrBytes, Option<Bytes>> = record
        .headers
        .iter()
        .map(|h| (StrBytes::from_string(String::from_utf8(h.key.to_vec()).unwrap()), h.value.clone()))
        .collect();
    oracle::Record {
        transactional: false,
        control: false,
        delete_horizon: false,
        partition_leader_epoch: 0,
        producer_id: 5,
        producer_epoch: 1,
        timestamp_type: oracle::TimestampType::Creation,
        offset: offset as i64,
        sequence: offset as i32,
        timestamp: record.timestamp_ms,
        key: record.key.clone(),
        value: record.value.clone(),
        headers,
    }
}

fn oracle_compression(compression: Compression) -> oracle::Compression {
    match compression {
        Compression::None => oracle::Compression::None,
        Compression::Gzip => oracle::Compression::Gzip,
        Compression::Snappy => oracle::Compression::Snappy,
        Compression::Lz4 => oracle::Compression::Lz4,
        Compression::Zstd => oracle::Compression::Zstd,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn what_is_built_validates_and_reads_back(input in arbitrary_records(), compression in arbitrary_compression(), base in 0_u64..1 << 40) {
        let batch = build(&input, compression);
        let header = validate_batch(&batch, &limits()).unwrap();
        prop_assert_eq!(header.record_count as usize, input.len());
        prop_assert_eq!(header.compression().unwrap(), compression);
        prop_assert_eq!(header.max_timestamp, input.iter().map(|r| r.timestamp_ms).max().unwrap());
        prop_assert_eq!(read_all(&batch, base), numbered(input, base));
    }

    #[test]
    fn another_implementation_reads_ours(input in arbitrary_records(), compression in arbitrary_compression()) {
        let input = with_unique_header_keys(input);
        let mut batch = build(&input, compression);
        let decoded = oracle::RecordBatchDecoder::decode_all(&mut batch).unwrap();
        let theirs: Vec<_> = decoded.into_iter().flat_map(|set| set.records).map(from_oracle).collect();
        prop_assert_eq!(theirs, numbered(input, 0));
    }

    #[test]
    fn ours_reads_what_another_implementation_wrote(input in arbitrary_records(), compression in arbitrary_compression()) {
        let input = with_unique_header_keys(input);
        let theirs: Vec<_> = (0..).zip(&input).map(|(offset, record)| to_oracle(offset, record)).collect();
        let options = oracle::RecordEncodeOptions { version: 2, compression: oracle_compression(compression) };
        let mut out = BytesMut::new();
        oracle::RecordBatchEncoder::encode(&mut out, &theirs, &options).unwrap();
        let batch = out.freeze();
        let header = validate_batch(&batch, &limits()).unwrap();
        prop_assert_eq!((header.producer_id, header.producer_epoch, header.base_sequence), (5, 1, 0));
        prop_assert_eq!(read_all(&batch, 9), numbered(input, 9));
    }

    #[test]
    fn random_bytes_never_panic(bytes in arbitrary_bytes(400)) {
        let _ = validate_batch(&bytes, &limits());
        if let Ok(found) = records(&bytes, 0, &limits()) {
            prop_assert!(found.count() <= bytes.len());
        }
        for compression in Compression::ALL {
            let _ = compression.decompress(&bytes, 1 << 16);
        }
    }

    #[test]
    fn a_changed_byte_is_an_error_or_outside_the_checksum(input in arbitrary_records(), compression in arbitrary_compression(), at in any::<prop::sample::Index>(), flip in 1_u8..) {
        let batch = build(&input, compression);
        let mut damaged = batch.to_vec();
        let at = at.index(damaged.len());
        damaged[at] ^= flip;
        let outside = at < 8 || (12..16).contains(&at);
        prop_assert_eq!(validate_batch(&damaged, &limits()).is_ok(), outside);
    }

    #[test]
    fn malformed_records_behind_a_right_checksum_never_panic(input in arbitrary_records(), at in any::<prop::sample::Index>(), byte in any::<u8>(), compression in arbitrary_compression()) {
        let mut damaged = build(&input, compression).to_vec();
        let at = 57 + at.index(damaged.len() - 57);
        damaged[at] = byte;
        reseal(&mut damaged);
        let damaged = Bytes::from(damaged);
        if validate_batch(&damaged, &limits()).is_ok() {
            prop_assert_eq!(read_all(&damaged, 0).len(), input.len());
        } else if let Ok(found) = records(&damaged, 0, &limits()) {
            prop_assert!(found.count() <= damaged.len() * 1000);
        }
    }

    #[test]
    fn any_offset_can_be_read_in_any_order(input in arbitrary_records(), order in prop::collection::vec(any::<prop::sample::Index>(), 1..20)) {
        let batch = build(&input, Compression::Lz4);
        let mut cursor = RecordCursor::open(&batch, 100, &limits()).unwrap();
        for pick in order {
            let index = pick.index(input.len());
            prop_assert_eq!(cursor.record_at(100 + index as u64).unwrap(), Some(input[index].clone()));
        }
        prop_assert_eq!(cursor.record_at(99).unwrap(), None);
        prop_assert_eq!(cursor.record_at(100 + input.len() as u64).unwrap(), None);
    }

    #[test]
    fn one_record_takes_the_short_way_to_the_same_bytes(record in arbitrary_record()) {
        prop_assert_eq!(batch_of_one(&record), build(std::slice::from_ref(&record), Compression::None));
    }

    #[test]
    fn varints_read_back(value in any::<i64>(), shift in 0_u32..64) {
        let value = value >> shift;
        let mut out = Vec::new();
        put_varint(&mut out, value);
        prop_assert_eq!(out.len(), varint_len(value));
        prop_assert_eq!(Input::new(&out).varlong(), Some(value));
        out.clear();
        put_uvarint(&mut out, value as u64);
        prop_assert_eq!(out.len(), uvarint_len(value as u64));
        prop_assert_eq!(Input::new(&out).uvarint(), Some(value as u64));
        out.pop();
        prop_assert_eq!(Input::new(&out).uvarint(), None);
    }
}

fn reseal(batch: &mut [u8]) {
    let crc = crc_fast::crc32_iscsi(&batch[21..]);
    batch[17..21].copy_from_slice(&crc.to_be_bytes());
}

fn simple(value: &'static [u8]) -> Record {
    Record { value: Some(Bytes::from_static(value)), timestamp_ms: 1000, ..Record::default() }
}

/// Puts `field` at `at` in a batch of two records, with a fresh checksum, and tells what is wrong with it.
fn refusal(at: usize, field: &[u8]) -> BatchError {
    let mut batch = build(&[simple(b"a"), simple(b"b")], Compression::None).to_vec();
    batch[at..at + field.len()].copy_from_slice(field);
    reseal(&mut batch);
    validate_batch(&batch, &limits()).unwrap_err()
}

#[test]
fn claims_that_do_not_fit_are_refused_by_name() {
    assert_eq!(refusal(8, &(-1_i32).to_be_bytes()), BatchError::Length(-1));
    assert_eq!(refusal(8, &48_i32.to_be_bytes()), BatchError::Length(48));
    assert!(matches!(refusal(8, &i32::MAX.to_be_bytes()), BatchError::TooLarge { .. }));
    assert!(matches!(refusal(8, &1000_i32.to_be_bytes()), BatchError::Truncated { need: 1012, .. }));
    assert!(matches!(refusal(8, &49_i32.to_be_bytes()), BatchError::Trailing(_)));
    assert_eq!(refusal(16, &[1]), BatchError::Magic(1));
    assert_eq!(refusal(21, &7_i16.to_be_bytes()), BatchError::UnknownCompression(7));
    assert_eq!(refusal(57, &i32::MAX.to_be_bytes()), BatchError::Count);
    assert_eq!(refusal(57, &(-1_i32).to_be_bytes()), BatchError::Count);
    assert_eq!(refusal(23, &5_i32.to_be_bytes()), BatchError::Count);
    assert_eq!(refusal(61, &[0x7f]), BatchError::Record(0));
    assert_eq!(refusal(64, &[0x02]), BatchError::Record(0));
}

#[test]
fn a_header_with_a_null_key_or_a_false_count_is_refused() {
    let record = Record { headers: vec![Header { key: Bytes::new(), value: None }], ..simple(b"") };
    let batch = batch_of_one(&record).to_vec();
    let (count_at, key_at) = (batch.len() - 3, batch.len() - 2);
    for (at, byte) in [(count_at, 0x7e), (count_at, 0x04), (count_at, 0x00), (count_at, 0x01), (key_at, 0x01)] {
        let mut damaged = batch.clone();
        damaged[at] = byte;
        reseal(&mut damaged);
        assert_eq!(validate_batch(&damaged, &limits()), Err(BatchError::Record(0)), "{at} {byte}");
    }
}

#[test]
fn decompression_stops_at_the_limit() {
    let bomb = Record { value: Some(Bytes::from(vec![0; 1 << 20])), ..Record::default() };
    for compression in Compression::ALL {
        let batch = build(std::slice::from_ref(&bomb), compression);
        let tight = Limits { decompressed_bytes_max: 1 << 16, ..limits() };
        if compression != Compression::None {
            assert_eq!(validate_batch(&batch, &tight), Err(BatchError::TooLarge { limit_bytes: 1 << 16 }));
        }
        assert!(validate_batch(&batch, &limits()).is_ok(), "{compression:?}");
    }
}

#[test]
fn a_snappy_length_that_its_bytes_cannot_hold_allocates_nothing() {
    let mut claim = Vec::new();
    put_uvarint(&mut claim, 100 << 20);
    assert_eq!(Compression::Snappy.decompress(&claim, usize::MAX), Err(BatchError::Decompress(Compression::Snappy)));
}

#[test]
fn snappy_in_blocks_reads_as_one() {
    let mut packed = vec![0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0, 0, 0, 0, 1, 0, 0, 0, 1];
    for part in [b"hello ".as_slice(), b"world"] {
        let block = snap::raw::Encoder::new().compress_vec(part).unwrap();
        packed.extend_from_slice(&(block.len() as u32).to_be_bytes());
        packed.extend_from_slice(&block);
    }
    assert_eq!(Compression::Snappy.decompress(&packed, 100).unwrap(), b"hello world");
    packed.pop();
    assert!(Compression::Snappy.decompress(&packed, 100).is_err());
}

#[test]
fn a_compacted_batch_with_gaps_reads_but_does_not_append() {
    let mut batch = build(&[simple(b"a"), simple(b"b"), simple(b"c")], Compression::None).to_vec();
    let second_at = 61 + encoded_len(simple(b"a").parts(), 0, 0);
    batch.drain(second_at..second_at + encoded_len(simple(b"b").parts(), 0, 1));
    batch[57..61].copy_from_slice(&2_i32.to_be_bytes());
    let length = (batch.len() - 12) as u32;
    batch[8..12].copy_from_slice(&length.to_be_bytes());
    reseal(&mut batch);
    assert_eq!(validate_batch(&batch, &limits()), Err(BatchError::Count));
    let batch = Bytes::from(batch);
    assert_eq!(read_all(&batch, 10), vec![(10, simple(b"a")), (12, simple(b"c"))]);
    let mut cursor = RecordCursor::open(&batch, 10, &limits()).unwrap();
    assert_eq!(cursor.record_at(11).unwrap(), None);
    assert_eq!(cursor.record_at(12).unwrap(), Some(simple(b"c")));
    assert_eq!(cursor.record_at(10).unwrap(), Some(simple(b"a")));
}

#[test]
fn flags_and_append_time_are_read_from_the_attributes() {
    let mut batch = build(&[simple(b"a")], Compression::None).to_vec();
    batch[21..23].copy_from_slice(&0x38_i16.to_be_bytes());
    batch[35..43].copy_from_slice(&77_i64.to_be_bytes());
    reseal(&mut batch);
    let header = validate_batch(&batch, &limits()).unwrap();
    assert!(header.is_control() && header.is_transactional() && header.is_log_append_time());
    assert_eq!(read_all(&Bytes::from(batch), 0)[0].1.timestamp_ms, 77);
}

#[test]
fn placement_is_patched_outside_the_checksum() {
    let mut batch = build(&[simple(b"a")], Compression::None).to_vec();
    patch_placement(&mut batch, 1234, 3);
    let header = validate_batch(&batch, &limits()).unwrap();
    assert_eq!((header.base_offset, header.leader_epoch), (1234, 3));
    patch_placement(&mut [0; 5], 1, 1);
}

#[test]
fn a_batch_without_records_is_no_bytes() {
    assert!(BatchBuilder::new().finish().is_empty());
    assert!(validate_batch(&[], &limits()).is_err());
}
