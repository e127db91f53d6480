"""aiokafka: asyncio services; its request versions are the oldest among today's clients."""

import asyncio

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic


def run(coroutine):
    return asyncio.run(asyncio.wait_for(coroutine, 60))


async def make_topic(address, name, partitions=1):
    admin = AIOKafkaAdminClient(bootstrap_servers=address)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(name, partitions, 1)])
    finally:
        await admin.close()


async def produce(address, topic, values, **options):
    producer = AIOKafkaProducer(bootstrap_servers=address, **options)
    await producer.start()
    try:
        return [await producer.send_and_wait(topic, value, partition=0) for value in values]
    finally:
        await producer.stop()


def test_produce_and_assign(kafka_address, name):
    async def scenario():
        await make_topic(kafka_address, name)
        placed = await produce(kafka_address, name, [b"%d" % i for i in range(20)], acks="all")
        assert [p.offset for p in placed] == list(range(20))
        consumer = AIOKafkaConsumer(bootstrap_servers=kafka_address)
        await consumer.start()
        try:
            partition = TopicPartition(name, 0)
            consumer.assign([partition])
            await consumer.seek_to_beginning(partition)
            assert [(await consumer.getone()).value for _ in range(20)] == [b"%d" % i for i in range(20)]
            assert await consumer.end_offsets([partition]) == {partition: 20}
        finally:
            await consumer.stop()

    run(scenario())


def test_idempotent_and_gzip(kafka_address, name):
    async def scenario():
        await make_topic(kafka_address, name)
        placed = await produce(kafka_address, name, [b"x" * 500] * 10, enable_idempotence=True, compression_type="gzip")
        assert [p.offset for p in placed] == list(range(10))

    run(scenario())


def test_group_commits_and_resumes(kafka_address, name, unique):
    group = unique("group")

    async def read(count):
        consumer = AIOKafkaConsumer(
            name, bootstrap_servers=kafka_address, group_id=group, auto_offset_reset="earliest", enable_auto_commit=False
        )
        await consumer.start()
        try:
            got = [(await consumer.getone()).value for _ in range(count)]
            await consumer.commit()
            return got
        finally:
            await consumer.stop()

    async def scenario():
        await make_topic(kafka_address, name)
        await produce(kafka_address, name, [b"1", b"2", b"3"])
        assert await read(2) == [b"1", b"2"]
        assert await read(1) == [b"3"]

    run(scenario())


def test_two_members_share_the_partitions(kafka_address, name, unique):
    group = unique("group")

    async def scenario():
        await make_topic(kafka_address, name, 2)
        members = [AIOKafkaConsumer(name, bootstrap_servers=kafka_address, group_id=group, heartbeat_interval_ms=500) for _ in range(2)]
        await asyncio.gather(*(m.start() for m in members))
        try:
            while [len(m.assignment()) for m in members] != [1, 1]:
                await asyncio.sleep(0.05)
        finally:
            await asyncio.gather(*(m.stop() for m in members))

    run(scenario())
