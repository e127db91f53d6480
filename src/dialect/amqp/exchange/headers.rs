//! Headers: the message's headers hold all, or any, of the binding's arguments.
//!
//! `x-match` is `all` (the default), `any`, or one of these `-with-x`; without that suffix, arguments whose names begin with `x-` are
//! not looked at. An argument without a value asks for presence alone.

use bytes::Bytes;

use super::Destination;
use crate::dialect::amqp::wire::{Table, Value};

#[derive(Debug, Default)]
pub struct Headers {
    bindings: Vec<(Destination, Bytes)>,
}

impl Headers {
    pub fn bind(&mut self, destination: Destination, arguments: &Bytes) {
        self.bindings.push((destination, arguments.clone()));
    }

    pub fn unbind(&mut self, destination: Destination, arguments: &Bytes) {
        let at = self.bindings.iter().position(|binding| binding.0 == destination && binding.1 == arguments);
        if let Some(at) = at {
            self.bindings.swap_remove(at);
        }
    }

    pub fn route(&self, headers: &[u8], found: &mut Vec<Destination>) {
        let headers = Table(headers);
        found.extend(self.bindings.iter().filter(|(_, arguments)| matches(Table(arguments), headers)).map(|binding| binding.0));
    }
}

/// What `x-match` may be.
pub fn is_match_kind(value: &Value<'_>) -> bool {
    matches!(value, Value::Text(b"all" | b"any" | b"all-with-x" | b"any-with-x"))
}

fn matches(arguments: Table<'_>, headers: Table<'_>) -> bool {
    let kind = arguments.get(b"x-match").and_then(|value| value.text()).unwrap_or(b"all");
    let (any, with_x) = (kind.starts_with(b"any"), kind.ends_with(b"-with-x"));
    let mut wanted = arguments
        .entries()
        .map_while(Result::ok)
        .filter(|(name, _)| *name != b"x-match" && (with_x || !name.starts_with(b"x-")))
        .map(|(name, value)| headers.get(name).is_some_and(|found| same(value, found)));
    if any { wanted.any(|hit| hit) } else { wanted.all(|hit| hit) }
}

fn same(wanted: Value<'_>, found: Value<'_>) -> bool {
    match (wanted, found) {
        (Value::Void, _) => true,
        (Value::Timestamp(wanted), Value::Timestamp(found)) => wanted == found,
        (Value::Timestamp(_), _) | (_, Value::Timestamp(_)) => false,
        (wanted, found) => match (wanted.integer(), found.integer()) {
            (Some(wanted), Some(found)) => wanted == found,
            _ => wanted == found,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::super::QueueId;
    use super::*;
    use crate::dialect::amqp::wire::TableBuilder;

    fn routed(arguments: TableBuilder, headers: TableBuilder) -> bool {
        let mut router = Headers::default();
        router.bind(Destination::Queue(QueueId(0)), &arguments.finish().freeze());
        let mut found = Vec::new();
        router.route(&headers.finish(), &mut found);
        !found.is_empty()
    }

    fn table() -> TableBuilder {
        TableBuilder::new()
    }

    #[test]
    fn all_wants_every_argument() {
        let arguments = || table().entry(b"a", Value::Text(b"1")).entry(b"b", Value::I32(2));
        assert!(routed(arguments(), table().entry(b"b", Value::I64(2)).entry(b"a", Value::Text(b"1"))));
        assert!(!routed(arguments(), table().entry(b"a", Value::Text(b"1"))));
        assert!(!routed(arguments(), table().entry(b"a", Value::Text(b"1")).entry(b"b", Value::Text(b"2"))));
    }

    #[test]
    fn any_wants_one_and_void_wants_presence() {
        let arguments = || table().entry(b"x-match", Value::Text(b"any")).entry(b"a", Value::Text(b"1")).entry(b"b", Value::Void);
        assert!(routed(arguments(), table().entry(b"b", Value::Bool(false))));
        assert!(routed(arguments(), table().entry(b"a", Value::Text(b"1"))));
        assert!(!routed(arguments(), table().entry(b"a", Value::Text(b"2"))));
        assert!(!routed(arguments(), table()));
    }

    #[test]
    fn names_with_x_count_only_when_asked_for() {
        let plain = table().entry(b"x-a", Value::Text(b"1"));
        assert!(routed(plain, table()));
        let with_x = table().entry(b"x-match", Value::Text(b"all-with-x")).entry(b"x-a", Value::Text(b"1"));
        assert!(!routed(with_x, table()));
    }
}
