"""redis-py on streams: ids, ranges, trimming, groups and what is pending, with the library's own parsing of replies."""

import threading

import pytest
import redis
from conftest import wait_until


@pytest.fixture
def r(redis_client):
    return redis_client


def test_entries_are_added_read_and_removed(r, name):
    assert r.xadd(name, {"f": "1"}, id="1-1") == b"1-1"
    assert r.xadd(name, {"f": "2", "g": b"\x00\xff"}, id="2-*") == b"2-0"
    assert r.xrange(name) == [(b"1-1", {b"f": b"1"}), (b"2-0", {b"f": b"2", b"g": b"\x00\xff"})]
    assert [entry[0] for entry in r.xrevrange(name, count=1)] == [b"2-0"]
    assert r.xread({name: "1-1"}) == [[name.encode(), [(b"2-0", {b"f": b"2", b"g": b"\x00\xff"})]]]
    assert (r.xlen(name), r.xdel(name, "1-1"), r.xlen(name)) == (2, 1, 1)
    assert r.type(name) == b"stream"
    info = r.xinfo_stream(name)
    assert (info["length"], info["entries-added"], info["max-deleted-entry-id"]) == (1, 2, b"1-1")
    assert info["first-entry"][0] == info["last-entry"][0] == b"2-0"


def test_automatic_ids_rise(r, name):
    ids = [r.xadd(name, {"n": n}) for n in range(100)]
    parsed = [tuple(int(part) for part in one.split(b"-")) for one in ids]
    assert parsed == sorted(set(parsed))


def test_errors_are_those_of_redis(r, name):
    r.xadd(name, {"f": "v"}, id="5-5")
    with pytest.raises(redis.ResponseError, match="equal or smaller than the target stream top item"):
        r.xadd(name, {"f": "v"}, id="5-5")
    with pytest.raises(redis.ResponseError, match="Invalid stream ID"):
        r.xrange(name, min="nonsense")
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        r.rpush(name, "x")
    with pytest.raises(redis.ResponseError, match="NOGROUP"):
        r.xreadgroup("none", "me", {name: ">"})
    with pytest.raises(redis.ResponseError, match="requires the key to exist"):
        r.xgroup_create(name + "-absent", "g")


def test_trimming(r, name):
    for n in range(1, 11):
        r.xadd(name, {"n": n}, id=f"{n}-0")
    assert r.xtrim(name, maxlen=8, approximate=False) == 2
    assert r.xtrim(name, minid="5", approximate=False) == 2
    r.xadd(name, {"n": 11}, id="11-0", maxlen=3, approximate=False)
    assert [entry[0] for entry in r.xrange(name)] == [b"9-0", b"10-0", b"11-0"]


def test_a_group_hands_each_entry_to_one_consumer(r, name):
    r.xgroup_create(name, "g", id="$", mkstream=True)
    for n in range(1, 5):
        r.xadd(name, {"n": n}, id=f"{n}-0")
    first = r.xreadgroup("g", "a", {name: ">"}, count=2)[0][1]
    second = r.xreadgroup("g", "b", {name: ">"})[0][1]
    assert ([entry[0] for entry in first], [entry[0] for entry in second]) == ([b"1-0", b"2-0"], [b"3-0", b"4-0"])
    summary = r.xpending(name, "g")
    assert (summary["pending"], summary["min"], summary["max"]) == (4, b"1-0", b"4-0")
    assert r.xack(name, "g", "1-0", "1-0", "9-9") == 1
    assert [entry[0] for entry in r.xclaim(name, "g", "b", 0, ["2-0"])] == [b"2-0"]
    details = r.xpending_range(name, "g", "-", "+", 10)
    assert [(one["message_id"], one["consumer"], one["times_delivered"]) for one in details] == [
        (b"2-0", b"b", 2),
        (b"3-0", b"b", 1),
        (b"4-0", b"b", 1),
    ]
    claimed = r.xautoclaim(name, "g", "c", 0, "0-0", count=2)
    assert (claimed[0], [entry[0] for entry in claimed[1]]) == (b"4-0", [b"2-0", b"3-0"])
    groups = r.xinfo_groups(name)
    assert [(g["name"], g["consumers"], g["pending"], g["lag"]) for g in groups] == [(b"g", 3, 3, 0)]
    assert {c["name"]: c["pending"] for c in r.xinfo_consumers(name, "g")} == {b"a": 0, b"b": 1, b"c": 2}
    assert r.xgroup_delconsumer(name, "g", "c") == 2
    assert r.xgroup_destroy(name, "g") == 1


