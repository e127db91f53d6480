//! OffsetFetch (API key 9), versions 1 to 10. 2: all topics of a group. 5: leader epochs (KIP-320). 7: only stable offsets
//! (KIP-447): one that an open transaction commits is answered with UNSTABLE_OFFSET_COMMIT. 8: several groups (KIP-709).
//! 9: member epochs of the newer group protocol. 10: topics by id. A partition without a committed offset has offset -1 and no
//! error.

use crate::delivery::Delivery;
use crate::delivery::group::{Committed, Groups, OffsetKey};
use crate::dialect::kafka::call::Call;
use crate::dialect::kafka::error::ErrorCode;
use crate::dialect::kafka::mapping::to_caller;
use crate::dialect::kafka::wire::Uuid;
use crate::dialect::kafka::wire::message::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchResponse, OffsetFetchResponseGroup,
    OffsetFetchResponsePartition, OffsetFetchResponsePartitions, OffsetFetchResponseTopic, OffsetFetchResponseTopics,
};
use crate::log::{Barrier, Log, TopicId, TopicName};

/// The answer is good once what it shows is durable.
pub fn handle(call: &Call, request: OffsetFetchRequest) -> (OffsetFetchResponse, Barrier) {
    let (groups, log, version) = (call.groups(), call.log(), call.version());
    let reader = Reader { delivery: call.delivery(), groups, stable_only: request.require_stable };
    let mut response = OffsetFetchResponse::default();
    let mut gate = Barrier::NONE;
    if version >= 8 {
        for group in request.groups {
            let (answer, barrier) = of_group(&reader, log, version, group);
            response.groups.push(answer);
            gate = gate.and(barrier);
        }
    } else {
        let asked = request.topics.map(|topics| topics.into_iter().map(Asked::by_name).collect());
        let (found, barrier) = reader.look_up(&request.group_id, asked);
        response.topics = found.into_iter().map(to_topic).collect();
        gate = barrier;
    }
    (response, gate)
}

/// What is asked, and whether only of offsets that no open transaction commits.
struct Reader<'a> {
    delivery: &'a Delivery,
    groups: &'a Groups,
    stable_only: bool,
}

/// One topic of a request, whichever way it is named.
struct Asked {
    name: String,
    id: Uuid,
    /// `None` if there is no topic of this id.
    topic: Option<TopicName>,
    partitions: Vec<i32>,
}

impl Asked {
    fn by_name(topic: OffsetFetchRequestTopic) -> Self {
        let OffsetFetchRequestTopic { name, partition_indexes } = topic;
        Self { topic: TopicName::new(name.clone()).ok(), name, id: Uuid::ZERO, partitions: partition_indexes }
    }
}

/// What is known of one partition.
type Answered = Result<Option<Committed>, ErrorCode>;

/// One topic of an answer.
struct Found {
    name: String,
    id: Uuid,
    error_code: i16,
    partitions: Vec<(i32, Answered)>,
}

fn of_group(reader: &Reader<'_>, log: &Log, version: i16, group: OffsetFetchRequestGroup) -> (OffsetFetchResponseGroup, Barrier) {
    let by_id = version >= 10;
    let caller = to_caller(group.member_id.unwrap_or_default(), None, group.member_epoch);
    if let Err(why) = reader.groups.check_fetch(&group.group_id, &caller) {
        let error_code = ErrorCode::from(&why).code();
        return (OffsetFetchResponseGroup { group_id: group.group_id, error_code, ..Default::default() }, Barrier::NONE);
    }
    let asked = group.topics.map(|topics| {
        let each = topics.into_iter().map(|t| {
            if by_id {
                let topic = log.topic_by_id(TopicId(t.topic_id.0)).map(|topic| topic.name().clone());
                Asked { name: t.name, id: t.topic_id, topic, partitions: t.partition_indexes }
            } else {
                Asked::by_name(OffsetFetchRequestTopic { name: t.name, partition_indexes: t.partition_indexes })
            }
        });
        each.collect()
    });
    let (mut found, barrier) = reader.look_up(&group.group_id, asked);
    if by_id {
        for topic in found.iter_mut().filter(|t| t.id == Uuid::ZERO && t.error_code == ErrorCode::None.code()) {
            let known = TopicName::new(topic.name.clone()).ok().and_then(|name| log.topic(&name));
            topic.id = known.map_or(Uuid::ZERO, |t| Uuid(t.id().0));
        }
    }
    let topics = found.into_iter().map(to_topics).collect();
    (OffsetFetchResponseGroup { group_id: group.group_id, topics, error_code: ErrorCode::None.code() }, barrier)
}

