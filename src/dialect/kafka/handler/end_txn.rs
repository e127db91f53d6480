//! EndTxn (key 26), versions 0 to 4: commits or aborts. Markers in all partitions, offsets and the state of the transaction are one
//! entry of the journal; the answer is good once it is durable. 2 knows PRODUCER_FENCED, 3 is flexible, 4 errors of KIP-890.

use std::sync::Arc;

use super::super::call::Call;
use super::super::error::ErrorCode;
use super::super::mapping::{to_producer, transaction_error};
use super::super::wire::message::end_txn::{EndTxnRequest, EndTxnResponse};
use crate::log::Barrier;
use crate::log::record::Outcome;

pub fn handle(call: &Call, request: EndTxnRequest) -> (EndTxnResponse, Barrier) {
    let outcome = if request.committed { Outcome::Commit } else { Outcome::Abort };
    let producer = to_producer(request.producer_id, request.producer_epoch);
    let ended = call.groups().end_transaction(&Arc::from(request.transactional_id), producer, outcome);
    let (error, barrier) = match ended {
        Ok(barrier) => (ErrorCode::None, barrier),
        Err(error) => (transaction_error(&error, call.version() >= 2), Barrier::NONE),
    };
    (EndTxnResponse { error_code: error.code(), ..EndTxnResponse::default() }, barrier)
}
