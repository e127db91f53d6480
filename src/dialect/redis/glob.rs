//! Redis's glob patterns: `*`, `?`, `[a-z]`, `[^a]`, and `\` before a literal.
//!
//! Runs in time proportional to pattern times text at worst, and without recursion: a pattern is hostile input.

use crate::delivery::{ByteSet, Part, Pattern};

/// Whether `pattern` matches the whole of `text`.
pub fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut rest, mut text) = (pattern, text);
    // Where to go on when a literal fails: the pattern behind the last star, and the text it has still to try.
    let mut retry: Option<(&[u8], &[u8])> = None;
    loop {
        if let [b'*', after @ ..] = rest {
            if after.is_empty() {
                return true;
            }
            retry = Some((after, text));
            rest = after;
            continue;
        }
        match (text.split_first(), one(rest, text.first().copied())) {
            (Some((_, after_text)), Some(after)) => (rest, text) = (after, after_text),
            (None, _) if rest.is_empty() => return true,
            _ => match retry.and_then(|(pattern, text)| Some((pattern, text.get(1..)?))) {
                Some((pattern, shorter)) => {
                    retry = Some((pattern, shorter));
                    (rest, text) = (pattern, shorter);
                }
                None => return false,
            },
        }
    }
}

/// As [`matches`], without regard to ASCII case.
pub fn matches_any_case(pattern: &[u8], text: &[u8]) -> bool {
    matches(&pattern.to_ascii_lowercase(), &text.to_ascii_lowercase())
}

/// Matches one byte against the first element of the pattern: the rest of the pattern if it fits.
fn one(pattern: &[u8], byte: Option<u8>) -> Option<&[u8]> {
    let byte = byte?;
    match pattern {
        [] => None,
        [b'?', after @ ..] => Some(after),
        [b'[', class @ ..] => in_class(class, byte),
        [b'\\', literal, after @ ..] => (*literal == byte).then_some(after),
        [literal, after @ ..] => (*literal == byte).then_some(after),
    }
}

fn in_class(text: &[u8], byte: u8) -> Option<&[u8]> {
    let (class, rest) = class(text);
    class.contains(byte).then_some(rest)
}

/// The class whose text begins behind the opening bracket, and the pattern behind it; one that is never closed ends with the
/// pattern.
fn class(text: &[u8]) -> (ByteSet, &[u8]) {
    let (negated, mut rest) = match text {
        [b'^', after @ ..] => (true, after),
        _ => (false, text),
    };
    let mut class = ByteSet::default();
    loop {
        rest = match rest {
            [] => break,
            [b']', after @ ..] => {
                rest = after;
                break;
            }
            [b'\\', literal, after @ ..] => {
                class.insert_range(*literal, *literal);
                after
            }
            [low, b'-', high, after @ ..] => {
                class.insert_range(*low.min(high), *low.max(high));
                after
            }
            [literal, after @ ..] => {
                class.insert_range(*literal, *literal);
                after
            }
        };
    }
    (if negated { class.inverted() } else { class }, rest)
}

/// A glob pattern as the core's pattern of names.
pub fn pattern(mut glob: &[u8]) -> Pattern {
    Pattern::new(std::iter::from_fn(|| {
        let (part, rest) = match glob {
            [] => return None,
            [b'*', after @ ..] => (Part::AnyRun, after),
            [b'?', after @ ..] => (Part::AnyOne, after),
            [b'[', text @ ..] => {
                let (class, after) = class(text);
                (Part::OneOf(class), after)
            }
            [b'\\', literal, after @ ..] => (Part::Byte(*literal), after),
            [literal, after @ ..] => (Part::Byte(*literal), after),
        };
        glob = rest;
        Some(part)
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_redis() {
        let yes = [
            ("*", ""),
            ("*", "x"),
            ("foo*", "foobar"),
            ("h?llo", "hello"),
            ("h[ae]llo", "hallo"),
            ("h[^e]llo", "hallo"),
            ("h[a-b]llo", "hbllo"),
            ("h[b-a]llo", "hallo"),
            ("a\\*b", "a*b"),
            ("*a*b*c", "xxaxxbxxc"),
            ("**a", "ba"),
            ("[\\]]", "]"),
            ("__keyspace@*__:foo", "__keyspace@0__:foo"),
            ("", ""),
        ];
        for (pattern, text) in yes {
            assert!(matches(pattern.as_bytes(), text.as_bytes()), "{pattern} {text}");
        }
        for (pattern, text) in
            [("", "a"), ("a", ""), ("foo*", "fo"), ("h[^a]llo", "hallo"), ("a\\*b", "axb"), ("?", ""), ("*a", "ab")]
        {
            assert!(!matches(pattern.as_bytes(), text.as_bytes()), "{pattern} {text}");
        }
        assert!(matches_any_case(b"MAX*", b"maxmemory"));
    }

    #[test]
    fn hostile_patterns_end() {
        let pattern = b"a*".repeat(200);
        assert!(!matches(&pattern, &b"a".repeat(2000).iter().copied().chain([b'b']).collect::<Vec<_>>()[1..1]));
        let pattern = [b"*a".repeat(100), b"b".to_vec()].concat();
        assert!(!matches(&pattern, &b"a".repeat(20_000)));
    }

    proptest::proptest! {
        #[test]
        fn the_core_pattern_matches_what_the_glob_matches(glob in "[ab*?\\[\\]^\\\\-]{0,12}", text in "[ab\\-\\]^]{0,8}") {
            let (glob, text) = (glob.as_bytes(), text.as_bytes());
            proptest::prop_assert_eq!(pattern(glob).matches(text), matches(glob, text));
        }
    }
}
