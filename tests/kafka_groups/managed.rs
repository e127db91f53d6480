//! Groups that the gateway assigns (`group.protocol=consumer`, KIP-848), as librdkafka's clients see them.

use super::*;

/// Members are told of changes at once, so that tests need not wait for heartbeats.
pub fn gateway() -> Gateway {
    Gateway::builder()
        .set("groups.consumer_heartbeat_interval_ms", "100")
        .set("groups.consumer_session_timeout_ms", "3000")
        .set("groups.pattern_refresh_interval_ms", "100")
        .start()
}

pub fn managed_config(gateway: &Gateway, group: &str) -> ClientConfig {
    let mut config = config(gateway);
    config
        .set("group.id", group)
        .set("group.protocol", "consumer")
        .set("auto.offset.reset", "earliest")
        .set("enable.auto.commit", "false")
        .set("topic.metadata.refresh.interval.ms", "200");
    config
}

/// Waits until these members have all partitions among them, evenly and without overlap.
async fn shared_evenly(members: &[&Member], partitions: i32) {
    eventually("the partitions are shared evenly", async || {
        let sets: Vec<_> = members.iter().map(|member| member.partitions()).collect();
        let all: BTreeSet<i32> = sets.iter().flatten().copied().collect();
        let total: usize = sets.iter().map(BTreeSet::len).sum();
        let (least, most) = (sets.iter().map(BTreeSet::len).min(), sets.iter().map(BTreeSet::len).max());
        let complete = all.len() == partitions as usize && total == all.len();
        (complete && most <= least.map(|least| least + 1)).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_gateway_shares_the_partitions_between_members_that_come_and_go() {
    let gateway = gateway();
    let topic = make_topic(&gateway, 6).await;
    let config = managed_config(&gateway, &unique("g"));
    let a = Member::start(&config, &topic);
    shared_evenly(&[&a], 6).await;
    let b = Member::start(&config, &topic);
    let c = Member::start(&config, &topic);
    shared_evenly(&[&a, &b, &c], 6).await;
    produce(&gateway, &topic, 6, 0..60).await;
    let times = all_seen(&[&a, &b, &c], 60).await;
    assert!(times.values().all(|n| *n == 1), "{times:?}");
    for member in [&a, &b, &c] {
        member.consumer.commit_consumer_state(CommitMode::Sync).unwrap();
    }
    b.stop().await;
    shared_evenly(&[&a, &c], 6).await;
    produce(&gateway, &topic, 6, 60..120).await;
    eventually("the others get the rest", async || {
        let late = a.values().into_iter().chain(c.values()).filter(|value| *value >= 60).collect::<BTreeSet<_>>();
        (late.len() == 60).then_some(())
    })
    .await;
    for member in [a, c] {
        member.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_members_join_and_leave_under_load_every_record_is_worked_on() {
    let gateway = gateway();
    let topic = make_topic(&gateway, 8).await;
    let mut config = managed_config(&gateway, &unique("g"));
    // Offsets are stored by the member when it is done with a record: a client that closes may poll records that nobody sees.
    config.set("enable.auto.commit", "true").set("auto.commit.interval.ms", "50").set("enable.auto.offset.store", "false");
    let producing = {
        let topic = topic.clone();
        let producer: FutureProducer = super::config(&gateway).create().unwrap();
        tokio::spawn(async move {
            for value in 0..2_000_u32 {
                let text = value.to_string();
                let record = FutureRecord::<(), str>::to(&topic).payload(&text).partition(value as i32 % 8);
                producer.send(record, CALL).await.unwrap();
            }
        })
    };
    let steady = Member::start(&config, &topic);
    let mut gone = Vec::new();
    for _ in 0..3 {
        let (one, two) = (Member::start(&config, &topic), Member::start(&config, &topic));
        shared_evenly(&[&steady, &one, &two], 8).await;
        for member in [one, two] {
            gone.push(Arc::clone(&member.seen));
            member.stop().await;
        }
    }
    producing.await.unwrap();
    shared_evenly(&[&steady], 8).await;
    eventually("every record comes", async || {
        let mut values: BTreeSet<u32> = steady.values().into_iter().collect();
        values.extend(gone.iter().flat_map(|seen| seen.records.lock().unwrap().iter().map(|r| r.2).collect::<Vec<_>>()));
        (values.len() == 2_000).then_some(())
    })
    .await;
    // Members commit before they hand a partition over, so that what came twice is what they could not.
    let mut times = BTreeMap::<u32, usize>::new();
    steady.values().into_iter().for_each(|value| *times.entry(value).or_default() += 1);
    gone.iter().for_each(|seen| seen.records.lock().unwrap().iter().for_each(|r| *times.entry(r.2).or_default() += 1));
    let twice = times.values().filter(|n| **n > 1).count();
    assert!(twice < 400, "{twice} of 2000 came twice");
    steady.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_of_a_managed_group_goes_on_over_a_crash() {
    let mut gateway = gateway();
    let topic = make_topic(&gateway, 2).await;
    let group = unique("g");
    let member = Member::start(&managed_config(&gateway, &group), &topic);
    member.has("all partitions", &[0, 1]).await;
    produce(&gateway, &topic, 2, 0..4).await;
    all_seen(&[&member], 4).await;
    member.consumer.commit_consumer_state(CommitMode::Sync).unwrap();
    gateway.crash();
    produce(&gateway, &topic, 2, 4..8).await;
    let times = all_seen(&[&member], 8).await;
    assert!(times.values().all(|n| *n == 1), "{times:?}");
    eventually("a commit is taken", async || member.consumer.commit_consumer_state(CommitMode::Sync).ok()).await;
    assert_eq!(member.seen.rounds.load(Ordering::SeqCst), 1, "the group knew its member");
    member.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn topics_can_be_wanted_by_a_regular_expression_and_are_found_when_they_come() {
    let gateway = gateway();
    let first = make_topic(&gateway, 2).await;
    let pattern = format!("^{}.*", first.split('-').next().unwrap());
    let member = Member::start(&managed_config(&gateway, &unique("g")), &pattern);
    eventually("the first topic", async || (member.consumer.assignment().unwrap().count() == 2).then_some(())).await;
    make_topic(&gateway, 3).await;
    eventually("the second topic", async || (member.consumer.assignment().unwrap().count() == 5).then_some(())).await;
    member.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_static_member_comes_back_to_its_partitions_and_its_name_is_not_given_twice() {
    let gateway = gateway();
    let topic = make_topic(&gateway, 4).await;
    let mut config = managed_config(&gateway, &unique("g"));
    config.set("group.instance.id", "one");
    let one = Member::start(&config, &topic);
    one.has("all partitions", &[0, 1, 2, 3]).await;
    config.set("group.instance.id", "two");
    let two = Member::start(&config, &topic);
    shared_evenly(&[&one, &two], 4).await;
    let (rounds, of_two) = (one.seen.rounds.load(Ordering::SeqCst), two.partitions().into_iter().collect::<Vec<_>>());
    two.stop().await;
    let again = Member::start(&config, &topic);
    again.has("what it had", &of_two).await;
    assert_eq!(one.seen.rounds.load(Ordering::SeqCst), rounds, "the other was not disturbed");
    let rival = Member::start(&config, &topic);
    eventually("the rival is refused", async || *rival.seen.fatal.lock().unwrap()).await;
    assert_eq!(again.partitions().into_iter().collect::<Vec<_>>(), of_two);
    for member in [rival, again, one] {
        member.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_changes_its_protocol_when_it_is_empty_and_keeps_its_offsets() {
    let gateway = gateway();
    let topic = make_topic(&gateway, 1).await;
    let group = unique("g");
    produce(&gateway, &topic, 1, 0..10).await;
    let configs = [group_config(&gateway, &group), managed_config(&gateway, &group), group_config(&gateway, &group)];
    for (at, config) in configs.iter().enumerate() {
        let member = Member::start(config, &topic);
        member.has("the partition", &[0]).await;
        let from = 2 * at as u32;
        eventually("what is not committed", async || (member.values().len() as u32 == 10 - from).then_some(())).await;
        assert_eq!(member.values()[0], from);
        let mut offsets = TopicPartitionList::new();
        offsets.add_partition_offset(&topic, 0, Offset::Offset(i64::from(from) + 2)).unwrap();
        member.consumer.commit(&offsets, CommitMode::Sync).unwrap();
        member.stop().await;
    }
}
