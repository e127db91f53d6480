//! ListGroups (API key 16), versions 0 to 5. 4: filter by state (KIP-518). 5: filter by type (KIP-848).

use crate::delivery::group::{GroupKind, GroupListing, State};
use crate::dialect::kafka::call::Call;
use crate::dialect::kafka::wire::message::list_groups::{ListGroupsRequest, ListGroupsResponse, ListedGroup};
use crate::log::Barrier;

pub fn handle(call: &Call, request: ListGroupsRequest) -> (ListGroupsResponse, Barrier) {
    let ListGroupsRequest { states_filter, types_filter } = request;
    let passes = |filter: &[String], what: &str| filter.is_empty() || filter.iter().any(|f| f.eq_ignore_ascii_case(what));
    let is_wanted = |g: &GroupListing| passes(&states_filter, state_name(g.state)) && passes(&types_filter, type_name(g.kind));
    let listed = call.groups().list().into_iter().filter(is_wanted).map(|g| ListedGroup {
        protocol_type: protocol_type(&g).to_owned(),
        group_id: g.name.to_string(),
        group_state: state_name(g.state).to_owned(),
        group_type: type_name(g.kind).to_owned(),
    });
    (ListGroupsResponse { groups: listed.collect(), ..ListGroupsResponse::default() }, Barrier::NONE)
}

/// As Kafka writes it.
pub(super) fn state_name(state: State) -> &'static str {
    match state {
        State::Empty => "Empty",
        State::Assigning => "Assigning",
        State::Reconciling => "Reconciling",
        State::PreparingRebalance => "PreparingRebalance",
        State::CompletingRebalance => "CompletingRebalance",
        State::Stable => "Stable",
        State::Dead => "Dead",
    }
}

fn type_name(kind: GroupKind) -> &'static str {
    match kind {
        GroupKind::Led => "classic",
        GroupKind::Managed => "consumer",
        GroupKind::Shared => "share",
    }
}

fn protocol_type(group: &GroupListing) -> &str {
    match group.kind {
        GroupKind::Led => &group.work,
        GroupKind::Managed | GroupKind::Shared => type_name(group.kind),
    }
}
