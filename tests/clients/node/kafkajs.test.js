// kafkajs: a client that still speaks the older, non-flexible request versions.
const { test, describe, after } = require("node:test");
const assert = require("node:assert/strict");
const { Kafka, logLevel, CompressionTypes, AssignerProtocol } = require("kafkajs");
const { address, unique, waitUntil } = require("./support");

const server = address("TRUNKLINE_KAFKA");
const options = { skip: server ? false : "TRUNKLINE_KAFKA names no server", timeout: 90000 };

describe("kafkajs", options, () => {
  const kafka = server && new Kafka({ brokers: [server.text], logLevel: logLevel.NOTHING, retry: { initialRetryTime: 100, retries: 8 } });
  const open = [];
  const connected = async (client) => (await client.connect(), open.push(client), client);
  after(async () => Promise.all(open.map((client) => client.disconnect())));

  const admin = (settings) => connected(kafka.admin(settings));
  const producer = (settings) => connected(kafka.producer(settings));

  async function makeTopic(numPartitions = 1, configEntries = []) {
    const topic = unique("topic");
    await (await admin()).createTopics({ topics: [{ topic, numPartitions, configEntries }], waitForLeaders: true });
    return topic;
  }

  async function consume(topic, count, groupId = unique("group"), { keep = false } = {}) {
    const consumer = kafka.consumer({ groupId, heartbeatInterval: 500, maxWaitTimeInMs: 500 });
    await consumer.connect();
    await consumer.subscribe({ topic, fromBeginning: true });
    const got = [];
    await consumer.run({ eachMessage: async ({ partition, message }) => void got.push({ partition, ...message }) });
    try {
      await waitUntil(() => got.length >= count, `${count} records`, 40000);
    } finally {
      if (keep) open.push(consumer);
      else await consumer.disconnect();
    }
    return got;
  }

  for (const [codec, compression] of [["none", CompressionTypes.None], ["gzip", CompressionTypes.GZIP]]) {
    test(`produce and consume with compression ${codec}`, async () => {
      const topic = await makeTopic();
      const messages = Array.from({ length: 100 }, (_, i) => ({ key: "k", value: `v${i}`, headers: { h: `${i}` } }));
      const [placed] = await (await producer()).send({ topic, messages, compression, acks: -1 });
      assert.equal(placed.errorCode, 0);
      assert.equal(placed.baseOffset, "0");
      const got = await consume(topic, 100);
      assert.deepEqual(got.map((m) => m.value.toString()), messages.map((m) => m.value));
      assert.deepEqual(got.map((m) => m.offset), messages.map((_, i) => `${i}`));
      assert.equal(got[7].key.toString(), "k");
      assert.equal(got[7].headers.h.toString(), "7");
    });
  }

  for (const acks of [0, 1]) {
    test(`produce with acks ${acks}`, async () => {
      const topic = await makeTopic();
      await (await producer()).send({ topic, acks, messages: [{ value: "a" }, { value: "b" }] });
      assert.equal((await consume(topic, 2)).length, 2);
    });
  }

  test("an idempotent producer numbers its batches", async () => {
    const topic = await makeTopic();
    const sender = await producer({ idempotent: true, maxInFlightRequests: 1 });
    for (let i = 0; i < 20; i++) {
      const [placed] = await sender.send({ topic, messages: [{ value: `${i}`, partition: 0 }] });
      assert.equal(placed.baseOffset, `${i}`);
    }
  });

  test("offsets are committed and a group resumes", async () => {
    const topic = await makeTopic();
    const groupId = unique("group");
    const sender = await producer();
    await sender.send({ topic, messages: [{ value: "1" }, { value: "2" }] });
    assert.equal((await consume(topic, 2, groupId)).length, 2);
    const control = await admin();
    await waitUntil(async () => {
      const [found] = await control.fetchOffsets({ groupId, topics: [topic] });
      return found.partitions[0].offset === "2";
    }, "offset 2 is committed");
    await sender.send({ topic, messages: [{ value: "3" }] });
    assert.deepEqual((await consume(topic, 1, groupId)).map((m) => m.value.toString()), ["3"]);
  });

  test("two members share the partitions of a topic", async () => {
    const topic = await makeTopic(4);
    const groupId = unique("group");
    const shares = {};
    for (const who of ["a", "b"]) {
      const consumer = kafka.consumer({ groupId, heartbeatInterval: 300, maxWaitTimeInMs: 500 });
      consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => (shares[who] = payload.memberAssignment[topic] ?? []));
      await consumer.connect();
      open.push(consumer);
      await consumer.subscribe({ topic, fromBeginning: true });
      await consumer.run({ eachMessage: async () => {} });
    }
    await waitUntil(() => shares.a?.length === 2 && shares.b?.length === 2, "two partitions each", 40000);
    assert.deepEqual([...shares.a, ...shares.b].sort(), [0, 1, 2, 3]);
    const control = await admin();
    const { groups } = await control.describeGroups([groupId]);
    assert.equal(groups[0].state, "Stable");
    assert.equal(groups[0].members.length, 2);
    const decoded = groups[0].members.flatMap((m) => AssignerProtocol.MemberAssignment.decode(m.memberAssignment).assignment[topic]);
    assert.deepEqual(decoded.sort(), [0, 1, 2, 3]);
    const listed = await control.listGroups();
    assert.ok(listed.groups.some((g) => g.groupId === groupId));
  });

  test("admin: topics, partitions, offsets, configuration", async () => {
    const topic = await makeTopic(2, [{ name: "retention.ms", value: "3600000" }]);
    const control = await admin();
    assert.ok((await control.listTopics()).includes(topic));
    await (await producer()).send({ topic, messages: [{ value: "x", partition: 1 }] });
    const offsets = await control.fetchTopicOffsets(topic);
    assert.deepEqual(offsets.map((o) => [o.partition, o.low, o.high]).sort(), [[0, "0", "0"], [1, "0", "1"]]);
    await control.createPartitions({ topicPartitions: [{ topic, count: 3 }] });
    await waitUntil(async () => (await control.fetchTopicMetadata({ topics: [topic] })).topics[0].partitions.length === 3, "three partitions");
    const { resources } = await control.describeConfigs({ includeSynonyms: false, resources: [{ type: 2, name: topic }] });
    assert.equal(resources[0].configEntries.find((e) => e.configName === "retention.ms").configValue, "3600000");
    const cluster = await control.describeCluster();
    assert.equal(cluster.brokers.length, 1);
    await control.deleteTopics({ topics: [topic] });
    await waitUntil(async () => !(await control.listTopics()).includes(topic), "the topic is gone");
  });

  test("a topic made twice is false, an unknown topic is an error", async () => {
    const topic = await makeTopic();
    const control = await admin({ retry: { retries: 1, initialRetryTime: 50 } });
    assert.equal(await control.createTopics({ topics: [{ topic }] }), false);
    await assert.rejects(control.fetchTopicOffsets(unique("none")), /does not host this topic-partition/);
  });

  test("offsets by time", async () => {
    const topic = await makeTopic();
    const base = 1700000000000;
    const sender = await producer();
    for (let i = 0; i < 4; i++) await sender.send({ topic, messages: [{ value: `${i}`, timestamp: `${base + i * 1000}` }] });
    const [found] = await (await admin()).fetchTopicOffsetsByTimestamp(topic, base + 1500);
    assert.equal(found.offset, "2");
  });
});
