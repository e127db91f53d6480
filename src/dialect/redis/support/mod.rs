//! What is supported, as data: the command table that dispatch, `COMMAND` and `docs/compat/redis.md` are checked against.
//!
//! The types and the lookup are here, the table itself is in [`table`]. Commands that are refused on purpose stand in
//! [`REFUSED`] with the reason that a client is told.

pub mod table;

use bytes::Bytes;

use super::command::{Context, Outcome};

pub use table::{COMMANDS, REFUSED};

/// What runs a command: its arguments, name included.
pub type Handler = fn(&mut Context<'_, '_>, &[Bytes]) -> Outcome;

/// Properties of a command, as in the flags of `COMMAND`.
pub mod flag {
    pub const WRITE: u32 = 1;
    pub const READONLY: u32 = 1 << 1;
    pub const DENYOOM: u32 = 1 << 2;
    pub const ADMIN: u32 = 1 << 3;
    pub const PUBSUB: u32 = 1 << 4;
    pub const NOSCRIPT: u32 = 1 << 5;
    pub const BLOCKING: u32 = 1 << 6;
    pub const LOADING: u32 = 1 << 7;
    pub const STALE: u32 = 1 << 8;
    pub const FAST: u32 = 1 << 9;
    pub const NO_AUTH: u32 = 1 << 10;
    pub const MOVABLE_KEYS: u32 = 1 << 11;
    /// Not queued inside a transaction but refused.
    pub const NO_MULTI: u32 = 1 << 12;
    /// Allowed to a RESP2 client that is subscribed. Not shown.
    pub const SUBSCRIBER: u32 = 1 << 13;
    /// Run at once inside a transaction instead of being queued. Not shown.
    pub const CONTROL: u32 = 1 << 14;

    /// The flags that `COMMAND` shows, with Redis's words.
    pub const SHOWN: &[(u32, &str)] = &[
        (WRITE, "write"),
        (READONLY, "readonly"),
        (DENYOOM, "denyoom"),
        (ADMIN, "admin"),
        (PUBSUB, "pubsub"),
        (NOSCRIPT, "noscript"),
        (BLOCKING, "blocking"),
        (LOADING, "loading"),
        (STALE, "stale"),
        (FAST, "fast"),
        (NO_AUTH, "no_auth"),
        (MOVABLE_KEYS, "movablekeys"),
        (NO_MULTI, "no_multi"),
    ];
}

/// The families of commands, as in `COMMAND DOCS`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    Connection,
    Server,
    Generic,
    List,
    Stream,
    PubSub,
    Transactions,
    Scripting,
}

impl Group {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connection => "connection",
            Self::Server => "server",
            Self::Generic => "generic",
            Self::List => "list",
            Self::Stream => "stream",
            Self::PubSub => "pubsub",
            Self::Transactions => "transactions",
            Self::Scripting => "scripting",
        }
    }
}

/// Where the keys of a command stand among its arguments: the first, the last (negative: from the end), and the step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Keys {
    pub first: i32,
    pub last: i32,
    pub step: i32,
    /// The argument that says how many keys follow it, or 0.
    pub count_at: usize,
    /// The word behind which the first half of the arguments are keys, or none.
    pub behind: &'static str,
}

/// One command, or one subcommand (`client|id`).
#[derive(Clone, Copy)]
pub struct CommandSpec {
    pub name: &'static str,
    /// The number of arguments, name included; negative: at least so many.
    pub arity: i32,
    pub flags: u32,
    pub keys: Keys,
    pub group: Group,
    pub since: &'static str,
    pub summary: &'static str,
    pub subcommands: &'static [CommandSpec],
    pub run: Handler,
}

impl CommandSpec {
    const fn new(name: &'static str, arity: i32, group: Group, run: Handler) -> Self {
        let keys = Keys { first: 0, last: 0, step: 0, count_at: 0, behind: "" };
        Self { name, arity, flags: 0, keys, group, since: "", summary: "", subcommands: &[], run }
    }

    const fn flags(mut self, flags: u32) -> Self {
        self.flags = flags;
        self
    }

    const fn keys(mut self, first: i32, last: i32, step: i32) -> Self {
        self.keys = Keys { first, last, step, count_at: 0, behind: "" };
        self
    }

    const fn counted_keys(mut self, count_at: usize) -> Self {
        self.keys = Keys { first: 0, last: 0, step: 0, count_at, behind: "" };
        self
    }

    const fn keys_behind(mut self, behind: &'static str) -> Self {
        self.keys = Keys { first: 0, last: 0, step: 0, count_at: 0, behind };
        self
    }

    const fn docs(mut self, since: &'static str, summary: &'static str) -> Self {
        self.since = since;
        self.summary = summary;
        self
    }

    const fn subcommands(mut self, subcommands: &'static [CommandSpec]) -> Self {
        self.subcommands = subcommands;
        self
    }

    pub fn has(&self, flag: u32) -> bool {
        self.flags & flag != 0
    }

    /// Whether a call with so many arguments, name included, is legal.
    pub fn takes(&self, arguments: usize) -> bool {
        let arguments = i64::try_from(arguments).unwrap_or(i64::MAX);
        let arity = i64::from(self.arity);
        if arity < 0 { arguments >= -arity } else { arguments == arity }
    }

