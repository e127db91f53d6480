//! What the three models of delivery mean: queue, tail and group as views on one log.

pub mod group;
pub mod queue;
