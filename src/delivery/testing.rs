//! A queue view with its takers, and a listener, without a log below them: for tests of how they hand over and wake.

use std::sync::Arc;

use bytes::Bytes;

use super::queue::{Class, Kind, QueueOptions, QueueState};
use super::tail::{LagLimits, Listener, Tails};
use super::taker::{Claim, Credit, Mailbox, Position, Serve, Taker, TakerId, TakerSpec};
use super::view::{QueueSpec, View};
use crate::log::record::Record;
use crate::log::testing::Tide;
use crate::log::{Barrier, Signal, Topic, TopicId, TopicName, TopicSettings};
use crate::sync::Mutex;

/// The owner of a queue view. Who calls it holds the lock of the views, as a unit does.
pub(crate) struct Office {
    view: View,
    name: TopicName,
    end: u64,
    desks: Vec<(Arc<Mailbox>, Arc<Credit>)>,
    shared: Arc<Credit>,
}

/// A taker's side.
pub(crate) struct Desk {
    taker: Taker,
    pub signal: Signal,
}

impl Office {
    /// As many takers, each with a credit of its own and one that they share.
    pub fn new(takers: u64, credit: i64, shared: i64) -> Self {
        let name = TopicName::internal("office");
        let partitions = vec![Arc::clone(Tide::new().partition())];
        let topic = Arc::new(Topic::new(name.clone(), TopicId(1), partitions, Arc::new(TopicSettings::default())));
        let spec = QueueSpec::new(name.clone(), false);
        let mut view = View::with_state(topic, spec, QueueState::new(1));
        let shared = Credit::new(shared);
        let desk = |number| {
            let credit = Credit::new(credit);
            let spec = TakerSpec {
                signal: Signal::default(),
                credit: Arc::clone(&credit),
                shared: Some(Arc::clone(&shared)),
                serve: Serve::Claim,
                class: Class::All,
                priority: 0,
            };
            (Mailbox::new(TakerId(number), spec), credit)
        };
        let desks: Vec<_> = (0..takers).map(desk).collect();
        desks.iter().for_each(|(mailbox, _)| view.add_taker(Arc::clone(mailbox), 0));
        Self { view, name, end: 0, desks, shared }
    }

    pub fn desk(&self, index: usize) -> Desk {
        let (mailbox, _) = &self.desks[index];
        Desk { taker: Taker { mailbox: Arc::clone(mailbox) }, signal: Arc::clone(&mailbox.spec.signal) }
    }

    /// A record comes.
    pub fn put(&mut self) {
        self.view.state.extend(0, self.end, 1, Kind::Plain);
        self.end += 1;
        self.serve();
    }

    /// A taker is done with a record, and has credit for another.
    pub fn settle(&mut self, index: usize, offset: u64) {
        assert!(self.view.state.accept(0, offset), "record {offset} was not in flight");
        self.desks[index].1.add(1);
        self.shared.add(1);
        // The other may have found the shared credit spent.
        self.desks.iter().for_each(|(mailbox, _)| self.view.resume_taker(mailbox.id));
        self.serve();
    }

    /// Serves one taker at a time from now on.
    pub fn serve_one_at_a_time(&mut self) {
        self.view.options = Some(Box::new(QueueOptions { single_taker: true, ..QueueOptions::default() }));
    }

    /// A taker leaves, as a connection does that ends: what it was handed goes back.
    pub fn leave(&mut self, index: usize, unseen: &[u64]) {
        let (mailbox, credit) = &self.desks[index];
        self.view.remove_taker(mailbox.id, 0);
        let mut claims = Vec::new();
        Taker { mailbox: Arc::clone(mailbox) }.drain(&mut claims);
        let in_mailbox = claims.iter().map(|claim| claim.position.offset);
        for offset in in_mailbox.chain(unseen.iter().copied()) {
            assert!(self.view.state.release(0, offset, false), "record {offset} was not in flight");
            credit.add(1);
            self.shared.add(1);
        }
        self.desks.iter().for_each(|(mailbox, _)| self.view.resume_taker(mailbox.id));
        self.serve();
    }

    /// The queue view is removed.
    pub fn close(&mut self) {
        self.view.cancel_takers();
    }

    /// Everybody looks whether the day is over.
    pub fn ring(&self) {
        self.desks.iter().for_each(|(mailbox, _)| mailbox.spec.signal.notify_one());
    }

    pub fn is_empty(&self) -> bool {
        self.view.state.ready(Class::All) + self.view.state.in_flight() == 0
    }

    fn serve(&mut self) {
        while let Some(mailbox) = self.view.next_turn(&[]) {
            let Some(taken) = self.view.state.take(mailbox.spec.class) else {
                mailbox.refund();
                return;
            };
            let partition = self.view.topic.partition(0).expect("the only partition");
            let is_first = mailbox.push(Claim {
                queue: self.name.clone(),
                partition,
                position: Position { partition: 0, offset: taken.offset },
                redelivered: false,
                delivery_count: 0,
                attempt: None,
                barrier: Barrier::NONE,
            });
            if is_first {
                mailbox.spec.signal.notify_one();
            }
        }
    }
}

impl Desk {
    /// Whether its queue view was removed.
    pub fn is_cancelled(&self) -> bool {
        self.taker.is_cancelled()
    }

    /// The offsets of what was handed over.
    pub fn drain(&self) -> Vec<u64> {
        let mut claims = Vec::new();
        self.taker.drain(&mut claims);
        claims.into_iter().map(|claim| claim.position.offset).collect()
    }
}

/// One listener to one name.
pub(crate) struct Hall {
    /// As the lock of the views.
    tails: Mutex<Tails>,
    listener: Listener,
    name: TopicName,
    pub signal: Signal,
}

impl Hall {
    pub fn new(bytes_max: usize) -> Self {
        let signal = Signal::default();
        let listener = Listener::new(Arc::clone(&signal), LagLimits::new(bytes_max, 0, 0));
        let name = TopicName::internal("hall");
        let mut tails = Tails::default();
        tails.listen(&listener, name.clone());
        Self { tails: Mutex::new(tails), listener, name, signal }
    }

    pub fn announce(&self) {
        let record = || Arc::new(Record { key: None, value: Some(Bytes::new()), headers: Vec::new(), timestamp_ms: 0 });
        let tails = self.tails.lock();
        let heard = tails.hear(&self.name, record).expect("somebody listens");
        tails.announce(heard, Barrier::NONE, 0, |signal| signal.notify_one());
    }

    /// Whether there is more than was taken, and how many were.
    pub fn take(&self, bytes_max: usize) -> (bool, usize) {
        let mut taken = Vec::new();
        let more = self.listener.take(bytes_max, &mut taken);
        (more, taken.len())
    }

    pub fn is_cut(&self) -> bool {
        self.listener.is_cut()
    }
}
