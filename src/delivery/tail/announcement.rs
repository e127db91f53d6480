//! A record on its way to those who listen: one for all of them, and encoded once for all who want it in the same form.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use crate::log::record::Record;
use crate::log::{Barrier, TopicName};

/// Names a form that a dialect encodes announcements in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Form(pub &'static str);

/// A record that was written to a name, for everyone who gets it in the same way.
#[derive(Debug)]
pub struct Announcement {
    /// The name it was written to.
    pub topic: TopicName,
    /// The pattern through which they get it; none: they listen to the name itself.
    pub pattern: Option<Bytes>,
    /// The record, shared by all.
    pub record: Arc<Record>,
    /// It may leave the process once this is durable.
    pub barrier: Barrier,
    encodings: Encodings,
}

/// The forms that somebody has asked for, in the order of asking.
#[derive(Debug, Default)]
struct Encodings(OnceLock<Box<Encoding>>);

#[derive(Debug)]
struct Encoding {
    form: Form,
    bytes: OnceLock<Bytes>,
    others: Encodings,
}

impl Announcement {
    pub(in crate::delivery) fn new(topic: TopicName, pattern: Option<Bytes>, record: Arc<Record>, barrier: Barrier) -> Self {
        Self { topic, pattern, record, barrier, encodings: Encodings::default() }
    }

    /// The announcement in a form; `encode` is called by the first who asks for it.
    pub fn encoded(&self, form: Form, encode: impl FnOnce(&Self) -> Bytes) -> &Bytes {
        let mut encodings = &self.encodings;
        loop {
            let new = || Box::new(Encoding { form, bytes: OnceLock::new(), others: Encodings::default() });
            let encoding = encodings.0.get_or_init(new);
            if encoding.form == form {
                return encoding.bytes.get_or_init(|| encode(self));
            }
            encodings = &encoding.others;
        }
    }

    /// A measure of what it is to a listener, in bytes.
    pub fn size_bytes(&self) -> usize {
        let value = self.record.value.as_ref().map_or(0, Bytes::len);
        let pattern = self.pattern.as_ref().map_or(0, Bytes::len);
        value + self.topic.as_bytes().len() + pattern + 64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_is_encoded_once() {
        let record = Record { key: None, value: Some(Bytes::from_static(b"v")), headers: Vec::new(), timestamp_ms: 0 };
        let topic = TopicName::new("t").expect("a legal name");
        let announcement = Announcement::new(topic, None, Arc::new(record), Barrier::NONE);
        let mut encoded = 0;
        for form in [Form("a"), Form("b"), Form("a"), Form("c"), Form("b"), Form("c")] {
            let bytes = announcement.encoded(form, |_| {
                encoded += 1;
                Bytes::from_static(form.0.as_bytes())
            });
            assert_eq!(bytes, form.0.as_bytes());
        }
        assert_eq!(encoded, 3);
    }
}
