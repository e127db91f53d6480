//! AlterConfigs (key 33), versions 0 to 2: replaces all keys of a topic; what is not named goes back to its default.
//! 2 is flexible. Newer clients use IncrementalAlterConfigs.

use super::super::call::Call;
use super::super::error::ErrorCode;
use super::super::wire::message::alter_configs::{AlterConfigsRequest, AlterConfigsResourceResponse, AlterConfigsResponse};
use super::incremental_alter_configs::{Base, change_topic};
use crate::delivery::Unit;
use crate::log::Barrier;

pub fn handle(call: &Call, request: AlterConfigsRequest) -> (AlterConfigsResponse, Barrier) {
    let mut unit = call.delivery().begin();
    let mut responses = Vec::with_capacity(request.resources.len());
    for resource in request.resources {
        let changes: Vec<_> = resource.configs.iter().map(|config| (config.name.as_str(), config.value.as_deref())).collect();
        let target = (resource.resource_type, resource.resource_name.as_str());
        let altered = match &mut unit {
            Ok(unit) => change_topic(call, unit, target, &changes, Base::Defaults, request.validate_only),
            Err(refused) => Err(((&*refused).into(), refused.to_string())),
        };
        let (error, error_message) = altered.err().map_or((ErrorCode::None, None), |(error, message)| (error, Some(message)));
        responses.push(AlterConfigsResourceResponse {
            error_code: error.code(),
            error_message,
            resource_type: resource.resource_type,
            resource_name: resource.resource_name,
        });
    }
    let after = unit.map_or(Barrier::NONE, Unit::commit);
    (AlterConfigsResponse { responses, ..AlterConfigsResponse::default() }, after)
}
