//! What is there after a restart: durable declarations, their bindings, persistent messages, and nothing that was not to be kept.

use lapin::options::*;
use lapin::types::FieldTable;
use lapin::{BasicProperties, ExchangeKind};

use crate::broker::*;

#[tokio::test]
async fn what_is_durable_is_there_after_a_restart() {
    let broker = Broker::start().await;
    {
        let (connection, channel) = broker.channel().await;
        confirms(&channel).await;
        let durable = ExchangeDeclareOptions { durable: true, ..Default::default() };
        channel.exchange_declare("kept".into(), ExchangeKind::Topic, durable, FieldTable::default()).await.unwrap();
        let options = ExchangeDeclareOptions::default();
        channel.exchange_declare("lost".into(), ExchangeKind::Topic, options, FieldTable::default()).await.unwrap();
        declare(&channel, "q").await;
        declare_with(&channel, "passing", QueueDeclareOptions::default()).await.unwrap();
        let bind = QueueBindOptions::default();
        channel.queue_bind("q".into(), "kept".into(), "a.*".into(), bind, FieldTable::default()).await.unwrap();
        channel.queue_bind("q".into(), "kept".into(), "b".into(), bind, FieldTable::default()).await.unwrap();
        channel.queue_unbind("q".into(), "kept".into(), "b".into(), FieldTable::default()).await.unwrap();
        for body in [b"0", b"1", b"2"] {
            publish(&channel, "kept", "a.b", body, persistent()).await;
        }
        publish(&channel, "", "passing", b"m", BasicProperties::default()).await;
        get(&channel, "q").await.unwrap().delivery.acker.ack(BasicAckOptions::default()).await.unwrap();
        get(&channel, "q").await.unwrap();
        connection.close(200, "".into()).await.unwrap();
    }
    let broker = broker.restart().await;
    let (connection, channel) = broker.channel().await;
    confirms(&channel).await;
    publish(&channel, "kept", "a.b", b"3", persistent()).await;
    publish(&channel, "kept", "b", b"unbound", persistent()).await;
    assert_eq!(drain(&channel, "q").await, ["1", "2", "3"]);
    let passive = QueueDeclareOptions { passive: true, ..Default::default() };
    assert_eq!(reply(declare_with(&channel, "passing", passive).await).0, 404);
    let channel = connection.create_channel().await.unwrap();
    let passive = ExchangeDeclareOptions { passive: true, ..Default::default() };
    let lost = channel.exchange_declare("lost".into(), ExchangeKind::Topic, passive, FieldTable::default()).await;
    assert_eq!(reply(lost).0, 404);
}
