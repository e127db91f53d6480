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
        let users = || Arc::clone(&users);
        let (kafka, amqp) = (settings::kafka(config), settings::amqp(config));
        Ok(Self {
            kafka: Kafka::open(delivery.clone(), groups.clone(), kafka, users(), telemetry.dialect("kafka"))?,
            amqp: Amqp::open(delivery.clone(), amqp, users(), telemetry.dialect("amqp"))?,
            redis: Redis::new(delivery.clone(), settings::redis(config), users(), telemetry.dialect("redis")),
        })
    }
}
