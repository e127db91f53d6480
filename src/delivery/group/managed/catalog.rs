//! What a managed group has to know of topics, as a question that somebody else answers.

use crate::log::{Log, TopicId, TopicName};

/// The topics there are.
pub trait Catalog {
    /// Differs from what it was as soon as a topic or partition came or went.
    fn version(&self) -> u64;

    /// Identity and number of partitions of the topic of this name.
    fn find(&self, name: &TopicName) -> Option<(TopicId, u32)>;

    /// Names of topics that are text and pass the test, at most so many, in no order.
    fn matching(&self, test: &dyn Fn(&str) -> bool, max: usize) -> Vec<TopicName>;
}

impl Catalog for Log {
    fn version(&self) -> u64 {
        self.catalog_version()
    }

    fn find(&self, name: &TopicName) -> Option<(TopicId, u32)> {
        let topic = self.topic(name)?;
        Some((topic.id(), topic.partition_count()))
    }

    fn matching(&self, test: &dyn Fn(&str) -> bool, max: usize) -> Vec<TopicName> {
        let topics = self.topics();
        let passes = |name: &&TopicName| !name.is_internal() && name.as_str().is_some_and(test);
        topics.iter().map(|topic| topic.name()).filter(passes).take(max).cloned().collect()
    }
}
