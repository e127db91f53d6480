//! The bytes of one group's membership in the state table `__consumer_offsets`: Kafka's own key (version 2) and value
//! (version 3), so that Kafka's tools can show them.
//!
//! Written whenever a group becomes stable or empty, so that members go on after a restart. A record goes into the journal
//! before any commit of its epoch, so no crash brings back an older epoch than the offsets are of.

use std::sync::Arc;

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::request::{InstanceName, MemberId};

const KEY_VERSION: i16 = 2;
const VALUE_VERSION: i16 = 3;
/// Members that are made room for before they are seen.
const RESERVE_MAX: usize = 64;

/// What of a group outlives a restart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct KeptGroup {
    pub(super) kind: Arc<str>,
    pub(super) epoch: i32,
    pub(super) strategy: Option<Arc<str>>,
    pub(super) leader: Option<MemberId>,
    /// When the group came to where it stands, milliseconds since 1970.
    pub(super) since_ms: i64,
    pub(super) members: Vec<KeptMember>,
}

/// What of a member outlives a restart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct KeptMember {
    pub(super) id: MemberId,
    pub(super) instance: Option<InstanceName>,
    pub(super) client_id: Arc<str>,
    pub(super) client_host: Arc<str>,
    pub(super) rebalance_timeout_ms: u32,
    pub(super) session_timeout_ms: u32,
    pub(super) metadata: Bytes,
    pub(super) assignment: Bytes,
}

pub(super) fn encode_key(group: &str) -> Bytes {
    let mut out = BytesMut::with_capacity(4 + group.len());
    out.put_i16(KEY_VERSION);
    put_string(&mut out, Some(group));
    out.freeze()
}

pub(super) fn decode_key(mut bytes: Bytes) -> Option<Arc<str>> {
    if bytes.try_get_i16().ok()? != KEY_VERSION {
        return None;
    }
    let group = take_string(&mut bytes)??;
    bytes.is_empty().then_some(group)
}

/// `None` if the group does not fit the form; then its members start over after a restart.
pub(super) fn encode_value(group: &KeptGroup) -> Option<Bytes> {
    let mut out = BytesMut::new();
    out.put_i16(VALUE_VERSION);
    put_string(&mut out, Some(&group.kind));
    out.put_i32(group.epoch);
    put_string(&mut out, group.strategy.as_deref());
    put_string(&mut out, group.leader.as_deref());
    out.put_i64(group.since_ms);
    out.put_i32(i32::try_from(group.members.len()).ok()?);
    for member in &group.members {
        put_string(&mut out, Some(&member.id));
        put_string(&mut out, member.instance.as_deref());
        put_string(&mut out, Some(&member.client_id));
        put_string(&mut out, Some(&member.client_host));
        out.put_u32(member.rebalance_timeout_ms);
        out.put_u32(member.session_timeout_ms);
        put_bytes(&mut out, &member.metadata)?;
        put_bytes(&mut out, &member.assignment)?;
    }
    Some(out.freeze())
}

pub(super) fn decode_value(mut bytes: Bytes) -> Option<KeptGroup> {
    let bytes = &mut bytes;
    if bytes.try_get_i16().ok()? != VALUE_VERSION {
        return None;
    }
    let kind = take_string(bytes)??;
    let epoch = bytes.try_get_i32().ok()?;
    let strategy = take_string(bytes)?;
    let leader = take_string(bytes)?;
    let since_ms = bytes.try_get_i64().ok()?;
    let count = usize::try_from(bytes.try_get_i32().ok()?).ok()?;
    let mut members = Vec::with_capacity(count.min(RESERVE_MAX));
    for _ in 0..count {
        members.push(take_member(bytes)?);
    }
    Some(KeptGroup { kind, epoch, strategy, leader, since_ms, members })
}

fn take_member(bytes: &mut Bytes) -> Option<KeptMember> {
    Some(KeptMember {
        id: take_string(bytes)??,
        instance: take_string(bytes)?,
        client_id: take_string(bytes)??,
        client_host: take_string(bytes)??,
        rebalance_timeout_ms: bytes.try_get_u32().ok()?,
        session_timeout_ms: bytes.try_get_u32().ok()?,
        metadata: take_bytes(bytes)?,
        assignment: take_bytes(bytes)?,
    })
}

/// A string longer than its form can say is cut at a character.
fn put_string(out: &mut BytesMut, text: Option<&str>) {
    let Some(text) = text else { return out.put_i16(-1) };
    let end = (0..=text.len().min(i16::MAX as usize)).rev().find(|end| text.is_char_boundary(*end));
    let text = end.and_then(|end| text.get(..end)).unwrap_or_default();
    out.put_u16(text.len() as u16);
    out.put_slice(text.as_bytes());
}

/// The outer `None` is damage, the inner one a null.
#[allow(clippy::option_option)]
fn take_string(bytes: &mut Bytes) -> Option<Option<Arc<str>>> {
    let length = bytes.try_get_i16().ok()?;
    if length == -1 {
        return Some(None);
    }
    let length = usize::try_from(length).ok().filter(|length| *length <= bytes.len())?;
    let text = bytes.split_to(length);
    Some(Some(Arc::from(std::str::from_utf8(&text).ok()?)))
}

fn put_bytes(out: &mut BytesMut, bytes: &Bytes) -> Option<()> {
    out.put_i32(i32::try_from(bytes.len()).ok()?);
    out.put_slice(bytes);
    Some(())
}

fn take_bytes(bytes: &mut Bytes) -> Option<Bytes> {
    let length = usize::try_from(bytes.try_get_i32().ok()?).ok()?;
    (length <= bytes.len()).then(|| bytes.split_to(length))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept() -> KeptGroup {
        let member = KeptMember {
            id: "one-1".into(),
            instance: Some("one".into()),
            client_id: "rdkafka".into(),
            client_host: "/127.0.0.1".into(),
            rebalance_timeout_ms: 300_000,
            session_timeout_ms: 45_000,
            metadata: Bytes::from_static(b"wants"),
            assignment: Bytes::from_static(b"gets"),
        };
        let other = KeptMember { id: "two-2".into(), instance: None, ..member.clone() };
        KeptGroup {
            kind: "consumer".into(),
            epoch: 7,
            strategy: Some("range".into()),
            leader: Some("one-1".into()),
            since_ms: 1_700_000_000_000,
            members: vec![member, other],
        }
    }

    #[test]
    fn a_group_comes_back_as_it_went() {
        let empty = KeptGroup { strategy: None, leader: None, members: Vec::new(), ..kept() };
        for group in [kept(), empty] {
            assert_eq!(decode_value(encode_value(&group).unwrap()), Some(group));
        }
        assert_eq!(decode_key(encode_key("billing")).as_deref(), Some("billing"));
    }

    #[test]
    fn a_cut_record_is_refused() {
        let value = encode_value(&kept()).unwrap();
        for length in 0..value.len() {
            assert_eq!(decode_value(value.slice(..length)), None);
        }
    }
}
