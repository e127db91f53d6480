//! Kafka's error codes, and which of them each error of the layers below becomes. Every mapping is a `match` without a
//! wildcard: a new error below has to find its code here before it compiles.

use crate::delivery::ProduceError;
use crate::delivery::group::{GroupError, OffsetError, TransactionalCommitError};
use crate::delivery::transaction::TransactionError;
use crate::log::record::BatchError;
use crate::log::{ReadError, Refused, SequenceError, TopicError};

/// The error codes that the gateway sends, with Kafka's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i16)]
pub enum ErrorCode {
    None = 0,
    OffsetOutOfRange = 1,
    CorruptMessage = 2,
    UnknownTopicOrPartition = 3,
    NotLeaderOrFollower = 6,
    RequestTimedOut = 7,
    MessageTooLarge = 10,
    OffsetMetadataTooLarge = 12,
    CoordinatorNotAvailable = 15,
    InvalidTopicException = 17,
    InvalidRequiredAcks = 21,
    IllegalGeneration = 22,
    InconsistentGroupProtocol = 23,
    InvalidGroupId = 24,
    UnknownMemberId = 25,
    InvalidSessionTimeout = 26,
    RebalanceInProgress = 27,
    UnsupportedSaslMechanism = 33,
    IllegalSaslState = 34,
    UnsupportedVersion = 35,
    TopicAlreadyExists = 36,
    InvalidPartitions = 37,
    InvalidReplicationFactor = 38,
    InvalidReplicaAssignment = 39,
    InvalidConfig = 40,
    InvalidRequest = 42,
    PolicyViolation = 44,
    OutOfOrderSequenceNumber = 45,
    DuplicateSequenceNumber = 46,
    InvalidProducerEpoch = 47,
    InvalidTxnState = 48,
    InvalidProducerIdMapping = 49,
    InvalidTransactionTimeout = 50,
    OperationNotAttempted = 55,
    KafkaStorageError = 56,
    SaslAuthenticationFailed = 58,
    NonEmptyGroup = 68,
    GroupIdNotFound = 69,
    FetchSessionIdNotFound = 70,
    UnknownLeaderEpoch = 75,
    UnsupportedCompressionType = 76,
    MemberIdRequired = 79,
    GroupMaxSizeReached = 81,
    FencedInstanceId = 82,
    GroupSubscribedToTopic = 86,
    InvalidRecord = 87,
    UnstableOffsetCommit = 88,
    ProducerFenced = 90,
    UnknownTopicId = 100,
    TransactionalIdNotFound = 105,
    FencedMemberEpoch = 110,
    UnreleasedInstanceId = 111,
    UnsupportedAssignor = 112,
    StaleMemberEpoch = 113,
    MismatchedEndpointType = 114,
    UnsupportedEndpointType = 115,
    InvalidRegularExpression = 128,
}

impl ErrorCode {
    /// The number on the wire.
    pub fn code(self) -> i16 {
        self as i16
    }

    /// The number for what may have gone well.
    pub fn of<T, E>(result: &Result<T, E>) -> i16
    where
        for<'a> Self: From<&'a E>,
    {
        result.as_ref().err().map_or(Self::None, Self::from).code()
    }
}

impl From<&ProduceError> for ErrorCode {
    fn from(error: &ProduceError) -> Self {
        match error {
            ProduceError::Invalid(error) => error.into(),
            ProduceError::TooLarge { .. } => Self::MessageTooLarge,
            ProduceError::Sequence(SequenceError::Gap { .. }) => Self::OutOfOrderSequenceNumber,
            ProduceError::Sequence(SequenceError::Old(_)) => Self::DuplicateSequenceNumber,
            ProduceError::Sequence(SequenceError::Fenced { .. }) => Self::InvalidProducerEpoch,
            ProduceError::Sequence(SequenceError::OutsideTransaction) => Self::InvalidTxnState,
            // What Kafka answers to a batch; it has another code for requests about the transaction itself.
            ProduceError::Transaction(TransactionError::Fenced) => Self::InvalidProducerEpoch,
            ProduceError::Transaction(error) => error.into(),
            ProduceError::UnknownPartition => Self::UnknownTopicOrPartition,
            ProduceError::KeyMissing => Self::InvalidRecord,
        }
    }
}

