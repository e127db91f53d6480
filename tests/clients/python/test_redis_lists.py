"""redis-py on lists: every list command, its reply type, its errors in Redis's own words, and the blocking pops."""

import threading
import time

import pytest
import redis
from conftest import wait_until


@pytest.fixture
def r(redis_client):
    return redis_client


def blocked_clients(r):
    return int(r.info("clients")["blocked_clients"])


class Background:
    """Runs a blocking command on its own thread and connection; `result()` joins it."""

    def __init__(self, call):
        self.outcome = None
        self.thread = threading.Thread(target=self._run, args=(call,), daemon=True)
        self.thread.start()

    def _run(self, call):
        try:
            self.outcome = call()
        except redis.RedisError as error:
            self.outcome = error

    def result(self, deadline_s=15):
        self.thread.join(deadline_s)
        assert not self.thread.is_alive(), "the blocked command did not return"
        return self.outcome


@pytest.fixture
def block(r, redis_factory):
    """Starts a blocking command and returns once the server counts one more blocked client."""

    def start(command):
        client = redis_factory(socket_timeout=20)
        client.ping()
        before = blocked_clients(r)
        background = Background(lambda: command(client))
        wait_until(lambda: blocked_clients(r) > before, "the command blocks")
        return background

    return start


def test_pushes_order_and_return_the_length(r, name):
    assert r.rpush(name, "a") == 1
    assert r.rpush(name, "b", "c") == 3
    assert r.lpush(name, "x", "y") == 5
    assert r.lrange(name, 0, -1) == [b"y", b"x", b"a", b"b", b"c"]
    assert r.llen(name) == 5


def test_binary_values_and_names(r, unique):
    key = unique().encode() + b"\x00\xff\r\n"
    value = bytes(range(256))
    assert r.rpush(key, value, b"") == 2
    assert r.lrange(key, 0, -1) == [value, b""]
    assert r.lpop(key) == value
    assert r.lpop(key) == b""


def test_pushx_only_touches_a_list_that_exists(r, name):
    assert r.lpushx(name, "a") == 0
    assert r.rpushx(name, "a") == 0
    assert r.exists(name) == 0
    r.rpush(name, "m")
    assert r.lpushx(name, "l") == 2
    assert r.rpushx(name, "r", "s") == 4
    assert r.lrange(name, 0, -1) == [b"l", b"m", b"r", b"s"]


def test_pops_from_both_ends(r, name):
    r.rpush(name, *"abcdef")
    assert r.lpop(name) == b"a"
    assert r.rpop(name) == b"f"
    assert r.lpop(name, 2) == [b"b", b"c"]
    assert r.rpop(name, 5) == [b"e", b"d"]
    assert r.lpop(name) is None
    assert r.rpop(name, 3) is None
    assert r.exists(name) == 0


def test_pop_counts_at_their_limits(r, name):
    assert r.execute_command("LPOP", name, 0) is None
    r.rpush(name, "a")
    assert r.execute_command("LPOP", name, 0) == []
    with pytest.raises(redis.ResponseError, match="value is out of range, must be positive"):
        r.execute_command("LPOP", name, -1)
    with pytest.raises(redis.ResponseError, match="value is out of range, must be positive"):
        r.execute_command("RPOP", name, "x")


@pytest.mark.parametrize(
    "start, stop, expected",
    [(0, -1, "abcde"), (0, 0, "a"), (1, 3, "bcd"), (-2, -1, "de"), (-100, 1, "ab"), (3, 100, "de"), (4, 2, ""), (9, 12, ""), (-1, -2, "")],
)
def test_lrange_bounds(r, name, start, stop, expected):
    r.rpush(name, *"abcde")
    assert b"".join(r.lrange(name, start, stop)).decode() == expected


def test_lindex(r, name):
    assert r.lindex(name, 0) is None
    r.rpush(name, *"abc")
    r.lpush(name, "z")
    assert [r.lindex(name, i) for i in (0, 1, 3, -1, -4, 4, -5)] == [b"z", b"a", b"c", b"c", b"z", None, None]
    with pytest.raises(redis.ResponseError, match="value is not an integer or out of range"):
        r.execute_command("LINDEX", name, "one")


