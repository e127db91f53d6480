//! ListTransactions (key 66), versions 0 to 1: transactional ids by state and producer (KIP-664), and from 1 on by how long their
//! transaction is open (KIP-994).

use std::time::{SystemTime, UNIX_EPOCH};

use super::super::call::Call;
use super::super::error::ErrorCode;
use super::super::mapping::state_name;
use super::super::wire::message::list_transactions::{ListTransactionsRequest, ListTransactionsResponse, TransactionState};
use crate::delivery::transaction::{State, TransactionListing};
use crate::log::Barrier;

/// All that there are here. Nothing is ever between two of them.
const STATES: [State; 4] = [State::Empty, State::Ongoing, State::CompleteCommit, State::CompleteAbort];
/// States that Kafka has besides: known, and none is ever in them.
const NEVER: [&str; 4] = ["PrepareCommit", "PrepareAbort", "Dead", "PrepareEpochFence"];

pub fn handle(call: &Call, request: ListTransactionsRequest) -> (ListTransactionsResponse, Barrier) {
    let (listed, seen) = match call.delivery().begin() {
        Ok(unit) => (unit.transactions(), unit.seen()),
        Err(refused) => {
            let error_code = ErrorCode::from(&refused).code();
            return (ListTransactionsResponse { error_code, ..ListTransactionsResponse::default() }, Barrier::NONE);
        }
    };
    let ListTransactionsRequest { state_filters, producer_id_filters, duration_filter, .. } = request;
    let is_known = |name: &str| NEVER.contains(&name) || STATES.iter().any(|state| state_name(*state) == name);
    let unknown_state_filters: Vec<_> = state_filters.iter().filter(|name| !is_known(name)).cloned().collect();
    let now_ms = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis()).unwrap_or(i64::MAX);
    let is_wanted = |listing: &TransactionListing| {
        let is_long = listing.started_ms.is_some_and(|started_ms| now_ms.saturating_sub(started_ms) > duration_filter);
        (state_filters.is_empty() || state_filters.iter().any(|name| name == state_name(listing.state)))
            && (producer_id_filters.is_empty() || producer_id_filters.contains(&listing.producer.id))
            && (call.version() < 1 || duration_filter < 0 || is_long)
    };
    let state = |listing: TransactionListing| TransactionState {
        transactional_id: listing.name.to_string(),
        producer_id: listing.producer.id,
        transaction_state: state_name(listing.state).to_owned(),
    };
    let transaction_states = listed.into_iter().filter(is_wanted).map(state).collect();
    (ListTransactionsResponse { unknown_state_filters, transaction_states, ..ListTransactionsResponse::default() }, seen)
}
