"""Where the dialects meet: every writer by every reader, competition on one name, and names that stay apart.

Only the gateway can pass this file; the brokers it stands for know nothing of each other.
"""

import threading
import time

import pika
import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition
from conftest import wait_until

VALUES = [b"value-%d" % i for i in range(6)]


class Meeting:
    """One name, with a client of each dialect to write to it and to read from it."""

    def __init__(self, name, kafka_address, amqp_factory, redis_factory):
        self.name, self.kafka_address = name, kafka_address
        self.amqp_factory, self.redis = amqp_factory, redis_factory()
        self.redis_factory = redis_factory

    # ---- writers ----

    def write(self, writer, values):
        kind, _, detail = writer.partition("-")
        getattr(self, f"write_{kind}")(detail, values)

    def write_kafka(self, codec, values):
        failed = []
        producer = Producer({"bootstrap.servers": self.kafka_address, "compression.type": codec, "linger.ms": 20})
        for value in values:
            producer.produce(self.name, value, on_delivery=lambda error, _: error and failed.append(error))
        assert producer.flush(20) == 0 and not failed, failed

    def write_amqp(self, kind, values):
        channel = self.amqp_factory().channel()
        channel.confirm_delivery()
        channel.queue_declare(self.name, durable=True)
        exchange, key = "", self.name
        if kind != "default":
            exchange, key = f"{self.name}-{kind}", "some.key"
            channel.exchange_declare(exchange, kind)
            channel.queue_bind(self.name, exchange, "some.*" if kind == "topic" else key)
        for value in values:
            channel.basic_publish(exchange, key, value, pika.BasicProperties(delivery_mode=2), mandatory=True)

    def write_rpush(self, _, values):
        self.redis.rpush(self.name, *values)

    def write_lpush(self, _, values):
        for value in values:
            self.redis.lpush(self.name, value)

    def write_publish(self, _, values):
        for value in values:
            self.redis.publish(self.name, value)

    # ---- readers: prepare() before the writes, then the values as they came ----

    def read_kafka_group(self, count):
        consumer = Consumer(
            {
                "bootstrap.servers": self.kafka_address,
                "group.id": f"group-{self.name}",
                "auto.offset.reset": "earliest",
                "topic.metadata.refresh.interval.ms": 500,
            }
        )
        consumer.subscribe([self.name])
        return self.poll(consumer, count)

    def read_kafka_assign(self, count):
        consumer = Consumer({"bootstrap.servers": self.kafka_address, "group.id": "unused"})
        partitions = consumer.list_topics(self.name, timeout=10).topics[self.name].partitions
        consumer.assign([TopicPartition(self.name, p, OFFSET_BEGINNING) for p in partitions])
        return self.poll(consumer, count)

    @staticmethod
    def poll(consumer, count):
        got, end = [], time.monotonic() + 20
        while len(got) < count and time.monotonic() < end:
            message = consumer.poll(0.2)
            if message is not None and message.error() is None:
                got.append(message.value())
        consumer.close()
        return got

    def read_amqp_consume(self, count):
        connection, got = self.amqp_factory(), []
        channel = connection.channel()
        channel.queue_declare(self.name, durable=True)
        channel.basic_consume(self.name, lambda c, m, _p, b: (got.append(b), c.basic_ack(m.delivery_tag)))
        wait_until(lambda: (connection.process_data_events(time_limit=0.05), len(got) >= count)[1], f"{count} deliveries, {len(got)} came")
        return got

    def read_blpop(self, count):
        got = []
        while len(got) < count:
            popped = self.redis.blpop(self.name, timeout=10)
            assert popped is not None, f"{len(got)} of {count}"
            got.append(popped[1])
        return got

    def subscribe(self):
        pubsub = self.redis_factory().pubsub(ignore_subscribe_messages=False)
        pubsub.subscribe(self.name)
        assert wait_until(lambda: pubsub.get_message(timeout=0.2), "the confirmation")["type"] == "subscribe"
        return pubsub

    @staticmethod
    def heard(pubsub, count):
        return [wait_until(lambda: pubsub.get_message(timeout=0.2), "a message")["data"] for _ in range(count)]


@pytest.fixture
def meeting(name, kafka_address, amqp_factory, redis_factory):
    return Meeting(name, kafka_address, amqp_factory, redis_factory)


WRITERS = [
    *[f"kafka-{codec}" for codec in ("none", "gzip", "snappy", "lz4", "zstd")],
    *[f"amqp-{kind}" for kind in ("default", "direct", "fanout", "topic")],
    "rpush",
    "lpush",
    "publish",
]


@pytest.mark.parametrize("reader", ["kafka_group", "kafka_assign", "amqp_consume", "blpop"])
@pytest.mark.parametrize("writer", WRITERS)
def test_what_is_written_is_read(meeting, writer, reader):
    meeting.write(writer, VALUES)
    if (writer, reader) == ("publish", "blpop"):
        assert meeting.redis.llen(meeting.name) == 0, "a list never holds what was published"
        assert meeting.redis.blpop(meeting.name, timeout=0.2) is None
        return
    expected = VALUES
    if writer == "lpush" and reader in ("amqp_consume", "blpop"):
        expected = VALUES[::-1]  # a queue view starts at the head of the list; a log reader sees the order of writing
    assert getattr(meeting, f"read_{reader}")(len(VALUES)) == expected


@pytest.mark.parametrize("writer", WRITERS)
def test_what_is_written_is_heard(meeting, writer):
    listener = meeting.subscribe()
    meeting.write(writer, VALUES)
    if writer in ("rpush", "lpush"):
        assert listener.get_message(timeout=0.3) is None, "a subscriber never gets what was pushed"
    else:
        assert meeting.heard(listener, len(VALUES)) == VALUES


