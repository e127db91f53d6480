//! Order by key: records of one key are in flight to one holder at a time, while those of others go on.
//!
//! A key is a number here; two keys of one number take turns they need not take, and no harm is done. A record that is reached while
//! somebody else holds its key is set aside, once: from then on it is found through who may take it, and no scan comes by it
//! again. So memory goes with the keys in flight and with what is set aside, which is bounded. What is set aside counts as ready.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hasher};
use std::ops::{Bound, Range};

use hashbrown::HashMap;

use super::lane::Trace;
use super::place::Place;
use super::state::{Home, QueueState, Spot, Taken};
use super::{Class, End};

/// So many records are set aside at most. Beyond it a record whose key is held keeps those behind it waiting.
const ASIDE_MAX: usize = 16_384;

/// Stands for the key of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(pub u64);

impl Key {
    /// What stands for a key, as long as the process runs.
    pub fn of(key: &[u8]) -> Self {
        let mut hasher = DefaultHasher::new();
        hasher.write(key);
        Key(hasher.finish())
    }
}

/// Who may have several records of one key in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Holder(pub u64);

/// Who may have what is set aside under a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Whose {
    Anyones,
    Only(Holder),
    /// It was taken by one who has no name.
    Nobodys,
}

/// Where a record that is set aside stands: what has a higher level comes first, then the lower place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Stand {
    level: Reverse<u8>,
    place: Place,
    partition: u32,
    offset: u64,
}

/// A key that is held, or under which something is set aside.
#[derive(Debug, Clone, Default)]
struct Held {
    holder: Option<Holder>,
    in_flight: u32,
    aside: BTreeSet<Stand>,
}

impl Held {
    fn whose(&self) -> Whose {
        match self.holder {
            _ if self.in_flight == 0 => Whose::Anyones,
            Some(holder) => Whose::Only(holder),
            None => Whose::Nobodys,
        }
    }

    fn offer(&self) -> Option<(Whose, Stand)> {
        self.aside.first().map(|first| (self.whose(), *first))
    }
}

/// What is known of keys.
#[derive(Debug, Clone, Default)]
pub(super) struct Keys {
    held: HashMap<Key, Held>,
    /// Records in flight, and those set aside with where they stand.
    of: HashMap<(u32, u64), (Key, Option<Stand>)>,
    aside: BTreeSet<Stand>,
    /// The first that is set aside under each key, by who may have it.
    offers: BTreeSet<(Whose, Stand, Key)>,
}

impl Keys {
    /// Changes what is known of a key, and keeps the offers true.
    fn change(&mut self, key: Key, change: impl FnOnce(&mut Held)) {
        let held = self.held.entry(key).or_default();
        let before = held.offer();
        change(held);
        let after = held.offer();
        if held.in_flight == 0 && held.aside.is_empty() {
            self.held.remove(&key);
        }
        if before != after {
            if let Some((whose, stand)) = before {
                self.offers.remove(&(whose, stand, key));
            }
            self.offers.extend(after.map(|(whose, stand)| (whose, stand, key)));
        }
    }

    fn may(&self, key: Key, asker: Option<Holder>) -> bool {
        self.held.get(&key).is_none_or(|held| match held.whose() {
            Whose::Anyones => true,
            Whose::Only(holder) => asker == Some(holder),
            Whose::Nobodys => false,
        })
    }

    fn hold(&mut self, at: (u32, u64), key: Key, holder: Option<Holder>) {
        self.of.insert(at, (key, None));
        self.change(key, |held| {
            held.holder = holder;
            held.in_flight += 1;
        });
    }

    fn set_aside(&mut self, stand: Stand, key: Key) {
        self.of.insert((stand.partition, stand.offset), (key, Some(stand)));
        self.aside.insert(stand);
        self.change(key, |held| {
            held.aside.insert(stand);
        });
    }

    /// A record is neither in flight nor set aside any more. Tells its key, and whether it was set aside.
    fn end(&mut self, at: (u32, u64)) -> Option<(Key, bool)> {
        let (key, stand) = self.of.remove(&at)?;
        match stand {
            Some(stand) => {
                self.aside.remove(&stand);
                self.change(key, |held| {
                    held.aside.remove(&stand);
                });
            }
            None => self.change(key, |held| held.in_flight = held.in_flight.saturating_sub(1)),
        }
        Some((key, stand.is_some()))
    }

