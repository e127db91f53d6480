"""pika and a gateway whose disk is full: publishers are blocked and told so, and go on when there is room.

TRUNKLINE_SMALL_DISK is a file system of its own, and TRUNKLINE_SMALL_AMQP names the gateway that keeps its data there.
"""

import os
import pathlib
import shutil
import threading

import pika
import pytest
from conftest import address, wait_until

PERSISTENT = pika.BasicProperties(delivery_mode=2)
LEFT_BYTES = 4 << 20


@pytest.fixture
def ballast():
    """Fills the disk with `ballast.fill()`, and empties it."""
    disk = os.environ.get("TRUNKLINE_SMALL_DISK")
    if not disk:
        pytest.skip("TRUNKLINE_SMALL_DISK names no file system: mounting one needs root")
    file = pathlib.Path(disk, "ballast")

    class Ballast:
        def fill(self):
            file.write_bytes(bytes(shutil.disk_usage(disk).free - LEFT_BYTES))

        def drop(self):
            file.unlink(missing_ok=True)

    yield Ballast()
    file.unlink(missing_ok=True)


def connect():
    host, port = address("TRUNKLINE_SMALL_AMQP")
    return pika.BlockingConnection(pika.ConnectionParameters(host, port, heartbeat=2))


def until(connection, condition, what):
    def look():
        connection.process_data_events(time_limit=0.05)
        return condition()

    return wait_until(look, what)


def test_a_publisher_is_blocked_while_the_disk_is_full_and_a_consumer_is_not(ballast, name):
    publisher, consumer = connect(), connect()
    blocked, unblocked = [], []
    publisher.add_on_connection_blocked_callback(lambda _, frame: blocked.append(frame.method.reason))
    publisher.add_on_connection_unblocked_callback(lambda _, frame: unblocked.append(frame))
    channel, taking = publisher.channel(), consumer.channel()
    channel.queue_declare(name, durable=True)
    channel.basic_publish("", name, b"before", PERSISTENT)
    wait_until(lambda: taking.queue_declare(name, passive=True).method.message_count, "it is there")

    ballast.fill()
    count = 0

    def publish_and_look():
        nonlocal count
        channel.basic_publish("", name, b"%d" % count, PERSISTENT)
        count += 1
        publisher.process_data_events(time_limit=0.05)
        return blocked

    wait_until(publish_and_look, "the notice")
    assert blocked == ["low on disk"]
    method, _, body = taking.basic_get(name)
    assert body == b"before"
    taking.basic_ack(method.delivery_tag)
    # A confirmed publish just takes longer.
    confirmed = threading.Event()

    def publish_confirmed():
        connection = connect()
        channel = connection.channel()
        channel.confirm_delivery()
        channel.basic_publish("", name, b"confirmed", PERSISTENT)
        confirmed.set()
        connection.close()

    waiting = threading.Thread(target=publish_confirmed)
    waiting.start()
    until(publisher, lambda: publisher.is_open, "it is served")
    assert not confirmed.is_set()

    ballast.drop()
    until(publisher, lambda: unblocked, "the second notice")
    waiting.join(20)
    assert confirmed.is_set()
    wait_until(lambda: taking.queue_declare(name, passive=True).method.message_count == count + 1, "all are taken")
    publisher.close()
    consumer.close()
