//! The requests of consumer groups: Kafka's classic group protocol on top of [`crate::delivery::group`], one file an API key.
//!
//! A handler takes a decoded request and gives the response. Where the response shows what may not be durable yet, it comes
//! with the position in the journal that gates it. The coordinator of every group is this broker.

mod code;
mod delete_groups;
mod describe_groups;
mod find_coordinator;
mod heartbeat;
mod join_group;
mod leave_group;
mod list_groups;
mod offset_commit;
mod offset_delete;
mod offset_fetch;
mod subscription;
mod sync_group;

use std::sync::Arc;

use crate::log::Lsn;

pub use delete_groups::delete_groups;
pub use describe_groups::describe_groups;
pub use find_coordinator::{Node, find_coordinator};
pub use heartbeat::heartbeat;
pub use join_group::{Client, join_group};
pub use leave_group::leave_group;
pub use list_groups::list_groups;
pub use offset_commit::offset_commit;
pub use offset_delete::offset_delete;
pub use offset_fetch::offset_fetch;
pub use sync_group::sync_group;

/// A response, and the position in the journal that has to be durable before it may be sent.
#[derive(Debug)]
pub struct Gated<T> {
    /// What to send.
    pub response: T,
    /// When.
    pub lsn: Lsn,
}

/// An absent instance id; old clients send an empty one for none.
fn instance(id: Option<String>) -> Option<Arc<str>> {
    id.filter(|id| !id.is_empty()).map(Arc::from)
}