impl Reader<'_> {
    /// What the group has committed for each key, in order. What is unstable is looked at first: then it may have become stable
    /// with an offset that is newer, but none that is older is taken for stable.
    fn committed(&self, group: &str, keys: &[OffsetKey]) -> (Vec<Answered>, Barrier) {
        let is_unstable = |key| self.stable_only && self.delivery.is_offset_pending(group, key);
        let unstable: Vec<bool> = keys.iter().map(is_unstable).collect();
        let (offsets, barrier) = self.groups.committed(group, keys);
        let answer = |(committed, is_unstable)| if is_unstable { Err(ErrorCode::UnstableOffsetCommit) } else { Ok(committed) };
        (offsets.into_iter().zip(unstable).map(answer).collect(), barrier)
    }

    fn look_up(&self, group: &str, asked: Option<Vec<Asked>>) -> (Vec<Found>, Barrier) {
        let Some(asked) = asked else { return self.all_of(group) };
        let mut gate = Barrier::NONE;
        let mut answers = Vec::with_capacity(asked.len());
        for Asked { name, id, topic, partitions } in asked {
            let error_code =
                if topic.is_none() && id != Uuid::ZERO { ErrorCode::UnknownTopicId.code() } else { ErrorCode::None.code() };
            let key = |index: &i32| Some(OffsetKey { topic: topic.clone()?, partition: u32::try_from(*index).ok()? });
            let keys: Vec<_> = partitions.iter().filter_map(key).collect();
            let (offsets, barrier) = self.committed(group, &keys);
            gate = gate.and(barrier);
            let mut offsets = offsets.into_iter();
            let mut answer = |index| if key(&index).is_some() { offsets.next().unwrap_or(Ok(None)) } else { Ok(None) };
            let partitions = partitions.into_iter().map(|index| (index, answer(index))).collect();
            answers.push(Found { name, id, error_code, partitions });
        }
        (answers, gate)
    }

    fn all_of(&self, group: &str) -> (Vec<Found>, Barrier) {
        let keys: Vec<_> = self.groups.all_committed(group).0.into_iter().map(|(key, _)| key).collect();
        let (all, barrier) = self.committed(group, &keys);
        let mut answers: Vec<Found> = Vec::new();
        for (key, answered) in keys.into_iter().zip(all) {
            let (Some(name), Ok(index)) = (key.topic.as_str(), i32::try_from(key.partition)) else { continue };
            if answered == Ok(None) {
                continue;
            }
            match answers.last_mut().filter(|t| t.name == name) {
                Some(topic) => topic.partitions.push((index, answered)),
                None => {
                    let (name, id, error_code) = (name.to_owned(), Uuid::ZERO, ErrorCode::None.code());
                    answers.push(Found { name, id, error_code, partitions: vec![(index, answered)] });
                }
            }
        }
        (answers, barrier)
    }
}

/// What is said of a partition: offset, leader epoch, metadata, and the error if it has one of its own.
fn said(answered: Answered, error_code: i16) -> (i64, i32, Option<String>, i16) {
    match answered {
        Ok(Some(c)) => {
            (i64::try_from(c.offset).unwrap_or(i64::MAX), c.leader_epoch, Some(String::from(&*c.metadata)), error_code)
        }
        Ok(None) => (-1, -1, Some(String::new()), error_code),
        Err(error) => (-1, -1, Some(String::new()), error.code()),
    }
}

fn to_topic(found: Found) -> OffsetFetchResponseTopic {
    let partitions = found.partitions.into_iter().map(|(partition_index, answered)| {
        let (committed_offset, committed_leader_epoch, metadata, error_code) = said(answered, found.error_code);
        OffsetFetchResponsePartition { partition_index, committed_offset, committed_leader_epoch, metadata, error_code }
    });
    OffsetFetchResponseTopic { partitions: partitions.collect(), name: found.name }
}

fn to_topics(found: Found) -> OffsetFetchResponseTopics {
    let partitions = found.partitions.into_iter().map(|(partition_index, answered)| {
        let (committed_offset, committed_leader_epoch, metadata, error_code) = said(answered, found.error_code);
        OffsetFetchResponsePartitions { partition_index, committed_offset, committed_leader_epoch, metadata, error_code }
    });
    OffsetFetchResponseTopics { partitions: partitions.collect(), name: found.name, topic_id: found.id }
}
