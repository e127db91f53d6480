"""kafka-python: a client of its own descent, with other request versions than librdkafka."""

import threading
import pytest
from conftest import wait_until
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import NewPartitions, NewTopic


@pytest.fixture
def admin(kafka_address):
    client = KafkaAdminClient(bootstrap_servers=kafka_address)
    yield client
    client.close()


@pytest.fixture
def topic(admin, name):
    admin.create_topics([NewTopic(name, 2, 1)])
    return name


@pytest.fixture
def producer_factory(kafka_address):
    made = []

    def make(**options):
        producer = KafkaProducer(bootstrap_servers=kafka_address, **options)
        made.append(producer)
        return producer

    yield make
    for producer in made:
        producer.close(timeout=5)


@pytest.fixture
def consumer_factory(kafka_address):
    made = []

    def make(*topics, **options):
        base = dict(bootstrap_servers=kafka_address, auto_offset_reset="earliest", enable_auto_commit=False)
        consumer = KafkaConsumer(*topics, **{**base, **options})
        made.append(consumer)
        return consumer

    yield make
    for consumer in made:
        consumer.close()


def consume(consumer, count):
    got = []

    # It returns with the first records; one that is shorter than a rebalance would give that up and start another.
    def poll():
        for records in consumer.poll(timeout_ms=5000).values():
            got.extend(records)
        return len(got) >= count

    wait_until(poll, f"{count} records", 30)
    return got


@pytest.mark.parametrize("codec", [None, "gzip"])
def test_records_come_back(codec, topic, producer_factory, consumer_factory):
    producer = producer_factory(compression_type=codec, linger_ms=5)
    futures = [producer.send(topic, b"%d" % i, key=b"k", headers=[("h", b"%d" % i)], partition=0) for i in range(200)]
    assert [f.get(20).offset for f in futures] == list(range(200))
    consumer = consumer_factory()
    consumer.assign([TopicPartition(topic, 0)])
    consumer.seek_to_beginning()
    got = consume(consumer, 200)
    assert [(r.key, r.value, list(r.headers)) for r in got] == [(b"k", b"%d" % i, [("h", b"%d" % i)]) for i in range(200)]


@pytest.mark.parametrize("acks", [0, 1, "all"])
def test_acks(acks, topic, producer_factory, consumer_factory):
    producer = producer_factory(acks=acks, enable_idempotence=False)
    for i in range(20):
        producer.send(topic, b"%d" % i, partition=1)
    producer.flush(20)
    consumer = consumer_factory()
    consumer.assign([TopicPartition(topic, 1)])
    consumer.seek_to_beginning()
    assert [r.value for r in consume(consumer, 20)] == [b"%d" % i for i in range(20)]


def test_group_commits_and_resumes(topic, producer_factory, consumer_factory, unique):
    producer, group = producer_factory(), unique("group")
    for i in range(10):
        producer.send(topic, b"%d" % i, partition=i % 2)
    producer.flush(20)
    first = consumer_factory(topic, group_id=group)
    assert len(consume(first, 10)) == 10
    first.commit()
    assert first.committed(TopicPartition(topic, 0)) == 5
    first.close()
    producer.send(topic, b"later", partition=0)
    producer.flush(20)
    second = consumer_factory(topic, group_id=group)
    assert [r.value for r in consume(second, 1)] == [b"later"]


def test_two_members_share_the_partitions(topic, consumer_factory, unique):
    group = unique("group")
    members = [consumer_factory(topic, group_id=group, heartbeat_interval_ms=500) for _ in range(2)]
    ended = threading.Event()

    # A poll that is shorter than a rebalance gives it up and starts another, so each member polls long and on its own.
    def take_part(member):
        while not ended.is_set():
            member.poll(timeout_ms=2000)

    threads = [threading.Thread(target=take_part, args=[member]) for member in members]
    for thread in threads:
        thread.start()
    try:
        wait_until(lambda: [len(member.assignment()) for member in members] == [1, 1], "one partition each", 45)
    finally:
        ended.set()
        for thread in threads:
            thread.join()


def test_bounds_and_times(topic, producer_factory, consumer_factory):
    producer = producer_factory()
    for i in range(5):
        producer.send(topic, b"%d" % i, partition=0, timestamp_ms=1_700_000_000_000 + i * 1000).get(20)
    consumer, partition = consumer_factory(), TopicPartition(topic, 0)
    assert consumer.beginning_offsets([partition]) == {partition: 0}
    assert consumer.end_offsets([partition]) == {partition: 5}
    found = consumer.offsets_for_times({partition: 1_700_000_002_500})[partition]
    assert (found.offset, found.timestamp) == (3, 1_700_000_003_000)


def test_admin_makes_grows_lists_and_deletes(admin, name, consumer_factory):
    admin.create_topics([NewTopic(name, 1, 1)])
    assert name in admin.list_topics()
    admin.create_partitions({name: NewPartitions(4)})
    wait_until(lambda: consumer_factory().partitions_for_topic(name) == {0, 1, 2, 3}, "four partitions")
    admin.delete_topics([name])
    wait_until(lambda: name not in admin.list_topics(), "the topic is gone")


def test_admin_describes_groups_and_offsets(admin, topic, consumer_factory, producer_factory, unique):
    group = unique("group")
    producer_factory().send(topic, b"x", partition=0).get(20)
    consumer = consumer_factory(topic, group_id=group)
    consume(consumer, 1)
    consumer.commit()
    offsets = admin.list_group_offsets([group])
    flat = {tp: om for found in offsets.values() for tp, om in found.items()}
    assert flat[TopicPartition(topic, 0)].offset == 1
    described = admin.describe_groups([group])
    assert group in str(described) and "Stable" in str(described)
