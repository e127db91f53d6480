"""What every test of this suite shares: the four addresses, unique names, and waiting for a condition.

The servers are named by TRUNKLINE_KAFKA, TRUNKLINE_AMQP, TRUNKLINE_REDIS (host:port each), so one suite runs against the
gateway or against the original brokers. Names are random, so the tests run in any order against one server.
"""

import os
import time
import uuid

import pika
import pytest
import redis


def address(variable):
    value = os.environ.get(variable)
    if not value:
        pytest.skip(f"{variable} names no server")
    host, port = value.rsplit(":", 1)
    return host, int(port)


def wait_until(condition, what, deadline_s=20.0, every_s=0.02):
    """The first true value of `condition()`; fails the test when the deadline passes."""
    end = time.monotonic() + deadline_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            pytest.fail(f"not within {deadline_s} s: {what}")
        time.sleep(every_s)


@pytest.fixture
def closed_door():
    """For tests of refused logins: a gateway without users lets everybody in, by design."""
    if os.environ.get("TRUNKLINE_OPEN"):
        pytest.skip("the gateway under test has no users configured: it lets everybody in")


@pytest.fixture
def unique():
    """Makes names no other test uses: unique("orders") -> "orders-1f3a..."."""
    return lambda stem="t": f"{stem}-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def name(unique):
    return unique()


@pytest.fixture(scope="session")
def kafka_address():
    return "%s:%d" % address("TRUNKLINE_KAFKA")


@pytest.fixture
def redis_client():
    host, port = address("TRUNKLINE_REDIS")
    client = redis.Redis(host=host, port=port, socket_timeout=15)
    yield client
    client.close()


@pytest.fixture
def redis_factory():
    """Further clients, for what needs a connection of its own; keyword arguments go to redis.Redis."""
    host, port = address("TRUNKLINE_REDIS")
    made = []

    def make(**options):
        client = redis.Redis(host=host, port=port, **{"socket_timeout": 15, **options})
        made.append(client)
        return client

    yield make
    for client in made:
        client.close()


@pytest.fixture
def amqp_factory():
    """AMQP connections, closed after the test; keyword arguments go to pika.ConnectionParameters."""
    host, port = address("TRUNKLINE_AMQP")
    made = []

    def make(**options):
        connection = pika.BlockingConnection(
            pika.ConnectionParameters(host=host, port=port, **{"heartbeat": 0, "blocked_connection_timeout": 30, **options})
        )
        made.append(connection)
        return connection

    yield make
    for connection in made:
        try:
            if connection.is_open:
                connection.close()
        except (pika.exceptions.AMQPError, AssertionError, OSError):
            pass  # a test that cuts its own connection leaves pika in pieces


@pytest.fixture
def amqp(amqp_factory):
    return amqp_factory()


@pytest.fixture
def channel(amqp):
    return amqp.channel()


def pytest_unconfigure(config):
    """The last line is the one that tests/run reads."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None:
        count = lambda *kinds: sum(len(reporter.stats.get(kind, [])) for kind in kinds)  # noqa: E731
        print(f"{count('passed')} passed, {count('failed', 'error')} failed, {count('skipped')} skipped")