def test_a_blocked_group_read_is_woken(r, redis_factory, name):
    r.xgroup_create(name, "g", mkstream=True)
    waiting, got = redis_factory(socket_timeout=20), []
    thread = threading.Thread(target=lambda: got.append(waiting.xreadgroup("g", "me", {name: ">"}, block=10000)))
    thread.start()
    r.xadd(name, {"f": "v"}, id="7-7")
    thread.join(15)
    assert got == [[[name.encode(), [(b"7-7", {b"f": b"v"})]]]]


def test_without_acknowledgement_nothing_is_pending(r, name):
    r.xgroup_create(name, "g", id="0", mkstream=True)
    r.xadd(name, {"f": "v"}, id="1-0")
    assert r.xreadgroup("g", "me", {name: ">"}, noack=True)[0][1] == [(b"1-0", {b"f": b"v"})]
    assert r.xpending(name, "g")["pending"] == 0
    assert r.xinfo_consumers(name, "g")[0]["name"] == b"me"


def test_what_is_removed_is_pending_until_it_is_claimed(r, name):
    r.xgroup_create(name, "g", id="0", mkstream=True)
    for n in range(1, 4):
        r.xadd(name, {"n": n}, id=f"{n}-0")
    r.xreadgroup("g", "a", {name: ">"})
    assert r.xdel(name, "2-0") == 1
    assert r.xreadgroup("g", "a", {name: "0"})[0][1] == [(b"1-0", {b"n": b"1"}), (b"2-0", {}), (b"3-0", {b"n": b"3"})]
    assert r.xautoclaim(name, "g", "b", 0) == [b"0-0", [(b"1-0", {b"n": b"1"}), (b"3-0", {b"n": b"3"})], [b"2-0"]]
    assert [one["message_id"] for one in r.xpending_range(name, "g", "-", "+", 9)] == [b"1-0", b"3-0"]
    assert r.xpending_range(name, "g", "-", "+", 9, idle=3_600_000) == []
    assert r.xclaim(name, "g", "c", 3_600_000, ["1-0"]) == []
    assert r.xclaim(name, "g", "c", 0, ["1-0"], idle=7_200_000, retrycount=9, justid=True) == [b"1-0"]
    long_idle = r.xpending_range(name, "g", "-", "+", 9, idle=3_600_000)
    assert [(one["message_id"], one["consumer"], one["times_delivered"]) for one in long_idle] == [(b"1-0", b"c", 9)]


def test_a_group_is_set_back_and_its_consumers_come_and_go(r, name):
    r.xgroup_create(name, "g", id="$", mkstream=True)
    assert r.xgroup_createconsumer(name, "g", "a") == 1
    assert r.xgroup_createconsumer(name, "g", "a") == 0
    for n in range(1, 4):
        r.xadd(name, {"n": n}, id=f"{n}-0")
    assert len(r.xreadgroup("g", "a", {name: ">"})[0][1]) == 3
    r.xgroup_setid(name, "g", "1-0", entries_read=1)
    assert r.xinfo_groups(name)[0]["lag"] == 2
    assert [entry[0] for entry in r.xreadgroup("g", "b", {name: ">"})[0][1]] == [b"2-0", b"3-0"]
    assert (r.xgroup_delconsumer(name, "g", "a"), r.xgroup_delconsumer(name, "g", "b")) == (1, 2)
    assert r.xpending(name, "g")["pending"] == 0


def test_readers_of_a_group_are_served_in_the_order_in_which_they_wait(r, redis_factory, name):
    r.xgroup_create(name, "g", mkstream=True)
    got, threads = {}, []

    def read(who, client):
        got[who] = client.xreadgroup("g", f"member-{who}", {name: ">"}, count=1, block=15000)[0][1][0][0]

    for who in range(4):
        client = redis_factory(socket_timeout=20)
        client.ping()
        before = int(r.info("clients")["blocked_clients"])
        threads.append(threading.Thread(target=read, args=(who, client), daemon=True))
        threads[-1].start()
        wait_until(lambda before=before: int(r.info("clients")["blocked_clients"]) > before, "it blocks")
    with r.pipeline(transaction=False) as pipeline:
        for n in range(1, 5):
            pipeline.xadd(name, {"n": n}, id=f"{n}-0")
        pipeline.execute()
    for thread in threads:
        thread.join(15)
    assert got == {who: b"%d-0" % (who + 1) for who in range(4)}
