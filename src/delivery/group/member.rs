//! One member of a group: what it said when it joined, what it waits for, and when it counts as gone.

use std::sync::Arc;

use bytes::Bytes;

use super::request::{InstanceName, Join, Strategy, Ticket};
use crate::log::TopicName;

#[derive(Debug)]
pub(super) struct Member {
    pub(super) instance: Option<InstanceName>,
    pub(super) client_id: Arc<str>,
    pub(super) client_host: Arc<str>,
    pub(super) session_timeout_ms: u32,
    pub(super) rebalance_timeout_ms: u32,
    pub(super) strategies: Vec<Strategy>,
    pub(super) topics: Option<Arc<[TopicName]>>,
    pub(super) assignment: Bytes,
    /// Its join waits for the others.
    pub(super) joining: Option<Ticket>,
    /// Its sync waits for the leader.
    pub(super) syncing: Option<Ticket>,
    /// Has not finished a join yet: it cannot send heartbeats, and may be a ghost of a client that gave up.
    pub(super) is_new: bool,
    /// When it counts as gone, see [`Member::expires_at_ms`].
    pub(super) deadline_ms: u64,
}

impl Member {
    pub(super) fn new(join: &Join, ticket: Ticket, deadline_ms: u64) -> Self {
        Self {
            instance: join.instance.clone(),
            client_id: join.client_id.clone(),
            client_host: join.client_host.clone(),
            session_timeout_ms: join.session_timeout_ms,
            rebalance_timeout_ms: join.rebalance_timeout_ms,
            strategies: join.strategies.clone(),
            topics: join.topics.clone(),
            assignment: Bytes::new(),
            joining: Some(ticket),
            syncing: None,
            is_new: true,
            deadline_ms,
        }
    }

    /// Takes over what a later join says. Returns the earlier join of this member that still waits, if there is one.
    pub(super) fn update(&mut self, join: &Join, ticket: Ticket) -> Option<Ticket> {
        self.client_id = join.client_id.clone();
        self.client_host = join.client_host.clone();
        self.session_timeout_ms = join.session_timeout_ms;
        self.rebalance_timeout_ms = join.rebalance_timeout_ms;
        self.strategies.clone_from(&join.strategies);
        self.topics = join.topics.clone();
        self.joining.replace(ticket)
    }

    /// The member gave a sign of life.
    pub(super) fn touch(&mut self, now_ms: u64) {
        self.deadline_ms = now_ms + u64::from(self.session_timeout_ms);
    }

    /// A member that waits for the group is not silent, unless it is new.
    pub(super) fn expires_at_ms(&self) -> Option<u64> {
        let waits = self.joining.is_some() || self.syncing.is_some();
        (self.is_new || !waits).then_some(self.deadline_ms)
    }

    pub(super) fn knows(&self, strategy: &str) -> bool {
        self.strategies.iter().any(|s| &*s.name == strategy)
    }

    pub(super) fn metadata_for(&self, strategy: &str) -> Bytes {
        self.strategies.iter().find(|s| &*s.name == strategy).map(|s| s.metadata.clone()).unwrap_or_default()
    }
}
