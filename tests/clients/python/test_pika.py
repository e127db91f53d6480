"""pika: AMQP 0-9-1 from the handshake to the reply code of every error, as RabbitMQ answers it."""

import socket
import time

import pika
import pytest
from conftest import address, wait_until
from pika.exceptions import (
    AMQPConnectionError,
    ChannelClosedByBroker,
    ConnectionClosedByBroker,
    UnroutableError,
)

PERSISTENT = pika.BasicProperties(delivery_mode=2)


@pytest.fixture
def queue(channel, name):
    channel.queue_declare(name, durable=True)
    return name


def get(channel, queue, auto_ack=True, deadline_s=10.0):
    """Polls basic.get until a message is there: (method, properties, body)."""
    return wait_until(lambda: (lambda got: got if got[0] else None)(channel.basic_get(queue, auto_ack=auto_ack)), f"a message in {queue}", deadline_s)


def depth(channel, queue):
    return channel.queue_declare(queue, passive=True).method.message_count


def publish(channel, queue, *bodies, exchange="", properties=PERSISTENT):
    for body in bodies:
        channel.basic_publish(exchange, queue, body, properties)


def bodies(channel, queue, count):
    return [get(channel, queue)[2] for _ in range(count)]


def closed_with(code):
    """The broker closes the channel with `code` inside the block."""

    class Expect:
        def __enter__(self):
            return self

        def __exit__(self, kind, error, _):
            assert kind is not None, f"no error; {code} expected"
            assert isinstance(error, ChannelClosedByBroker), repr(error)
            assert error.reply_code == code, repr(error)
            self.text = error.reply_text
            return True

    return Expect()


# ---- connection ----


def test_a_wrong_password_or_user_is_refused(closed_door):
    host, port = address("TRUNKLINE_AMQP")
    parameters = pika.ConnectionParameters(host, port, credentials=pika.PlainCredentials("nobody", "wrong"))
    with pytest.raises(AMQPConnectionError):
        pika.BlockingConnection(parameters)


def test_heartbeats_keep_an_idle_connection_open(amqp_factory):
    connection = amqp_factory(heartbeat=2)
    channel = connection.channel()
    end = time.monotonic() + 6
    while time.monotonic() < end:
        connection.process_data_events(time_limit=0.5)
    assert channel.queue_declare("", exclusive=True).method.queue
    assert connection.is_open


def test_small_negotiated_frames_carry_large_bodies(amqp_factory):
    connection = amqp_factory(frame_max=4096)
    channel = connection.channel()
    queue = channel.queue_declare("", exclusive=True).method.queue
    body = bytes(i % 256 for i in range(100_000))
    publish(channel, queue, body)
    assert get(channel, queue)[2] == body


def test_many_channels_are_independent(amqp):
    channels = [amqp.channel() for _ in range(50)]
    queues = [c.queue_declare("", exclusive=True).method.queue for c in channels]
    assert len(set(queues)) == 50
    with closed_with(404):
        channels[0].queue_declare("missing-queue", passive=True)
    assert channels[1].is_open and depth(channels[1], queues[1]) == 0
    for channel in channels[1:]:
        channel.close()
    assert amqp.channel().is_open


def test_server_properties_name_the_capabilities(amqp):
    properties = amqp._impl.server_properties
    for capability in ["publisher_confirms", "basic.nack", "consumer_cancel_notify", "connection.blocked", "exchange_exchange_bindings"]:
        assert capability in properties["capabilities"], capability
    assert properties["product"]


# ---- queues ----


def test_declare_reports_counts_and_is_repeatable(channel, name):
    assert channel.queue_declare(name, durable=True).method.message_count == 0
    publish(channel, name, b"1", b"2")
    wait_until(lambda: depth(channel, name) == 2, "two messages")
    channel.basic_consume(name, lambda *_: None)
    again = channel.queue_declare(name, durable=True).method
    assert (again.queue, again.consumer_count) == (name, 1)
    channel.queue_delete(name)


def test_server_named_queues(channel):
    first = channel.queue_declare("", exclusive=True).method.queue
    second = channel.queue_declare("", exclusive=True).method.queue
    assert first.startswith("amq.gen-") and first != second
    # "" means the last queue that this channel declared
    channel.queue_bind("", "amq.fanout")
    channel.basic_publish("", second, b"x")
    assert get(channel, second)[2] == b"x"
    channel.basic_publish("amq.fanout", "", b"by fanout")
    assert get(channel, "")[2] == b"by fanout"