    /// The first record set aside that this one may have.
    fn offered(&self, asker: Option<Holder>) -> Option<(Stand, Key)> {
        let first_of = |whose: Whose| {
            let least = Stand { level: Reverse(u8::MAX), place: Place::whole(i64::MIN), partition: 0, offset: 0 };
            let from = (Bound::Included((whose, least, Key(0))), Bound::Unbounded);
            let (of, stand, key) = self.offers.range(from).next()?;
            (*of == whose).then_some((*stand, *key))
        };
        first_of(Whose::Anyones).into_iter().chain(asker.and_then(|asker| first_of(Whose::Only(asker)))).min()
    }

    /// Records of a range that are known here, by whichever way is shorter.
    fn within(&self, partition: u32, range: &Range<u64>, is_aside: bool) -> Vec<u64> {
        let fits = |(_, stand): &(Key, Option<Stand>)| !is_aside || stand.is_some();
        if range.end.saturating_sub(range.start) <= self.of.len() as u64 {
            return range.clone().filter(|offset| self.of.get(&(partition, *offset)).is_some_and(fits)).collect();
        }
        let known = self.of.iter().filter(|((at, offset), known)| *at == partition && range.contains(offset) && fits(known));
        known.map(|((_, offset), _)| *offset).collect()
    }

    fn spot_of(stand: &Stand) -> Spot {
        Spot { partition: stand.partition, offset: stand.offset, home: Home::Aside(stand.place) }
    }
}

impl QueueState {
    /// Takes the first record that this one may have: one whose key nobody else holds. `key_of` tells a record's key; one without is
    /// anyone's. It is in flight, and its key held, until it is accepted or released.
    pub fn take_by_key(
        &mut self,
        class: Class,
        asker: Option<Holder>,
        mut key_of: impl FnMut(u32, u64) -> Option<Key>,
    ) -> Option<Taken> {
        loop {
            let offered = self.keys.as_ref().and_then(|keys| keys.offered(asker));
            let spot = self.find_unheld(End::Head, class);
            if let Some((stand, key)) = offered
                && spot.is_none_or(|spot| !self.goes_before(spot, stand))
            {
                return self.take_held(Keys::spot_of(&stand), Some(key), asker);
            }
            let spot = spot?;
            let is_kept = self.lanes.get(spot.partition as usize).is_some_and(|lane| !lane.is_broadcast(spot.offset));
            let key = if is_kept { key_of(spot.partition, spot.offset) } else { None };
            let Some(key) = key else { return self.take_held(spot, None, asker) };
            if self.keys.as_ref().is_none_or(|keys| keys.may(key, asker)) {
                return self.take_held(spot, Some(key), asker);
            }
            if self.aside() >= ASIDE_MAX as u64 {
                return None;
            }
            self.lift(spot, key);
        }
    }

    /// Whether a record comes before one that is set aside. Where its own order says nothing, what was set aside has waited longer.
    fn goes_before(&self, spot: Spot, stand: Stand) -> bool {
        let level = self.level_of(spot.partition, spot.offset);
        let place = match spot.home {
            Home::Placed(place) | Home::Aside(place) => place,
            Home::Ranked | Home::Fresh => Place::of(spot.offset),
        };
        level > stand.level.0 || level == stand.level.0 && spot.partition == stand.partition && place < stand.place
    }

    fn take_held(&mut self, spot: Spot, key: Option<Key>, holder: Option<Holder>) -> Option<Taken> {
        self.detach(End::Head, spot);
        if let Some(key) = key {
            self.keys.get_or_insert_default().hold((spot.partition, spot.offset), key, holder);
        }
        self.fly(spot)
    }

    /// Whether there is anything that this one may have, as far as can be said without looking at keys.
    pub fn may_serve(&self, asker: Holder, class: Class) -> bool {
        self.ready(class) > self.aside() || self.keys.as_ref().is_some_and(|keys| keys.offered(Some(asker)).is_some())
    }

