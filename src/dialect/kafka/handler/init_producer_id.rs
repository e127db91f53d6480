//! InitProducerId (key 22), versions 0 to 5: an id for an idempotent producer (KIP-98). 2 is flexible, 3 may name the id
//! that the producer has (KIP-360); it gets a new one, because without transactions nothing hangs on the old.
//! Transactions are not supported: a request with a transactional id says so.

use super::super::call::Call;
use super::super::error::ErrorCode;
use super::super::wire::message::init_producer_id::{InitProducerIdRequest, InitProducerIdResponse};
use crate::log::Barrier;

pub fn handle(call: &Call, request: InitProducerIdRequest) -> (InitProducerIdResponse, Barrier) {
    let refusal = |error: ErrorCode| InitProducerIdResponse {
        error_code: error.code(),
        producer_id: -1,
        producer_epoch: -1,
        ..InitProducerIdResponse::default()
    };
    if request.transactional_id.is_some() {
        return (refusal(ErrorCode::UnsupportedVersion), Barrier::NONE);
    }
    match call.delivery().begin() {
        Ok(mut unit) => {
            let producer_id = unit.next_producer_id();
            (InitProducerIdResponse { producer_id, producer_epoch: 0, ..InitProducerIdResponse::default() }, unit.commit())
        }
        Err(refused) => (refusal((&refused).into()), Barrier::NONE),
    }
}
