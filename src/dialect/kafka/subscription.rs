//! Which topics a consumer wants, read from the metadata it gives to its group: Kafka's `ConsumerProtocolSubscription`, whose
//! every version starts with a version and the topics. Only expiry and deletion of offsets use it; a group works without.

use bytes::{Buf, Bytes};

use crate::log::TopicName;

/// The kind of groups whose metadata has this form.
pub(super) const KIND: &str = "consumer";

/// The topics, `None` if the metadata has another form.
pub(super) fn topics(metadata: &Bytes) -> Option<Vec<TopicName>> {
    let mut rest = metadata.clone();
    let _version = rest.try_get_i16().ok()?;
    let count = rest.try_get_i32().ok()?;
    let mut topics = Vec::new();
    for _ in 0..count {
        let length = usize::try_from(rest.try_get_i16().ok()?).ok()?;
        if length > rest.len() {
            return None;
        }
        topics.push(TopicName::new(rest.split_to(length)).ok()?);
    }
    Some(topics)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_are_read_whatever_follows() {
        let metadata = Bytes::from_static(b"\x00\x03\x00\x00\x00\x02\x00\x01a\x00\x02bb\xff\xff\xff\xffmore");
        let names: Vec<_> = topics(&metadata).unwrap().iter().map(|t| t.as_bytes().to_vec()).collect();
        assert_eq!(names, [&b"a"[..], b"bb"]);
    }

    #[test]
    fn other_metadata_is_no_subscription() {
        for metadata in
            [&b""[..], b"\x00\x00\x7f\xff\xff\xff", b"\x00\x00\x00\x00\x00\x01\xff\xff", b"\x00\x00\x00\x00\x00\x01\x00\x09a"]
        {
            assert_eq!(topics(&Bytes::from_static(metadata)), None);
        }
    }
}
