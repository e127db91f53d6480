//! ListGroups (API key 16), versions 0 to 5. 4: filter by state (KIP-518). 5: filter by type (KIP-848); all are "classic".

use crate::delivery::group::{GroupListing, State};
use crate::dialect::kafka::call::Call;
use crate::dialect::kafka::wire::message::list_groups::{ListGroupsRequest, ListGroupsResponse, ListedGroup};
use crate::log::Barrier;

const TYPE: &str = "classic";

pub fn handle(call: &Call, request: ListGroupsRequest) -> (ListGroupsResponse, Barrier) {
    let ListGroupsRequest { states_filter, types_filter } = request;
    let wanted = |filter: &[String], what: &str| filter.is_empty() || filter.iter().any(|f| f.eq_ignore_ascii_case(what));
    let mut response = ListGroupsResponse::default();
    if !wanted(&types_filter, TYPE) {
        return (response, Barrier::NONE);
    }
    let of_state = |g: &GroupListing| wanted(&states_filter, state_name(g.state));
    let listed = call.groups().list().into_iter().filter(of_state).map(|g| ListedGroup {
        group_id: g.name.to_string(),
        protocol_type: g.kind.to_string(),
        group_state: state_name(g.state).to_owned(),
        group_type: TYPE.to_owned(),
    });
    response.groups = listed.collect();
    (response, Barrier::NONE)
}

/// As Kafka writes it.
pub(super) fn state_name(state: State) -> &'static str {
    match state {
        State::Empty => "Empty",
        State::PreparingRebalance => "PreparingRebalance",
        State::CompletingRebalance => "CompletingRebalance",
        State::Stable => "Stable",
        State::Dead => "Dead",
    }
}