def test_amqp_consumers_and_blocked_pops_share_every_record_once(meeting):
    count, taken, lock, done = 600, [], threading.Lock(), threading.Event()
    meeting.amqp_factory().channel().queue_declare(meeting.name, durable=True)

    def pop():
        client = meeting.redis_factory()
        while not done.is_set():
            got = client.blpop(meeting.name, timeout=0.5)
            if got:
                with lock:
                    taken.append(("redis", got[1]))

    def consume():
        connection = meeting.amqp_factory()
        channel = connection.channel()
        channel.basic_qos(prefetch_count=5)

        def on_message(c, method, _properties, body):
            with lock:
                taken.append(("amqp", body))
            c.basic_ack(method.delivery_tag)

        channel.basic_consume(meeting.name, on_message)
        while not done.is_set():
            connection.process_data_events(time_limit=0.1)

    threads = [threading.Thread(target=target, daemon=True) for target in (pop, pop, consume, consume)]
    for thread in threads:
        thread.start()
    values = [b"%d" % i for i in range(count)]
    meeting.write("kafka-lz4", values[:200])
    meeting.write("rpush", values[200:400])
    meeting.write("amqp-default", values[400:])
    try:
        wait_until(lambda: len(taken) >= count, "every record taken", 30)
    finally:
        done.set()
        for thread in threads:
            thread.join(10)
    assert sorted((int(v) for _, v in taken)) == list(range(count)), "each once"
    assert {who for who, _ in taken} == {"redis", "amqp"}, "both got a share"


def test_a_kafka_group_replays_what_the_queue_is_done_with(meeting):
    meeting.write("rpush", VALUES)
    assert meeting.read_blpop(6) == VALUES
    assert meeting.redis.llen(meeting.name) == 0
    assert meeting.read_kafka_assign(6) == VALUES
    assert meeting.read_kafka_group(6) == VALUES


def test_counts_agree_across_dialects(meeting):
    meeting.write("kafka-none", VALUES)
    channel = meeting.amqp_factory().channel()
    depth = lambda: channel.queue_declare(meeting.name, durable=True).method.message_count  # noqa: E731
    assert meeting.redis.llen(meeting.name) == depth() == 6
    meeting.redis.lpop(meeting.name)
    assert meeting.redis.llen(meeting.name) == depth() == 5
    method, _, body = channel.basic_get(meeting.name)
    assert body == VALUES[1]
    assert meeting.redis.llen(meeting.name) == depth() == 4
    channel.basic_nack(method.delivery_tag, requeue=True)
    assert depth() == 5
    assert meeting.redis.lrange(meeting.name, 0, 0) == [VALUES[1]]


def test_a_list_and_a_channel_of_one_name_stay_apart(meeting):
    listener = meeting.subscribe()
    meeting.write("rpush", [b"pushed"])
    meeting.write("publish", [b"published"])
    assert meeting.heard(listener, 1) == [b"published"]
    assert meeting.redis.lrange(meeting.name, 0, -1) == [b"pushed"]
    assert meeting.read_kafka_assign(1) == [b"pushed"], "a name claimed by a key is not logged by PUBLISH"


def test_a_fanout_reaches_lists_queues_and_topics(meeting, unique):
    channel = meeting.amqp_factory().channel()
    channel.confirm_delivery()
    exchange, names = unique("fan"), [unique("q") for _ in range(100)]
    channel.exchange_declare(exchange, "fanout", durable=True)
    for queue in names:
        channel.queue_declare(queue, durable=True)
        channel.queue_bind(queue, exchange)
    channel.basic_publish(exchange, "", b"to all", pika.BasicProperties(delivery_mode=2))
    assert meeting.redis.blpop(names[0], timeout=5)[1] == b"to all"
    meeting.name = names[1]
    assert meeting.read_kafka_assign(1) == [b"to all"]
    for queue in names[1:]:
        assert channel.basic_get(queue, auto_ack=True)[2] == b"to all"


def test_a_kafka_record_keeps_its_key_headers_and_time_for_kafka_after_others_read_it(meeting):
    producer = Producer({"bootstrap.servers": meeting.kafka_address})
    producer.produce(meeting.name, b"v", key=b"k", headers=[("h", b"1"), ("h", None)], timestamp=1_600_000_000_000)
    assert producer.flush(20) == 0
    assert meeting.read_amqp_consume(1) == [b"v"]
    consumer = Consumer({"bootstrap.servers": meeting.kafka_address, "group.id": "unused"})
    consumer.assign([TopicPartition(meeting.name, 0, OFFSET_BEGINNING)])
    message = wait_until(lambda: consumer.poll(0.2), "the record")
    consumer.close()
    assert (message.key(), message.value(), message.headers()) == (b"k", b"v", [("h", b"1"), ("h", None)])
    assert message.timestamp() == (1, 1_600_000_000_000)


def test_virtual_hosts_and_databases_keep_their_names_apart(meeting):
    """RabbitMQ refuses a virtual host nobody made; here each is a name space of its own that needs no making."""
    meeting.write("rpush", VALUES)
    elsewhere = meeting.amqp_factory(virtual_host="elsewhere").channel()
    assert elsewhere.queue_declare(meeting.name).method.message_count == 0
    elsewhere.confirm_delivery()
    elsewhere.basic_publish("", meeting.name, b"there")
    database = meeting.redis_factory(db=3)
    assert database.llen(meeting.name) == 0
    database.rpush(meeting.name, b"in three")
    assert meeting.redis.lrange(meeting.name, 0, -1) == VALUES
    assert elsewhere.basic_get(meeting.name, auto_ack=True)[2] == b"there"
    assert database.lpop(meeting.name) == b"in three"
