//! DescribeCluster (API key 60), versions 0 to 2, flexible from 0: what both sides send.
//! Written by `scripts/generate-kafka-messages.py` from Kafka's message definitions; do not edit.

use crate::dialect::kafka::wire::{Fields, Message, Source, WireError, Writer};

#[derive(Debug, Clone, PartialEq)]
pub struct DescribeClusterRequest {
    pub include_cluster_authorized_operations: bool,
    /// Versions 1+.
    pub endpoint_type: i8,
    /// Versions 2+.
    pub include_fenced_brokers: bool,
}

impl Default for DescribeClusterRequest {
    fn default() -> Self {
        Self { include_cluster_authorized_operations: false, endpoint_type: 1, include_fenced_brokers: false }
    }
}

impl Fields for DescribeClusterRequest {
    fn decode<S: Source>(s: &mut S, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.include_cluster_authorized_operations = s.bool()?;
        if version >= 1 {
            m.endpoint_type = s.i8()?;
        }
        if version >= 2 {
            m.include_fenced_brokers = s.bool()?;
        }
        s.tagged(&[], |_, _| Ok(false))?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, version: i16) {
        w.bool(self.include_cluster_authorized_operations);
        if version >= 1 {
            w.i8(self.endpoint_type);
        }
        if version >= 2 {
            w.bool(self.include_fenced_brokers);
        }
        w.no_tags();
    }
}

impl Message for DescribeClusterRequest {
    const KEY: i16 = 60;
    const NAME: &'static str = "DescribeClusterRequest";
    const MIN: i16 = 0;
    const MAX: i16 = 2;
    const FLEXIBLE: i16 = 0;
}

#[derive(Debug, Clone, PartialEq)]
pub struct DescribeClusterResponse {
    pub throttle_time_ms: i32,
    pub error_code: i16,
    /// May be null.
    pub error_message: Option<String>,
    /// Versions 1+.
    pub endpoint_type: i8,
    pub cluster_id: String,
    pub controller_id: i32,
    pub brokers: Vec<DescribeClusterBroker>,
    pub cluster_authorized_operations: i32,
}

impl Default for DescribeClusterResponse {
    fn default() -> Self {
        Self {
            throttle_time_ms: 0,
            error_code: 0,
            error_message: None,
            endpoint_type: 1,
            cluster_id: String::new(),
            controller_id: -1,
            brokers: Default::default(),
            cluster_authorized_operations: -2147483648,
        }
    }
}

impl Fields for DescribeClusterResponse {
    fn decode<S: Source>(s: &mut S, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.throttle_time_ms = s.i32()?;
        m.error_code = s.i16()?;
        m.error_message = s.nullable_string()?;
        if version >= 1 {
            m.endpoint_type = s.i8()?;
        }
        m.cluster_id = s.string()?;
        m.controller_id = s.i32()?;
        m.brokers = s.array(|s| DescribeClusterBroker::decode(s, version))?;
        m.cluster_authorized_operations = s.i32()?;
        s.tagged(&[], |_, _| Ok(false))?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, version: i16) {
        w.i32(self.throttle_time_ms);
        w.i16(self.error_code);
        w.nullable_string(self.error_message.as_deref());
        if version >= 1 {
            w.i8(self.endpoint_type);
        }
        w.string(&self.cluster_id);
        w.i32(self.controller_id);
        w.array(&self.brokers, |w, item| item.encode(w, version));
        w.i32(self.cluster_authorized_operations);
        w.no_tags();
    }
}

impl Message for DescribeClusterResponse {
    const KEY: i16 = 60;
    const NAME: &'static str = "DescribeClusterResponse";
    const MIN: i16 = 0;
    const MAX: i16 = 2;
    const FLEXIBLE: i16 = 0;
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct DescribeClusterBroker {
    pub broker_id: i32,
    pub host: String,
    pub port: i32,
    /// May be null.
    pub rack: Option<String>,
    /// Versions 2+.
    pub is_fenced: bool,
}

impl Fields for DescribeClusterBroker {
    fn decode<S: Source>(s: &mut S, version: i16) -> Result<Self, WireError> {
        let mut m = Self::default();
        m.broker_id = s.i32()?;
        m.host = s.string()?;
        m.port = s.i32()?;
        m.rack = s.nullable_string()?;
        if version >= 2 {
            m.is_fenced = s.bool()?;
        }
        s.tagged(&[], |_, _| Ok(false))?;
        Ok(m)
    }
    fn encode(&self, w: &mut Writer<'_>, version: i16) {
        w.i32(self.broker_id);
        w.string(&self.host);
        w.i32(self.port);
        w.nullable_string(self.rack.as_deref());
        if version >= 2 {
            w.bool(self.is_fenced);
        }
        w.no_tags();
    }
}
