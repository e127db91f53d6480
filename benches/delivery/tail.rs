//! Publish/subscribe: a record to many listeners, and to the few of many patterns that match.

use std::hint::black_box;

use bytes::Bytes;
use trunkline::delivery::{LagLimits, Listener, Part, Pattern, Unit};
use trunkline::log::{Signal, TopicName};

use super::Table;
use super::scene::{Outcome, Scene, record};

const PATTERNS: u32 = 100_000;

pub fn measure(table: &Table) -> Outcome<()> {
    for (listeners, records) in [(1_u64, 100_000_u64), (100, 2_000), (10_000, 50)] {
        let name = format!("tail: one record to {listeners} listeners, deliveries");
        table.row(&name, || Room::new(listeners), |room| room.as_mut().map_or(0, |room| room.announce(records).unwrap_or(0)));
    }
    for (shape, pattern) in SHAPES {
        let name = format!("tail: {PATTERNS} patterns like {shape}, one matches, records");
        table.row(
            &name,
            || Patterns::new(pattern),
            |patterns| patterns.as_mut().map_or(0, |patterns| patterns.indexed().unwrap_or(0)),
        );
        let name = format!("tail, each pattern checked: {PATTERNS} like {shape}, records");
        table.row(&name, || compiled(pattern), |patterns| one_by_one(patterns));
    }
    Ok(())
}

/// Listeners to one name.
struct Room {
    scene: Scene,
    listeners: Vec<Listener>,
}

impl Room {
    fn new(listeners: u64) -> Option<Self> {
        let scene = Scene::new(false).ok()?;
        let limits = LagLimits::new(0, 0, 0);
        let listeners: Vec<_> = (0..listeners).map(|_| Listener::new(Signal::default(), limits.clone())).collect();
        let mut unit = scene.delivery.begin().ok()?;
        listeners.iter().for_each(|listener| unit.listen(listener, scene.name.clone()));
        unit.commit();
        Some(Self { scene, listeners })
    }

    /// One unit a record; the listeners empty their mailboxes after each.
    fn announce(&mut self, records: u64) -> Outcome<u64> {
        let (record, mut got) = (record(), Vec::new());
        let mut delivered = 0;
        for _ in 0..records {
            let mut unit = self.scene.delivery.begin()?;
            unit.announce(&self.scene.name, &record);
            unit.commit();
            for listener in &self.listeners {
                listener.take(usize::MAX, &mut got);
                delivered += got.len() as u64;
                got.clear();
            }
        }
        Ok(delivered)
    }
}

/// Makes the pattern of a number.
type Shape = fn(u32) -> Vec<Part>;

const SHAPES: [(&str, Shape); 3] = [
    ("user.4711.*", |number| text(&format!("user.{number}.")).chain([Part::AnyRun]).collect()),
    ("*.4711.done", |number| [Part::AnyRun].into_iter().chain(text(&format!(".{number}.done"))).collect()),
    ("u?er.*.4711.*", |number| {
        let begin = text("u").chain([Part::AnyOne]).chain(text("er.")).chain([Part::AnyRun]);
        begin.chain(text(&format!(".{number}."))).chain([Part::AnyRun]).collect()
    }),
];

const NAMES: [&str; 3] = ["user.4711.done", "user.eu.4711.done", "nothing.of.the.kind"];

fn text(text: &str) -> impl Iterator<Item = Part> {
    text.bytes().map(Part::Byte).collect::<Vec<_>>().into_iter()
}

struct Patterns {
    scene: Scene,
    names: Vec<TopicName>,
    listener: Listener,
}

impl Patterns {
    fn new(shape: Shape) -> Option<Self> {
        let scene = Scene::new(false).ok()?;
        let listener = Listener::new(Signal::default(), LagLimits::new(0, 0, 0));
        let mut unit = scene.delivery.begin().ok()?;
        for number in 0..PATTERNS {
            unit.listen_pattern(&listener, Bytes::from(number.to_string()), || Pattern::new(shape(number)));
        }
        unit.commit();
        let names = NAMES.iter().filter_map(|name| TopicName::new(*name).ok()).collect();
        Some(Self { scene, names, listener })
    }

    fn indexed(&mut self) -> Outcome<u64> {
        let (record, mut got) = (record(), Vec::new());
        let records = 99_999;
        let mut unit: Unit<'_> = self.scene.delivery.begin()?;
        for name in self.names.iter().cycle().take(records) {
            black_box(unit.announce(name, &record));
        }
        unit.commit();
        self.listener.take(usize::MAX, &mut got);
        Ok(records as u64)
    }
}

fn compiled(shape: Shape) -> Vec<Pattern> {
    (0..PATTERNS).map(|number| Pattern::new(shape(number))).collect()
}

fn one_by_one(patterns: &[Pattern]) -> u64 {
    let records = 30;
    for name in NAMES.iter().cycle().take(records) {
        black_box(patterns.iter().filter(|pattern| pattern.matches(name.as_bytes())).count());
    }
    records as u64
}
