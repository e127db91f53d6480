//! Searches in a long, edited queue view against a plain list: what is found, and how much a unit reads for it.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::*;
use crate::log::TopicSettings;
use crate::log::record::Record;

const RECORDS: usize = 4000;

fn record(value: &'static str) -> Record {
    Record { key: None, value: Some(Bytes::from_static(value.as_bytes())), headers: Vec::new(), timestamp_ms: 1 }
}

/// Finds with as many units as it takes.
fn find(delivery: &Delivery, name: &TopicName, search: &mut Search, scope: &Scope) -> Vec<Hit> {
    let mut reader = delivery.reader();
    loop {
        let found = delivery.begin().expect("accepted").find(name, Class::Queued, search, scope, false);
        if let Some(hits) = found {
            return hits;
        }
        while search.look(&mut reader) {}
    }
}

#[test]
fn a_search_finds_what_a_walk_from_its_end_does_whatever_happens_between_its_units() {
    let seed: u64 = std::env::var("TRUNKLINE_TEST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(rand::random);
    let mut random = StdRng::seed_from_u64(seed);
    let directory = tempfile::tempdir().expect("a temporary directory");
    let settings = LogSettings { directory: directory.path().to_owned(), ..LogSettings::default() };
    let delivery = Delivery::open(settings).expect("the log opens");
    let name = TopicName::new("queue").expect("a name");
    let mut unit = delivery.begin().expect("accepted");
    let topic = unit.create_topic(&name, 1, TopicSettings::consumed("test", true, 1 << 20)).expect("a new topic");
    unit.open_queue(&name, QueueSpec::new(name.clone(), true)).expect("the topic is there");
    let mut model: Vec<&str> = Vec::new();
    // Runs at either end, and a few records that stand where no other belongs.
    while model.len() < RECORDS {
        let value = if random.random_bool(0.02) { "needle" } else { "hay" };
        let at_head = (model.len() / 500).is_multiple_of(2);
        if at_head {
            unit.append_front(&topic, &record(value));
            model.insert(0, value);
        } else {
            unit.append(&[Target { topic: Arc::clone(&topic), partition: 0 }], &record(value), Kind::Queued);
            model.push(value);
        }
        if random.random_bool(0.02) {
            let index = random.random_range(0..model.len());
            let at = unit.range(&name, Class::Queued, index as u64, 1)[0];
            unit.insert_beside(&name, at, Side::After, &record("needle"));
            model.insert(index + 1, "needle");
        }
    }
    unit.commit();
    for case in 0..60 {
        let from = if random.random() { End::Head } else { End::Tail };
        let looked_at_max = if random.random() { u64::MAX } else { random.random_range(1..RECORDS as u64) };
        let found_max = if random.random_bool(0.3) { u64::MAX } else { random.random_range(1..30) };
        let scope = Scope { from, looked_at_max, found_max };
        let mut search = Search::new(Arc::clone(&topic), b"needle");
        if case % 3 == 0 {
            // It has begun before the view is changed.
            delivery.begin().expect("accepted").find(&name, Class::Queued, &mut search, &scope, false);
            search.look(&mut delivery.reader());
            let mut unit = delivery.begin().expect("accepted");
            unit.move_record(&name, End::Tail, Class::Queued, &topic, End::Head);
            model.rotate_right(1);
            unit.pop(&name, End::Tail, Class::Queued);
            model.pop();
        }
        let hits = find(&delivery, &name, &mut search, &scope);
        let len = model.len() as u64;
        let from_head = |walked: u64| if from == End::Head { walked } else { len - 1 - walked };
        let found: Vec<u64> = hits.iter().flat_map(|hit| hit.walked..hit.walked + hit.stretch.count()).map(from_head).collect();
        let walk = (0..len.min(looked_at_max)).map(from_head).filter(|index| model[*index as usize] == "needle");
        let expected: Vec<u64> = walk.take(usize::try_from(found_max).unwrap_or(usize::MAX)).collect();
        assert_eq!(found, expected, "TRUNKLINE_TEST_SEED={seed} case {case}: {scope:?}");
        let unit = delivery.begin().expect("accepted");
        let places = unit.range(&name, Class::Queued, 0, u64::MAX);
        let offsets = hits.iter().flat_map(|hit| {
            let offsets: Vec<u64> = hit.stretch.iter().collect();
            if from == End::Head { offsets } else { offsets.into_iter().rev().collect() }
        });
        assert!(offsets.eq(found.iter().map(|index| places[*index as usize].offset)));
    }
}