impl From<&GroupError> for ErrorCode {
    fn from(error: &GroupError) -> Self {
        match error {
            GroupError::InvalidName => Self::InvalidGroupId,
            GroupError::NotFound => Self::GroupIdNotFound,
            GroupError::UnknownMember => Self::UnknownMemberId,
            GroupError::MemberIdRequired(_) => Self::MemberIdRequired,
            GroupError::Fenced => Self::FencedInstanceId,
            GroupError::StaleEpoch => Self::IllegalGeneration,
            GroupError::Rebalancing => Self::RebalanceInProgress,
            GroupError::Mismatch => Self::InconsistentGroupProtocol,
            GroupError::InvalidSessionTimeout => Self::InvalidSessionTimeout,
            GroupError::Full | GroupError::TooManyGroups => Self::GroupMaxSizeReached,
            GroupError::NotEmpty => Self::NonEmptyGroup,
            GroupError::FencedEpoch => Self::FencedMemberEpoch,
            GroupError::Unreleased => Self::UnreleasedInstanceId,
            GroupError::UnknownAssignor => Self::UnsupportedAssignor,
            GroupError::StaleMember => Self::StaleMemberEpoch,
            GroupError::InvalidPattern => Self::InvalidRegularExpression,
            GroupError::TooLong => Self::InvalidRequest,
            GroupError::Unavailable => Self::CoordinatorNotAvailable,
        }
    }
}

impl From<&TransactionError> for ErrorCode {
    fn from(error: &TransactionError) -> Self {
        match error {
            TransactionError::InvalidName => Self::InvalidRequest,
            TransactionError::NotFound => Self::TransactionalIdNotFound,
            TransactionError::UnknownProducer => Self::InvalidProducerIdMapping,
            TransactionError::Fenced => Self::ProducerFenced,
            TransactionError::InvalidState => Self::InvalidTxnState,
            TransactionError::InvalidTimeout => Self::InvalidTransactionTimeout,
            TransactionError::TooMany => Self::PolicyViolation,
            TransactionError::Unavailable => Self::CoordinatorNotAvailable,
        }
    }
}

impl From<&TransactionalCommitError> for ErrorCode {
    fn from(error: &TransactionalCommitError) -> Self {
        match error {
            TransactionalCommitError::Group(error) => error.into(),
            TransactionalCommitError::Transaction(TransactionError::Fenced) => Self::InvalidProducerEpoch,
            TransactionalCommitError::Transaction(error) => error.into(),
        }
    }
}

impl From<&OffsetError> for ErrorCode {
    fn from(error: &OffsetError) -> Self {
        match error {
            OffsetError::UnknownPartition => Self::UnknownTopicOrPartition,
            OffsetError::MetadataTooLarge => Self::OffsetMetadataTooLarge,
            OffsetError::InUse => Self::GroupSubscribedToTopic,
        }
    }
}

impl From<&BatchError> for ErrorCode {
    fn from(error: &BatchError) -> Self {
        match error {
            BatchError::Checksum { .. } | BatchError::Truncated { .. } => Self::CorruptMessage,
            BatchError::TooLarge { .. } => Self::MessageTooLarge,
            BatchError::UnknownCompression(_) => Self::UnsupportedCompressionType,
            BatchError::Magic(_) => Self::UnsupportedVersion,
            BatchError::Trailing(_)
            | BatchError::Length(_)
            | BatchError::Count
            | BatchError::Decompress(_)
            | BatchError::Record(_) => Self::InvalidRecord,
        }
    }
}

impl From<&Refused> for ErrorCode {
    fn from(refused: &Refused) -> Self {
        match refused {
            Refused::Poisoned(_) | Refused::DiskFull => Self::KafkaStorageError,
            Refused::TooLarge { .. } => Self::MessageTooLarge,
            Refused::ShuttingDown => Self::NotLeaderOrFollower,
        }
    }
}

impl From<&ReadError> for ErrorCode {
    fn from(error: &ReadError) -> Self {
        match error {
            ReadError::OutOfRange { .. } => Self::OffsetOutOfRange,
            ReadError::Corrupt { .. } | ReadError::Io(_) => Self::KafkaStorageError,
        }
    }
}

