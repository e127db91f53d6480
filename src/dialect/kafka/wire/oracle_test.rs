//! Holds the codec against an independent one, `kafka-protocol`: every message, every version, both ways.
//!
//! A [`Source`] that invents values makes the messages, so that a message of any version holds what that version can say.

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages as theirs;
use kafka_protocol::protocol::{Decodable, Encodable, Message as TheirMessage};
use proptest::prelude::*;
use rand::{Rng, SeedableRng, rngs::StdRng};

use super::message::each_kafka_api;
use super::{Fields, Message, Source, Uuid, WireError, decode, decode_any, decode_front, encode, message};

type Result<T> = std::result::Result<T, WireError>;

const ROUNDS: u64 = 40;

/// Invents the fields of a message.
struct Invented(StdRng);

impl Invented {
    fn text(&mut self) -> String {
        let length = self.0.random_range(0..20);
        (0..length).map(|_| *b"az-._Z9".get(self.0.random_range(0..7)).unwrap_or(&b'?') as char).collect()
    }

    fn null(&mut self) -> bool {
        self.0.random_range(0..4) == 0
    }
}

impl Source for Invented {
    fn bool(&mut self) -> Result<bool> {
        Ok(self.0.random())
    }
    fn i8(&mut self) -> Result<i8> {
        Ok(self.0.random())
    }
    fn i16(&mut self) -> Result<i16> {
        Ok(self.0.random())
    }
    fn u16(&mut self) -> Result<u16> {
        Ok(self.0.random())
    }
    fn i32(&mut self) -> Result<i32> {
        Ok(self.0.random())
    }
    fn i64(&mut self) -> Result<i64> {
        Ok(self.0.random())
    }
    fn uuid(&mut self) -> Result<Uuid> {
        Ok(Uuid(self.0.random()))
    }
    fn string(&mut self) -> Result<String> {
        Ok(self.text())
    }
    fn nullable_string(&mut self) -> Result<Option<String>> {
        Ok(if self.null() { None } else { Some(self.text()) })
    }
    fn bytes(&mut self) -> Result<Bytes> {
        Ok(Bytes::from(self.text()))
    }
    fn nullable_bytes(&mut self) -> Result<Option<Bytes>> {
        Ok(if self.null() { None } else { Some(Bytes::from(self.text())) })
    }
    fn array<T>(&mut self, mut item: impl FnMut(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        (0..self.0.random_range(0..4)).map(|_| item(self)).collect()
    }
    fn nullable_array<T>(&mut self, item: impl FnMut(&mut Self) -> Result<T>) -> Result<Option<Vec<T>>> {
        if self.null() { Ok(None) } else { self.array(item).map(Some) }
    }
    fn nullable_struct<T>(&mut self, mut read: impl FnMut(&mut Self) -> Result<T>) -> Result<Option<T>> {
        if self.null() { Ok(None) } else { read(self).map(Some) }
    }
    fn tagged(&mut self, known: &[u32], mut read: impl FnMut(&mut Self, u32) -> Result<bool>) -> Result<()> {
        known
            .iter()
            .filter(|_| self.0.random())
            .copied()
            .collect::<Vec<_>>()
            .into_iter()
            .try_for_each(|tag| read(self, tag).map(drop))
    }
}

/// One message of one version: ours to theirs to ours.
fn round<Ours, Theirs>(version: i16, seed: u64)
where
    Ours: Message + PartialEq + std::fmt::Debug,
    Theirs: TheirMessage + Encodable + Decodable + std::fmt::Debug,
{
    let what = format!("{} version {version}, seed {seed}", Ours::NAME);
    let mut source = Invented(StdRng::seed_from_u64(seed));
    let made = Ours::decode(&mut source, version).unwrap_or_else(|e| panic!("{what}: {e}"));
    let mut bytes = BytesMut::new();
    encode(&made, &mut bytes, version);
    let read_back = decode_front::<Ours>(bytes.clone().freeze(), version);
    let (ours, rest) = read_back.unwrap_or_else(|e| panic!("{what} does not read back: {e}"));
    assert!(rest.is_empty(), "{what}: {} bytes were not read", rest.len());

    let mut for_them = bytes.clone().freeze();
    let theirs = Theirs::decode(&mut for_them, version).unwrap_or_else(|e| panic!("{what}: they cannot read it: {e}"));
    assert!(for_them.is_empty(), "{what}: they leave {} bytes", for_them.len());
    let mut by_them = BytesMut::new();
    theirs.encode(&mut by_them, version).unwrap_or_else(|e| panic!("{what}: they cannot write it: {e}"));
    assert_eq!(bytes, by_them, "{what}: written differently: {ours:?}");
    assert_eq!(decode::<Ours>(by_them.freeze(), version).as_ref(), Ok(&ours), "{what}");
}

fn every_version<Ours, Theirs>()
where
    Ours: Message + PartialEq + std::fmt::Debug,
    Theirs: TheirMessage + Encodable + Decodable + std::fmt::Debug,
{
    for version in Ours::MIN.max(Theirs::VERSIONS.min)..=Ours::MAX.min(Theirs::VERSIONS.max) {
        for seed in 0..ROUNDS {
            round::<Ours, Theirs>(version, seed);
        }
    }
}

/// Every prefix of a message is an error, never a message and never a panic.
fn every_prefix_is_short<Ours: Message>() {
    for version in Ours::MIN..=Ours::MAX {
        let mut source = Invented(StdRng::seed_from_u64(3));
        let Ok(ours) = Ours::decode(&mut source, version) else { continue };
        let mut bytes = BytesMut::new();
        encode(&ours, &mut bytes, version);
        let bytes = bytes.freeze();
        for end in 0..bytes.len() {
            assert!(decode::<Ours>(bytes.slice(..end), version).is_err(), "{} {version} cut at {end}", Ours::NAME);
        }
    }
}

macro_rules! oracle_tests {
    ($($module:ident $request:ident $response:ident,)*) => {
        $(mod $module {
            #[test]
            fn both_ways_as_the_other_codec() {
                super::every_version::<super::message::$module::$request, super::theirs::$request>();
                super::every_version::<super::message::$module::$response, super::theirs::$response>();
            }

            #[test]
            fn a_cut_message_is_an_error() {
                super::every_prefix_is_short::<super::message::$module::$request>();
                super::every_prefix_is_short::<super::message::$module::$response>();
            }
        })*
    };
}
each_kafka_api!(oracle_tests);

/// Requests as frames, to be damaged.
fn some_frame(api: usize, version: i16, seed: u64) -> BytesMut {
    let mut source = Invented(StdRng::seed_from_u64(seed));
    let mut out = BytesMut::new();
    macro_rules! one_of {
        ($($module:ident $request:ident $response:ident,)*) => {
            let frames: &[&dyn Fn(&mut Invented, &mut BytesMut)] = &[$(&|source, out| {
                type Request = message::$module::$request;
                let version = Request::MIN + version.rem_euclid(Request::MAX - Request::MIN + 1);
                let header = super::RequestHeader { api_key: Request::KEY, api_version: version, correlation_id: 1, client_id: None };
                header.encode(out);
                if let Ok(request) = Request::decode(source, version) {
                    encode(&request, out, version);
                }
            }),*];
            if let Some(frame) = frames.get(api % frames.len()) {
                frame(&mut source, &mut out);
            }
        };
    }
    each_kafka_api!(one_of);
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn whole_frames_of_every_api_are_read(api: usize, version in 0i16..100, seed: u64) {
        prop_assert_eq!(decode_any(&some_frame(api, version, seed)), Ok(()));
    }

    #[test]
    fn damaged_frames_are_read_or_refused_without_a_panic(
        api: usize, version in 0i16..100, seed: u64, damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8)
    ) {
        let mut frame = some_frame(api, version, seed);
        for (at, value) in damage {
            let at = at.index(frame.len());
            if let Some(byte) = frame.get_mut(at) {
                *byte = value;
            }
        }
        let _ = decode_any(&frame);
    }

    #[test]
    fn random_bytes_are_read_or_refused_without_a_panic(key in 0i16..80, version in -1i16..20, rest in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut frame = BytesMut::new();
        frame.extend_from_slice(&key.to_be_bytes());
        frame.extend_from_slice(&version.to_be_bytes());
        frame.extend_from_slice(&rest);
        let _ = decode_any(&frame);
    }
}
