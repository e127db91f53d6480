//! DescribeCluster (key 60), versions 0 to 2: the one broker, which is its own controller.
//! 1 asks for brokers or controllers (KIP-919), 2 adds fenced brokers.

use super::super::NODE_ID;
use super::super::call::Call;
use super::super::error::ErrorCode;
use super::super::wire::message::describe_cluster::{DescribeClusterBroker, DescribeClusterRequest, DescribeClusterResponse};
use crate::log::Barrier;

const ENDPOINT_BROKERS: i8 = 1;
const ENDPOINT_CONTROLLERS: i8 = 2;

pub fn handle(call: &Call, request: DescribeClusterRequest) -> (DescribeClusterResponse, Barrier) {
    let error = match request.endpoint_type {
        ENDPOINT_BROKERS => ErrorCode::None,
        ENDPOINT_CONTROLLERS => ErrorCode::MismatchedEndpointType,
        _ => ErrorCode::UnsupportedEndpointType,
    };
    let mut response = DescribeClusterResponse {
        error_code: error.code(),
        endpoint_type: request.endpoint_type,
        cluster_id: call.kafka().cluster_id.clone(),
        ..DescribeClusterResponse::default()
    };
    if error == ErrorCode::None {
        let (host, port) = call.advertised();
        response.controller_id = NODE_ID;
        response.brokers = vec![DescribeClusterBroker { broker_id: NODE_ID, host, port, rack: None, is_fenced: false }];
    } else {
        response.error_message = Some("this address is that of a broker".to_owned());
    }
    (response, Barrier::NONE)
}
