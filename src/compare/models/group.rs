//! A Kafka consumer group (rdkafka): idempotent producers with acks=all, each on a partition of its own choice so that its order
//! means something; consumers that commit a lot at a time, from the earliest offset. There are as many partitions as the
//! larger side has members.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{CommitMode, Consumer, StreamConsumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::types::RDKafkaErrorCode;

use super::{CONNECT_LIMIT, Fault, Model, Receiver, Scope, Sender, within};

/// Nobody waits long for a Kafka that may not be there.
const SWEEP_LIMIT: Duration = Duration::from_secs(2);
const ASSIGNMENT_POLL: Duration = Duration::from_millis(20);

/// The Kafka consumer group model.
pub struct Group {
    scope: Scope,
}

impl Group {
    fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.scope.targets.kafka);
        config
    }

    fn admin(&self) -> Result<AdminClient<DefaultClientContext>, Fault> {
        Ok(self.config().create()?)
    }

    fn partitions(&self) -> u32 {
        self.scope.tuning.producers.max(self.scope.tuning.consumers)
    }
}

impl Model for Group {
    type Sender = GroupSender;
    type Receiver = GroupReceiver;

    fn new(scope: Scope) -> Self {
        Self { scope }
    }

    async fn prepare(&self) -> Result<(), Fault> {
        let partitions = i32::try_from(self.partitions()).unwrap_or(i32::MAX);
        let topic = NewTopic::new(&self.scope.name, partitions, TopicReplication::Fixed(1));
        let admin = self.admin()?;
        let options = AdminOptions::new().operation_timeout(Some(CONNECT_LIMIT));
        let outcomes = within("creating the topic", admin.create_topics([&topic], &options)).await?;
        first_failure(outcomes)
    }

    async fn sender(&self, producer: u32) -> Result<GroupSender, Fault> {
        let mut config = self.config();
        config.set("acks", "all").set("enable.idempotence", "true").set("linger.ms", self.scope.tuning.linger_ms.to_string());
        let partition = i32::try_from(producer % self.partitions()).unwrap_or(0);
        Ok(GroupSender { producer: config.create()?, topic: self.scope.name.clone(), partition })
    }

    async fn receiver(&self) -> Result<GroupReceiver, Fault> {
        let mut config = self.config();
        config
            .set("group.id", &self.scope.name)
            .set("auto.offset.reset", "earliest")
            .set("enable.auto.commit", "false")
            .set("session.timeout.ms", "6000")
            .set("heartbeat.interval.ms", "1000");
        let consumer: StreamConsumer = config.create()?;
        consumer.subscribe(&[&self.scope.name])?;
        let mut receiver = GroupReceiver { consumer: Arc::new(consumer), first: None, unsettled: false };
        within("joining the group", receiver.assigned()).await?;
        Ok(receiver)
    }

    async fn clean(&self) -> Result<(), Fault> {
        let admin = self.admin()?;
        let options = AdminOptions::new().operation_timeout(Some(CONNECT_LIMIT));
        // Not every broker lets a group be deleted by request; one without members and offsets goes by itself.
        let _ = within("deleting the group", admin.delete_groups(&[&self.scope.name], &options)).await;
        let outcomes = within("deleting the topic", admin.delete_topics(&[&self.scope.name], &options)).await?;
        first_failure(outcomes)
    }
}

/// Deletes the topics of those names, should this broker have them: on a Trunkline a list, a channel and a queue are topics too,
/// and outlive what their own protocol can remove. Anywhere else there is nothing to delete, which is as good.
pub async fn sweep(scopes: &[Scope]) {
    let Some(group) = scopes.first().cloned().map(Group::new) else { return };
    let Ok(admin) = group.admin() else { return };
    let names: Vec<&str> = scopes.iter().map(|scope| scope.name.as_str()).collect();
    let options = AdminOptions::new().request_timeout(Some(SWEEP_LIMIT)).operation_timeout(Some(SWEEP_LIMIT));
    let _ = within("deleting what is left", admin.delete_topics(&names, &options)).await;
}

fn first_failure(outcomes: Vec<Result<String, (String, RDKafkaErrorCode)>>) -> Result<(), Fault> {
    match outcomes.into_iter().find_map(Result::err) {
        Some((_, code)) => Err(Fault::Kafka(KafkaError::AdminOp(code))),
        None => Ok(()),
    }
}

/// An idempotent producer that stays on one partition.
pub struct GroupSender {
    producer: FutureProducer,
    topic: String,
    partition: i32,
}

impl Sender for GroupSender {
    type Receipt = Pin<Box<dyn Future<Output = Result<(), Fault>> + Send>>;

    async fn submit(&mut self, payload: Vec<u8>) -> Result<Self::Receipt, Fault> {
        let record = FutureRecord::<(), _>::to(&self.topic).partition(self.partition).payload(&payload);
        let delivery = self.producer.send_result(record).map_err(|(error, _)| error)?;
        Ok(Box::pin(async move {
            match delivery.await {
                Ok(Ok(_)) => Ok(()),
                Ok(Err((error, _))) => Err(Fault::Kafka(error)),
                Err(_) => Err(Fault::Ended),
            }
        }))
    }
}

/// Reported on the way and overcome by the library itself: a broker out of reach, metadata that do not know the topic yet.
fn passing(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::BrokerTransportFailure
                | RDKafkaErrorCode::AllBrokersDown
                | RDKafkaErrorCode::UnknownTopicOrPartition
                | RDKafkaErrorCode::OperationTimedOut
        )
    )
}

/// A member of the group.
pub struct GroupReceiver {
    consumer: Arc<StreamConsumer>,
    first: Option<Vec<u8>>,
    unsettled: bool,
}

impl GroupReceiver {
    /// Polls until the group has given this member something: without polling it never would.
    async fn assigned(&mut self) -> Result<(), KafkaError> {
        while self.consumer.assignment()?.count() == 0 {
            if let Ok(message) = tokio::time::timeout(ASSIGNMENT_POLL, self.consumer.recv()).await {
                match message {
                    Ok(message) => {
                        self.first = Some(message.payload().unwrap_or_default().to_vec());
                        return Ok(());
                    }
                    Err(error) if passing(&error) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }
}

impl Receiver for GroupReceiver {
    async fn next(&mut self, wait: Duration) -> Result<Option<Vec<u8>>, Fault> {
        if let Some(first) = self.first.take() {
            self.unsettled = true;
            return Ok(Some(first));
        }
        match tokio::time::timeout(wait, self.consumer.recv()).await {
            Ok(Ok(message)) => {
                self.unsettled = true;
                Ok(Some(message.payload().unwrap_or_default().to_vec()))
            }
            Ok(Err(error)) if passing(&error) => Ok(None),
            Ok(Err(error)) => Err(error.into()),
            Err(_) => Ok(None),
        }
    }

    async fn settle(&mut self) -> Result<(), Fault> {
        if std::mem::take(&mut self.unsettled) {
            match self.consumer.commit_consumer_state(CommitMode::Async) {
                // The group has just taken everything away from this member: whoever has it now reads it again.
                Err(KafkaError::ConsumerCommit(RDKafkaErrorCode::NoOffset)) | Ok(()) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    async fn close(self) {
        // Leaving the group is a blocking call of the library. Its failure leaves nothing behind but a session that ends.
        let _ = tokio::task::spawn_blocking(move || drop(self.consumer)).await;
    }
}
