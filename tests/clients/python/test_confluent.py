"""confluent-kafka (librdkafka): what a Python service on Kafka does all day."""

import time

import pytest
from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, NewPartitions, NewTopic, ResourceType
from conftest import wait_until


@pytest.fixture
def admin(kafka_address):
    return AdminClient({"bootstrap.servers": kafka_address})


@pytest.fixture
def make_topic(admin, unique):
    def make(partitions=1, name=None, **config):
        topic = name or unique("topic")
        created = admin.create_topics([NewTopic(topic, partitions, 1, config=config)], operation_timeout=20)
        created[topic].result(20)
        wait_until(
            lambda: len(getattr(admin.list_topics(topic, timeout=10).topics.get(topic), "partitions", {})) == partitions,
            f"{topic} shows {partitions} partitions",
        )
        return topic

    return make


@pytest.fixture
def producer_factory(kafka_address):
    def make(**options):
        return Producer({"bootstrap.servers": kafka_address, "linger.ms": 5, **{k.replace("_", "."): v for k, v in options.items()}})

    return make


@pytest.fixture
def consumer_factory(kafka_address, unique):
    made = []

    def make(**options):
        base = {
            "bootstrap.servers": kafka_address,
            "group.id": unique("group"),
            "auto.offset.reset": "earliest",
            "session.timeout.ms": 10000,
            "enable.auto.commit": False,
        }
        if options.get("group_protocol") == "consumer":
            # It is the broker's to say there.
            del base["session.timeout.ms"]
        consumer = Consumer({**base, **{k.replace("_", "."): v for k, v in options.items()}})
        made.append(consumer)
        return consumer

    yield make
    for consumer in made:
        consumer.close()


def produce_all(producer, topic, items, **options):
    """Produces, waits for every delivery report, and gives back (partition, offset) a record in the order of `items`."""
    reports = {}

    def reported(index):
        def callback(error, message):
            assert error is None, error
            reports[index] = (message.partition(), message.offset())

        return callback

    for index, item in enumerate(items):
        fields = item if isinstance(item, dict) else {"value": item}
        producer.produce(topic, on_delivery=reported(index), **{**options, **fields})
        producer.poll(0)
    assert producer.flush(30) == 0
    return [reports[index] for index in range(len(items))]


def consume(consumer, count, deadline_s=30.0):
    messages = []
    end = time.monotonic() + deadline_s
    while len(messages) < count and time.monotonic() < end:
        message = consumer.poll(0.2)
        if message is None:
            continue
        assert message.error() is None, message.error()
        messages.append(message)
    assert len(messages) == count, f"{len(messages)} of {count} within {deadline_s} s"
    return messages


@pytest.mark.parametrize("codec", ["none", "gzip", "snappy", "lz4", "zstd"])
def test_records_come_back_in_every_compression(codec, make_topic, producer_factory, consumer_factory):
    topic = make_topic()
    values = [b"%d:" % i + b"abcdefgh" * 40 for i in range(300)]
    placed = produce_all(producer_factory(compression_type=codec), topic, values)
    assert [offset for _, offset in placed] == list(range(300))
    consumer = consumer_factory()
    consumer.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])
    got = consume(consumer, 300)
    assert [m.value() for m in got] == values
    assert [m.offset() for m in got] == list(range(300))


def test_key_headers_and_timestamp_are_kept_exactly(make_topic, producer_factory, consumer_factory):
    topic = make_topic()
    headers = [("a", b"1"), ("a", b"2"), ("empty", b""), ("null", None), ("utf-\u00e9", bytes(range(256)))]
    produce_all(
        producer_factory(),
        topic,
        [
            {"value": bytes(range(256)), "key": b"\x00key", "headers": headers, "timestamp": 1_600_000_000_123},
            {"value": None, "key": b"tombstone"},
            {"value": b"", "key": b""},
        ],
    )
    consumer = consumer_factory()
    consumer.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])
    first, tombstone, empty = consume(consumer, 3)
    assert (first.key(), first.value(), first.headers()) == (b"\x00key", bytes(range(256)), headers)
    assert first.timestamp() == (1, 1_600_000_000_123)
    assert (tombstone.key(), tombstone.value()) == (b"tombstone", None)
    assert (empty.key(), empty.value()) == (b"", b"")


