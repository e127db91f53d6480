"""redis-py on channels: subscribe, patterns, receiver counts, PUBSUB, both protocol versions, and what stays apart."""

import pytest
import redis
from conftest import wait_until


@pytest.fixture
def r(redis_client):
    return redis_client


@pytest.fixture
def subscriber(redis_factory):
    made = []

    def make(**options):
        pubsub = redis_factory(**options).pubsub(ignore_subscribe_messages=False)
        made.append(pubsub)
        return pubsub

    yield make
    for pubsub in made:
        pubsub.close()


def next_message(pubsub, deadline_s=10):
    return wait_until(lambda: pubsub.get_message(timeout=0.2), "a message", deadline_s)


def subscribed(pubsub, *channels):
    pubsub.subscribe(*channels)
    got = [next_message(pubsub) for _ in channels]
    assert [m["type"] for m in got] == ["subscribe"] * len(channels)
    return got


@pytest.mark.parametrize("protocol", [2, 3])
def test_a_subscriber_gets_what_is_published(r, subscriber, name, protocol):
    listener = subscriber(protocol=protocol)
    (confirmation,) = subscribed(listener, name)
    assert (confirmation["channel"], confirmation["data"]) == (name.encode(), 1)
    assert r.publish(name, b"\x00binary\xff") == 1
    message = next_message(listener)
    assert (message["type"], message["channel"], message["data"]) == ("message", name.encode(), b"\x00binary\xff")


def test_publish_counts_the_receivers(r, subscriber, name):
    assert r.publish(name, "nobody") == 0
    for _ in range(3):
        subscribed(subscriber(), name)
    assert r.publish(name, "all") == 3


def test_messages_arrive_in_order_and_nothing_from_before(r, subscriber, name):
    r.publish(name, "before")
    listener = subscriber()
    subscribed(listener, name)
    pipe = r.pipeline(transaction=False)
    for i in range(500):
        pipe.publish(name, i)
    assert pipe.execute() == [1] * 500
    assert [int(next_message(listener)["data"]) for _ in range(500)] == list(range(500))


def test_patterns(r, subscriber, unique):
    stem, listener = unique("news"), subscriber()
    listener.psubscribe(f"{stem}.*", f"{stem}.a[bc]")
    assert [next_message(listener)["type"] for _ in range(2)] == ["psubscribe"] * 2
    assert r.publish(f"{stem}.ab", "x") == 2, "one client, two patterns: two copies"
    got = sorted((next_message(listener) for _ in range(2)), key=lambda m: m["pattern"])
    assert [m["pattern"].decode() for m in got] == [f"{stem}.*", f"{stem}.a[bc]"]
    assert all((m["type"], m["channel"], m["data"]) == ("pmessage", f"{stem}.ab".encode(), b"x") for m in got)
    assert r.publish(f"{stem}.zz", "y") == 1
    assert r.publish(f"{stem}x", "n") == 0


def test_exact_and_pattern_of_one_client_are_two_copies(r, subscriber, name):
    listener = subscriber()
    subscribed(listener, name)
    listener.psubscribe(name[:-1] + "?")
    assert next_message(listener)["type"] == "psubscribe"
    assert r.publish(name, "x") == 2
    assert [next_message(listener)["type"] for _ in range(2)] == ["message", "pmessage"]


def test_unsubscribe_stops(r, subscriber, unique):
    a, b, listener = unique(), unique(), subscriber()
    subscribed(listener, a, b)
    listener.unsubscribe(a)
    gone = next_message(listener)
    assert (gone["type"], gone["channel"], gone["data"]) == ("unsubscribe", a.encode(), 1)
    assert r.publish(a, "x") == 0
    assert r.publish(b, "y") == 1
    assert next_message(listener)["data"] == b"y"
    listener.unsubscribe()
    assert next_message(listener)["data"] == 0


def test_a_closed_subscriber_is_forgotten(r, subscriber, name):
    listener = subscriber()
    subscribed(listener, name)
    listener.close()
    wait_until(lambda: r.publish(name, "x") == 0, "no receiver left")


