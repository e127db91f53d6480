"""redis-py on the rest: connection, server and key commands, MULTI/EXEC, pipelines, both protocol versions, inline."""

import socket

import pytest
import redis


@pytest.fixture
def r(redis_client):
    return redis_client


@pytest.fixture
def raw(r):
    """A bare socket: send bytes, compare the exact reply."""
    kwargs = r.connection_pool.connection_kwargs
    connection = socket.create_connection((kwargs["host"], kwargs["port"]), timeout=15)

    def talk(request, expected):
        connection.sendall(request)
        got = b""
        while len(got) < len(expected):
            piece = connection.recv(65536)
            if not piece:
                break
            got += piece
        assert got == expected

    yield talk
    connection.close()


# ---- connection ----


def test_ping_and_echo(r):
    assert r.ping() is True
    assert r.echo("back") == b"back"


def test_select_keeps_databases_apart(redis_factory, name):
    zero, one = redis_factory(db=0), redis_factory(db=1)
    zero.rpush(name, "in zero")
    assert one.llen(name) == 0
    one.rpush(name, "in one")
    assert zero.lrange(name, 0, -1) == [b"in zero"]
    assert one.lrange(name, 0, -1) == [b"in one"]
    with pytest.raises(redis.ResponseError, match="DB index is out of range"):
        zero.execute_command("SELECT", 16)
    with pytest.raises(redis.ResponseError, match="value is not an integer or out of range|invalid DB index"):
        zero.execute_command("SELECT", "x")


def test_client_commands(redis_factory, unique):
    r, label = redis_factory(single_connection_client=True), unique()
    assert r.client_getname() is None
    assert r.client_setname(label) is True
    assert r.client_getname() == label
    own = r.client_id()
    assert isinstance(own, int) and own > 0
    listed = {c["name"]: c for c in r.client_list()}
    assert label in listed and int(listed[label]["id"]) == own
    info = r.client_info()
    assert info["name"] == label and info["id"] == own and info["db"] == 0
    assert r.client_no_evict("ON") == b"OK" or r.client_no_evict("ON") is True
    assert r.execute_command("CLIENT", "NO-EVICT", "OFF")
    assert redis_factory(single_connection_client=True).client_id() != own
    with pytest.raises(redis.ResponseError, match="cannot contain spaces"):
        r.client_setname("two words")


def test_hello_switches_the_protocol(raw, r):
    raw(b"*2\r\n$4\r\nLLEN\r\n$12\r\nnot-there-99\r\n", b":0\r\n")
    raw(b"LPOP not-there-99\r\n", b"$-1\r\n")
    kwargs = r.connection_pool.connection_kwargs
    with socket.create_connection((kwargs["host"], kwargs["port"]), timeout=15) as three:
        three.sendall(b"HELLO 3\r\nLPOP not-there-99\r\n")
        got = b""
        while not got.endswith(b"_\r\n"):
            piece = three.recv(65536)
            assert piece, got
            got += piece
        assert got.startswith(b"%7\r\n$6\r\nserver\r\n") or got.startswith(b"%")
        assert b"$5\r\nproto\r\n:3\r\n" in got


def test_hello_refuses_an_unknown_version(raw):
    raw(b"HELLO 9\r\n", b"-NOPROTO unsupported protocol version\r\n")


def test_auth_of_an_unknown_user_is_refused(r, closed_door):
    with pytest.raises(redis.AuthenticationError, match="invalid username-password pair or user is disabled"):
        r.execute_command("AUTH", "nobody-such", "wrong")


@pytest.mark.parametrize("protocol", [2, 3])
def test_both_protocols_give_the_same_values(redis_factory, protocol, name):
    r = redis_factory(protocol=protocol)
    assert r.rpush(name, "a", "b", "c") == 3
    assert r.lrange(name, 0, -1) == [b"a", b"b", b"c"]
    assert r.lpop(name, 2) == [b"a", b"b"]
    assert r.lindex(name, 7) is None
    assert r.blpop(name, timeout=1) in ((name.encode(), b"c"), [name.encode(), b"c"])
    assert r.blpop(name, timeout=0.1) is None
    assert r.ping() is True


def test_reset_and_quit(raw):
    raw(b"MULTI\r\nRESET\r\nPING\r\n", b"+OK\r\n+RESET\r\n+PONG\r\n")
    raw(b"QUIT\r\n", b"+OK\r\n")


def test_quit_closes(r):
    kwargs = r.connection_pool.connection_kwargs
    with socket.create_connection((kwargs["host"], kwargs["port"]), timeout=15) as c:
        c.sendall(b"QUIT\r\n")
        got = b""
        while piece := c.recv(100):
            got += piece
        assert got == b"+OK\r\n"


