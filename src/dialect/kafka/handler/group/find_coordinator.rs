//! FindCoordinator (API key 10), versions 0 to 6. 1: transactions can be asked for. 4: several keys at once (KIP-699).
//! 5: transaction errors of KIP-890. 6: share groups. Every group's coordinator is this broker; there are none for
//! transactions and share groups.

use super::code;
use crate::dialect::kafka::wire::message::find_coordinator::{Coordinator, FindCoordinatorRequest, FindCoordinatorResponse};

const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;

/// Where clients reach this broker.
#[derive(Debug, Clone)]
pub struct Node {
    /// The broker's id.
    pub id: i32,
    /// As advertised.
    pub host: String,
    /// As advertised.
    pub port: u16,
}

/// Answers a request of `version`.
pub fn find_coordinator(node: &Node, version: i16, request: FindCoordinatorRequest) -> FindCoordinatorResponse {
    if version >= 4 {
        let answer = |key| coordinator(node, request.key_type, key);
        let coordinators = request.coordinator_keys.into_iter().map(answer).collect();
        return FindCoordinatorResponse { coordinators, ..FindCoordinatorResponse::default() };
    }
    let Coordinator { node_id, host, port, error_code, error_message, .. } = coordinator(node, request.key_type, request.key);
    FindCoordinatorResponse { node_id, host, port, error_code, error_message, ..FindCoordinatorResponse::default() }
}

fn coordinator(node: &Node, key_type: i8, key: String) -> Coordinator {
    let (error_code, why) = match key_type {
        GROUP if key.is_empty() => (code::INVALID_GROUP_ID, "the group id is empty"),
        GROUP => {
            let (host, port) = (node.host.clone(), i32::from(node.port));
            return Coordinator { key, node_id: node.id, host, port, error_code: code::NONE, error_message: None };
        }
        TRANSACTION => (code::UNSUPPORTED_VERSION, "transactions are not supported"),
        _ => (code::INVALID_REQUEST, "there is no coordinator of this type"),
    };
    Coordinator { key, node_id: -1, host: String::new(), port: -1, error_code, error_message: Some(why.to_owned()) }
}