@pytest.mark.parametrize(
    "source, target, moved, left, right",
    [
        ("LEFT", "LEFT", b"a", "bc", "axy"),
        ("LEFT", "RIGHT", b"a", "bc", "xya"),
        ("RIGHT", "LEFT", b"c", "ab", "cxy"),
        ("RIGHT", "RIGHT", b"c", "ab", "xyc"),
    ],
)
def test_lmove_between_lists(r, unique, source, target, moved, left, right):
    a, b = unique(), unique()
    r.rpush(a, *"abc")
    r.rpush(b, *"xy")
    assert r.lmove(a, b, source, target) == moved
    assert b"".join(r.lrange(a, 0, -1)).decode() == left
    assert b"".join(r.lrange(b, 0, -1)).decode() == right


def test_lmove_rotates_one_list_and_misses_quietly(r, unique):
    a = unique()
    r.rpush(a, *"abc")
    assert r.lmove(a, a, "LEFT", "RIGHT") == b"a"
    assert r.rpoplpush(a, a) == b"a"
    assert r.lrange(a, 0, -1) == [b"a", b"b", b"c"]
    assert r.lmove(unique(), a, "LEFT", "RIGHT") is None
    with pytest.raises(redis.ResponseError, match="syntax error"):
        r.execute_command("LMOVE", a, a, "LEFT", "UP")


def test_rpoplpush(r, unique):
    a, b = unique(), unique()
    assert r.rpoplpush(a, b) is None
    r.rpush(a, *"abc")
    assert r.rpoplpush(a, b) == b"c"
    assert r.rpoplpush(a, b) == b"b"
    assert r.lrange(b, 0, -1) == [b"b", b"c"]


def test_a_long_list_keeps_its_order(r, name):
    pipe = r.pipeline(transaction=False)
    for i in range(5000):
        (pipe.rpush if i % 2 else pipe.lpush)(name, i)
    pipe.execute()
    expected = list(range(4998, -1, -2)) + list(range(1, 5000, 2))
    assert [int(v) for v in r.lrange(name, 0, -1)] == expected
    assert [int(v) for v in r.lrange(name, 2400, 2600)] == expected[2400:2601]
    assert [int(v) for v in r.lpop(name, 2600)] == expected[:2600]
    assert r.llen(name) == 2400


def test_large_values(r, name):
    value = bytes(i % 251 for i in range(700_000))
    r.rpush(name, value)
    assert r.lindex(name, 0) == value
    assert r.rpop(name) == value


# ---- blocking ----


def test_blpop_takes_what_is_there_in_key_order(r, unique):
    a, b = unique(), unique()
    r.rpush(b, "b1")
    assert r.blpop([a, b], timeout=1) == (b.encode(), b"b1")
    r.rpush(a, "a1", "a2")
    r.rpush(b, "b2")
    assert r.blpop([a, b], timeout=1) == (a.encode(), b"a1")
    assert r.brpop([b, a], timeout=1) == (b.encode(), b"b2")
    assert r.brpop([b, a], timeout=1) == (a.encode(), b"a2")


def test_blocking_pops_time_out_with_nil(r, unique):
    a, b = unique(), unique()
    started = time.monotonic()
    assert r.blpop([a, b], timeout=0.3) is None
    assert 0.25 < time.monotonic() - started < 3
    assert r.brpop(a, timeout=0.1) is None
    assert r.blmove(a, b, 0.1, "LEFT", "LEFT") is None


def test_bad_timeouts(r, name):
    with pytest.raises(redis.ResponseError, match="timeout is negative"):
        r.execute_command("BLPOP", name, -1)
    with pytest.raises(redis.ResponseError, match="timeout is not a float or out of range"):
        r.execute_command("BRPOP", name, "soon")


def test_a_push_wakes_a_blocked_pop(r, block, name):
    waiting = block(lambda c: c.blpop(name, timeout=15))
    assert r.rpush(name, "now") == 1
    assert waiting.result() == (name.encode(), b"now")
    assert r.llen(name) == 0


def test_a_pop_blocked_on_several_keys_takes_one_element(r, block, unique):
    a, b = unique(), unique()
    waiting = block(lambda c: c.brpop([a, b], timeout=15))
    r.rpush(b, "1", "2")
    assert waiting.result() == (b.encode(), b"2")
    r.rpush(a, "3")
    assert (r.llen(a), r.llen(b)) == (1, 1)


def test_the_longest_waiting_client_is_served_first(r, block, name):
    first = block(lambda c: c.blpop(name, timeout=15))
    second = block(lambda c: c.blpop(name, timeout=15))
    third = block(lambda c: c.brpop(name, timeout=15))
    r.rpush(name, "a", "b", "c", "d")
    assert first.result() == (name.encode(), b"a")
    assert second.result() == (name.encode(), b"b")
    assert third.result() == (name.encode(), b"d")
    assert r.lrange(name, 0, -1) == [b"c"]


