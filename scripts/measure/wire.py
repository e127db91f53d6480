"""Just enough of each protocol to hold an idle connection or to make names, by hand over a socket."""

import socket
import struct

TIMEOUT_S = 30


def _open(port):
    connection = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def _exactly(connection, count):
    data = b""
    while len(data) < count:
        more = connection.recv(count - len(data))
        if not more:
            raise ConnectionError("the server closed the connection")
        data += more
    return data


class _Redis:
    name = "redis"

    @staticmethod
    def fits(server):
        return hasattr(server, "redis_port")

    @staticmethod
    def connect(server):
        connection = _open(server.redis_port)
        connection.sendall(b"*1\r\n$4\r\nPING\r\n")
        _exactly(connection, len(b"+PONG\r\n"))
        return connection

    @staticmethod
    def make_names(server, count):
        with _Redis.connect(server) as connection:
            for first in range(0, count, 100):
                block = range(first, min(first + 100, count))
                keys = (f"figures:{number:08}".encode() for number in block)
                connection.sendall(b"".join(b"*3\r\n$5\r\nRPUSH\r\n$16\r\n%s\r\n$10\r\n0123456789\r\n" % key for key in keys))
                _exactly(connection, len(b":1\r\n") * len(block))


def delete(server, key):
    """DEL on a Redis port, so that every round begins alike."""
    with _Redis.connect(server) as connection:
        connection.settimeout(TIMEOUT_S * 4)
        connection.sendall(b"*2\r\n$3\r\nDEL\r\n$%d\r\n%s\r\n" % (len(key), key.encode()))
        _exactly(connection, len(b":1\r\n"))


class _Kafka:
    name = "kafka"
    make_names = None

    @staticmethod
    def fits(server):
        return hasattr(server, "kafka")

    @staticmethod
    def connect(server):
        connection = _open(int(server.kafka.rpartition(":")[2]))
        # ApiVersions version 0, correlation id 1, client id "f".
        request = struct.pack(">hhih", 18, 0, 1, 1) + b"f"
        connection.sendall(struct.pack(">i", len(request)) + request)
        _exactly(connection, struct.unpack(">i", _exactly(connection, 4))[0])
        return connection


class _Amqp:
    name = "amqp"
    START_OK, TUNE, TUNE_OK, OPEN = (10, 11), (10, 30), (10, 31), (10, 40)
    CHANNEL_OPEN, QUEUE_DECLARE = (20, 10), (50, 10)

    @staticmethod
    def fits(server):
        return hasattr(server, "amqp_port")

    @staticmethod
    def connect(server):
        connection = _open(server.amqp_port)
        connection.sendall(b"AMQP\x00\x00\x09\x01")
        _Amqp._answer(connection)
        login = b"\x00guest\x00guest"
        _Amqp._send(connection, 0, _Amqp.START_OK, struct.pack(">I", 0) + b"\x05PLAIN" + struct.pack(">I", len(login)) + login + b"\x05en_US")
        tune = _Amqp._answer(connection)
        channels, frame = struct.unpack(">HI", tune[4:10])
        _Amqp._send(connection, 0, _Amqp.TUNE_OK, struct.pack(">HIH", channels, frame, 0))
        _Amqp._send(connection, 0, _Amqp.OPEN, b"\x01/\x00\x00")
        _Amqp._answer(connection)
        return connection

    @staticmethod
    def make_names(server, count):
        with _Amqp.connect(server) as connection:
            _Amqp._send(connection, 1, _Amqp.CHANNEL_OPEN, b"\x00")
            _Amqp._answer(connection)
            for number in range(count):
                name = f"figures:{number:08}".encode()
                durable = b"\x02"
                _Amqp._send(connection, 1, _Amqp.QUEUE_DECLARE, b"\x00\x00" + bytes([len(name)]) + name + durable + struct.pack(">I", 0))
                _Amqp._answer(connection)

    @staticmethod
    def _send(connection, channel, method, arguments):
        payload = struct.pack(">HH", *method) + arguments
        connection.sendall(struct.pack(">BHI", 1, channel, len(payload)) + payload + b"\xce")

    @staticmethod
    def _answer(connection):
        """The payload of the next method frame; heartbeats are passed over."""
        while True:
            kind, _, length = struct.unpack(">BHI", _exactly(connection, 7))
            payload = _exactly(connection, length + 1)[:-1]
            if kind == 1:
                return payload


DIALECTS = (_Redis, _Amqp, _Kafka)

connect_redis, connect_kafka, connect_amqp = _Redis.connect, _Kafka.connect, _Amqp.connect
send_amqp, answer_amqp, exactly = _Amqp._send, _Amqp._answer, _exactly