@pytest.mark.parametrize("acks", ["0", "1", "all"])
def test_every_acks_level_stores_the_records(acks, make_topic, producer_factory, consumer_factory):
    topic = make_topic()
    produce_all(producer_factory(acks=acks), topic, [b"%d" % i for i in range(50)])
    consumer = consumer_factory()
    consumer.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])
    assert [m.value() for m in consume(consumer, 50)] == [b"%d" % i for i in range(50)]


def test_idempotent_producer_stores_each_record_once_in_order(make_topic, producer_factory, consumer_factory):
    topic = make_topic(partitions=2)
    producer = producer_factory(enable_idempotence=True)
    placed = []
    for round_ in range(5):
        placed += produce_all(producer, topic, [b"%d" % (round_ * 100 + i) for i in range(100)], partition=0)
    assert placed == [(0, i) for i in range(500)]
    assert produce_all(producer, topic, [b"other"], partition=1) == [(1, 0)]
    consumer = consumer_factory()
    consumer.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])
    assert [int(m.value()) for m in consume(consumer, 500)] == list(range(500))


def test_large_records_pass_up_to_the_limit_and_too_large_is_named(make_topic, producer_factory, consumer_factory):
    topic = make_topic(**{"max.message.bytes": "300000"})
    producer = producer_factory(message_max_bytes=2_000_000)
    body = bytes(i % 251 for i in range(250_000))
    produce_all(producer, topic, [body])
    errors = []
    producer.produce(topic, bytes(400_000), on_delivery=lambda error, _: errors.append(error))
    producer.flush(30)
    assert errors and errors[0] is not None and errors[0].code() == KafkaError.MSG_SIZE_TOO_LARGE
    consumer = consumer_factory()
    consumer.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])
    assert consume(consumer, 1)[0].value() == body


def test_automatic_topic_creation_by_produce(name, producer_factory, consumer_factory):
    produce_all(producer_factory(), name, [b"first"])
    consumer = consumer_factory()
    consumer.assign([TopicPartition(name, 0, OFFSET_BEGINNING)])
    assert consume(consumer, 1)[0].value() == b"first"


def test_partitions_by_key_and_by_number(make_topic, producer_factory):
    topic = make_topic(partitions=4)
    producer = producer_factory()
    by_key = produce_all(producer, topic, [{"value": b"v", "key": b"k%d" % (i % 8)} for i in range(64)])
    for i in range(8):
        assert len({partition for partition, _ in by_key[i::8]}) == 1, "one key stays on one partition"
    assert len({partition for partition, _ in by_key}) > 1
    assert [p for p, _ in produce_all(producer, topic, [b"v"] * 3, partition=3)] == [3, 3, 3]


def test_produce_to_a_missing_partition_fails(make_topic, producer_factory):
    topic = make_topic(partitions=2)
    errors = []
    producer = producer_factory(message_timeout_ms=8000)
    try:
        producer.produce(topic, b"v", partition=9, on_delivery=lambda error, _: errors.append(error))
        producer.flush(20)
    except KafkaException as error:
        errors.append(error.args[0])
    assert errors and errors[0] is not None


def test_watermarks_and_seek(make_topic, producer_factory, consumer_factory):
    topic = make_topic()
    consumer = consumer_factory()
    assert consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=10) == (0, 0)
    produce_all(producer_factory(), topic, [b"%d" % i for i in range(20)])
    assert consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=10) == (0, 20)
    consumer.assign([TopicPartition(topic, 0, 15)])
    assert [m.value() for m in consume(consumer, 5)] == [b"15", b"16", b"17", b"18", b"19"]
    consumer.seek(TopicPartition(topic, 0, 3))
    assert consume(consumer, 1)[0].value() == b"3"


