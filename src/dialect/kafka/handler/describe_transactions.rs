//! DescribeTransactions (key 65), version 0: what transactional ids are doing (KIP-664).

use std::collections::BTreeMap;

use super::super::call::Call;
use super::super::error::ErrorCode;
use super::super::mapping::{state_name, wire_count};
use super::super::wire::message::describe_transactions::{
    DescribeTransactionsRequest, DescribeTransactionsResponse, TopicData, TransactionState,
};
use crate::delivery::transaction::Transaction;
use crate::log::{Barrier, Log};

pub fn handle(call: &Call, request: DescribeTransactionsRequest) -> (DescribeTransactionsResponse, Barrier) {
    let unit = call.delivery().begin();
    let describe = |name: String| {
        let found = match &unit {
            Ok(unit) => unit.transaction(&name).map_err(|error| ErrorCode::from(&error)),
            Err(refused) => Err(refused.into()),
        };
        match found {
            Ok(transaction) => describe(call.log(), name, &transaction),
            Err(error) => TransactionState {
                error_code: error.code(),
                transactional_id: name,
                transaction_timeout_ms: -1,
                transaction_start_time_ms: -1,
                producer_id: -1,
                producer_epoch: -1,
                ..TransactionState::default()
            },
        }
    };
    let transaction_states = request.transactional_ids.into_iter().map(describe).collect();
    let seen = unit.as_ref().map_or(Barrier::NONE, |unit| unit.seen());
    (DescribeTransactionsResponse { transaction_states, ..DescribeTransactionsResponse::default() }, seen)
}

fn describe(log: &Log, name: String, transaction: &Transaction) -> TransactionState {
    let mut topics: BTreeMap<String, Vec<i32>> = BTreeMap::new();
    for (id, partition) in transaction.partitions() {
        if let Some(topic) = log.topic_by_id(id).as_ref().and_then(|topic| topic.name().as_str()) {
            topics.entry(topic.to_owned()).or_default().push(wire_count(partition));
        }
    }
    let topics = topics.into_iter().map(|(topic, partitions)| TopicData { topic, partitions });
    TransactionState {
        error_code: ErrorCode::None.code(),
        transactional_id: name,
        transaction_state: state_name(transaction.state()).to_owned(),
        transaction_timeout_ms: i32::try_from(transaction.timeout_ms()).unwrap_or(i32::MAX),
        transaction_start_time_ms: transaction.started_ms().unwrap_or(-1),
        producer_id: transaction.producer().id,
        producer_epoch: transaction.producer().epoch,
        topics: topics.collect(),
    }
}
