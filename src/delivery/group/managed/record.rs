//! The bytes of a managed group in the state table `__consumer_offsets`, in Kafka's own forms, so that Kafka's tools can show
//! them. Keys 3 and 5 to 8 are those of groups with owners, 10 to 14 those of groups that share; every value has version 0.
//!
//! One record a group for its epoch, one for that of its targets, and three a member: what it says, what it is to hold, what
//! it holds. Reads only what it wrote; anything else is [`None`].

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::assign::{Assignor, Place, Places};
use super::machine::Sharing;
use super::member::{About, Member, Progress};
use crate::delivery::group::offset_record::{put_short, put_varint, take, take_short, take_varint};
use crate::delivery::group::request::MemberId;
use crate::log::{TopicId, TopicName};

const VALUE_VERSION: i16 = 0;
/// The tag of the hash of topics in the record of a group with owners.
const HASH_TAG: u64 = 0;
/// Elements that are made room for before they are seen.
const RESERVE_MAX: usize = 64;

/// The keys of one group's records.
pub(super) struct Keys<'a> {
    pub(super) group: &'a str,
    pub(super) sharing: Sharing,
}

/// What a record is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Subject {
    Group,
    TargetEpoch,
    About,
    Target,
    Current,
}

const SUBJECTS: [Subject; 5] = [Subject::Group, Subject::TargetEpoch, Subject::About, Subject::Target, Subject::Current];

impl Subject {
    const fn key_version(self, sharing: Sharing) -> i16 {
        match (sharing, self) {
            (Sharing::Exclusive, Self::Group) => 3,
            (Sharing::Exclusive, Self::About) => 5,
            (Sharing::Exclusive, Self::TargetEpoch) => 6,
            (Sharing::Exclusive, Self::Target) => 7,
            (Sharing::Exclusive, Self::Current) => 8,
            (Sharing::Shared, Self::About) => 10,
            (Sharing::Shared, Self::Group) => 11,
            (Sharing::Shared, Self::TargetEpoch) => 12,
            (Sharing::Shared, Self::Target) => 13,
            (Sharing::Shared, Self::Current) => 14,
        }
    }
}

impl Keys<'_> {
    pub(super) fn group(&self) -> Bytes {
        self.key(Subject::Group, None)
    }

    pub(super) fn target_epoch(&self) -> Bytes {
        self.key(Subject::TargetEpoch, None)
    }

    pub(super) fn about(&self, member: &MemberId) -> Bytes {
        self.key(Subject::About, Some(member))
    }

    pub(super) fn target(&self, member: &MemberId) -> Bytes {
        self.key(Subject::Target, Some(member))
    }

    pub(super) fn current(&self, member: &MemberId) -> Bytes {
        self.key(Subject::Current, Some(member))
    }

    fn key(&self, subject: Subject, member: Option<&MemberId>) -> Bytes {
        let mut out = BytesMut::with_capacity(6 + self.group.len() + member.map_or(0, |member| member.len()));
        out.put_i16(subject.key_version(self.sharing));
        put_short(&mut out, self.group.as_bytes());
        if let Some(member) = member {
            put_short(&mut out, member.as_bytes());
        }
        out.freeze()
    }
}

/// The keys of a group that has no members, of either kind: to take out what is kept of it.
pub(in crate::delivery::group) fn forget_keys(group: &str) -> [Bytes; 4] {
    let (owned, shared) = (Keys { group, sharing: Sharing::Exclusive }, Keys { group, sharing: Sharing::Shared });
    [owned.group(), owned.target_epoch(), shared.group(), shared.target_epoch()]
}

pub(super) fn group(sharing: Sharing, epoch: i32, topics_hash: u64) -> Bytes {
    let mut out = start();
    out.put_i32(epoch);
    match sharing {
        Sharing::Exclusive => {
            put_varint(&mut out, 1);
            put_varint(&mut out, HASH_TAG);
            put_varint(&mut out, 8);
            out.put_u64(topics_hash);
        }
        Sharing::Shared => {
            out.put_u64(topics_hash);
            no_tags(&mut out);
        }
    }
    out.freeze()
}