def test_offset_out_of_range_follows_the_reset_policy(make_topic, producer_factory, consumer_factory):
    topic = make_topic()
    produce_all(producer_factory(), topic, [b"a", b"b"])
    consumer = consumer_factory(auto_offset_reset="earliest")
    consumer.assign([TopicPartition(topic, 0, 5000)])
    assert consume(consumer, 1)[0].offset() == 0


def test_offsets_for_times(make_topic, producer_factory, consumer_factory):
    topic = make_topic()
    base = 1_700_000_000_000
    produce_all(producer_factory(linger_ms=0), topic, [{"value": b"%d" % i, "timestamp": base + i * 1000} for i in range(10)])
    consumer = consumer_factory()

    def at(timestamp):
        return consumer.offsets_for_times([TopicPartition(topic, 0, timestamp)], timeout=10)[0].offset

    assert at(base) == 0
    assert at(base + 4000) == 4
    assert at(base + 4001) == 5
    assert at(base - 5) == 0
    assert at(base + 60_000) in (-1, 10)  # nothing so late: the end


def test_a_waiting_consumer_gets_a_new_record_at_once(make_topic, producer_factory, consumer_factory):
    topic = make_topic()
    consumer = consumer_factory(fetch_wait_max_ms=10000)
    consumer.assign([TopicPartition(topic, 0, OFFSET_END)])
    assert consumer.poll(1.0) is None
    producer = producer_factory(linger_ms=0)
    started = time.monotonic()
    produce_all(producer, topic, [b"now"])
    assert consume(consumer, 1)[0].value() == b"now"
    assert time.monotonic() - started < 5, "the long poll ends when the record comes, not at its own end"


def test_subscribe_commits_and_resumes(make_topic, producer_factory, consumer_factory, unique):
    topic, group = make_topic(partitions=2), unique("group")
    producer = producer_factory()
    produce_all(producer, topic, [{"value": b"%d" % i, "partition": i % 2} for i in range(20)])
    first = consumer_factory(group_id=group)
    first.subscribe([topic])
    got = consume(first, 20)
    committed = first.commit(asynchronous=False)
    assert {(c.partition, c.offset) for c in committed} == {(0, 10), (1, 10)}
    first.close()
    produce_all(producer, topic, [{"value": b"later", "partition": 1}])
    second = consumer_factory(group_id=group)
    offsets = second.committed([TopicPartition(topic, 0), TopicPartition(topic, 1)], timeout=10)
    assert [o.offset for o in offsets] == [10, 10]
    second.subscribe([topic])
    assert consume(second, 1)[0].value() == b"later"
    assert len(got) == 20


def test_commit_metadata_and_single_offsets(make_topic, consumer_factory, unique, producer_factory):
    topic, group = make_topic(partitions=2), unique("group")
    produce_all(producer_factory(), topic, [b"x"] * 5, partition=0)
    consumer = consumer_factory(group_id=group)
    consumer.subscribe([topic])
    consume(consumer, 5)
    consumer.commit(offsets=[TopicPartition(topic, 0, 3, metadata="a note")], asynchronous=False)
    back = consumer.committed([TopicPartition(topic, 0), TopicPartition(topic, 1)], timeout=10)
    assert back[0].offset == 3 and back[0].metadata == "a note"
    assert back[1].offset == -1001, "nothing committed"


@pytest.mark.parametrize("strategy", ["range", "roundrobin", "cooperative-sticky", "by the broker"])
def test_two_members_share_the_partitions_and_a_leaver_gives_them_back(
    strategy, make_topic, producer_factory, consumer_factory, unique
):
    topic, group = make_topic(partitions=4), unique("group")
    if strategy == "by the broker":
        options = dict(group_id=group, group_protocol="consumer")
    else:
        options = dict(group_id=group, partition_assignment_strategy=strategy, heartbeat_interval_ms=500)
    first, second = consumer_factory(**options), consumer_factory(**options)
    first.subscribe([topic])
    wait_until(lambda: (first.poll(0.05), len(first.assignment()) == 4)[1], "the first member holds all four")
    second.subscribe([topic])

    def split():
        first.poll(0.05)
        second.poll(0.05)
        a = {p.partition for p in first.assignment()}
        b = {p.partition for p in second.assignment()}
        return len(a) == 2 and len(b) == 2 and a | b == {0, 1, 2, 3}

    wait_until(split, "two partitions each", 40)
    produce_all(producer_factory(), topic, [{"value": b"%d" % i, "partition": i % 4} for i in range(40)])
    seen = []
    by_member = {first: set(), second: set()}

    def drain():
        for member in (first, second):
            message = member.poll(0.02)
            if message is not None and message.error() is None:
                seen.append(message.value())
                by_member[member].add(message.partition())
        return len(seen) >= 40

    wait_until(drain, "all forty records", 30)
    assert sorted(seen, key=int) == [b"%d" % i for i in range(40)], "each record once"
    assert len(by_member[first]) == len(by_member[second]) == 2
    second.close()
    wait_until(lambda: (first.poll(0.05), len(first.assignment()) == 4)[1], "the remaining member holds all four", 40)


