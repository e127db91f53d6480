"""Just enough of each protocol to write and read a great deal, by hand over a socket: what the scale measurements drive."""

import random
import struct
import time

from . import wire


def _crc32c_table():
    table = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
        table.append(crc)
    return table


_TABLE = _crc32c_table()


def _crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = (crc >> 8) ^ _TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def _varint(value):
    value = (value << 1) ^ (value >> 63)
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def batch(count, value_bytes):
    """A record batch of equal records without keys, whose checksum is worked out once."""
    value = b"x" * value_bytes
    records = bytearray()
    for delta in range(count):
        body = b"\x00" + _varint(0) + _varint(delta) + _varint(-1) + _varint(len(value)) + value + _varint(0)
        records += _varint(len(body)) + body
    # Of now: what is older than the topic's retention would go.
    now = int(time.time() * 1000)
    covered = struct.pack(">hiqqqhii", 0, count - 1, now, now, -1, -1, -1, count) + records
    inner = struct.pack(">ibI", 0, 2, _crc32c(covered)) + covered
    return struct.pack(">qi", 0, len(inner)) + inner


class Kafka:
    """A connection that makes topics and produces."""

    def __init__(self, server):
        self.connection = wire.connect_kafka(server)
        self.correlation = 1

    def _send(self, key, version, body):
        self.correlation += 1
        request = struct.pack(">hhih", key, version, self.correlation, 1) + b"s" + body
        self.connection.sendall(struct.pack(">i", len(request)) + request)

    def _answer(self):
        return wire.exactly(self.connection, struct.unpack(">i", wire.exactly(self.connection, 4))[0])

    def create(self, names, partitions=1):
        """Makes topics, a thousand a request."""
        for first in range(0, len(names), 1000):
            block = names[first : first + 1000]
            topics = b"".join(struct.pack(">h", len(name)) + name + struct.pack(">ihii", partitions, 1, 0, 0) for name in block)
            self._send(19, 2, struct.pack(">i", len(block)) + topics + struct.pack(">ib", 60_000, 0))
            answer = self._answer()
            at = 12
            for name in block:
                at += 2 + len(name)
                (error, reason) = struct.unpack_from(">hh", answer, at)
                at += 4 + max(reason, 0)
                if error not in (0, 36):
                    raise RuntimeError(f"making {name.decode()}: error {error}")

    def produce(self, topic, batches, data, count, partition=0, on_answer=lambda records: None, in_flight=8):
        """Sends the same batch so often, acks=all, with a few requests on their way."""
        head = struct.pack(">hhii", -1, -1, 60_000, 1) + struct.pack(">h", len(topic)) + topic + struct.pack(">iii", 1, partition, len(data))
        waiting = 0
        for _ in range(batches):
            self._send(0, 3, head + data)
            waiting += 1
            if waiting == in_flight:
                self._check_produced(topic)
                waiting -= 1
                on_answer(count)
        for _ in range(waiting):
            self._check_produced(topic)
            on_answer(count)

    def _check_produced(self, topic):
        (error,) = struct.unpack_from(">h", self._answer(), 4 + 4 + 2 + len(topic) + 4 + 4)
        if error:
            raise RuntimeError(f"producing to {topic.decode()}: error {error}")


class Amqp:
    """A connection that declares queues and drains one."""

    CHANNEL_OPEN, DECLARE, QOS, CONSUME, DELIVER = (20, 10), (50, 10), (60, 10), (60, 20), (60, 60)
    PREFETCH_MAX = 65_000

    def __init__(self, server):
        self.connection = wire.connect_amqp(server)
        self.connection.settimeout(120)
        self.channels = 0

    def _open_channel(self):
        self.channels += 1
        wire.send_amqp(self.connection, self.channels, self.CHANNEL_OPEN, b"\x00")
        wire.answer_amqp(self.connection)
        return self.channels

    def declare(self, names):
        """Declares durable queues, a hundred on their way at a time."""
        channel = self._open_channel()
        for first in range(0, len(names), 100):
            block = names[first : first + 100]
            for name in block:
                arguments = b"\x00\x00" + bytes([len(name)]) + name + b"\x02" + struct.pack(">I", 0)
                wire.send_amqp(self.connection, channel, self.DECLARE, arguments)
            for _ in block:
                wire.answer_amqp(self.connection)

    def drain(self, queue, count, in_flight, seed, on_acked):
        """Takes `count` records and acknowledges them one by one in random order, always out of about `in_flight`."""
        generator = random.Random(seed)
        channels = max(1, min(in_flight // self.PREFETCH_MAX + 1, 1000))
        prefetch = min(self.PREFETCH_MAX, in_flight // channels)
        opened = [self._open_channel() for _ in range(channels)]
        for channel in opened:
            wire.send_amqp(self.connection, channel, self.QOS, struct.pack(">IHB", 0, prefetch, 0))
            wire.answer_amqp(self.connection)
        # From the first one on, what arrives are deliveries.
        for channel in opened:
            arguments = b"\x00\x00" + bytes([len(queue)]) + queue + b"\x01t" + b"\x00" + struct.pack(">I", 0)
            wire.send_amqp(self.connection, channel, self.CONSUME, arguments)
        held, taken, acked = [], 0, 0
        data = bytearray()
        ack = struct.Struct(">BHIHHQBB")
        while acked < count:
            chunk = self.connection.recv(1 << 20)
            if not chunk:
                raise ConnectionError("the server closed the connection")
            data += chunk
            at, end = 0, len(data)
            while end - at >= 8:
                kind, channel, length = struct.unpack_from(">BHI", data, at)
                if end - at < length + 8:
                    break
                if kind == 1 and data[at + 7 : at + 11] == b"\x00\x3c\x00\x3c":
                    (tag,) = struct.unpack_from(">Q", data, at + 13)
                    held.append((channel, tag))
                    taken += 1
                at += length + 8
            del data[:at]
            # Half of what is held goes, any half: the next that arrive lie behind what stays.
            full = len(held) >= prefetch * channels * 9 // 10
            if full or taken == count:
                generator.shuffle(held)
                going = len(held) if taken == count else len(held) // 2
                out = bytearray()
                for channel, tag in held[:going]:
                    out += ack.pack(1, channel, 13, 60, 80, tag, 0, 0xCE)
                del held[:going]
                self.connection.sendall(out)
                acked += going
                on_acked(going)


def push_in_turn(server, names, records, value_bytes, pipeline=1000):
    """RPUSH of one record after the other, each to the next name, a pipeline at a time on one connection."""
    value = b"x" * value_bytes
    commands = [b"*3\r\n$5\r\nRPUSH\r\n$%d\r\n%s\r\n$%d\r\n%s\r\n" % (len(name), name, len(value), value) for name in names]
    with wire.connect_redis(server) as connection:
        sent = 0
        while sent < records:
            count = min(pipeline, records - sent)
            connection.sendall(b"".join(commands[number % len(commands)] for number in range(sent, sent + count)))
            lines = 0
            while lines < count:
                answer = connection.recv(1 << 16)
                if not answer or b"-" in answer:
                    raise RuntimeError(f"RPUSH was answered {answer[:200]!r}")
                lines += answer.count(b"\r\n")
            sent += count
