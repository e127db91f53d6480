//! The codec against an independent one, `amq-protocol`, both ways: what we write it reads and writes back byte for byte, and what it
//! writes we read as the same.

use amq_protocol::frame::{AMQPFrame, WriteContext, gen_frame, parse_frame};
use amq_protocol::protocol::basic::AMQPProperties;
use amq_protocol::types::{AMQPValue, FieldArray, FieldTable};
use bytes::BytesMut;
use proptest::prelude::*;

use super::method::samples;
use super::{ContentHeader, FrameKind, Method, Properties, next_frame, put_header, put_method, table};

fn through_the_other(ours: &[u8]) -> Vec<u8> {
    let (rest, frame) = parse_frame(ours).unwrap_or_else(|error| panic!("not read: {error:?}\n{ours:02x?}"));
    assert!(rest.is_empty());
    write_by_the_other(&frame)
}

fn write_by_the_other(frame: &AMQPFrame) -> Vec<u8> {
    gen_frame(frame)(WriteContext::from(Vec::new())).unwrap().into_inner().0
}

#[test]
fn methods_agree() {
    for seed in 0..64 {
        // The other codec writes ticket 1 whatever it read.
        for method in samples(seed).into_iter().filter(|method| method.name() != "AccessRequestOk") {
            let mut ours = BytesMut::new();
            put_method(&mut ours, 5, method);
            let theirs = through_the_other(&ours);
            // The other codec keeps tables as sorted maps; the samples have one entry at most, so bytes agree.
            assert_eq!(theirs, &ours[..], "{}", method.name());
            let frame = next_frame(&theirs, 131_072).unwrap().unwrap();
            assert_eq!(Method::decode(frame.payload), Ok(method));
        }
    }
}

#[test]
fn bodies_and_heartbeats_agree() {
    let mut ours = BytesMut::new();
    super::put_heartbeat(&mut ours);
    assert_eq!(write_by_the_other(&AMQPFrame::Heartbeat), &ours[..]);
    let mut ours = BytesMut::new();
    super::put_body(&mut ours, 2, b"body", 4096);
    assert_eq!(write_by_the_other(&AMQPFrame::Body(2, b"body".to_vec())), &ours[..]);
}

fn any_value() -> impl Strategy<Value = AMQPValue> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(AMQPValue::Boolean),
        any::<i8>().prop_map(AMQPValue::ShortShortInt),
        any::<u8>().prop_map(AMQPValue::ShortShortUInt),
        any::<i16>().prop_map(AMQPValue::ShortInt),
        any::<u16>().prop_map(AMQPValue::ShortUInt),
        any::<i32>().prop_map(AMQPValue::LongInt),
        any::<u32>().prop_map(AMQPValue::LongUInt),
        any::<i64>().prop_map(AMQPValue::LongLongInt),
        any::<u64>().prop_map(AMQPValue::Timestamp),
        "[a-zé]{0,12}".prop_map(|text| AMQPValue::LongString(text.into())),
        proptest::collection::vec(any::<u8>(), 0..12).prop_map(|bytes| AMQPValue::ByteArray(bytes.into())),
        Just(AMQPValue::Void),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(|values| {
                let mut array = FieldArray::default();
                for value in values {
                    array.push(value);
                }
                AMQPValue::FieldArray(array)
            }),
            proptest::collection::btree_map("[a-z]{1,8}", inner, 0..4).prop_map(|map| AMQPValue::FieldTable(to_table(map))),
        ]
    })
}

fn to_table(map: std::collections::BTreeMap<String, AMQPValue>) -> FieldTable {
    let mut table = FieldTable::default();
    for (key, value) in map {
        table.insert(key.into(), value);
    }
    table
}

proptest! {
    #[test]
    fn headers_agree(
        map in proptest::collection::btree_map("[a-z]{1,8}", any_value(), 0..5),
        mode in proptest::option::of(any::<u8>()),
        id in proptest::option::of("[a-zé]{0,20}"),
        timestamp in proptest::option::of(any::<u64>()),
        size in any::<u64>(),
    ) {
        let mut properties = AMQPProperties::default().with_headers(to_table(map));
        if let Some(mode) = mode { properties = properties.with_delivery_mode(mode); }
        if let Some(id) = &id { properties = properties.with_message_id(id.as_str().into()); }
        if let Some(timestamp) = timestamp { properties = properties.with_timestamp(timestamp); }
        let frame = AMQPFrame::Header(3, amq_protocol::frame::AMQPContentHeader { class_id: 60, body_size: size, properties });
        let theirs = write_by_the_other(&frame);

        let found = next_frame(&theirs, 131_072).unwrap().unwrap();
        prop_assert_eq!(found.kind, FrameKind::Header);
        let header = ContentHeader::decode(found.payload).unwrap();
        prop_assert_eq!(header.body_size, size);
        let view = Properties::decode(header.properties).unwrap();
        prop_assert_eq!(view.delivery_mode, mode);
        prop_assert_eq!(view.message_id, id.as_ref().map(|id| id.as_bytes()));
        prop_assert_eq!(view.timestamp_s, timestamp);

        let mut ours = BytesMut::new();
        let mut properties = BytesMut::new();
        view.encode(&mut properties);
        put_header(&mut ours, 3, size, &properties);
        prop_assert_eq!(&ours[..], &theirs[..]);

        let mut again = BytesMut::new();
        for entry in super::Table(view.headers.unwrap_or_default()).entries() {
            let (key, value) = entry.unwrap();
            let mut one = table::TableBuilder::new();
            one.push(key, value);
            again.extend_from_slice(&one.finish());
        }
        prop_assert_eq!(&again[..], view.headers.unwrap_or_default());
    }
}