pub(super) fn target_epoch(epoch: i32) -> Bytes {
    let mut out = start();
    out.put_i32(epoch);
    no_tags(&mut out);
    out.freeze()
}

pub(super) fn about(sharing: Sharing, about: &About) -> Bytes {
    let mut out = start();
    if sharing == Sharing::Exclusive {
        put_text(&mut out, about.instance.as_deref());
    }
    put_text(&mut out, about.rack.as_deref());
    put_text(&mut out, Some(&about.client_id));
    put_text(&mut out, Some(&about.client_host));
    put_varint(&mut out, about.topics.len() as u64 + 1);
    for topic in about.topics.iter() {
        put_varint(&mut out, topic.as_bytes().len() as u64 + 1);
        out.put_slice(topic.as_bytes());
    }
    if sharing == Sharing::Exclusive {
        put_text(&mut out, about.pattern.as_deref());
        out.put_u32(about.rebalance_timeout_ms);
        put_text(&mut out, about.assignor.map(Assignor::name));
    }
    no_tags(&mut out);
    out.freeze()
}

pub(super) fn target(places: &Places) -> Bytes {
    let mut out = start();
    put_places(&mut out, places);
    no_tags(&mut out);
    out.freeze()
}

pub(super) fn current(sharing: Sharing, member: &Member) -> Bytes {
    let mut out = start();
    out.put_i32(member.epoch);
    out.put_i32(member.previous_epoch);
    out.put_i8(member.progress as i8);
    put_places(&mut out, &member.assigned);
    if sharing == Sharing::Exclusive {
        put_places(&mut out, &member.revoking);
    }
    no_tags(&mut out);
    out.freeze()
}

/// What a member holds, as it is kept.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Current {
    pub(super) epoch: i32,
    pub(super) previous_epoch: i32,
    pub(super) progress: Progress,
    pub(super) assigned: Places,
    pub(super) revoking: Places,
}

/// One record of a group, read back.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::delivery::group) struct Part {
    /// The group's name.
    pub(in crate::delivery::group) group: Arc<str>,
    sharing: Sharing,
    what: What,
}

#[derive(Debug, PartialEq, Eq)]
enum What {
    Group { epoch: i32, topics_hash: u64 },
    TargetEpoch(i32),
    About(MemberId, About),
    Target(MemberId, Places),
    Current(MemberId, Current),
}

/// What was kept of one group, put together record by record.
#[derive(Debug)]
pub(in crate::delivery::group) struct KeptParts {
    pub(super) sharing: Sharing,
    pub(super) epoch: i32,
    pub(super) topics_hash: u64,
    pub(super) target_epoch: i32,
    pub(super) abouts: BTreeMap<MemberId, About>,
    pub(super) targets: BTreeMap<MemberId, Places>,
    pub(super) currents: BTreeMap<MemberId, Current>,
    has_group: bool,
}

impl KeptParts {
    /// Starts with any of a group's records.
    pub(in crate::delivery::group) fn new(first: &Part) -> Self {
        Self {
            sharing: first.sharing,
            epoch: 0,
            topics_hash: 0,
            target_epoch: 0,
            abouts: BTreeMap::new(),
            targets: BTreeMap::new(),
            currents: BTreeMap::new(),
            has_group: false,
        }
    }

    pub(in crate::delivery::group) fn add(&mut self, part: Part) {
        match part.what {
            What::Group { epoch, topics_hash } => {
                (self.sharing, self.epoch, self.topics_hash, self.has_group) = (part.sharing, epoch, topics_hash, true);
            }
            What::TargetEpoch(epoch) => self.target_epoch = epoch,
            What::About(id, about) => drop(self.abouts.insert(id, about)),
            What::Target(id, places) => drop(self.targets.insert(id, places)),
            What::Current(id, current) => drop(self.currents.insert(id, current)),
        }
    }

    /// Whether the record of the group itself is among them.
    pub(in crate::delivery::group) fn is_whole(&self) -> bool {
        self.has_group
    }
}