def test_passive_declare_of_a_missing_queue_is_404(channel, name):
    with closed_with(404) as error:
        channel.queue_declare(name, passive=True)
    assert "NOT_FOUND" in error.text and name in error.text


@pytest.mark.parametrize("other", [dict(durable=False), dict(durable=True, auto_delete=True)])
def test_redeclare_with_other_properties_is_406(channel, queue, other):
    with closed_with(406) as error:
        channel.queue_declare(queue, **other)
    assert "PRECONDITION_FAILED" in error.text


def test_reserved_queue_names_are_403(channel):
    with closed_with(403):
        channel.queue_declare("amq.mine")


def test_an_exclusive_queue_is_locked_to_its_connection_and_goes_with_it(amqp_factory, name):
    owner, other = amqp_factory(), amqp_factory()
    owner.channel().queue_declare(name, exclusive=True)
    for act in [
        lambda c: c.queue_declare(name, passive=True),
        lambda c: c.basic_consume(name, lambda *_: None),
        lambda c: c.queue_delete(name),
        lambda c: c.queue_purge(name),
        lambda c: c.basic_get(name),
    ]:
        with closed_with(405):
            act(other.channel())
    owner.close()

    def gone():
        channel = other.channel()
        try:
            channel.queue_declare(name, passive=True)
            channel.close()
        except ChannelClosedByBroker as error:
            return error.reply_code == 404

    wait_until(gone, "the exclusive queue is gone")


def test_an_auto_delete_queue_goes_with_its_last_consumer(amqp, name):
    channel = amqp.channel()
    channel.queue_declare(name, auto_delete=True)
    tags = [channel.basic_consume(name, lambda *_: None) for _ in range(2)]
    channel.basic_cancel(tags[0])
    assert depth(channel, name) == 0
    channel.basic_cancel(tags[1])
    with closed_with(404):
        channel.queue_declare(name, passive=True)


def test_an_unused_auto_delete_queue_stays(channel, name):
    channel.queue_declare(name, auto_delete=True)
    assert depth(channel, name) == 0


def test_purge_counts_what_it_removed(channel, queue):
    publish(channel, queue, *[b"x"] * 5)
    wait_until(lambda: depth(channel, queue) == 5, "five messages")
    assert channel.queue_purge(queue).method.message_count == 5
    assert depth(channel, queue) == 0


def test_purge_leaves_unacknowledged_messages(channel, queue):
    publish(channel, queue, b"held", b"x")
    held = get(channel, queue, auto_ack=False)[0]
    wait_until(lambda: depth(channel, queue) == 1, "one ready")
    assert channel.queue_purge(queue).method.message_count == 1
    channel.basic_nack(held.delivery_tag, requeue=True)
    assert bodies(channel, queue, 1) == [b"held"]


def test_delete_counts_and_is_repeatable(channel, queue):
    publish(channel, queue, b"1", b"2")
    wait_until(lambda: depth(channel, queue) == 2, "two messages")
    assert channel.queue_delete(queue).method.message_count == 2
    assert channel.queue_delete(queue).method.message_count == 0, "deleting what is not there is no error"
    channel.queue_declare(queue)
    assert depth(channel, queue) == 0, "a new queue of an old name starts empty"


def test_delete_if_empty_and_if_unused(amqp, name):
    channel = amqp.channel()
    channel.queue_declare(name)
    publish(channel, name, b"x")
    wait_until(lambda: depth(channel, name) == 1, "one message")
    with closed_with(406):
        channel.queue_delete(name, if_empty=True)
    channel = amqp.channel()
    channel.basic_consume(name, lambda *_: None)
    with closed_with(406):
        amqp.channel().queue_delete(name, if_unused=True)
    channel.close()
    amqp.channel().queue_delete(name, if_unused=True)


def test_operations_on_a_missing_queue_are_404(amqp, name):
    for act in [
        lambda c: c.queue_purge(name),
        lambda c: c.basic_get(name),
        lambda c: c.basic_consume(name, lambda *_: None),
        lambda c: c.queue_bind(name, "amq.direct", "k"),
    ]:
        with closed_with(404):
            act(amqp.channel())


