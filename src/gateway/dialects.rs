//! The dialects, built from their sections of the configuration. A new dialect is a folder of its own and a field here.

use std::sync::Arc;

use super::{GatewayError, settings};
use crate::config::Config;
use crate::delivery::Delivery;
use crate::delivery::group::Groups;
use crate::dialect::amqp::Amqp;
use crate::dialect::kafka::Kafka;
use crate::dialect::redis::Redis;
use crate::security::{Authenticator, Users};
use crate::telemetry::Telemetry;

/// Every dialect, ready to serve.
pub(super) struct Dialects {
    pub(super) kafka: Kafka,
    pub(super) amqp: Amqp,
    pub(super) redis: Redis,
}

impl Dialects {
    pub(super) fn open(
        config: &Config,
        delivery: &Delivery,
        groups: &Groups,
        telemetry: &Telemetry,
    ) -> Result<Self, GatewayError> {
        let users: Arc<dyn Authenticator> = Arc::new(Users::new(config.security.users.clone())?);
        let parts = || (delivery.clone(), Arc::clone(&users));
        let ((for_kafka, kafka_users), (for_amqp, amqp_users), (for_redis, redis_users)) = (parts(), parts(), parts());
        let kafka_metrics = telemetry.dialect("kafka");
        Ok(Self {
            kafka: Kafka::open(for_kafka, groups.clone(), settings::kafka(config), kafka_users, kafka_metrics)?,
            amqp: Amqp::new(for_amqp, settings::amqp(config), amqp_users, telemetry.dialect("amqp"))?,
            redis: Redis::new(for_redis, settings::redis(config), redis_users, telemetry.dialect("redis")),
        })
    }
}
