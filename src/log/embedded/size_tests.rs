//! What a topic takes in memory, pinned: there may be a million of them.

use super::partition::{Latest, Partition};
use super::refs::BatchRef;
use super::segment::Segments;
use crate::log::runs::RunSet;
use crate::log::topic::{Topic, TopicSettings};

#[test]
fn a_topic_and_its_partition_take_little() {
    let sizes = [
        ("a topic", size_of::<Topic>(), 128),
        ("a partition", size_of::<Partition>(), 304),
        ("a batch in the journal", size_of::<BatchRef>(), 40),
        // Beside its key, in a hash table.
        ("the newest change of a key", size_of::<Latest>(), 8),
        ("a set of offsets", size_of::<RunSet>(), 24),
        // Shared by all topics that have the same.
        ("settings", size_of::<TopicSettings>(), 192),
        // Shared by all partitions that have none.
        ("segments", size_of::<Segments>(), 80),
    ];
    for (what, bytes, most) in sizes {
        assert!(bytes <= most, "{what} takes {bytes} bytes, and was to take {most} at most");
    }
}