def test_a_deleted_queue_cancels_its_consumers(amqp_factory, name):
    watcher = amqp_factory()
    channel = watcher.channel()
    channel.queue_declare(name)
    cancelled = []
    channel.add_on_cancel_callback(cancelled.append)
    tag = channel.basic_consume(name, lambda *_: None)
    amqp_factory().channel().queue_delete(name)
    wait_until(lambda: (watcher.process_data_events(time_limit=0.05), cancelled)[1], "the cancel")
    assert cancelled[0].method.consumer_tag == tag
    assert channel.is_open


# ---- exchanges and routing ----


def bound_queue(channel, exchange, *keys, arguments=None):
    queue = channel.queue_declare("", exclusive=True).method.queue
    for key in keys:
        channel.queue_bind(queue, exchange, key, arguments=arguments)
    return queue


def drained(channel, queue):
    """All that is in the queue now; call it after a barrier on the same channel."""
    out = []
    while True:
        method, _, body = channel.basic_get(queue, auto_ack=True)
        if method is None:
            return out
        out.append(body)


def settle(channel, queue):
    """Everything published before on this channel is routed: a message to `queue` came through."""
    channel.confirm_delivery()
    channel.basic_publish("", queue, b"")
    get(channel, queue)


@pytest.mark.parametrize("kind", ["direct", "fanout", "topic"])
def test_an_exchange_is_declared_used_and_deleted(amqp, unique, kind):
    channel, exchange = amqp.channel(), unique("x")
    channel.exchange_declare(exchange, kind, durable=True)
    channel.exchange_declare(exchange, kind, durable=True)
    channel.exchange_declare(exchange, kind, passive=True)
    queue = bound_queue(channel, exchange, "key")
    channel.basic_publish(exchange, "key", b"routed")
    assert get(channel, queue)[2] == b"routed"
    channel.exchange_delete(exchange)
    with closed_with(404):
        channel.exchange_declare(exchange, kind, passive=True)


def test_default_exchange_routes_by_queue_name(channel, queue):
    publish(channel, queue, b"v")
    method, _, body = get(channel, queue)
    assert (method.exchange, method.routing_key, body) == ("", queue, b"v")


def test_direct_exchange_matches_whole_keys(channel):
    a = bound_queue(channel, "amq.direct", key_a := f"a-{time.time_ns()}")
    both = bound_queue(channel, "amq.direct", key_a, key_b := f"b-{time.time_ns()}")
    for key in (key_a, key_b, key_a + ".x"):
        channel.basic_publish("amq.direct", key, key.encode())
    assert bodies(channel, a, 1) == [key_a.encode()]
    assert bodies(channel, both, 2) == [key_a.encode(), key_b.encode()]
    settle(channel, a)
    assert drained(channel, both) == []


def test_fanout_reaches_every_queue_once(channel, unique):
    exchange = unique("fan")
    channel.exchange_declare(exchange, "fanout")
    queues = [bound_queue(channel, exchange, "") for _ in range(20)]
    channel.queue_bind(queues[0], exchange, "a second binding")
    channel.basic_publish(exchange, "anything", b"once")
    for queue in queues:
        method, _, body = get(channel, queue)
        assert (method.exchange, method.routing_key, body) == (exchange, "anything", b"once")
    settle(channel, queues[1])
    assert all(drained(channel, queue) == [] for queue in queues)


TOPIC_CASES = {
    "a.b.c": ["a.b.c"],
    "a.*.c": ["a.b.c", "a.x.c", "a..c"],
    "a.#": ["a", "a.b", "a.b.c", "a.x.c", "a.b.c.d", "a..c"],
    "#": ["a", "a.b", "a.b.c", "a.x.c", "a.b.c.d", "b", "", ".", "a..c"],
    "*": ["a", "b"],  # the empty key has no words
    "*.*": ["a.b", "."],
    "#.c": ["a.b.c", "a.x.c", "a..c"],
    "a.#.c": ["a.b.c", "a.x.c", "a..c"],
    "a.#.#.c": ["a.b.c", "a.x.c", "a..c"],
    "a..c": ["a..c"],
    "#.b.#": ["a.b", "a.b.c", "a.b.c.d", "b"],
}


