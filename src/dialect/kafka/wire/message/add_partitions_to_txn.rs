//! AddPartitionsToTxn (API key 24), versions 0 to 5, flexible from 3: what both sides send.
//! Written by `scripts/generate-kafka-messages.py` from Kafka's message definitions; do not edit.

use crate::dialect::kafka::wire::{Fields, Message, Source, WireError, Writer};

#[derive(Debug, Clone, PartialEq, Default)]
pub struct AddPartitionsToTxnRequest {
    /// Versions 4+.
    pub transactions: Vec<AddPartitionsToTxnTransaction>,
    /// Versions 0 to 3.
    pub v3_and_below_transactional_id: String,
    /// Versions 0 to 3.
    pub v3_and_below_producer_id: i64,
    /// Versions 0 to 3.
    pub v3_and_below_producer_epoch: i16,
    /// Versions 0 to 3.
    pub v3_and_below_topics: Vec<AddPartitionsToTxnTopic>,
}

impl Fields for AddPartitionsToTxnRequest {
    fn decode<S: Source>(s: &mut S, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        if version >= 4 {
            m.transactions = s.array(|s| AddPartitionsToTxnTransaction::decode(s, version))?;
        }
        if version <= 3 {
            m.v3_and_below_transactional_id = s.string()?;
            m.v3_and_below_producer_id = s.i64()?;
            m.v3_and_below_producer_epoch = s.i16()?;
            m.v3_and_below_topics = s.array(|s| AddPartitionsToTxnTopic::decode(s, version))?;
        }
        s.tagged(&[], |_, _| Ok(false))?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, version: i16) {
        if version >= 4 {
            w.array(&self.transactions, |w, item| item.encode(w, version));
        }
        if version <= 3 {
            w.string(&self.v3_and_below_transactional_id);
            w.i64(self.v3_and_below_producer_id);
            w.i16(self.v3_and_below_producer_epoch);
            w.array(&self.v3_and_below_topics, |w, item| item.encode(w, version));
        }
        w.no_tags();
    }
}

impl Message for AddPartitionsToTxnRequest {
    const KEY: i16 = 24;
    const NAME: &'static str = "AddPartitionsToTxnRequest";
    const MIN: i16 = 0;
    const MAX: i16 = 5;
    const FLEXIBLE: i16 = 3;
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct AddPartitionsToTxnTransaction {
    pub transactional_id: String,
    pub producer_id: i64,
    pub producer_epoch: i16,
    pub verify_only: bool,
    pub topics: Vec<AddPartitionsToTxnTopic>,
}

impl Fields for AddPartitionsToTxnTransaction {
    fn decode<S: Source>(s: &mut S, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.transactional_id = s.string()?;
        m.producer_id = s.i64()?;
        m.producer_epoch = s.i16()?;
        m.verify_only = s.bool()?;
        m.topics = s.array(|s| AddPartitionsToTxnTopic::decode(s, version))?;
        s.tagged(&[], |_, _| Ok(false))?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, version: i16) {
        w.string(&self.transactional_id);
        w.i64(self.producer_id);
        w.i16(self.producer_epoch);
        w.bool(self.verify_only);
        w.array(&self.topics, |w, item| item.encode(w, version));
        w.no_tags();
    }
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct AddPartitionsToTxnTopic {
    pub name: String,
    pub partitions: Vec<i32>,
}

impl Fields for AddPartitionsToTxnTopic {
    fn decode<S: Source>(s: &mut S, _version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.name = s.string()?;
        m.partitions = s.array(S::i32)?;
        s.tagged(&[], |_, _| Ok(false))?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, _version: i16) {
        w.string(&self.name);
        w.array(&self.partitions, |w, item| w.i32(*item));
        w.no_tags();
    }
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct AddPartitionsToTxnResponse {
    pub throttle_time_ms: i32,
    /// Versions 4+.
    pub error_code: i16,
    /// Versions 4+.
    pub results_by_transaction: Vec<AddPartitionsToTxnResult>,
    /// Versions 0 to 3.
    pub results_by_topic_v3_and_below: Vec<AddPartitionsToTxnTopicResult>,
}

impl Fields for AddPartitionsToTxnResponse {
    fn decode<S: Source>(s: &mut S, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.throttle_time_ms = s.i32()?;
        if version >= 4 {
            m.error_code = s.i16()?;
            m.results_by_transaction = s.array(|s| AddPartitionsToTxnResult::decode(s, version))?;
        }
        if version <= 3 {
            m.results_by_topic_v3_and_below = s.array(|s| AddPartitionsToTxnTopicResult::decode(s, version))?;
        }
        s.tagged(&[], |_, _| Ok(false))?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, version: i16) {
        w.i32(self.throttle_time_ms);
        if version >= 4 {
            w.i16(self.error_code);
            w.array(&self.results_by_transaction, |w, item| item.encode(w, version));
        }
        if version <= 3 {
            w.array(&self.results_by_topic_v3_and_below, |w, item| item.encode(w, version));
        }
        w.no_tags();
    }
}

impl Message for AddPartitionsToTxnResponse {
    const KEY: i16 = 24;
    const NAME: &'static str = "AddPartitionsToTxnResponse";
    const MIN: i16 = 0;
    const MAX: i16 = 5;
    const FLEXIBLE: i16 = 3;
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct AddPartitionsToTxnResult {
    pub transactional_id: String,
    pub topic_results: Vec<AddPartitionsToTxnTopicResult>,
}

impl Fields for AddPartitionsToTxnResult {
    fn decode<S: Source>(s: &mut S, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.transactional_id = s.string()?;
        m.topic_results = s.array(|s| AddPartitionsToTxnTopicResult::decode(s, version))?;
        s.tagged(&[], |_, _| Ok(false))?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, version: i16) {
        w.string(&self.transactional_id);
        w.array(&self.topic_results, |w, item| item.encode(w, version));
        w.no_tags();
    }
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct AddPartitionsToTxnTopicResult {
    pub name: String,
    pub results_by_partition: Vec<AddPartitionsToTxnPartitionResult>,
}

impl Fields for AddPartitionsToTxnTopicResult {
    fn decode<S: Source>(s: &mut S, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.name = s.string()?;
        m.results_by_partition = s.array(|s| AddPartitionsToTxnPartitionResult::decode(s, version))?;
        s.tagged(&[], |_, _| Ok(false))?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, version: i16) {
        w.string(&self.name);
        w.array(&self.results_by_partition, |w, item| item.encode(w, version));
        w.no_tags();
    }
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct AddPartitionsToTxnPartitionResult {
    pub partition_index: i32,
    pub partition_error_code: i16,
}

impl Fields for AddPartitionsToTxnPartitionResult {
    fn decode<S: Source>(s: &mut S, _version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.partition_index = s.i32()?;
        m.partition_error_code = s.i16()?;
        s.tagged(&[], |_, _| Ok(false))?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, _version: i16) {
        w.i32(self.partition_index);
        w.i16(self.partition_error_code);
        w.no_tags();
    }
}
