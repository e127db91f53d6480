//! Patterns of names: literal bytes, any one byte, one of a set of bytes, and runs of any bytes.
//!
//! What a dialect calls a pattern becomes this. Its form is canonical, so that patterns that say the same share a path in the
//! [index](super::index). Knows no syntax.

use crate::log::NAME_BYTES_MAX;

/// A set of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ByteSet([u64; 4]);

impl ByteSet {
    /// Adds all bytes from `low` to `high`, both included.
    pub fn insert_range(&mut self, low: u8, high: u8) {
        for byte in low..=high {
            if let Some(word) = self.0.get_mut(usize::from(byte >> 6)) {
                *word |= 1 << (byte & 63);
            }
        }
    }

    /// The bytes that are not in it.
    #[must_use]
    pub fn inverted(self) -> Self {
        Self(self.0.map(|word| !word))
    }

    /// Whether a byte is in it.
    pub fn contains(&self, byte: u8) -> bool {
        self.0.get(usize::from(byte >> 6)).is_some_and(|word| word >> (byte & 63) & 1 == 1)
    }

    fn len(&self) -> u32 {
        self.0.iter().map(|word| word.count_ones()).sum()
    }

    fn first(&self) -> Option<u8> {
        (0..=u8::MAX).find(|byte| self.contains(*byte))
    }
}

/// A part of a pattern, as a dialect gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// This byte.
    Byte(u8),
    /// One byte of the set.
    OneOf(ByteSet),
    /// Any one byte.
    AnyOne,
    /// Any number of any bytes, none included.
    AnyRun,
}

/// A part as it is kept; a set is kept apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Element {
    Byte(u8),
    OneOf(u32),
    AnyOne,
    AnyRun,
}

/// A pattern of names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    elements: Box<[Element]>,
    sets: Box<[ByteSet]>,
    /// No name matches: it needs a byte of an empty set, or is longer than any name.
    is_void: bool,
}

impl Pattern {
    /// A pattern of these parts.
    pub fn new(parts: impl IntoIterator<Item = Part>) -> Self {
        let mut building = Building::default();
        for part in parts {
            building.push(part);
            if building.is_void {
                return Self { elements: Box::default(), sets: Box::default(), is_void: true };
            }
        }
        building.close_run();
        Self { elements: building.elements.into(), sets: building.sets.into(), is_void: false }
    }

    /// Whether it matches the whole of a name.
    pub fn matches(&self, name: &[u8]) -> bool {
        self.matches_from(0, name)
    }

    /// Whether no name can match.
    pub(super) fn is_void(&self) -> bool {
        self.is_void
    }

    /// How many parts it has.
    pub(super) fn len(&self) -> usize {
        self.elements.len()
    }

    /// The part at `index`.
    pub(super) fn part(&self, index: usize) -> Option<Part> {
        Some(match self.elements.get(index)? {
            Element::Byte(byte) => Part::Byte(*byte),
            Element::OneOf(set) => Part::OneOf(self.set(*set)),
            Element::AnyOne => Part::AnyOne,
            Element::AnyRun => Part::AnyRun,
        })
    }

    /// Whether its parts from `first` on match the whole of `text`.
    ///
    /// Takes time in proportion to parts times text at worst, and does not recurse: patterns and names are hostile input.
    pub(super) fn matches_from(&self, first: usize, text: &[u8]) -> bool {
        if self.is_void {
            return false;
        }
        let (mut index, mut at) = (first, 0);
        // Where to go on when a part fails: the one behind the last run, and where it has been tried.
        let mut retry: Option<(usize, usize)> = None;
        loop {
            match (self.elements.get(index), text.get(at)) {
                (None, None) => return true,
                (Some(Element::AnyRun), _) => {
                    index += 1;
                    if index == self.elements.len() {
                        return true;
                    }
                    retry = Some((index, at));
                }
                (Some(element), Some(byte)) if self.takes(*element, *byte) => {
                    index += 1;
                    at += 1;
                }
                (Some(_), None) => return false,
                (Some(_), Some(_)) | (None, Some(_)) => match &mut retry {
                    Some((again, tried)) => {
                        *tried += 1;
                        (index, at) = (*again, *tried);
                    }
                    None => return false,
                },
            }
        }
    }

    fn takes(&self, element: Element, byte: u8) -> bool {
        match element {
            Element::Byte(own) => own == byte,
            Element::OneOf(set) => self.set(set).contains(byte),
            Element::AnyOne => true,
            Element::AnyRun => false,
        }
    }

    fn set(&self, index: u32) -> ByteSet {
        self.sets.get(index as usize).copied().unwrap_or_default()
    }
}

/// Brings parts into the canonical form: any single bytes before the run that they touch, never two runs together, no set of one
/// byte or of all.
#[derive(Default)]
struct Building {
    elements: Vec<Element>,
    sets: Vec<ByteSet>,
    bytes_min: usize,
    /// A run is due before the next part that is neither it nor any one byte.
    in_run: bool,
    is_void: bool,
}

impl Building {
    fn push(&mut self, part: Part) {
        let element = match part {
            Part::AnyRun => {
                self.in_run = true;
                return;
            }
            Part::AnyOne => Element::AnyOne,
            Part::Byte(byte) => Element::Byte(byte),
            Part::OneOf(set) => match (set.len(), set.first()) {
                (1, Some(byte)) => Element::Byte(byte),
                (256, _) => Element::AnyOne,
                (0, _) | (_, None) => {
                    self.is_void = true;
                    return;
                }
                _ => {
                    self.sets.push(set);
                    Element::OneOf(u32::try_from(self.sets.len() - 1).unwrap_or(u32::MAX))
                }
            },
        };
        if element != Element::AnyOne {
            self.close_run();
        }
        self.elements.push(element);
        self.bytes_min += 1;
        self.is_void = self.bytes_min > NAME_BYTES_MAX;
    }

    fn close_run(&mut self) {
        if std::mem::take(&mut self.in_run) {
            self.elements.push(Element::AnyRun);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(low: u8, high: u8) -> Part {
        let mut set = ByteSet::default();
        set.insert_range(low, high);
        Part::OneOf(set)
    }

    #[test]
    fn patterns_that_say_the_same_are_equal() {
        let same = [
            [Part::AnyRun, Part::AnyOne, Part::AnyRun, Part::Byte(b'a')],
            [Part::AnyOne, Part::AnyRun, Part::AnyRun, set(b'a', b'a')],
            [Part::AnyRun, Part::AnyRun, set(0, 255), Part::Byte(b'a')],
        ];
        for parts in same {
            let pattern = Pattern::new(parts);
            assert_eq!(pattern, Pattern::new(same[0]), "{parts:?}");
            assert!(pattern.matches(b"xa") && pattern.matches(b"xyza") && !pattern.matches(b"a") && !pattern.matches(b"xb"));
        }
    }

    #[test]
    fn what_no_name_can_match_is_known_beforehand() {
        let long = vec![Part::AnyOne; NAME_BYTES_MAX + 1];
        assert!(Pattern::new(long).is_void());
        assert!(Pattern::new([Part::AnyRun, Part::OneOf(ByteSet::default())]).is_void());
        assert!(!Pattern::new(vec![Part::AnyOne; NAME_BYTES_MAX]).is_void());
        assert!(Pattern::new([]).matches(b"") && !Pattern::new([]).matches(b"a"));
    }
}
