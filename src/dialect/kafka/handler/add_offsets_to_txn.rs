//! AddOffsetsToTxn (key 25), versions 0 to 4: the transaction is to commit offsets of a group. It only begins the transaction:
//! which offsets of which group follows in TxnOffsetCommit. 2 knows PRODUCER_FENCED, 3 is flexible, 4 errors of KIP-890.

use std::sync::Arc;

use super::super::call::Call;
use super::super::error::ErrorCode;
use super::super::mapping::{to_producer, transaction_error};
use super::super::wire::message::add_offsets_to_txn::{AddOffsetsToTxnRequest, AddOffsetsToTxnResponse};
use crate::log::Barrier;

pub fn handle(call: &Call, request: AddOffsetsToTxnRequest) -> (AddOffsetsToTxnResponse, Barrier) {
    let answer = |error_code| AddOffsetsToTxnResponse { error_code, ..AddOffsetsToTxnResponse::default() };
    if request.group_id.is_empty() {
        return (answer(ErrorCode::InvalidGroupId.code()), Barrier::NONE);
    }
    let mut unit = match call.delivery().begin() {
        Ok(unit) => unit,
        Err(refused) => return (answer(ErrorCode::from(&refused).code()), Barrier::NONE),
    };
    let producer = to_producer(request.producer_id, request.producer_epoch);
    let added = unit.add_to_transaction(&Arc::from(request.transactional_id), producer, Vec::new());
    let error = added.map_or_else(|error| transaction_error(&error, call.version() >= 2), |()| ErrorCode::None);
    let seen = unit.seen();
    (answer(error.code()), unit.commit().and(seen))
}