impl From<&TopicError> for ErrorCode {
    fn from(error: &TopicError) -> Self {
        match error {
            TopicError::Exists => Self::TopicAlreadyExists,
            TopicError::Unknown => Self::UnknownTopicOrPartition,
            TopicError::InvalidName => Self::InvalidTopicException,
            TopicError::InvalidPartitions => Self::InvalidPartitions,
            TopicError::TooMany => Self::PolicyViolation,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::ErrorCode;
    use kafka_protocol::ResponseError;

    #[test]
    fn numbers_are_those_of_kafka() {
        let same = [
            (ErrorCode::OffsetOutOfRange, ResponseError::OffsetOutOfRange),
            (ErrorCode::NotLeaderOrFollower, ResponseError::NotLeaderOrFollower),
            (ErrorCode::MessageTooLarge, ResponseError::MessageTooLarge),
            (ErrorCode::OffsetMetadataTooLarge, ResponseError::OffsetMetadataTooLarge),
            (ErrorCode::CoordinatorNotAvailable, ResponseError::CoordinatorNotAvailable),
            (ErrorCode::InvalidTopicException, ResponseError::InvalidTopicException),
            (ErrorCode::InvalidRequiredAcks, ResponseError::InvalidRequiredAcks),
            (ErrorCode::InconsistentGroupProtocol, ResponseError::InconsistentGroupProtocol),
            (ErrorCode::RebalanceInProgress, ResponseError::RebalanceInProgress),
            (ErrorCode::UnsupportedSaslMechanism, ResponseError::UnsupportedSaslMechanism),
            (ErrorCode::IllegalSaslState, ResponseError::IllegalSaslState),
            (ErrorCode::UnsupportedVersion, ResponseError::UnsupportedVersion),
            (ErrorCode::TopicAlreadyExists, ResponseError::TopicAlreadyExists),
            (ErrorCode::InvalidPartitions, ResponseError::InvalidPartitions),
            (ErrorCode::InvalidReplicationFactor, ResponseError::InvalidReplicationFactor),
            (ErrorCode::InvalidReplicaAssignment, ResponseError::InvalidReplicaAssignment),
            (ErrorCode::InvalidConfig, ResponseError::InvalidConfig),
            (ErrorCode::InvalidRequest, ResponseError::InvalidRequest),
            (ErrorCode::PolicyViolation, ResponseError::PolicyViolation),
            (ErrorCode::RequestTimedOut, ResponseError::RequestTimedOut),
            (ErrorCode::OutOfOrderSequenceNumber, ResponseError::OutOfOrderSequenceNumber),
            (ErrorCode::DuplicateSequenceNumber, ResponseError::DuplicateSequenceNumber),
            (ErrorCode::InvalidProducerEpoch, ResponseError::InvalidProducerEpoch),
            (ErrorCode::InvalidTxnState, ResponseError::InvalidTxnState),
            (ErrorCode::InvalidProducerIdMapping, ResponseError::InvalidProducerIdMapping),
            (ErrorCode::InvalidTransactionTimeout, ResponseError::InvalidTransactionTimeout),
            (ErrorCode::OperationNotAttempted, ResponseError::OperationNotAttempted),
            (ErrorCode::UnstableOffsetCommit, ResponseError::UnstableOffsetCommit),
            (ErrorCode::ProducerFenced, ResponseError::ProducerFenced),
            (ErrorCode::TransactionalIdNotFound, ResponseError::TransactionalIdNotFound),
            (ErrorCode::KafkaStorageError, ResponseError::KafkaStorageError),
            (ErrorCode::SaslAuthenticationFailed, ResponseError::SaslAuthenticationFailed),
            (ErrorCode::NonEmptyGroup, ResponseError::NonEmptyGroup),
            (ErrorCode::GroupIdNotFound, ResponseError::GroupIdNotFound),
            (ErrorCode::FetchSessionIdNotFound, ResponseError::FetchSessionIdNotFound),
            (ErrorCode::UnknownLeaderEpoch, ResponseError::UnknownLeaderEpoch),
            (ErrorCode::UnsupportedCompressionType, ResponseError::UnsupportedCompressionType),
            (ErrorCode::MemberIdRequired, ResponseError::MemberIdRequired),
            (ErrorCode::GroupMaxSizeReached, ResponseError::GroupMaxSizeReached),
            (ErrorCode::FencedInstanceId, ResponseError::FencedInstanceId),
            (ErrorCode::GroupSubscribedToTopic, ResponseError::GroupSubscribedToTopic),
            (ErrorCode::InvalidRecord, ResponseError::InvalidRecord),
            (ErrorCode::UnknownTopicId, ResponseError::UnknownTopicId),
            (ErrorCode::FencedMemberEpoch, ResponseError::FencedMemberEpoch),
            (ErrorCode::UnreleasedInstanceId, ResponseError::UnreleasedInstanceId),
            (ErrorCode::UnsupportedAssignor, ResponseError::UnsupportedAssignor),
            (ErrorCode::StaleMemberEpoch, ResponseError::StaleMemberEpoch),
            (ErrorCode::MismatchedEndpointType, ResponseError::MismatchedEndpointType),
            (ErrorCode::UnsupportedEndpointType, ResponseError::UnsupportedEndpointType),
        ];
        for (ours, theirs) in same {
            assert_eq!(ours.code(), theirs.code(), "{ours:?}");
        }
    }
}
