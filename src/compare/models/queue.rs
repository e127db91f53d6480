//! Point-to-point over AMQP 0-9-1 (lapin): one durable queue, persistent messages through the default exchange, publisher
//! confirms, manual acknowledgements of a lot at a time. Prefetch is two lots.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use futures_util::StreamExt;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, ConfirmSelectOptions, QueueDeclareOptions,
    QueueDeleteOptions,
};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Confirmation, Connection, ConnectionProperties, Consumer};

use super::{Fault, Model, Receiver, Scope, Sender, within};

const PERSISTENT: u8 = 2;

/// The AMQP queue model.
pub struct Queue {
    scope: Scope,
}

impl Queue {
    async fn connect(&self) -> Result<(Connection, Channel), Fault> {
        let connection =
            within("connecting", Connection::connect(&self.scope.targets.amqp, ConnectionProperties::default())).await?;
        let channel = within("opening a channel", connection.create_channel()).await?;
        Ok((connection, channel))
    }
}

impl Model for Queue {
    type Sender = QueueSender;
    type Receiver = QueueReceiver;

    fn new(scope: Scope) -> Self {
        Self { scope }
    }

    async fn prepare(&self) -> Result<(), Fault> {
        let (connection, channel) = self.connect().await?;
        let declare =
            channel.queue_declare(self.scope.name.as_str().into(), QueueDeclareOptions::durable(), FieldTable::default());
        within("declaring the queue", declare).await?;
        within("closing", connection.close(200, "done".into())).await
    }

    async fn sender(&self, _producer: u32) -> Result<QueueSender, Fault> {
        let (connection, channel) = self.connect().await?;
        within("selecting confirms", channel.confirm_select(ConfirmSelectOptions::default())).await?;
        Ok(QueueSender { channel, queue: self.scope.name.clone(), _connection: connection })
    }

    async fn receiver(&self) -> Result<QueueReceiver, Fault> {
        let (connection, channel) = self.connect().await?;
        let prefetch = u16::try_from(self.scope.tuning.lot * 2).unwrap_or(u16::MAX);
        within("setting the prefetch", channel.basic_qos(prefetch, BasicQosOptions::default())).await?;
        let consume = channel.basic_consume(
            self.scope.name.as_str().into(),
            "".into(),
            BasicConsumeOptions::default(),
            FieldTable::default(),
        );
        let consumer = within("consuming", consume).await?;
        Ok(QueueReceiver { consumer, channel, connection, unsettled: None })
    }

    async fn clean(&self) -> Result<(), Fault> {
        let (connection, channel) = self.connect().await?;
        let delete = channel.queue_delete(self.scope.name.as_str().into(), QueueDeleteOptions::default());
        within("deleting the queue", delete).await?;
        within("closing", connection.close(200, "done".into())).await
    }
}

/// A channel in confirm mode.
pub struct QueueSender {
    channel: Channel,
    queue: String,
    _connection: Connection,
}

impl Sender for QueueSender {
    type Receipt = Pin<Box<dyn Future<Output = Result<(), Fault>> + Send>>;

    async fn submit(&mut self, payload: Vec<u8>) -> Result<Self::Receipt, Fault> {
        let properties = BasicProperties::default().with_delivery_mode(PERSISTENT);
        let publish = self.channel.basic_publish(
            "".into(),
            self.queue.as_str().into(),
            BasicPublishOptions::default(),
            &payload,
            properties,
        );
        let confirm = publish.await?;
        Ok(Box::pin(async move {
            match confirm.await? {
                Confirmation::Ack(_) => Ok(()),
                Confirmation::Nack(_) => Err(Fault::Refused("basic.nack".to_owned())),
                Confirmation::NotRequested => Err(Fault::Refused("confirms are off".to_owned())),
            }
        }))
    }
}

/// A consumer that acknowledges by hand.
pub struct QueueReceiver {
    consumer: Consumer,
    channel: Channel,
    connection: Connection,
    unsettled: Option<u64>,
}

impl Receiver for QueueReceiver {
    async fn next(&mut self, wait: Duration) -> Result<Option<Vec<u8>>, Fault> {
        let Ok(next) = tokio::time::timeout(wait, self.consumer.next()).await else { return Ok(None) };
        let delivery = next.ok_or(Fault::Ended)??;
        self.unsettled = Some(delivery.delivery_tag);
        Ok(Some(delivery.data))
    }

    async fn settle(&mut self) -> Result<(), Fault> {
        if let Some(tag) = self.unsettled.take() {
            self.channel.basic_ack(tag, BasicAckOptions { multiple: true }).await?;
        }
        Ok(())
    }

    async fn close(self) {
        // The run is over and the queue is deleted next: a failure to say goodbye changes no verdict.
        let _ = within("closing", self.connection.close(200, "done".into())).await;
    }
}