def test_topic_exchange_patterns(channel, unique):
    exchange = unique("topics")
    channel.exchange_declare(exchange, "topic")
    queues = {pattern: bound_queue(channel, exchange, pattern) for pattern in TOPIC_CASES}
    for key in ["a", "a.b", "a.b.c", "a.x.c", "a.b.c.d", "b", "", ".", "a..c"]:
        channel.basic_publish(exchange, key, key.encode())
    settle(channel, queues["a.b.c"])
    for pattern, keys in TOPIC_CASES.items():
        if pattern != "a.b.c":
            assert drained(channel, queues[pattern]) == [k.encode() for k in keys], pattern


def test_unbind_stops_routing(channel, unique):
    exchange = unique("x")
    channel.exchange_declare(exchange, "direct")
    queue = bound_queue(channel, exchange, "one", "two")
    channel.queue_unbind(queue, exchange, "one")
    channel.basic_publish(exchange, "one", b"1")
    channel.basic_publish(exchange, "two", b"2")
    assert bodies(channel, queue, 1) == [b"2"]
    assert drained(channel, queue) == []


def test_publish_to_a_missing_exchange_is_404(channel, unique):
    with closed_with(404):
        channel.basic_publish(unique("none"), "k", b"x")
        channel.queue_declare("", exclusive=True)


@pytest.mark.parametrize(
    "code, act",
    [
        (404, lambda c, x: c.exchange_declare(x + "-none", passive=True)),
        (406, lambda c, x: c.exchange_declare(x, "fanout")),
        (406, lambda c, x: c.exchange_declare(x, "direct", durable=True)),
        (403, lambda c, x: c.exchange_declare("amq.mine", "direct")),
        (403, lambda c, x: c.exchange_declare("", "direct")),
        (403, lambda c, x: c.exchange_delete("amq.direct")),
        (403, lambda c, x: c.queue_bind(c.queue_declare("", exclusive=True).method.queue, "", "k")),
    ],
)
def test_exchange_errors(channel, unique, code, act):
    exchange = unique("x")
    channel.exchange_declare(exchange, "direct")
    with closed_with(code):
        act(channel, exchange)


def test_an_unknown_exchange_type_closes_the_connection_with_503(amqp_factory, unique):
    connection = amqp_factory()
    with pytest.raises((ConnectionClosedByBroker, ChannelClosedByBroker)) as caught:
        connection.channel().exchange_declare(unique("x"), "no-such-type")
    assert caught.value.reply_code in (503, 406)


def test_exchange_delete_if_unused(amqp, unique):
    channel, exchange = amqp.channel(), unique("x")
    channel.exchange_declare(exchange, "direct")
    queue = bound_queue(channel, exchange, "k")
    with closed_with(406):
        amqp_channel = amqp.channel()
        amqp_channel.exchange_delete(exchange, if_unused=True)
    channel.queue_unbind(queue, exchange, "k")
    channel.exchange_delete(exchange, if_unused=True)


def test_an_auto_delete_exchange_goes_with_its_last_binding(channel, unique):
    exchange = unique("x")
    channel.exchange_declare(exchange, "direct", auto_delete=True)
    queue = bound_queue(channel, exchange, "k")
    channel.queue_unbind(queue, exchange, "k")
    with closed_with(404):
        channel.exchange_declare(exchange, passive=True)


# ---- publishing ----


def test_confirms_arrive_and_the_message_is_there(channel, queue):
    channel.confirm_delivery()
    for i in range(100):
        publish(channel, queue, b"%d" % i)
    assert depth(channel, queue) == 100, "a confirmed message is in the queue"
    assert bodies(channel, queue, 100) == [b"%d" % i for i in range(100)]


def test_a_mandatory_message_without_a_route_comes_back(channel, name, unique):
    channel.confirm_delivery()
    with pytest.raises(UnroutableError) as caught:
        channel.basic_publish("", name, b"nobody", pika.BasicProperties(message_id="m1"), mandatory=True)
    returned = caught.value.messages[0]
    assert (returned.method.reply_code, returned.method.reply_text) == (312, "NO_ROUTE")
    assert (returned.method.routing_key, returned.properties.message_id, returned.body) == (name, "m1", b"nobody")


