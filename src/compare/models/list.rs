//! Point-to-point over a Redis list: `RPUSH` at one end, `BLPOP` at the other. There is no acknowledgement: what was popped
//! is gone, so a consumer that dies takes the record in its hands with it.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use futures_util::FutureExt;
use redis::AsyncCommands;
use redis::aio::MultiplexedConnection;

use super::{CONNECT_LIMIT, Fault, Model, Receiver, Scope, Sender, within};

/// The Redis list model.
pub struct List {
    scope: Scope,
}

impl Model for List {
    type Sender = ListSender;
    type Receiver = ListReceiver;

    fn new(scope: Scope) -> Self {
        Self { scope }
    }

    async fn prepare(&self) -> Result<(), Fault> {
        let mut connection = connect(&self.scope).await?;
        within("deleting the key", connection.del::<_, u64>(&self.scope.name)).await?;
        Ok(())
    }

    async fn sender(&self, _producer: u32) -> Result<ListSender, Fault> {
        Ok(ListSender { connection: connect(&self.scope).await?, key: self.scope.name.clone() })
    }

    async fn receiver(&self) -> Result<ListReceiver, Fault> {
        Ok(ListReceiver { connection: connect(&self.scope).await?, key: self.scope.name.clone() })
    }

    async fn clean(&self) -> Result<(), Fault> {
        let mut connection = connect(&self.scope).await?;
        within("deleting the key", connection.del::<_, u64>(&self.scope.name)).await?;
        Ok(())
    }
}

/// A connection whose request queue holds the whole window, so that submitting never has to wait out of turn.
pub(super) async fn connect(scope: &Scope) -> Result<MultiplexedConnection, Fault> {
    let config = redis::AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECT_LIMIT))
        .set_response_timeout(Some(CONNECT_LIMIT))
        .set_pipeline_buffer_size(scope.tuning.window + 1);
    let client = redis::Client::open(scope.targets.redis.as_str())?;
    within("connecting", client.get_multiplexed_async_connection_with_config(&config)).await
}

/// Queues the command on the connection now, so that the order of calls is the order on the wire; the reply comes later.
pub(super) fn queue_command(
    connection: &MultiplexedConnection,
    command: redis::Cmd,
) -> Pin<Box<dyn Future<Output = Result<(), Fault>> + Send>> {
    let mut connection = connection.clone();
    // Without tokio's budget, which may make the first poll wait although there is room, and so let a later one pass.
    let mut reply = Box::pin(tokio::task::unconstrained(async move {
        let _count: i64 = command.query_async(&mut connection).await?;
        Ok(())
    }));
    match (&mut reply).now_or_never() {
        Some(outcome) => Box::pin(std::future::ready(outcome)),
        None => reply,
    }
}

/// Pushes on the right, pipelined up to the window.
pub struct ListSender {
    connection: MultiplexedConnection,
    key: String,
}

impl Sender for ListSender {
    type Receipt = Pin<Box<dyn Future<Output = Result<(), Fault>> + Send>>;

    async fn submit(&mut self, payload: Vec<u8>) -> Result<Self::Receipt, Fault> {
        let mut command = redis::cmd("RPUSH");
        command.arg(&self.key).arg(payload);
        Ok(queue_command(&self.connection, command))
    }
}

/// Pops on the left, one at a time.
pub struct ListReceiver {
    connection: MultiplexedConnection,
    key: String,
}

impl Receiver for ListReceiver {
    async fn next(&mut self, wait: Duration) -> Result<Option<Vec<u8>>, Fault> {
        // Not under a timeout of ours: a pop that is given up here may still take a record there.
        let popped: Option<(Vec<u8>, Vec<u8>)> = self.connection.blpop(&self.key, wait.as_secs_f64()).await?;
        Ok(popped.map(|(_, value)| value))
    }

    async fn settle(&mut self) -> Result<(), Fault> {
        Ok(())
    }

    async fn close(self) {}
}
