// amqplib: the AMQP client of Node services.
const { test, describe, after, beforeEach } = require("node:test");
const assert = require("node:assert/strict");
const amqp = require("amqplib");
const { address, unique, waitUntil } = require("./support");

const server = address("TRUNKLINE_AMQP");
const options = { skip: server ? false : "TRUNKLINE_AMQP names no server", timeout: 60000 };
const url = server && `amqp://guest:guest@${server.text}`;

describe("amqplib", options, () => {
  const open = [];
  async function connect() {
    const connection = await amqp.connect(url, { timeout: 10000 });
    connection.on("error", () => {});
    open.push(connection);
    return connection;
  }
  async function channelOf(connection, kind = "createChannel") {
    const channel = await connection[kind]();
    channel.on("error", () => {});
    return channel;
  }
  let connection, channel, queue;
  beforeEach(async () => {
    connection ??= await connect();
    channel = await channelOf(connection);
    queue = unique("q");
    await channel.assertQueue(queue, { durable: true });
  });
  after(async () => Promise.all(open.map((c) => c.close().catch(() => {}))));

  const take = async (from = queue, how = {}) => waitUntil(() => channel.get(from, how), `a message in ${from}`);
  const depth = async (of = queue) => (await channel.checkQueue(of)).messageCount;

  test("send, get and acknowledge", async () => {
    channel.sendToQueue(queue, Buffer.from("hello"), { persistent: true, messageId: "m1", headers: { n: 1, s: "x", b: true, nested: { list: [1, "2"] } } });
    const message = await take();
    assert.equal(message.content.toString(), "hello");
    assert.equal(message.properties.messageId, "m1");
    assert.equal(message.properties.deliveryMode, 2);
    assert.deepEqual(message.properties.headers, { n: 1, s: "x", b: true, nested: { list: [1, "2"] } });
    assert.equal(message.fields.redelivered, false);
    channel.ack(message);
    assert.equal(await depth(), 0);
  });

  test("confirms wait for every publish", async () => {
    const confirming = await channelOf(connection, "createConfirmChannel");
    let confirmed = 0;
    for (let i = 0; i < 500; i++) confirming.sendToQueue(queue, Buffer.from(`${i}`), { persistent: true }, (error) => !error && confirmed++);
    await confirming.waitForConfirms();
    assert.equal(confirmed, 500);
    assert.equal(await depth(), 500);
  });

  test("mandatory messages without a route come back", async () => {
    const returned = [];
    channel.on("return", (message) => returned.push([message.fields.replyCode, message.content.toString()]));
    channel.publish("", unique("nowhere"), Buffer.from("back"), { mandatory: true });
    await waitUntil(() => returned.length, "the return");
    assert.deepEqual(returned, [[312, "back"]]);
  });

  test("exchanges of each kind route", async () => {
    for (const [kind, binding, key] of [["direct", "k", "k"], ["fanout", "", "any"], ["topic", "a.*.#", "a.b.c.d"]]) {
      const exchange = unique(kind);
      await channel.assertExchange(exchange, kind, { durable: false });
      await channel.bindQueue(queue, exchange, binding);
      channel.publish(exchange, key, Buffer.from(kind));
      assert.equal((await take(queue, { noAck: true })).content.toString(), kind);
      await channel.unbindQueue(queue, exchange, binding);
      channel.publish(exchange, key, Buffer.from("gone"));
      await channel.deleteExchange(exchange);
      assert.equal(await channel.get(queue), false);
    }
  });

  test("consume with prefetch, ack, nack and requeue", async () => {
    for (let i = 0; i < 10; i++) channel.sendToQueue(queue, Buffer.from(`${i}`));
    const worker = await channelOf(connection);
    await worker.prefetch(2);
    const got = [];
    await worker.consume(queue, (message) => got.push(message));
    await waitUntil(() => got.length === 2, "two in flight");
    assert.equal(await depth(), 8);
    worker.nack(got[0], false, true);
    await waitUntil(() => got.length === 3, "the requeued one comes again");
    assert.equal(got[2].content.toString(), "0");
    assert.equal(got[2].fields.redelivered, true);
    worker.ack(got[1]);
    worker.ack(got[2]);
    while (got.length < 11) {
      const seen = got.length;
      await waitUntil(() => got.length > seen || got.length === 11, "the next ones");
      for (const message of got.slice(seen)) worker.ack(message);
    }
    assert.deepEqual(got.slice(3).map((m) => m.content.toString()), ["2", "3", "4", "5", "6", "7", "8", "9"]);
    await worker.close();
    assert.equal(await depth(), 0);
  });

  test("a closed channel gives its messages back, marked", async () => {
    channel.sendToQueue(queue, Buffer.from("x"));
    await take();
    await channel.close();
    channel = await channelOf(connection);
    assert.equal((await take(queue, { noAck: true })).fields.redelivered, true);
  });

  test("recover delivers again", async () => {
    channel.sendToQueue(queue, Buffer.from("x"));
    await take();
    await channel.recover();
    assert.equal((await take(queue, { noAck: true })).fields.redelivered, true);
  });

  test("purge and delete count messages", async () => {
    for (let i = 0; i < 3; i++) channel.sendToQueue(queue, Buffer.from("x"));
    await waitUntil(async () => (await depth()) === 3, "three messages");
    assert.deepEqual(await channel.purgeQueue(queue), { messageCount: 3 });
    channel.sendToQueue(queue, Buffer.from("x"));
    await waitUntil(async () => (await depth()) === 1, "one message");
    assert.deepEqual(await channel.deleteQueue(queue), { messageCount: 1 });
  });

  test("errors carry their reply code", async () => {
    const failing = async (act) => {
      const victim = await connection.createChannel();
      let code = null;
      victim.on("error", (error) => (code = error.code));
      await act(victim).catch((error) => (code ??= error.code));
      await waitUntil(() => code, "the code");
      return code;
    };
    assert.equal(await failing((c) => c.checkQueue(unique("none"))), 404);
    assert.equal(await failing((c) => c.checkExchange(unique("none"))), 404);
    assert.equal(await failing((c) => c.assertQueue(queue, { durable: false })), 406);
    assert.equal(await failing((c) => c.assertExchange("amq.direct", "fanout")), 406);
    assert.equal(await failing((c) => c.assertQueue("amq.reserved")), 403);
  });

  test("server-named exclusive queues and a reply pattern", async () => {
    const requests = unique("rpc");
    await channel.assertQueue(requests);
    await channel.consume(requests, (m) => {
      channel.sendToQueue(m.properties.replyTo, Buffer.from(`re:${m.content}`), { correlationId: m.properties.correlationId });
      channel.ack(m);
    });
    const caller = await channelOf(await connect());
    const { queue: replies } = await caller.assertQueue("", { exclusive: true });
    const answers = [];
    await caller.consume(replies, (m) => answers.push([m.properties.correlationId, m.content.toString()]), { noAck: true });
    caller.sendToQueue(requests, Buffer.from("q"), { replyTo: replies, correlationId: "c7" });
    await waitUntil(() => answers.length, "the answer");
    assert.deepEqual(answers, [["c7", "re:q"]]);
  });

  test("a large body crosses in many frames", async () => {
    const body = Buffer.alloc(3_000_000, 7);
    const confirming = await channelOf(connection, "createConfirmChannel");
    confirming.sendToQueue(queue, body, { persistent: true });
    await confirming.waitForConfirms();
    assert.ok((await take(queue, { noAck: true })).content.equals(body));
  });
});