def test_inline_commands_and_quoting(raw, name):
    key = name.encode()
    raw(b"PING\r\nPING hello\r\n", b"+PONG\r\n$5\r\nhello\r\n")
    raw(b"\r\n\r\nPING\n", b"+PONG\r\n")
    raw(b'RPUSH %s "a b" \'c"d\' "\\x00\\n"\r\n' % key, b":3\r\n")
    raw(b"LRANGE %s 0 -1\r\n" % key, b"*3\r\n$3\r\na b\r\n$3\r\nc\"d\r\n$2\r\n\x00\n\r\n")


def test_unbalanced_quotes_close_with_an_error(raw):
    raw(b'ECHO "abc\r\n', b"-ERR Protocol error: unbalanced quotes in request\r\n")


@pytest.mark.parametrize(
    "request_bytes, error",
    [
        (b"*3\r\n$3\r\nSET\r\n$1\r\nx\r\nfooz\r\n", b"-ERR Protocol error: expected '$', got 'f'\r\n"),
        (b"*1\r\n$-10\r\n", b"-ERR Protocol error: invalid bulk length\r\n"),
        (b"*3\r\n$3\r\nSET\r\n$1\r\nx\r\n$2000000000\r\n", b"-ERR Protocol error: invalid bulk length\r\n"),
        (b"*3000000000\r\n", b"-ERR Protocol error: invalid multibulk length\r\n"),
    ],
)
def test_broken_requests_are_named(raw, request_bytes, error):
    raw(request_bytes, error)


def test_an_empty_array_is_ignored(raw):
    raw(b"*0\r\n*-1\r\nPING\r\n", b"+PONG\r\n")


# ---- server ----


def test_unknown_commands_name_themselves_and_their_arguments(raw):
    raw(b"NOSUCH a b\r\n", b"-ERR unknown command 'NOSUCH', with args beginning with: 'a' 'b' \r\n")
    raw(b"NOSUCH\r\n", b"-ERR unknown command 'NOSUCH', with args beginning with: \r\n")


def test_unknown_subcommands(r):
    with pytest.raises(redis.ResponseError, match="unknown subcommand 'NOSUCH'. Try CLIENT HELP."):
        r.execute_command("CLIENT NOSUCH")


def test_command_table(r):
    count = r.command_count()
    table = r.command()
    assert count == len(table) > 30
    rpush = r.execute_command("COMMAND INFO", "rpush", "nosuch")
    assert rpush is not None
    assert table["rpush"]["arity"] == -3
    assert "write" in str(table["rpush"]["flags"])
    assert table["llen"]["arity"] == 2


def test_command_docs(raw, r):
    kwargs = r.connection_pool.connection_kwargs
    with socket.create_connection((kwargs["host"], kwargs["port"]), timeout=15) as c:
        c.sendall(b"COMMAND DOCS llen\r\n")
        assert c.recv(65536).startswith(b"*2\r\n$4\r\nllen\r\n")


def test_info_sections(r):
    everything = r.info()
    for field in ["redis_version", "connected_clients", "blocked_clients", "role"]:
        assert field in everything, field
    assert "redis_version" in r.info("server")
    assert r.info("replication")["role"] == "master"


def test_config_get(r):
    assert "maxclients" in r.config_get("maxclients")
    assert set(r.config_get("append*")) >= {"appendonly"}
    assert r.config_get("no-such-setting") == {}


# ---- keys ----


def test_exists_type_del_unlink(r, unique):
    a, b, c = unique(), unique(), unique()
    r.rpush(a, 1)
    r.rpush(b, 1)
    assert r.exists(a, b, c, a) == 3
    assert (r.type(a), r.type(c)) == (b"list", b"none")
    assert r.delete(a, c) == 1
    assert r.unlink(b) == 1
    assert r.exists(a, b) == 0
    assert r.lpop(a) is None


def test_a_deleted_list_starts_empty_again(r, name):
    r.rpush(name, 1, 2, 3)
    r.delete(name)
    assert r.rpush(name, 9) == 1
    assert r.lrange(name, 0, -1) == [b"9"]


def test_a_list_disappears_with_its_last_element(r, name):
    r.rpush(name, 1)
    assert r.keys(name) == [name.encode()]
    r.lpop(name)
    assert r.keys(name) == []
    assert r.type(name) == b"none"