def test_a_multi_push_is_complete_before_a_waiter_is_served(r, block, name):
    waiting = block(lambda c: c.blpop(name, timeout=15))
    assert r.lpush(name, "a", "b", "c") == 3
    assert waiting.result() == (name.encode(), b"c")


def test_blmove_waits_and_moves(r, block, unique):
    a, b = unique(), unique()
    waiting = block(lambda c: c.blmove(a, b, 15, "LEFT", "RIGHT"))
    r.rpush(b, "old")
    r.rpush(a, "new")
    assert waiting.result() == b"new"
    assert r.lrange(b, 0, -1) == [b"old", b"new"]


def test_a_chain_of_blocked_moves(r, block, unique):
    a, b, c = unique(), unique(), unique()
    first = block(lambda x: x.blmove(a, b, 15, "RIGHT", "LEFT"))
    second = block(lambda x: x.blmove(b, c, 15, "RIGHT", "LEFT"))
    r.rpush(a, "v")
    assert first.result() == b"v" and second.result() == b"v"
    assert (r.llen(a), r.llen(b), r.lrange(c, 0, -1)) == (0, 0, [b"v"])


def test_a_closed_client_that_waited_takes_nothing(r, block, redis_factory, name):
    import socket

    before = blocked_clients(r)
    host, port = r.connection_pool.connection_kwargs["host"], r.connection_pool.connection_kwargs["port"]
    raw = socket.create_connection((host, port))
    raw.sendall(b"BLPOP %s 0\r\n" % name.encode())
    wait_until(lambda: blocked_clients(r) > before, "the command blocks")
    raw.close()
    wait_until(lambda: blocked_clients(r) <= before, "the dead client is gone")
    r.rpush(name, "kept")
    assert r.lrange(name, 0, -1) == [b"kept"]


def test_pipelined_commands_after_a_blocking_one_wait_for_it(r, name):
    import socket

    host, port = r.connection_pool.connection_kwargs["host"], r.connection_pool.connection_kwargs["port"]
    with socket.create_connection((host, port), timeout=15) as raw:
        before = blocked_clients(r)
        raw.sendall(b"BLPOP %s 0\r\nPING\r\n" % name.encode())
        wait_until(lambda: blocked_clients(r) > before, "the command blocks")
        r.rpush(name, "v")
        expected = b"*2\r\n$%d\r\n%s\r\n$1\r\nv\r\n+PONG\r\n" % (len(name), name.encode())
        got = b""
        while len(got) < len(expected):
            piece = raw.recv(4096)
            assert piece, got
            got += piece
        assert got == expected


def test_many_poppers_take_every_element_once(r, redis_factory, name):
    taken, lock = [], threading.Lock()

    def work():
        client = redis_factory()
        while True:
            got = client.blpop(name, timeout=10)
            if got is None or got[1] == b"stop":
                return
            with lock:
                taken.append(int(got[1]))

    threads = [threading.Thread(target=work, daemon=True) for _ in range(8)]
    for thread in threads:
        thread.start()
    pipe = r.pipeline(transaction=False)
    for i in range(2000):
        pipe.rpush(name, i)
    pipe.execute()
    r.rpush(name, *["stop"] * 8)
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()
    assert sorted(taken) == list(range(2000))


# ---- errors ----


@pytest.mark.parametrize(
    "command",
    ["LPUSH", "RPUSH", "LPUSHX", "RPUSHX", "LPOP", "RPOP", "LLEN", "LRANGE", "LINDEX", "LMOVE", "RPOPLPUSH", "BLPOP", "BRPOP", "BLMOVE"],
)
def test_wrong_number_of_arguments(r, command):
    with pytest.raises(redis.ResponseError, match=f"wrong number of arguments for '{command.lower()}' command"):
        r.execute_command(command)


def test_editing_in_the_middle(r, name):
    r.rpush(name, "a", "b", "c", "a")
    assert r.lset(name, -1, "A") is True
    assert r.linsert(name, "before", "b", "x") == 5
    assert r.linsert(name, "after", "none", "x") == -1
    assert r.lrange(name, 0, -1) == [b"a", b"x", b"b", b"c", b"A"]
    assert r.lpos(name, "c") == 3
    assert r.lrem(name, 0, "x") == 1
    assert r.ltrim(name, 1, 2) is True
    assert r.lrange(name, 0, -1) == [b"b", b"c"]
    with pytest.raises(redis.ResponseError, match="index out of range"):
        r.lset(name, 5, "v")