def test_a_message_without_a_route_is_confirmed_when_not_mandatory(channel, name):
    channel.confirm_delivery()
    channel.basic_publish("", name, b"nobody")


def test_return_without_confirms(amqp, name):
    channel, returned = amqp.channel(), []
    channel.add_on_return_callback(lambda _c, method, _p, body: returned.append((method.reply_code, body)))
    channel.basic_publish("", name, b"back", mandatory=True)
    wait_until(lambda: (amqp.process_data_events(time_limit=0.05), returned)[1], "the return")
    assert returned == [(312, b"back")]


def test_every_property_and_header_type_comes_back_exactly(channel, queue):
    import datetime
    import decimal

    headers = {
        "text": "v\u00e4lue",
        "bool": True,
        "int": -5,
        "long": 1 << 40,
        "none": None,
        "bytes": b"\x00\xff",
        "time": datetime.datetime(2024, 5, 6, 7, 8, 9, tzinfo=datetime.timezone.utc),
        "decimal": decimal.Decimal("3.14"),
        "list": [1, "two", None, [True]],
        "table": {"deep": {"deeper": "x"}},
        "": "an empty name",
    }
    properties = pika.BasicProperties(
        content_type="application/json",
        content_encoding="gzip",
        headers=headers,
        delivery_mode=2,
        priority=7,
        correlation_id="c1",
        reply_to="replies",
        expiration="60000",
        message_id="m1",
        timestamp=1_700_000_000,
        type="kind",
        user_id="guest",
        app_id="app",
        cluster_id="cl",
    )
    channel.basic_publish("", queue, b"body", properties)
    _, back, body = get(channel, queue)
    assert body == b"body"
    for field, value in headers.items():
        assert back.headers[field] == value, field
    assert vars(back) == vars(properties)


@pytest.mark.parametrize("size", [0, 1, 4087, 131_064, 131_065, 1_000_000])
def test_bodies_of_every_size(channel, queue, size):
    body = bytes(i % 256 for i in range(size))
    publish(channel, queue, body)
    assert get(channel, queue)[2] == body


def test_a_user_id_of_someone_else_is_406(channel, queue):
    with closed_with(406):
        publish(channel, queue, b"x", properties=pika.BasicProperties(user_id="someone-else"))
        channel.queue_declare(queue, passive=True)


# ---- consuming ----


def consume(connection, channel, queue, count, auto_ack=False, tag=None, **options):
    """Consumes `count` messages and cancels: [(method, properties, body)]."""
    got = []
    tag = channel.basic_consume(queue, lambda _c, m, p, b: got.append((m, p, b)), auto_ack=auto_ack, **options)
    wait_until(lambda: (connection.process_data_events(time_limit=0.05), len(got) >= count)[1], f"{count} deliveries")
    channel.basic_cancel(tag)
    return got


def test_consume_in_order_and_acknowledge(amqp, channel, queue):
    publish(channel, queue, *[b"%d" % i for i in range(50)])
    got = consume(amqp, channel, queue, 50)
    assert [b for _, _, b in got] == [b"%d" % i for i in range(50)]
    assert [m.delivery_tag for m, _, _ in got] == list(range(1, 51))
    assert not any(m.redelivered for m, _, _ in got)
    channel.basic_ack(got[-1][0].delivery_tag, multiple=True)
    channel.close()
    assert depth(amqp.channel(), queue) == 0


def test_unacknowledged_messages_come_again_in_place_and_marked(amqp, queue, channel):
    publish(channel, queue, b"1", b"2", b"3", b"4")
    taker = amqp.channel()
    got = consume(amqp, taker, queue, 4)
    taker.basic_ack(got[1][0].delivery_tag)
    taker.close()
    again = consume(amqp, channel, queue, 3)
    assert [(b, m.redelivered) for m, _, b in again] == [(b"1", True), (b"3", True), (b"4", True)]


def test_messages_come_again_when_the_connection_dies(amqp_factory, channel, queue):
    publish(channel, queue, b"1", b"2")
    dying = amqp_factory()
    consume(dying, dying.channel(), queue, 2)
    dying._impl._transport._sock.shutdown(socket.SHUT_RDWR)
    again = [get(channel, queue) for _ in range(2)]
    assert [(b, m.redelivered) for m, _, b in again] == [(b"1", True), (b"2", True)]