def test_keys_and_scan_by_pattern(r, unique):
    stem = unique("scan")
    made = {f"{stem}:{i}".encode() for i in range(60)}
    for key in made:
        r.rpush(key, 1)
    assert set(r.keys(f"{stem}:*")) == made
    assert set(r.keys(f"{stem}:?")) == {f"{stem}:{i}".encode() for i in range(10)}
    assert set(r.keys(f"{stem}:[1-3]")) == {f"{stem}:{i}".encode() for i in (1, 2, 3)}
    assert set(r.scan_iter(match=f"{stem}:*", count=7)) == made
    assert set(r.scan_iter(match=f"{stem}:*", _type="list")) == made
    assert set(r.scan_iter(match=f"{stem}:*", _type="hash")) == set()
    with pytest.raises(redis.ResponseError, match="invalid cursor"):
        r.execute_command("SCAN", "nonsense")


def test_dbsize_and_flush_of_one_database(redis_factory, unique):
    nine, ten = redis_factory(db=9), redis_factory(db=10)
    nine.flushdb()
    ten.flushdb()
    for _ in range(3):
        nine.rpush(unique(), 1)
    kept = unique()
    ten.rpush(kept, 1)
    assert (nine.dbsize(), ten.dbsize()) == (3, 1)
    assert nine.flushdb() is True
    assert (nine.dbsize(), ten.dbsize()) == (0, 1)
    assert ten.lrange(kept, 0, -1) == [b"1"]


# ---- pipelines and transactions ----


def test_a_deep_pipeline_answers_in_order(r, name):
    pipe = r.pipeline(transaction=False)
    for i in range(3000):
        pipe.rpush(name, i)
        pipe.lindex(name, -1)
    replies = pipe.execute()
    assert replies[0::2] == list(range(1, 3001))
    assert replies[1::2] == [b"%d" % i for i in range(3000)]


def test_an_error_in_a_pipeline_stays_in_its_place(r, name):
    pipe = r.pipeline(transaction=False)
    pipe.rpush(name, 1)
    pipe.execute_command("NOSUCH")
    pipe.llen(name)
    one, error, two = pipe.execute(raise_on_error=False)
    assert (one, two) == (1, 1) and isinstance(error, redis.ResponseError)


def test_exec_runs_all_at_once(r, redis_factory, name):
    pipe = r.pipeline(transaction=True)
    pipe.rpush(name, "a", "b").lpush(name, "z").lrange(name, 0, -1).lpop(name).llen(name)
    assert pipe.execute() == [2, 3, [b"z", b"a", b"b"], b"z", 2]


def test_nothing_of_a_transaction_shows_before_exec(r, redis_factory, raw, name):
    key = name.encode()
    raw(b"MULTI\r\nRPUSH %s a\r\nRPUSH %s b\r\n" % (key, key), b"+OK\r\n+QUEUED\r\n+QUEUED\r\n")
    assert r.llen(name) == 0
    raw(b"EXEC\r\n", b"*2\r\n:1\r\n:2\r\n")
    assert r.llen(name) == 2


def test_discard(raw, r, name):
    raw(b"MULTI\r\nRPUSH %s a\r\nDISCARD\r\nEXEC\r\n" % name.encode(), b"+OK\r\n+QUEUED\r\n+OK\r\n-ERR EXEC without MULTI\r\n")
    assert r.llen(name) == 0


def test_transaction_errors(raw, name):
    raw(b"MULTI\r\nMULTI\r\n", b"+OK\r\n-ERR MULTI calls can not be nested\r\n")
    raw(b"DISCARD\r\nDISCARD\r\n", b"+OK\r\n-ERR DISCARD without MULTI\r\n")
    raw(
        b"MULTI\r\nRPUSH\r\nPING\r\nEXEC\r\n",
        b"+OK\r\n-ERR wrong number of arguments for 'rpush' command\r\n+QUEUED\r\n"
        b"-EXECABORT Transaction discarded because of previous errors.\r\n",
    )


def test_an_error_inside_exec_does_not_undo_the_rest(raw, r, name):
    key = name.encode()
    raw(
        b"MULTI\r\nRPUSH %s a\r\nLINDEX %s x\r\nRPUSH %s b\r\nEXEC\r\n" % (key, key, key),
        b"+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n*3\r\n:1\r\n-ERR value is not an integer or out of range\r\n:2\r\n",
    )
    assert r.lrange(name, 0, -1) == [b"a", b"b"]


def test_blocking_commands_do_not_block_inside_exec(r, name):
    pipe = r.pipeline(transaction=True)
    pipe.blpop(name, 0)
    pipe.rpush(name, "v")
    pipe.blpop(name, 0)
    assert pipe.execute()[:2] == [None, 1]
    assert r.llen(name) == 0
