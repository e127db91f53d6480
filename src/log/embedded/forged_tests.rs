//! A record whose value is written to look like an entry of the journal: where a crash tears the entry that holds it, nothing in
//! it is taken for one.

use std::path::Path;

use bytes::{Bytes, BytesMut};

use super::disk::{Open, simulated::Simulated};
use super::files::{JOURNAL_HEADER_BYTES, journal_file_name, salt_of_header};
use super::frame::{Encoder, HEADER_BYTES, Salt, TARGET_BYTES, WRITE_BYTES};
use super::journal::FIRST_POSITION;
use super::recovery::journal_directory;
use super::testing::{Place, settings};
use crate::log::record::{BATCH_HEADER_BYTES, Compression, Record, batch_of_one};
use crate::log::*;

const FILLING: u8 = 0xee;

/// A batch of one record whose value holds, right where it will lie, an entry that says that all before it was synced.
fn crafted(entry_at: u64, salt: Salt) -> Bytes {
    let build = |value: Vec<u8>| batch_of_one(&Record { value: Some(value.into()), ..Record::default() });
    let mut value = vec![FILLING; 200];
    let records = build(value.clone()).slice(BATCH_HEADER_BYTES..);
    let in_batch = BATCH_HEADER_BYTES + records.iter().position(|byte| *byte == FILLING).expect("the value");
    let value_at = entry_at + (HEADER_BYTES + WRITE_BYTES + TARGET_BYTES + in_batch) as u64;
    let at = value_at.next_multiple_of(8);
    let mut image = BytesMut::new();
    Encoder::begin(&mut image, salt.mark(at), at, 0).finish();
    let from = (at - value_at) as usize;
    value[from..from + image.len()].copy_from_slice(&image);
    build(value)
}

/// What a start says where the entry of such a record is torn. `guess`: the salt that its writer takes for that of the journal.
fn start_behind_torn(guess: impl Fn(Salt) -> Salt) -> Result<Place, OpenError> {
    let disk = Simulated::new(1);
    let root = Path::new("/");
    let topic = TopicSettings { retention_ms: None, ..TopicSettings::default() };
    let place = Place::open(settings(root, disk.disk()), &topic);
    place.append(&[(1, Some("before".into()))], Compression::None, 7);
    let path = journal_directory(root).join(journal_file_name(FIRST_POSITION));
    let salt = salt_of_header(&disk.disk().read(&path).expect("a journal"));
    let entry_at = place.log.end().0;
    place.append_batch(crafted(entry_at, guess(salt)), 1, 7);
    place.log.close();
    // The sector with its checksum did not get to the disk.
    let file = disk.disk().open(&path, Open::Write).expect("a journal");
    file.write_all_at(&[0; 4], JOURNAL_HEADER_BYTES + entry_at - FIRST_POSITION + 4).expect("written");
    let log = Log::open(settings(root, disk.disk()))?;
    log.close();
    Ok(Place::open(settings(root, disk.disk()), &topic))
}

#[test]
fn a_body_that_looks_like_an_entry_is_not_taken_for_one() {
    // One who knows the format and the position, and one who knows another journal as well.
    for guess in [Salt(0), Salt::draw()] {
        let place = start_behind_torn(|_| guess).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(place.read().len(), 1, "what was torn was never acknowledged");
        place.append(&[(1, Some("behind".into()))], Compression::None, 7);
        assert_eq!(place.read().len(), 2);
        place.log.close();
    }
    // Who knew the salt could do it: the entry in the test is a whole one.
    assert!(matches!(start_behind_torn(|salt| salt).err(), Some(OpenError::Damaged { .. })));
}