def test_a_silent_member_is_removed_after_its_session_timeout(make_topic, consumer_factory, unique):
    topic, group = make_topic(partitions=2), unique("group")
    survivor = consumer_factory(group_id=group, session_timeout_ms=6000, heartbeat_interval_ms=500)
    leaver = consumer_factory(group_id=group, session_timeout_ms=6000, heartbeat_interval_ms=500, max_poll_interval_ms=6000)
    survivor.subscribe([topic])
    leaver.subscribe([topic])
    wait_until(
        lambda: (survivor.poll(0.05), leaver.poll(0.05), len(survivor.assignment()) == len(leaver.assignment()) == 1)[2],
        "one partition each",
        40,
    )
    wait_until(lambda: (survivor.poll(0.05), len(survivor.assignment()) == 2)[1], "the silent one lost its partition", 40)


def test_groups_are_listed_and_described(admin, make_topic, consumer_factory, unique):
    topic, group = make_topic(partitions=2), unique("group")
    consumer = consumer_factory(group_id=group, client_id="probe")
    consumer.subscribe([topic])
    wait_until(lambda: (consumer.poll(0.05), len(consumer.assignment()) == 2)[1], "assigned")
    listed = admin.list_consumer_groups(request_timeout=10).result()
    assert not listed.errors
    found = [g for g in listed.valid if g.group_id == group]
    assert found and found[0].state.name == "STABLE" and not found[0].is_simple_consumer_group
    described = admin.describe_consumer_groups([group], request_timeout=10)[group].result()
    assert described.state.name == "STABLE"
    assert described.partition_assignor == "range"
    assert len(described.members) == 1
    member = described.members[0]
    assert member.client_id == "probe"
    assert {(p.topic, p.partition) for p in member.assignment.topic_partitions} == {(topic, 0), (topic, 1)}


def test_a_topic_made_twice_says_so(admin, make_topic):
    topic = make_topic()
    with pytest.raises(KafkaException) as caught:
        admin.create_topics([NewTopic(topic, 1, 1)])[topic].result(20)
    assert caught.value.args[0].code() == KafkaError.TOPIC_ALREADY_EXISTS


def test_impossible_topics_are_refused(admin, unique):
    topic = unique()
    for new, code in [
        (NewTopic(topic, 0, 1), KafkaError.INVALID_PARTITIONS),
        (NewTopic(topic, 1, 3), KafkaError.INVALID_REPLICATION_FACTOR),
        (NewTopic("bad name/?", 1, 1), KafkaError.TOPIC_EXCEPTION),
    ]:
        with pytest.raises(KafkaException) as caught:
            admin.create_topics([new])[new.topic].result(20)
        assert caught.value.args[0].code() == code, new.topic
    assert topic not in admin.list_topics(timeout=10).topics


def test_validate_only_makes_nothing(admin, name):
    admin.create_topics([NewTopic(name, 2, 1)], validate_only=True)[name].result(20)
    assert name not in admin.list_topics(timeout=10).topics


