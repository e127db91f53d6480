//! FindCoordinator (API key 10), versions 0 to 6. 1: transactions can be asked for. 4: several keys at once (KIP-699).
//! 5: transaction errors of KIP-890. 6: share groups. The coordinator of every group and transaction is this broker; there is
//! none for share groups.

use crate::dialect::kafka::NODE_ID;
use crate::dialect::kafka::call::Call;
use crate::dialect::kafka::error::ErrorCode;
use crate::dialect::kafka::wire::message::find_coordinator::{Coordinator, FindCoordinatorRequest, FindCoordinatorResponse};
use crate::log::Barrier;

const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;

pub fn handle(call: &Call, request: FindCoordinatorRequest) -> (FindCoordinatorResponse, Barrier) {
    if call.version() >= 4 {
        let answer = |key| coordinator(call, request.key_type, key);
        let coordinators = request.coordinator_keys.into_iter().map(answer).collect();
        return (FindCoordinatorResponse { coordinators, ..FindCoordinatorResponse::default() }, Barrier::NONE);
    }
    let Coordinator { node_id, host, port, error_code, error_message, .. } = coordinator(call, request.key_type, request.key);
    (
        FindCoordinatorResponse { node_id, host, port, error_code, error_message, ..FindCoordinatorResponse::default() },
        Barrier::NONE,
    )
}

fn coordinator(call: &Call, key_type: i8, key: String) -> Coordinator {
    let (error, why) = match key_type {
        GROUP if key.is_empty() => (ErrorCode::InvalidGroupId, "the group id is empty"),
        TRANSACTION if key.is_empty() => (ErrorCode::InvalidRequest, "the transactional id is empty"),
        GROUP | TRANSACTION => {
            let (host, port) = call.advertised();
            let error_code = ErrorCode::None.code();
            return Coordinator { key, node_id: NODE_ID, host, port, error_code, error_message: None };
        }
        _ => (ErrorCode::InvalidRequest, "there is no coordinator of this type"),
    };
    Coordinator { key, node_id: -1, host: String::new(), port: -1, error_code: error.code(), error_message: Some(why.to_owned()) }
}
