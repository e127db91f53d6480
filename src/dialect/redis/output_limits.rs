//! `client-output-buffer-limit`: how much may wait for a client that does not read, by class of client.
//!
//! The class `pubsub` takes effect. No more commands are read from a client whose replies wait, so `normal` has none to cut, and
//! there are no replicas; their limits are kept and shown.

use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::delivery::LagLimits;

/// The classes as `CONFIG GET` names them.
const CLASSES: [&str; 3] = ["normal", "slave", "pubsub"];

/// Hard limit and soft limit in bytes, and for how many seconds the soft one may be passed. 0: no limit.
type Limit = [u64; 3];

/// The limits of all classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Classes([Limit; 3]);

/// As `CONFIG GET` shows them: `class hard soft seconds ...`.
impl fmt::Display for Classes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = |(name, [hard, soft, seconds]): (&str, Limit)| format!("{name} {hard} {soft} {seconds}");
        f.write_str(&CLASSES.into_iter().zip(self.0).map(named).collect::<Vec<_>>().join(" "))
    }
}

/// The limits in force.
#[derive(Debug)]
pub struct OutputLimits {
    classes: Mutex<Classes>,
    subscribers: Arc<LagLimits>,
}

impl OutputLimits {
    /// Redis's defaults, with this hard limit for subscribers, in bytes.
    pub fn new(subscriber_bytes_max: usize) -> Self {
        let classes = Classes([[0, 0, 0], [256 << 20, 64 << 20, 60], [subscriber_bytes_max as u64, 8 << 20, 60]]);
        let limits = Self { classes: Mutex::new(classes), subscribers: LagLimits::new(0, 0, 0) };
        limits.set(classes);
        limits
    }

    /// The limits of subscribers, for as long as the server runs.
    pub fn subscribers(&self) -> Arc<LagLimits> {
        Arc::clone(&self.subscribers)
    }

    /// All classes as they are.
    pub fn classes(&self) -> Classes {
        *self.classes.lock()
    }

    /// All classes with those changed that are named: `class hard soft seconds ...`.
    ///
    /// # Errors
    /// What is wrong with the text, in Redis's words.
    pub fn changed(&self, text: &str) -> Result<Classes, &'static str> {
        let words: Vec<&str> = text.split_ascii_whitespace().collect();
        if words.is_empty() || !words.len().is_multiple_of(4) {
            return Err("Wrong number of arguments in buffer limit configuration.");
        }
        let mut classes = self.classes();
        for words in words.chunks(4) {
            let [class, hard, soft, seconds] = words else { continue };
            let class = if class.eq_ignore_ascii_case("replica") { "slave" } else { class };
            let index = CLASSES.iter().position(|known| known.eq_ignore_ascii_case(class));
            let limit = index.and_then(|index| classes.0.get_mut(index));
            let limit = limit.ok_or("Invalid client class specified in buffer limit configuration.")?;
            let parsed = (bytes_of(hard), bytes_of(soft), seconds.parse().ok());
            let (Some(hard), Some(soft), Some(seconds)) = parsed else {
                return Err("Error in hard, soft or soft_seconds setting in buffer limit configuration.");
            };
            *limit = [hard, soft, seconds];
        }
        Ok(classes)
    }

    /// Puts limits into force, for those who are connected too.
    pub fn set(&self, classes: Classes) {
        *self.classes.lock() = classes;
        let [_, _, [hard, soft, seconds]] = classes.0;
        let bytes = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
        self.subscribers.set(bytes(hard), bytes(soft), seconds.saturating_mul(1000));
    }
}

/// A size as Redis writes it: `100`, `4k` and `4kb` (1000 and 1024), `m`, `mb`, `g`, `gb`.
fn bytes_of(text: &str) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    let factor: u64 = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" => 1000,
        "kb" => 1 << 10,
        "m" => 1_000_000,
        "mb" => 1 << 20,
        "g" => 1_000_000_000,
        "gb" => 1 << 30,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_classes_named_are_changed_and_the_others_stay() {
        let limits = OutputLimits::new(32 << 20);
        assert_eq!(limits.classes().to_string(), "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60");
        limits.set(limits.changed("pubsub 1mb 100k 5 Replica 1 2 3").expect("it is well formed"));
        assert_eq!(limits.classes().to_string(), "normal 0 0 0 slave 1 2 3 pubsub 1048576 100000 5");
    }

    #[test]
    fn what_is_not_a_limit_is_refused() {
        let limits = OutputLimits::new(1);
        for wrong in ["", "pubsub", "pubsub 1 2", "someone 1 2 3", "normal 0 0 0 pubsub x 0 0", "pubsub 1 -2 3", "pubsub 1tb 0 0"]
        {
            assert!(limits.changed(wrong).is_err(), "{wrong}");
        }
    }
}
