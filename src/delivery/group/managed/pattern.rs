//! Patterns of topic names: which topics a member wants that names them by a regular expression, which must match a whole
//! name (RE2's syntax, as far as the `regex` crate goes). Bounded in length, in compiled size and in what it finds.

use std::sync::Arc;

use regex::{Regex, RegexBuilder};

use super::catalog::Catalog;
use crate::delivery::group::GroupError;
use crate::log::TopicName;

/// Bytes of a pattern.
const PATTERN_BYTES_MAX: usize = 4_096;
/// Bytes of a compiled pattern.
const COMPILED_BYTES_MAX: usize = 1 << 20;
/// Topics that one pattern may find.
const TOPICS_MAX: usize = 10_000;

/// One pattern that members of the group use, and what it found.
#[derive(Debug)]
pub(super) struct Pattern {
    compiled: Regex,
    pub(super) users: usize,
    /// Names in order. `None` until it was looked for.
    pub(super) topics: Option<Arc<[TopicName]>>,
}

impl Pattern {
    pub(super) fn new(text: &str) -> Result<Self, GroupError> {
        if text.len() > PATTERN_BYTES_MAX {
            return Err(GroupError::InvalidPattern);
        }
        let whole = RegexBuilder::new(&format!("^(?:{text})$")).size_limit(COMPILED_BYTES_MAX).build();
        // By itself too: an unbalanced pattern could become another one inside the frame around it.
        let alone = RegexBuilder::new(text).size_limit(COMPILED_BYTES_MAX).build();
        match (whole, alone) {
            (Ok(compiled), Ok(_)) => Ok(Self { compiled, users: 0, topics: None }),
            (Err(_), _) | (_, Err(_)) => Err(GroupError::InvalidPattern),
        }
    }

    pub(super) fn resolve(&mut self, catalog: &dyn Catalog) {
        let mut found = catalog.matching(&|name| self.compiled.is_match(name), TOPICS_MAX);
        found.sort_unstable();
        self.topics = Some(found.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_whole_names() {
        let matches = |pattern: &str, name: &str| Pattern::new(pattern).unwrap().compiled.is_match(name);
        assert!(matches("orders.*", "orders-eu"));
        assert!(matches("^orders", "orders"), "anchors are allowed");
        assert!(!matches("orders", "orders-eu"));
        assert!(!matches("a|b", "ab"));
        assert!(matches("a|b", "b"));
    }

    #[test]
    fn what_is_no_pattern_or_too_big_a_one_is_refused() {
        for pattern in ["(", "a)(b", "[", "(?=a)", "(a{1000}){1000}", &"a".repeat(5_000)] {
            assert_eq!(Pattern::new(pattern).err(), Some(GroupError::InvalidPattern), "{pattern:.20}");
        }
    }
}
