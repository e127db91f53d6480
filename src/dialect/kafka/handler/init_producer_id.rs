//! InitProducerId (key 22), versions 0 to 5: an id for an idempotent producer (KIP-98), or the id and a new epoch for the owner of a
//! transactional id, which fences whoever had it before and aborts what he left open. 2 is flexible, 3 may name the id that
//! the producer has (KIP-360), 4 knows PRODUCER_FENCED (KIP-588). Without a transactional id nothing hangs on the old id.

use std::sync::Arc;

use super::super::call::Call;
use super::super::error::ErrorCode;
use super::super::mapping::{to_producer, transaction_error};
use super::super::wire::message::init_producer_id::{InitProducerIdRequest, InitProducerIdResponse};
use crate::delivery::Unit;
use crate::delivery::transaction::Producer;
use crate::log::Barrier;

pub fn handle(call: &Call, request: InitProducerIdRequest) -> (InitProducerIdResponse, Barrier) {
    let mut unit = match call.delivery().begin() {
        Ok(unit) => unit,
        Err(refused) => return (refusal((&refused).into()), Barrier::NONE),
    };
    match begin(&mut unit, call.version(), request) {
        Ok(Producer { id, epoch }) => {
            // Who asks again is told what may not be durable yet.
            let seen = unit.seen();
            let response = InitProducerIdResponse { producer_id: id, producer_epoch: epoch, ..InitProducerIdResponse::default() };
            (response, unit.commit().and(seen))
        }
        Err(error) => (refusal(error), Barrier::NONE),
    }
}

fn begin(unit: &mut Unit<'_>, version: i16, request: InitProducerIdRequest) -> Result<Producer, ErrorCode> {
    let Some(name) = request.transactional_id else { return Ok(to_producer(unit.next_producer_id(), 0)) };
    let known = (request.producer_id >= 0).then(|| to_producer(request.producer_id, request.producer_epoch));
    unit.begin_producer(&Arc::from(name), known, request.transaction_timeout_ms.into())
        .map_err(|error| transaction_error(&error, version >= 4))
}

fn refusal(error: ErrorCode) -> InitProducerIdResponse {
    InitProducerIdResponse { error_code: error.code(), producer_id: -1, producer_epoch: -1, ..InitProducerIdResponse::default() }
}