def test_auto_ack_is_done_at_delivery(amqp, queue, channel):
    publish(channel, queue, b"1", b"2")
    taker = amqp.channel()
    consume(amqp, taker, queue, 2, auto_ack=True)
    taker.close()
    assert depth(channel, queue) == 0


def test_nack_with_requeue_goes_back_to_its_place(channel, queue):
    publish(channel, queue, b"1", b"2", b"3")
    first = get(channel, queue, auto_ack=False)[0]
    channel.basic_nack(first.delivery_tag, requeue=True)
    method, _, body = get(channel, queue)
    assert (body, method.redelivered) == (b"1", True)
    assert bodies(channel, queue, 2) == [b"2", b"3"]


def test_nack_multiple_requeues_all_before_it(channel, queue):
    publish(channel, queue, b"1", b"2", b"3", b"4")
    taken = [get(channel, queue, auto_ack=False) for _ in range(3)]
    channel.basic_nack(taken[1][0].delivery_tag, multiple=True, requeue=True)
    assert bodies(channel, queue, 3) == [b"1", b"2", b"4"]
    channel.basic_ack(taken[2][0].delivery_tag)
    assert depth(channel, queue) == 0


def test_reject_without_requeue_discards(channel, queue):
    publish(channel, queue, b"1", b"2")
    channel.basic_reject(get(channel, queue, auto_ack=False)[0].delivery_tag, requeue=False)
    assert bodies(channel, queue, 1) == [b"2"]
    assert depth(channel, queue) == 0


def test_reject_with_requeue_comes_again(channel, queue):
    publish(channel, queue, b"1")
    channel.basic_reject(get(channel, queue, auto_ack=False)[0].delivery_tag, requeue=True)
    method, _, body = get(channel, queue)
    assert (body, method.redelivered) == (b"1", True)


def test_ack_zero_multiple_settles_everything(channel, queue):
    publish(channel, queue, b"1", b"2", b"3")
    for _ in range(3):
        get(channel, queue, auto_ack=False)
    channel.basic_ack(0, multiple=True)
    channel.basic_recover(requeue=True)
    assert depth(channel, queue) == 0


def test_recover_requeues_what_is_unacknowledged(channel, queue):
    publish(channel, queue, b"1", b"2")
    for _ in range(2):
        get(channel, queue, auto_ack=False)
    assert depth(channel, queue) == 0
    channel.basic_recover(requeue=True)
    again = [get(channel, queue) for _ in range(2)]
    assert [(b, m.redelivered) for m, _, b in again] == [(b"1", True), (b"2", True)]


@pytest.mark.parametrize("settle_with", ["basic_ack", "basic_nack", "basic_reject"])
def test_an_unknown_delivery_tag_is_406(channel, queue, settle_with):
    with closed_with(406) as error:
        getattr(channel, settle_with)(42)
        depth(channel, queue)
    assert "unknown delivery tag 42" in error.text


def test_a_tag_settled_twice_is_406(channel, queue):
    publish(channel, queue, b"1")
    tag = get(channel, queue, auto_ack=False)[0].delivery_tag
    channel.basic_ack(tag)
    with closed_with(406):
        channel.basic_ack(tag)
        depth(channel, queue)


def test_prefetch_bounds_what_is_in_flight(amqp, channel, queue):
    publish(channel, queue, *[b"%d" % i for i in range(10)])
    taker = amqp.channel()
    taker.basic_qos(prefetch_count=3)
    got = []
    taker.basic_consume(queue, lambda _c, m, _p, b: got.append((m.delivery_tag, b)))
    wait_until(lambda: (amqp.process_data_events(time_limit=0.05), len(got) >= 3)[1], "three deliveries")
    amqp.process_data_events(time_limit=0.3)
    assert len(got) == 3 and depth(channel, queue) == 7
    taker.basic_ack(got[0][0])
    wait_until(lambda: (amqp.process_data_events(time_limit=0.05), len(got) >= 4)[1], "a fourth after the ack")
    taker.basic_ack(got[3][0], multiple=True)
    wait_until(lambda: (amqp.process_data_events(time_limit=0.05), len(got) >= 7)[1], "three more")
    assert [b for _, b in got] == [b"%d" % i for i in range(7)]