def test_partitions_can_be_added_not_removed(admin, make_topic, producer_factory):
    topic = make_topic(partitions=2)
    admin.create_partitions([NewPartitions(topic, 5)])[topic].result(20)
    wait_until(lambda: len(admin.list_topics(topic, timeout=10).topics[topic].partitions) == 5, "five partitions")
    assert produce_all(producer_factory(), topic, [b"v"], partition=4) == [(4, 0)]
    with pytest.raises(KafkaException) as caught:
        admin.create_partitions([NewPartitions(topic, 3)])[topic].result(20)
    assert caught.value.args[0].code() == KafkaError.INVALID_PARTITIONS


def test_a_deleted_topic_is_gone_and_its_name_starts_empty(admin, make_topic, producer_factory, consumer_factory):
    topic = make_topic()
    produce_all(producer_factory(), topic, [b"old"] * 3)
    admin.delete_topics([topic], operation_timeout=20)[topic].result(20)
    wait_until(lambda: topic not in admin.list_topics(timeout=10).topics, "the topic is gone")
    with pytest.raises(KafkaException) as caught:
        admin.delete_topics([topic])[topic].result(20)
    assert caught.value.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART
    make_topic(name=topic)
    assert produce_all(producer_factory(), topic, [b"new"]) == [(0, 0)]
    consumer = consumer_factory()
    consumer.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])
    assert consume(consumer, 1)[0].value() == b"new"


def test_configs_are_described(admin, make_topic, kafka_address):
    topic = make_topic(**{"retention.ms": "3600000", "cleanup.policy": "compact"})
    resource = ConfigResource(ResourceType.TOPIC, topic)
    configs = admin.describe_configs([resource])[resource].result(20)
    assert configs["retention.ms"].value == "3600000"
    assert configs["cleanup.policy"].value == "compact"
    assert int(configs["max.message.bytes"].value) > 0
    broker_id = next(iter(admin.list_topics(timeout=10).brokers))
    broker = ConfigResource(ResourceType.BROKER, str(broker_id))
    assert len(admin.describe_configs([broker])[broker].result(20)) > 0


def test_metadata_names_a_broker_that_can_be_reached(admin, make_topic, kafka_address):
    topic = make_topic(partitions=3)
    metadata = admin.list_topics(timeout=10)
    assert [f"{b.host}:{b.port}" for b in metadata.brokers.values()] == [kafka_address]
    partitions = metadata.topics[topic].partitions
    assert sorted(partitions) == [0, 1, 2]
    assert all(p.leader in metadata.brokers and p.error is None for p in partitions.values())


def test_an_unknown_topic_is_an_error_not_a_hang(consumer_factory, name):
    consumer = consumer_factory(allow_auto_create_topics=False)
    consumer.subscribe([name])
    errors = []

    def poll():
        message = consumer.poll(0.2)
        if message is not None and message.error() is not None:
            errors.append(message.error().code())
        return errors

    wait_until(poll, "the error arrives")
    assert errors[0] == KafkaError.UNKNOWN_TOPIC_OR_PART


def test_regular_expression_subscription_sees_matching_topics(make_topic, producer_factory, consumer_factory, unique):
    stem = unique("re")
    topics = [make_topic(name=f"{stem}-{i}") for i in range(3)]
    for topic in topics:
        produce_all(producer_factory(), topic, [topic.encode()])
    consumer = consumer_factory()
    consumer.subscribe([f"^{stem}-.*"])
    assert sorted(m.value() for m in consume(consumer, 3)) == sorted(t.encode() for t in topics)


def test_many_topics_in_one_fetch_session(make_topic, producer_factory, consumer_factory, unique):
    topics = [make_topic(partitions=3) for _ in range(8)]
    producer = producer_factory()
    for topic in topics:
        produce_all(producer, topic, [{"value": topic.encode(), "partition": p} for p in range(3)])
    consumer = consumer_factory()
    consumer.subscribe(topics)
    got = consume(consumer, 24)
    for topic in topics:
        assert sorted(m.partition() for m in got if m.topic() == topic) == [0, 1, 2]
    for topic in topics:  # and again: what is new after the first round arrives, nothing old
        produce_all(producer, topic, [{"value": b"second", "partition": 1}])
    assert {(m.topic(), m.value()) for m in consume(consumer, 8)} == {(t, b"second") for t in topics}
