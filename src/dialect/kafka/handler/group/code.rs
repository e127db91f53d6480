//! What groups answer, as Kafka's error codes.

use crate::delivery::group::{GroupError, OffsetError};

pub(super) const NONE: i16 = 0;
pub(super) const OFFSET_OUT_OF_RANGE: i16 = 1;
pub(super) const UNKNOWN_TOPIC_OR_PARTITION: i16 = 3;
pub(super) const OFFSET_METADATA_TOO_LARGE: i16 = 12;
pub(super) const COORDINATOR_NOT_AVAILABLE: i16 = 15;
pub(super) const ILLEGAL_GENERATION: i16 = 22;
pub(super) const INCONSISTENT_GROUP_PROTOCOL: i16 = 23;
pub(super) const INVALID_GROUP_ID: i16 = 24;
pub(super) const UNKNOWN_MEMBER_ID: i16 = 25;
pub(super) const INVALID_SESSION_TIMEOUT: i16 = 26;
pub(super) const REBALANCE_IN_PROGRESS: i16 = 27;
pub(super) const UNSUPPORTED_VERSION: i16 = 35;
pub(super) const INVALID_REQUEST: i16 = 42;
pub(super) const NON_EMPTY_GROUP: i16 = 68;
pub(super) const GROUP_ID_NOT_FOUND: i16 = 69;
pub(super) const MEMBER_ID_REQUIRED: i16 = 79;
pub(super) const GROUP_MAX_SIZE_REACHED: i16 = 81;
pub(super) const FENCED_INSTANCE_ID: i16 = 82;
pub(super) const GROUP_SUBSCRIBED_TO_TOPIC: i16 = 86;
pub(super) const UNKNOWN_TOPIC_ID: i16 = 100;

/// The code for a refusal of a whole request.
pub(super) fn of_group(error: &GroupError) -> i16 {
    match error {
        GroupError::InvalidName => INVALID_GROUP_ID,
        GroupError::NotFound => GROUP_ID_NOT_FOUND,
        GroupError::UnknownMember => UNKNOWN_MEMBER_ID,
        GroupError::MemberIdRequired(_) => MEMBER_ID_REQUIRED,
        GroupError::Fenced => FENCED_INSTANCE_ID,
        GroupError::StaleEpoch => ILLEGAL_GENERATION,
        GroupError::Rebalancing => REBALANCE_IN_PROGRESS,
        GroupError::Mismatch => INCONSISTENT_GROUP_PROTOCOL,
        GroupError::InvalidSessionTimeout => INVALID_SESSION_TIMEOUT,
        GroupError::Full | GroupError::TooManyGroups => GROUP_MAX_SIZE_REACHED,
        GroupError::NotEmpty => NON_EMPTY_GROUP,
        GroupError::Unavailable => COORDINATOR_NOT_AVAILABLE,
    }
}

/// The code for a whole request that may go well.
pub(super) fn of<T>(result: &Result<T, GroupError>) -> i16 {
    result.as_ref().err().map_or(NONE, of_group)
}

/// The code for one partition.
pub(super) fn of_offset(result: &Result<(), OffsetError>) -> i16 {
    match result {
        Ok(()) => NONE,
        Err(OffsetError::UnknownPartition) => UNKNOWN_TOPIC_OR_PARTITION,
        Err(OffsetError::MetadataTooLarge) => OFFSET_METADATA_TOO_LARGE,
        Err(OffsetError::InUse) => GROUP_SUBSCRIBED_TO_TOPIC,
    }
}