def test_global_prefetch_is_shared_by_the_channel(amqp, channel, queue):
    publish(channel, queue, *[b"x"] * 10)
    taker, got = amqp.channel(), []
    taker.basic_qos(prefetch_count=4, global_qos=True)
    for _ in range(2):
        taker.basic_consume(queue, lambda _c, m, _p, b: got.append(m.delivery_tag))
    wait_until(lambda: (amqp.process_data_events(time_limit=0.05), len(got) >= 4)[1], "four deliveries")
    amqp.process_data_events(time_limit=0.3)
    assert len(got) == 4


def test_consumers_share_a_queue_fairly(amqp, channel, queue):
    counts = [0, 0]

    def counter(index):
        def callback(c, m, _p, _b):
            counts[index] += 1
            c.basic_ack(m.delivery_tag)

        return callback

    for index in range(2):
        taker = amqp.channel()
        taker.basic_qos(prefetch_count=1)
        taker.basic_consume(queue, counter(index))
    publish(channel, queue, *[b"x"] * 100)
    wait_until(lambda: (amqp.process_data_events(time_limit=0.05), sum(counts) >= 100)[1], "all hundred")
    assert sum(counts) == 100 and min(counts) >= 30, counts


def test_cancel_stops_deliveries_and_keeps_what_is_in_flight(amqp, channel, queue):
    publish(channel, queue, b"1")
    taker = amqp.channel()
    got = consume(amqp, taker, queue, 1)
    publish(channel, queue, b"2")
    amqp.process_data_events(time_limit=0.2)
    assert len(got) == 1
    taker.basic_ack(got[0][0].delivery_tag)
    assert bodies(channel, queue, 1) == [b"2"]


def test_consumer_tags(amqp, queue):
    channel = amqp.channel()
    assert channel.basic_consume(queue, lambda *_: None, consumer_tag="mine") == "mine"
    other = amqp.channel()
    assert other.basic_consume(queue, lambda *_: None, consumer_tag="mine") == "mine", "tags are per channel"


def test_an_exclusive_consumer_keeps_others_out(amqp, queue):
    first = amqp.channel()
    first.basic_consume(queue, lambda *_: None, exclusive=True)
    with closed_with(403):
        amqp.channel().basic_consume(queue, lambda *_: None)
    first.close()
    second = amqp.channel()
    second.basic_consume(queue, lambda *_: None)
    with closed_with(403):
        amqp.channel().basic_consume(queue, lambda *_: None, exclusive=True)


def test_get_reports_what_remains_and_empty(channel, queue):
    assert channel.basic_get(queue)[0] is None
    publish(channel, queue, b"1", b"2", b"3")
    wait_until(lambda: depth(channel, queue) == 3, "three messages")
    method, _, body = channel.basic_get(queue, auto_ack=True)
    assert (method.message_count, method.redelivered, method.delivery_tag, body) == (2, False, 1, b"1")


def test_a_waiting_consumer_gets_a_message_at_once(amqp_factory, queue, channel):
    connection, got = amqp_factory(), []
    taker = connection.channel()
    taker.basic_consume(queue, lambda _c, _m, _p, b: got.append(b), auto_ack=True)
    started = time.monotonic()
    publish(channel, queue, b"now")
    wait_until(lambda: (connection.process_data_events(time_limit=0.02), got)[1], "the delivery")
    assert time.monotonic() - started < 2


def test_closing_a_channel_with_unconsumed_deliveries_loses_nothing(amqp, channel, queue):
    channel.confirm_delivery()
    publish(channel, queue, *[b"%d" % i for i in range(200)])
    for _ in range(3):
        taker = amqp.channel()
        taker.basic_qos(prefetch_count=20)
        taker.basic_consume(queue, lambda *_: None)
        amqp.process_data_events(time_limit=0.1)
        taker.close()
    wait_until(lambda: depth(channel, queue) == 200, "all back")
    assert bodies(channel, queue, 200) == [b"%d" % i for i in range(200)]


# ---- errors of the connection ----


