//! Settings that are equal are kept once, whoever has them: a million topics have a handful of them.

use std::collections::HashSet;
use std::sync::Arc;

use crate::log::topic::TopicSettings;

/// Below this many nobody looks for those that are used no more.
const LOOKED_AT_FROM: usize = 64;

/// The settings that topics have.
#[derive(Debug, Default)]
pub struct Alike {
    known: HashSet<Arc<TopicSettings>>,
    /// As many as were in use when it was last looked.
    used: usize,
}

impl Alike {
    /// The one copy of such settings.
    pub fn share(&mut self, settings: TopicSettings) -> Arc<TopicSettings> {
        if let Some(known) = self.known.get(&settings) {
            return Arc::clone(known);
        }
        if self.known.len() >= LOOKED_AT_FROM.max(2 * self.used) {
            self.known.retain(|known| Arc::strong_count(known) > 1);
            self.used = self.known.len();
        }
        let shared = Arc::new(settings);
        self.known.insert(Arc::clone(&shared));
        shared
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(retention_ms: u64) -> TopicSettings {
        TopicSettings { retention_ms: Some(retention_ms), ..TopicSettings::default() }
    }

    #[test]
    fn equal_settings_are_one_and_unused_ones_are_forgotten() {
        let mut alike = Alike::default();
        let kept = alike.share(settings(0));
        assert!(Arc::ptr_eq(&kept, &alike.share(settings(0))));
        for retention_ms in 1..10_000 {
            alike.share(settings(retention_ms));
        }
        assert!(alike.known.len() <= 2 * LOOKED_AT_FROM, "{}", alike.known.len());
        assert!(Arc::ptr_eq(&kept, &alike.share(settings(0))));
    }
}