def test_pubsub_introspection(r, subscriber, unique):
    stem = unique("chan")
    names = [f"{stem}:{i}" for i in range(3)]
    subscribed(subscriber(), *names)
    subscribed(subscriber(), names[0])
    patterns = r.pubsub_numpat()
    watcher = subscriber()
    watcher.psubscribe(f"{stem}:*")
    next_message(watcher)
    assert sorted(r.pubsub_channels(f"{stem}:*")) == [n.encode() for n in names]
    assert r.pubsub_numsub(names[0], names[1], stem) == [(names[0].encode(), 2), (names[1].encode(), 1), (stem.encode(), 0)]
    assert r.pubsub_numpat() == patterns + 1


def test_only_some_commands_work_while_subscribed(r, redis_factory, name):
    import socket

    kwargs = r.connection_pool.connection_kwargs
    with socket.create_connection((kwargs["host"], kwargs["port"]), timeout=15) as c:
        key = name.encode()
        c.sendall(b"SUBSCRIBE %s\r\nLLEN %s\r\nPING\r\nPING x\r\n" % (key, key))
        expected = (
            b"*3\r\n$9\r\nsubscribe\r\n$%d\r\n%s\r\n:1\r\n" % (len(key), key)
            + b"-ERR Can't execute 'llen': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context\r\n"
            + b"*2\r\n$4\r\npong\r\n$0\r\n\r\n*2\r\n$4\r\npong\r\n$1\r\nx\r\n"
        )
        got = b""
        while len(got) < len(expected):
            piece = c.recv(65536)
            assert piece, got
            got += piece
        assert got == expected


def test_resp3_clients_may_do_both_on_one_connection(r, name):
    import socket

    kwargs = r.connection_pool.connection_kwargs
    with socket.create_connection((kwargs["host"], kwargs["port"]), timeout=15) as c:
        key = name.encode()
        c.sendall(b"HELLO 3\r\nSUBSCRIBE %s\r\nPUBLISH %s v\r\nECHO end\r\n" % (key, key))
        got = b""
        message = b">3\r\n$7\r\nmessage\r\n$%d\r\n%s\r\n$1\r\nv\r\n" % (len(key), key)
        while b"$3\r\nend\r\n" not in got or message not in got:
            piece = c.recv(65536)
            assert piece, got
            got += piece
        assert b">3\r\n$9\r\nsubscribe\r\n" in got
        assert b":1\r\n" in got


def test_publish_inside_a_transaction(r, subscriber, name):
    listener = subscriber()
    subscribed(listener, name)
    assert r.pipeline(transaction=True).publish(name, "a").publish(name, "b").execute() == [1, 1]
    assert [next_message(listener)["data"] for _ in range(2)] == [b"a", b"b"]


def test_a_list_and_a_channel_of_one_name_are_two_things(r, subscriber, name):
    listener = subscriber()
    subscribed(listener, name)
    r.rpush(name, "pushed")
    assert r.publish(name, "published") == 1
    assert next_message(listener)["data"] == b"published"
    assert r.lrange(name, 0, -1) == [b"pushed"]
    assert listener.get_message(timeout=0.2) is None


def test_publishing_makes_no_key(r, name):
    r.publish(name, "x")
    assert r.exists(name) == 0
    assert r.type(name) == b"none"
    assert r.keys(name) == []
    assert r.llen(name) == 0


def test_unsubscribing_from_nothing_is_answered(r):
    import socket

    kwargs = r.connection_pool.connection_kwargs
    with socket.create_connection((kwargs["host"], kwargs["port"]), timeout=15) as c:
        c.sendall(b"UNSUBSCRIBE\r\nPUNSUBSCRIBE\r\n")
        expected = b"*3\r\n$11\r\nunsubscribe\r\n$-1\r\n:0\r\n*3\r\n$12\r\npunsubscribe\r\n$-1\r\n:0\r\n"
        got = b""
        while len(got) < len(expected):
            piece = c.recv(4096)
            assert piece, got
            got += piece
        assert got == expected


def test_wrong_number_of_arguments(r):
    for command in ("PUBLISH", "SUBSCRIBE", "PSUBSCRIBE"):
        with pytest.raises(redis.ResponseError, match=f"wrong number of arguments for '{command.lower()}' command"):
            r.execute_command(command)