/// A record of a managed group; `None` for any other.
pub(in crate::delivery::group) fn decode(key: &Bytes, value: Bytes) -> Option<Part> {
    let (mut key, mut value) = (key.clone(), value);
    let version = key.try_get_i16().ok()?;
    let kinds = [Sharing::Exclusive, Sharing::Shared].into_iter().flat_map(|sharing| SUBJECTS.map(|subject| (sharing, subject)));
    let (sharing, subject) = kinds.into_iter().find(|(sharing, subject)| subject.key_version(*sharing) == version)?;
    let group = text_of(&take_short(&mut key)?)?;
    let of_member = !matches!(subject, Subject::Group | Subject::TargetEpoch);
    let member = if of_member { text_of(&take_short(&mut key)?)? } else { Arc::from("") };
    if !key.is_empty() || value.try_get_i16().ok()? != VALUE_VERSION {
        return None;
    }
    let value = &mut value;
    let what = match subject {
        Subject::Group => take_group(sharing, value)?,
        Subject::TargetEpoch => What::TargetEpoch(value.try_get_i32().ok()?),
        Subject::About => What::About(member, take_about(sharing, value)?),
        Subject::Target => What::Target(member, take_places(value)?),
        Subject::Current => What::Current(member, take_current(sharing, value)?),
    };
    Some(Part { group, sharing, what })
}

fn take_group(sharing: Sharing, value: &mut Bytes) -> Option<What> {
    let epoch = value.try_get_i32().ok()?;
    let topics_hash = match sharing {
        Sharing::Shared => value.try_get_u64().ok()?,
        Sharing::Exclusive => take_hash(value)?,
    };
    Some(What::Group { epoch, topics_hash })
}

fn take_hash(value: &mut Bytes) -> Option<u64> {
    for _ in 0..take_varint(value)? {
        let tag = take_varint(value)?;
        let length = usize::try_from(take_varint(value)?).ok()?;
        let mut field = take(value, length)?;
        if tag == HASH_TAG {
            return field.try_get_u64().ok();
        }
    }
    Some(0)
}

fn take_about(sharing: Sharing, value: &mut Bytes) -> Option<About> {
    let owned = sharing == Sharing::Exclusive;
    let instance = if owned { take_text(value)? } else { None };
    let rack = take_text(value)?;
    let client_id = take_text(value)??;
    let client_host = take_text(value)??;
    let count = take_varint(value)?.checked_sub(1)?;
    let mut topics = Vec::with_capacity(usize::try_from(count).ok()?.min(RESERVE_MAX));
    for _ in 0..count {
        let length = usize::try_from(take_varint(value)?.checked_sub(1)?).ok()?;
        topics.push(TopicName::new(take(value, length)?).ok()?);
    }
    let pattern = if owned { take_text(value)? } else { None };
    let rebalance_timeout_ms = if owned { value.try_get_u32().ok()? } else { 0 };
    let assignor = if owned { take_text(value)? } else { None };
    let assignor = assignor.and_then(|name| Assignor::from_name(&name));
    Some(About { instance, rack, client_id, client_host, rebalance_timeout_ms, topics: topics.into(), pattern, assignor })
}

fn take_current(sharing: Sharing, value: &mut Bytes) -> Option<Current> {
    Some(Current {
        epoch: value.try_get_i32().ok()?,
        previous_epoch: value.try_get_i32().ok()?,
        progress: Progress::from_number(value.try_get_i8().ok()?)?,
        assigned: take_places(value)?,
        revoking: if sharing == Sharing::Exclusive { take_places(value)? } else { Places::new() },
    })
}

fn start() -> BytesMut {
    let mut out = BytesMut::new();
    out.put_i16(VALUE_VERSION);
    out
}

fn no_tags(out: &mut BytesMut) {
    out.put_u8(0);
}

fn put_text(out: &mut BytesMut, text: Option<&str>) {
    let Some(text) = text else { return put_varint(out, 0) };
    put_varint(out, text.len() as u64 + 1);
    out.put_slice(text.as_bytes());
}

/// The outer `None` is damage, the inner one a null.
#[allow(clippy::option_option)]
fn take_text(bytes: &mut Bytes) -> Option<Option<Arc<str>>> {
    let Some(length) = take_varint(bytes)?.checked_sub(1) else { return Some(None) };
    Some(Some(text_of(&take(bytes, usize::try_from(length).ok()?)?)?))
}

