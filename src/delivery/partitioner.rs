//! Which partition a record goes to that comes without one: by its key, or spread by its topic's rule.
//!
//! A key's partition is the one that Kafka's Java client picks, so that what several dialects write under one key is in one
//! partition, in order.

use crate::log::{Partitioner, Topic};

/// What a sticky partition is given before the next has its turn, in bytes: Kafka's `batch.size`.
const STICKY_BYTES: u64 = 16 * 1024;

/// What is known of a record whose partition is to be chosen.
#[derive(Debug, Clone, Copy, Default)]
pub struct Placing<'r> {
    /// The partition that the writer asks for.
    pub given: Option<u32>,
    /// What keeps records together that belong together.
    pub key: Option<&'r [u8]>,
    /// Its size, in bytes.
    pub bytes: usize,
}

/// The index of the partition of a topic that a record goes to.
///
/// A given partition that the topic has counts before everything, as it does in Kafka; one that it does not have counts as none.
pub fn partition_of(topic: &Topic, placing: &Placing<'_>) -> u32 {
    let count = topic.partition_count();
    if count <= 1 {
        return 0;
    }
    if let Some(given) = placing.given.filter(|given| *given < count) {
        return given;
    }
    match (topic.partitioner(), placing.key) {
        (Partitioner::Given, _) => 0,
        (Partitioner::Key, Some(key)) => (murmur2(key) & 0x7fff_ffff) % count,
        (Partitioner::RoundRobin, _) => turn(topic.spread_by(1), count),
        (Partitioner::Random, _) => rand::random_range(0..count),
        (Partitioner::Sticky, _) | (Partitioner::Key, None) => turn(topic.spread_by(placing.bytes as u64) / STICKY_BYTES, count),
    }
}

fn turn(number: u64, count: u32) -> u32 {
    u32::try_from(number % u64::from(count)).unwrap_or(0)
}

/// The 32-bit hash that Kafka's clients take of a key: MurmurHash2 with Kafka's seed.
fn murmur2(key: &[u8]) -> u32 {
    const SEED: u32 = 0x9747_b28c;
    const FACTOR: u32 = 0x5bd1_e995;
    let mut hash = SEED ^ key.len() as u32;
    let mut words = key.chunks_exact(4);
    for word in &mut words {
        let mut word = word.iter().rev().fold(0_u32, |word, byte| word << 8 | u32::from(*byte)).wrapping_mul(FACTOR);
        word ^= word >> 24;
        hash = hash.wrapping_mul(FACTOR) ^ word.wrapping_mul(FACTOR);
    }
    let rest = words.remainder();
    if !rest.is_empty() {
        hash ^= rest.iter().rev().fold(0_u32, |word, byte| word << 8 | u32::from(*byte));
        hash = hash.wrapping_mul(FACTOR);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(FACTOR);
    hash ^ hash >> 15
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::delivery::Delivery;
    use crate::log::{LogSettings, TopicName, TopicSettings};

    #[test]
    fn keys_hash_as_in_the_java_client() {
        // From the tests of Kafka's own clients.
        for (key, hash) in [
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            ("abc", 479_470_107),
        ] {
            assert_eq!(murmur2(key.as_bytes()).cast_signed(), hash, "{key}");
        }
    }

    /// The partitions that `count` records of 4 KiB go to, in a topic of three.
    fn choices(partitioner: Partitioner, count: usize, placing: Placing<'_>) -> Vec<u32> {
        let directory = tempfile::tempdir().expect("a directory");
        let settings = LogSettings { directory: directory.path().to_owned(), ..LogSettings::default() };
        let delivery = Delivery::open(settings).expect("it opens");
        let name = TopicName::new("t").expect("a name");
        let mut unit = delivery.begin().expect("the log is well");
        let topic: Arc<Topic> =
            unit.create_topic(&name, 3, TopicSettings { partitioner, ..TopicSettings::default() }).expect("it is new");
        unit.commit();
        let chosen = (0..count).map(|_| partition_of(&topic, &placing)).collect();
        delivery.close().expect("it closes");
        chosen
    }

    #[test]
    fn each_rule_spreads_as_it_says() {
        let plain = Placing { bytes: 4096, ..Placing::default() };
        let keyed = Placing { key: Some(b"foobar"), ..plain };
        let of_key = (murmur2(b"foobar") & 0x7fff_ffff) % 3;
        assert_eq!(choices(Partitioner::Key, 5, keyed), [of_key; 5]);
        assert_eq!(choices(Partitioner::Key, 9, plain), [0, 0, 0, 0, 1, 1, 1, 1, 2]);
        assert_eq!(choices(Partitioner::Sticky, 9, keyed), [0, 0, 0, 0, 1, 1, 1, 1, 2]);
        assert_eq!(choices(Partitioner::RoundRobin, 4, keyed), [0, 1, 2, 0]);
        assert_eq!(choices(Partitioner::Given, 2, keyed), [0, 0]);
        let random = choices(Partitioner::Random, 200, keyed);
        assert!((0..3).all(|partition| random.contains(&partition)));
    }

    #[test]
    fn a_partition_that_is_given_counts_if_it_is_there() {
        let given = |partition| Placing { given: Some(partition), key: Some(b"21"), bytes: 1 };
        for partitioner in [Partitioner::Key, Partitioner::Given, Partitioner::RoundRobin, Partitioner::Random] {
            assert_eq!(choices(partitioner, 2, given(2)), [2, 2]);
        }
        let of_key = (murmur2(b"21") & 0x7fff_ffff) % 3;
        assert_eq!(choices(Partitioner::Key, 1, given(3)), [of_key]);
        assert_eq!(choices(Partitioner::Given, 1, given(3)), [0]);
    }
}
