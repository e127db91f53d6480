//! Partitions of topics as the newer group protocols write them: topic by topic, by id, with the partitions of each.

use std::collections::BTreeMap;

use super::wire::Uuid;
use crate::delivery::group::{Place, Places};
use crate::log::{Log, TopicId};

/// What a member says it has. Negative indices are nobody's.
pub(super) fn to_places(topics: impl IntoIterator<Item = (Uuid, Vec<i32>)>) -> Places {
    let of_topic = |(id, partitions): (Uuid, Vec<i32>)| {
        let place = move |index: i32| Some(Place { topic: TopicId(id.0), partition: u32::try_from(index).ok()? });
        partitions.into_iter().filter_map(place)
    };
    topics.into_iter().flat_map(of_topic).collect()
}

/// By topic, in the order of ids.
pub(super) fn by_topic(places: &Places) -> impl Iterator<Item = (Uuid, Vec<i32>)> {
    let mut topics: BTreeMap<TopicId, Vec<i32>> = BTreeMap::new();
    for place in places {
        topics.entry(place.topic).or_default().push(i32::try_from(place.partition).unwrap_or(i32::MAX));
    }
    topics.into_iter().map(|(id, partitions)| (Uuid(id.0), partitions))
}

/// By topic, each with its name; topics that are gone are left out.
pub(super) fn by_named_topic(log: &Log, places: &Places) -> impl Iterator<Item = (Uuid, String, Vec<i32>)> {
    by_topic(places).filter_map(|(id, partitions)| {
        let topic = log.topic_by_id(TopicId(id.0))?;
        Some((id, topic.name().to_string(), partitions))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_come_back_as_they_went() {
        let topics = vec![(Uuid(1), vec![0, 2]), (Uuid(7), vec![5])];
        assert_eq!(by_topic(&to_places(topics.clone())).collect::<Vec<_>>(), topics);
        assert!(to_places([(Uuid(1), vec![-1])]).is_empty());
    }
}