    /// The categories of access control, with Redis's words.
    pub fn categories(&self) -> Vec<&'static str> {
        let mut categories = Vec::new();
        for (holds, category) in [
            (self.has(flag::WRITE), "@write"),
            (self.has(flag::READONLY), "@read"),
            (matches!(self.group, Group::Generic) && !self.has(flag::FAST | flag::BLOCKING) || self.is_keyspace(), "@keyspace"),
            (matches!(self.group, Group::List), "@list"),
            (matches!(self.group, Group::Stream), "@stream"),
            (matches!(self.group, Group::PubSub), "@pubsub"),
            (matches!(self.group, Group::Connection), "@connection"),
            (matches!(self.group, Group::Transactions), "@transaction"),
            (matches!(self.group, Group::Scripting), "@scripting"),
            (self.has(flag::ADMIN), "@admin"),
            (self.has(flag::ADMIN), "@dangerous"),
            (self.has(flag::BLOCKING), "@blocking"),
            (self.has(flag::FAST), "@fast"),
            (!self.has(flag::FAST), "@slow"),
        ] {
            if holds {
                categories.push(category);
            }
        }
        categories
    }

    fn is_keyspace(&self) -> bool {
        matches!(self.group, Group::Generic) && self.keys.first > 0
    }

    /// The subcommand that the arguments name.
    pub fn subcommand(&self, arguments: &[Bytes]) -> Option<&'static CommandSpec> {
        let wanted = arguments.get(1)?;
        self.subcommands.iter().find(|sub| sub.short_name().as_bytes().eq_ignore_ascii_case(wanted))
    }

    /// The name without the command that it belongs to.
    pub fn short_name(&self) -> &'static str {
        self.name.split_once('|').map_or(self.name, |(_, short)| short)
    }

    /// The arguments that are keys.
    pub fn keys_of<'a>(&self, arguments: &'a [Bytes]) -> Vec<&'a Bytes> {
        if self.keys.count_at > 0 {
            let count = arguments.get(self.keys.count_at).and_then(|n| super::wire::number::integer(n)).unwrap_or(0);
            return arguments.iter().skip(self.keys.count_at + 1).take(usize::try_from(count).unwrap_or(0)).collect();
        }
        if !self.keys.behind.is_empty() {
            let word = self.keys.behind.as_bytes();
            let at = arguments.iter().position(|argument| argument.eq_ignore_ascii_case(word));
            let named = at.map_or(&[][..], |at| arguments.get(at + 1..).unwrap_or_default());
            return named.iter().take(named.len() / 2).collect();
        }
        let (Ok(first), Ok(step)) = (usize::try_from(self.keys.first), usize::try_from(self.keys.step)) else {
            return Vec::new();
        };
        if first == 0 || step == 0 {
            return Vec::new();
        }
        let len = i64::try_from(arguments.len()).unwrap_or(i64::MAX);
        let last = if self.keys.last < 0 { len + i64::from(self.keys.last) } else { i64::from(self.keys.last) };
        let last = usize::try_from(last).unwrap_or(0);
        (first..=last).step_by(step).filter_map(|index| arguments.get(index)).collect()
    }
}

/// The index of a command in [`COMMANDS`], by its name in any case. `guess` is looked at first.
pub fn find(name: &[u8], guess: usize) -> Option<usize> {
    if COMMANDS.get(guess).is_some_and(|spec| name.eq_ignore_ascii_case(spec.name.as_bytes())) {
        return Some(guess);
    }
    COMMANDS
        .binary_search_by(|spec| {
            let wanted = name.iter().map(u8::to_ascii_lowercase);
            spec.name.bytes().cmp(wanted)
        })
        .ok()
}

/// The reason why a command is refused, if it is refused on purpose.
pub fn refused(name: &[u8]) -> Option<(&'static str, &'static str)> {
    REFUSED.iter().find(|(known, _)| name.eq_ignore_ascii_case(known.as_bytes())).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_so_that_lookup_works() {
        assert!(COMMANDS.is_sorted_by(|a, b| a.name < b.name));
        for (index, spec) in COMMANDS.iter().enumerate() {
            assert_eq!(find(spec.name.to_uppercase().as_bytes(), 0), Some(index));
        }
        assert_eq!(find(b"nosuch", 0), None);
    }

    #[test]
    fn every_command_is_documented_and_none_is_also_refused() {
        for spec in COMMANDS.iter().flat_map(|spec| std::iter::once(spec).chain(spec.subcommands)) {
            assert!(!spec.since.is_empty() && !spec.summary.is_empty(), "{}", spec.name);
            assert!(refused(spec.name.as_bytes()).is_none(), "{}", spec.name);
        }
        for spec in COMMANDS {
            for sub in spec.subcommands {
                assert!(sub.name.starts_with(&format!("{}|", spec.name)), "{}", sub.name);
            }
        }
    }

    #[test]
    fn keys_are_found_by_the_table() {
        let arguments: Vec<Bytes> = ["x", "a", "b", "c"].into_iter().map(Bytes::from).collect();
        let keys = |name: &[u8]| {
            let spec = COMMANDS.get(find(name, 0).expect("known")).expect("in range");
            spec.keys_of(&arguments).into_iter().map(|k| String::from_utf8_lossy(k).into_owned()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(keys(b"del"), "a b c");
        assert_eq!(keys(b"blpop"), "a b");
        assert_eq!(keys(b"lmove"), "a b");
        assert_eq!(keys(b"llen"), "a");
        assert_eq!(keys(b"ping"), "");
    }
}