def test_a_method_on_a_closed_channel_number_is_504(amqp_factory):
    from pika import frame, spec

    connection = amqp_factory()
    impl = connection._impl
    impl._send_frame(frame.Method(77, spec.Queue.Declare(queue="x")))
    with pytest.raises(ConnectionClosedByBroker) as caught:
        wait_until(lambda: connection.process_data_events(time_limit=0.05), "the close", 5)
    assert caught.value.reply_code == 504


def test_not_implemented_methods_say_so(amqp_factory):
    channel = amqp_factory().channel()
    with pytest.raises((ConnectionClosedByBroker, ChannelClosedByBroker)) as caught:
        channel.basic_recover(requeue=False)
    assert caught.value.reply_code == 540


def test_immediate_is_540(amqp_factory, name):
    from pika import spec

    connection = amqp_factory()
    channel = connection.channel()
    channel._impl._send_method(spec.Basic.Publish(exchange="", routing_key=name, immediate=True), (pika.BasicProperties(), b"x"))
    with pytest.raises(ConnectionClosedByBroker) as caught:
        wait_until(lambda: connection.process_data_events(time_limit=0.05), "the close", 5)
    assert caught.value.reply_code == 540


# ---- what happens to messages in a queue ----


def mortal(channel, name, **arguments):
    """A queue whose dead letters go to `name`.dead."""
    dead = f"{name}.dead"
    channel.queue_declare(dead, durable=True)
    to_dead = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": dead}
    channel.queue_declare(name, durable=True, arguments={**to_dead, **{key.replace("_", "-"): value for key, value in arguments.items()}})
    channel.confirm_delivery()
    return dead


def test_a_rejected_message_carries_its_history(channel, name):
    dead = mortal(channel, name)
    publish(channel, name, b"bad", properties=pika.BasicProperties(delivery_mode=2, headers={"mine": 1}, message_id="7"))
    method, _, _ = get(channel, name, auto_ack=False)
    channel.basic_reject(method.delivery_tag, requeue=False)
    _, properties, body = get(channel, dead)
    assert (body, properties.message_id, properties.headers["mine"]) == (b"bad", "7", 1)
    (death,) = properties.headers["x-death"]
    assert (death["queue"], death["reason"], death["count"], death["exchange"], death["routing-keys"]) == (name, "rejected", 1, "", [name])
    assert properties.headers["x-first-death-reason"] == "rejected"


def test_a_message_expires_behind_one_that_does_not(channel, name):
    dead = mortal(channel, name)
    publish(channel, name, b"stays")
    publish(channel, name, b"goes", properties=pika.BasicProperties(delivery_mode=2, expiration="50"))
    _, properties, body = get(channel, dead)
    assert (body, properties.expiration) == (b"goes", None)
    assert properties.headers["x-death"][0]["original-expiration"] == "50"
    assert depth(channel, name) == 1


def test_priorities_and_limits(channel, name):
    dead = mortal(channel, name, x_max_priority=9, x_max_length=2, x_overflow="reject-publish-dlx")
    for priority, body in [(1, b"low"), (9, b"high")]:
        publish(channel, name, body, properties=pika.BasicProperties(delivery_mode=2, priority=priority))
    with pytest.raises(pika.exceptions.NackError):
        publish(channel, name, b"too much")
    assert get(channel, dead)[2] == b"too much"
    assert bodies(channel, name, 2) == [b"high", b"low"]


def test_two_queues_on_one_topic(channel, queue):
    view = f"{queue}.audit"
    channel.queue_declare(view, durable=True, arguments={"x-topic": queue})
    publish(channel, queue, b"1", b"2")
    assert bodies(channel, queue, 2) == [b"1", b"2"]
    assert bodies(channel, view, 2) == [b"1", b"2"]


def test_one_consumer_is_active(amqp, channel, name):
    channel.queue_declare(name, durable=True, arguments={"x-single-active-consumer": True})
    got = {"first": [], "second": []}
    tags = [channel.basic_consume(name, lambda *args, who=who: got[who].append(args[3]), auto_ack=True) for who in got]
    publish(channel, name, b"1", b"2")
    wait_until(lambda: amqp.process_data_events(0.05) or got["first"] == [b"1", b"2"], "the first gets all")
    channel.basic_cancel(tags[0])
    publish(channel, name, b"3")
    wait_until(lambda: amqp.process_data_events(0.05) or got["second"] == [b"3"], "the second takes over")
