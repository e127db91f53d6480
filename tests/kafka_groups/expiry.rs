//! When committed offsets are forgotten, with a short retention: Kafka's rules (KIP-211), seen by clients.

use std::time::Instant;

use super::managed::managed_config;
use super::*;

fn gateway() -> Gateway {
    Gateway::builder()
        .set("groups.offsets_retention_ms", "1500")
        .set("groups.offsets_check_interval_ms", "50")
        .set("groups.consumer_heartbeat_interval_ms", "100")
        .start()
}

fn commit<C: ConsumerContext>(consumer: &impl Consumer<C>, topics: &[&str], offset: i64) {
    let mut offsets = TopicPartitionList::new();
    topics.iter().for_each(|topic| offsets.add_partition_offset(topic, 0, Offset::Offset(offset)).unwrap());
    consumer.commit(&offsets, CommitMode::Sync).unwrap();
}

/// What is committed in partition 0 of each topic.
fn committed(config: &ClientConfig, topics: [&str; 2]) -> [Option<i64>; 2] {
    let consumer: BaseConsumer = config.create().unwrap();
    let mut asked = TopicPartitionList::new();
    for topic in topics {
        asked.add_partition(topic, 0);
    }
    let found = consumer.committed_offsets(asked, CALL).unwrap();
    topics.map(|topic| match found.find_partition(topic, 0).unwrap().offset() {
        Offset::Offset(offset) => Some(offset),
        _ => None,
    })
}

/// What nobody wants expires; what a member wants does not, however old, until the group has been empty for as long.
async fn expires_by_what_is_wanted(gateway: &Gateway, config: &ClientConfig) {
    let (wanted, left) = (make_topic(gateway, 1).await, make_topic(gateway, 1).await);
    let topics = [wanted.as_str(), left.as_str()];
    let member = Member::start(config, &wanted);
    member.has("it has the partition", &[0]).await;
    commit(&*member.consumer, &topics, 5);
    eventually("the offset in the topic that nobody wants expires", async || {
        (committed(config, topics)[1].is_none()).then_some(())
    })
    .await;
    assert_eq!(committed(config, topics), [Some(5), None], "the other is as old, and wanted");
    let stopped = Instant::now();
    member.stop().await;
    eventually("the group is empty for long enough", async || (committed(config, topics)[0].is_none()).then_some(())).await;
    assert!(stopped.elapsed() >= Duration::from_millis(1500), "it stayed for the retention");
}

#[tokio::test]
async fn offsets_of_a_classic_group_expire_by_what_its_members_want() {
    let gateway = gateway();
    expires_by_what_is_wanted(&gateway, &group_config(&gateway, &unique("group"))).await;
}

#[tokio::test]
async fn offsets_of_a_managed_group_expire_by_what_its_members_want() {
    let gateway = gateway();
    expires_by_what_is_wanted(&gateway, &managed_config(&gateway, &unique("group"))).await;
}

#[tokio::test]
async fn a_commit_keeps_the_offset_of_a_group_without_members_for_another_while() {
    let gateway = gateway();
    let config = group_config(&gateway, &unique("group"));
    let topic = make_topic(&gateway, 1).await;
    let consumer: BaseConsumer = config.create().unwrap();
    let began = Instant::now();
    for offset in 1.. {
        commit(&consumer, &[&topic], offset);
        if began.elapsed() > Duration::from_millis(2500) {
            break;
        }
    }
    assert!(committed(&config, [&topic, &topic])[0].is_some());
    eventually("it expires once nobody commits", async || committed(&config, [&topic, &topic])[0].is_none().then_some(())).await;
}
