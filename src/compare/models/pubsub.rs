//! Publish/subscribe over Redis: `PUBLISH` and `SUBSCRIBE` on one channel. Whoever listens gets a copy; nothing is kept for
//! whoever does not. There is no name to make or to remove.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use futures_util::StreamExt;
use redis::aio::{MultiplexedConnection, PubSub};

use super::list::{connect, queue_command};
use super::{Fault, Model, Receiver, Scope, Sender, within};

/// The Redis publish/subscribe model.
pub struct Pubsub {
    scope: Scope,
}

impl Model for Pubsub {
    type Sender = PubsubSender;
    type Receiver = PubsubReceiver;

    fn new(scope: Scope) -> Self {
        Self { scope }
    }

    async fn prepare(&self) -> Result<(), Fault> {
        Ok(())
    }

    async fn sender(&self, _producer: u32) -> Result<PubsubSender, Fault> {
        Ok(PubsubSender { connection: connect(&self.scope).await?, channel: self.scope.name.clone() })
    }

    async fn receiver(&self) -> Result<PubsubReceiver, Fault> {
        let client = redis::Client::open(self.scope.targets.redis.as_str())?;
        let mut subscription = within("connecting", client.get_async_pubsub()).await?;
        within("subscribing", subscription.subscribe(&self.scope.name)).await?;
        Ok(PubsubReceiver { subscription })
    }

    async fn clean(&self) -> Result<(), Fault> {
        Ok(())
    }
}

/// Publishes, pipelined up to the window.
pub struct PubsubSender {
    connection: MultiplexedConnection,
    channel: String,
}

impl Sender for PubsubSender {
    type Receipt = Pin<Box<dyn Future<Output = Result<(), Fault>> + Send>>;

    async fn submit(&mut self, payload: Vec<u8>) -> Result<Self::Receipt, Fault> {
        let mut command = redis::cmd("PUBLISH");
        command.arg(&self.channel).arg(payload);
        Ok(queue_command(&self.connection, command))
    }
}

/// One subscriber.
pub struct PubsubReceiver {
    subscription: PubSub,
}

impl Receiver for PubsubReceiver {
    async fn next(&mut self, wait: Duration) -> Result<Option<Vec<u8>>, Fault> {
        let mut messages = self.subscription.on_message();
        let Ok(next) = tokio::time::timeout(wait, messages.next()).await else { return Ok(None) };
        let message = next.ok_or(Fault::Ended)?;
        Ok(Some(message.get_payload_bytes().to_vec()))
    }

    async fn settle(&mut self) -> Result<(), Fault> {
        Ok(())
    }

    async fn close(self) {}
}