fn text_of(bytes: &Bytes) -> Option<Arc<str>> {
    std::str::from_utf8(bytes).ok().map(Arc::from)
}

/// Topic by topic: its identity, then its partitions.
fn put_places(out: &mut BytesMut, places: &Places) {
    let mut by_topic: BTreeMap<TopicId, Vec<u32>> = BTreeMap::new();
    for place in places {
        by_topic.entry(place.topic).or_default().push(place.partition);
    }
    put_varint(out, by_topic.len() as u64 + 1);
    for (topic, partitions) in by_topic {
        out.put_u128(topic.0);
        put_varint(out, partitions.len() as u64 + 1);
        partitions.into_iter().for_each(|partition| out.put_u32(partition));
        no_tags(out);
    }
}

fn take_places(bytes: &mut Bytes) -> Option<Places> {
    let mut places = Places::new();
    for _ in 0..take_varint(bytes)?.checked_sub(1)? {
        let topic = TopicId(bytes.try_get_u128().ok()?);
        for _ in 0..take_varint(bytes)?.checked_sub(1)? {
            places.insert(Place { topic, partition: bytes.try_get_u32().ok()? });
        }
        if take_varint(bytes)? != 0 {
            return None;
        }
    }
    Some(places)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places() -> Places {
        [(1, 0), (1, 7), (9, 3)].into_iter().map(|(topic, partition)| Place { topic: TopicId(topic), partition }).collect()
    }

    fn member() -> Member {
        let mut member = Member::new(About {
            instance: Some("i".into()),
            rack: None,
            client_id: "client".into(),
            client_host: "/127.0.0.1".into(),
            rebalance_timeout_ms: 300_000,
            topics: [TopicName::new("orders".as_bytes()).unwrap()].into(),
            pattern: Some("or.*".into()),
            assignor: Some(Assignor::Range),
        });
        (member.epoch, member.previous_epoch, member.progress) = (5, 4, Progress::Unrevoked);
        (member.assigned, member.revoking, member.target) = (places(), places(), places());
        member
    }

    fn records() -> Vec<(Bytes, Bytes)> {
        let (keys, member, id) = (Keys { group: "g", sharing: Sharing::Exclusive }, member(), Arc::from("m"));
        vec![
            (keys.group(), group(Sharing::Exclusive, 7, 42)),
            (keys.target_epoch(), target_epoch(6)),
            (keys.about(&id), about(Sharing::Exclusive, &member.about)),
            (keys.target(&id), target(&member.target)),
            (keys.current(&id), current(Sharing::Exclusive, &member)),
        ]
    }

    #[test]
    fn records_come_back_as_they_went() {
        let parts: Vec<What> = records().into_iter().map(|(key, value)| decode(&key, value).unwrap().what).collect();
        let Member { about, assigned, revoking, target, progress, .. } = member();
        let current = Current { epoch: 5, previous_epoch: 4, progress, assigned, revoking };
        let (m, group) = (|| Arc::from("m"), What::Group { epoch: 7, topics_hash: 42 });
        let expected =
            [group, What::TargetEpoch(6), What::About(m(), about), What::Target(m(), target), What::Current(m(), current)];
        assert_eq!(parts, expected);
    }

    #[test]
    fn a_target_has_the_layout_of_kafka() {
        let one = Places::from([Place { topic: TopicId(1), partition: 2 }]);
        let expected = b"\0\0\x02\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\x02\0\0\0\x02\0\0";
        assert_eq!(&target(&one)[..], expected);
        let keys = Keys { group: "g", sharing: Sharing::Exclusive };
        assert_eq!(&keys.target(&Arc::from("m"))[..], b"\0\x07\0\x01g\0\x01m");
    }

    #[test]
    fn a_cut_record_is_refused() {
        for (key, value) in records() {
            for length in 0..value.len() - 1 {
                if let Some(part) = decode(&key, value.slice(..length)) {
                    panic!("{length} of {} bytes: {part:?}", value.len());
                }
            }
            for length in 0..key.len() {
                assert_eq!(decode(&key.slice(..length), value.clone()), None);
            }
        }
    }
}