    /// Ready records that are set aside until their key is free.
    pub(super) fn aside(&self) -> u64 {
        self.keys.as_ref().map_or(0, |keys| keys.aside.len() as u64)
    }

    /// The first or last of what is set aside.
    pub(super) fn aside_at(&self, end: End) -> Option<Spot> {
        let aside = &self.keys.as_ref()?.aside;
        let stand = if end == End::Head { aside.first() } else { aside.last() };
        stand.map(Keys::spot_of)
    }

    /// What is set aside, in order.
    pub(super) fn all_aside(&self) -> impl Iterator<Item = (u32, u64)> + '_ {
        self.keys.iter().flat_map(|keys| keys.aside.iter().map(|stand| (stand.partition, stand.offset)))
    }

    /// Whether a record is set aside.
    pub(super) fn is_aside(&self, partition: u32, offset: u64) -> bool {
        let known = self.keys.as_ref().and_then(|keys| keys.of.get(&(partition, offset)));
        known.is_some_and(|(_, stand)| stand.is_some())
    }

    /// A ready record is set aside; where it goes when it is back is remembered.
    fn lift(&mut self, spot: Spot, key: Key) {
        self.detach(End::Head, spot);
        let Spot { partition, offset, home } = spot;
        if let (Home::Placed(place), Some(lane)) = (home, self.lanes.get_mut(partition as usize))
            && !lane.history.set_place(offset, place)
            && place != Place::of(offset)
        {
            lane.history.insert(offset, Trace { place, acquired: 0, delivered: 0 });
        }
        self.put_aside(partition, offset, key);
    }

    fn put_aside(&mut self, partition: u32, offset: u64, key: Key) {
        let Some(lane) = self.lanes.get(partition as usize) else { return };
        let known = lane.history.get(&offset).map(|trace| trace.place);
        let stand = Stand {
            level: Reverse(self.level_of(partition, offset)),
            place: known.unwrap_or(Place::of(offset)),
            partition,
            offset,
        };
        self.keys.get_or_insert_default().set_aside(stand, key);
    }

    /// A record that came back stands before others of its key: it is set aside with them if there are any. False: it is not.
    pub(super) fn put_aside_again(&mut self, partition: u32, offset: u64) -> bool {
        let Some(keys) = &mut self.keys else { return false };
        let Some((key, _)) = keys.end((partition, offset)) else { return false };
        let is_known = keys.held.contains_key(&key);
        if is_known {
            self.put_aside(partition, offset, key);
        }
        self.settle_keys();
        is_known
    }

    /// A record that is set aside is so no more, and is not ready either. False if it is not set aside.
    pub(super) fn detach_aside(&mut self, partition: u32, offset: u64) -> bool {
        let is_aside = self.is_aside(partition, offset);
        if let Some(keys) = self.keys.as_mut().filter(|_| is_aside) {
            keys.end((partition, offset));
            self.settle_keys();
        }
        is_aside
    }

    /// A record that is set aside has another place from now on.
    pub(super) fn stand_aside_again(&mut self, partition: u32, offset: u64) {
        if !self.is_aside(partition, offset) {
            return;
        }
        if let Some((key, _)) = self.keys.as_mut().and_then(|keys| keys.end((partition, offset))) {
            self.put_aside(partition, offset, key);
        }
    }

    /// Offsets of a range that are set aside.
    pub(super) fn aside_within(&self, partition: u32, range: &Range<u64>) -> Vec<u64> {
        self.keys.as_ref().map_or_else(Vec::new, |keys| keys.within(partition, range, true))
    }

    /// A range is done.
    pub(super) fn forget_keys(&mut self, partition: u32, range: &Range<u64>) {
        let Some(keys) = &mut self.keys else { return };
        for offset in keys.within(partition, range, false) {
            keys.end((partition, offset));
        }
        self.settle_keys();
    }

    fn settle_keys(&mut self) {
        if self.keys.as_ref().is_some_and(|keys| keys.of.is_empty()) {
            self.keys = None;
        }
    }
}
