// ioredis and node-redis: the two Redis clients of Node services, over RESP2 and RESP3.
const { test, describe, after } = require("node:test");
const assert = require("node:assert/strict");
const IORedis = require("ioredis");
const nodeRedis = require("redis");
const { address, unique, waitUntil } = require("./support");

const server = address("TRUNKLINE_REDIS");
const options = { skip: server ? false : "TRUNKLINE_REDIS names no server", timeout: 60000 };

describe("ioredis", options, () => {
  const open = [];
  const connect = (settings = {}) => {
    const Client = IORedis.default ?? IORedis;
    const client = new Client({ host: server.host, port: server.port, maxRetriesPerRequest: 2, ...settings });
    client.on("error", () => {});
    open.push(client);
    return client;
  };
  after(() => open.forEach((client) => client.disconnect()));

  test("connects with its ready check and pings", async () => {
    assert.equal(await connect().ping(), "PONG");
  });

  test("list commands", async () => {
    const [r, key, other] = [connect(), unique(), unique()];
    assert.equal(await r.rpush(key, "a", "b", "c"), 3);
    assert.equal(await r.lpush(key, "z"), 4);
    assert.deepEqual(await r.lrange(key, 0, -1), ["z", "a", "b", "c"]);
    assert.equal(await r.lindex(key, -1), "c");
    assert.equal(await r.lmove(key, other, "LEFT", "RIGHT"), "z");
    assert.equal(await r.rpoplpush(key, other), "c");
    assert.deepEqual(await r.lrange(other, 0, -1), ["c", "z"]);
    assert.equal(await r.lpop(key), "a");
    assert.deepEqual(await r.rpop(key, 9), ["b"]);
    assert.equal(await r.llen(key), 0);
    assert.equal(await r.exists(key, other), 1);
    assert.equal(await r.del(other), 1);
    assert.equal(await r.type(other), "none");
  });

  test("binary values", async () => {
    const [r, key, value] = [connect(), unique(), Buffer.from([0, 255, 13, 10, 42])];
    await r.rpush(key, value);
    assert.ok((await r.lpopBuffer(key)).equals(value));
  });

  test("blocking pop wakes on push", async () => {
    const [r, waiting, key] = [connect(), connect(), unique()];
    const id = await waiting.client("ID");
    const popped = waiting.blpop(key, 15);
    await waitUntil(async () => new RegExp(`id=${id} .*flags=b`).test(await r.client("LIST")), "the client blocks");
    await r.rpush(key, "v");
    assert.deepEqual(await popped, [key, "v"]);
    assert.equal(await r.brpop(key, 0.1), null);
  });

  test("pipeline and multi", async () => {
    const [r, key] = [connect(), unique()];
    const replies = await r.pipeline().rpush(key, "a").call("nosuch").llen(key).exec();
    assert.deepEqual([replies[0], replies[2]], [[null, 1], [null, 1]]);
    assert.match(replies[1][0].message, /unknown command/);
    assert.deepEqual(await r.multi().rpush(key, "b").lrange(key, 0, -1).exec(), [[null, 2], [null, ["a", "b"]]]);
  });

  test("publish and subscribe, by channel and by pattern", async () => {
    const [r, listener, stem] = [connect(), connect(), unique()];
    const got = [];
    listener.on("message", (channel, text) => got.push([channel, text]));
    listener.on("pmessage", (pattern, channel, text) => got.push([pattern, channel, text]));
    assert.equal(await listener.subscribe(stem), 1);
    assert.equal(await listener.psubscribe(`${stem}:*`), 2);
    assert.equal(await r.publish(stem, "one"), 1);
    assert.equal(await r.publish(`${stem}:x`, "two"), 1);
    await waitUntil(() => got.length === 2, "both messages");
    assert.deepEqual(got, [[stem, "one"], [`${stem}:*`, `${stem}:x`, "two"]]);
    await listener.unsubscribe(stem);
    assert.equal(await r.publish(stem, "three"), 0);
  });

  test("scan stream", async () => {
    const [r, stem, keys] = [connect(), unique("s"), new Set()];
    for (let i = 0; i < 25; i++) await r.rpush(`${stem}:${i}`, 1);
    for await (const page of r.scanStream({ match: `${stem}:*`, count: 5 })) page.forEach((key) => keys.add(key));
    assert.equal(keys.size, 25);
  });

  test("databases stay apart", async () => {
    const [zero, two, key] = [connect(), connect({ db: 2 }), unique()];
    await two.rpush(key, "x");
    assert.equal(await zero.exists(key), 0);
    assert.equal(await two.exists(key), 1);
  });
});

for (const RESP of [2, 3]) {
  describe(`node-redis over RESP${RESP}`, options, () => {
    const open = [];
    const connect = async () => {
      const client = nodeRedis.createClient({ socket: { host: server.host, port: server.port }, RESP });
      client.on("error", () => {});
      await client.connect();
      open.push(client);
      return client;
    };
    after(() => open.forEach((client) => client.destroy()));

    test("lists", async () => {
      const [r, key] = [await connect(), unique()];
      assert.equal(await r.rPush(key, ["a", "b", "c"]), 3);
      assert.deepEqual(await r.lRange(key, 0, -1), ["a", "b", "c"]);
      assert.deepEqual(await r.lPopCount(key, 2), ["a", "b"]);
      assert.deepEqual(await r.blPop(key, 1), { key, element: "c" });
      assert.equal(await r.blPop(key, 0.1), null);
      assert.equal(await r.lPop(key), null);
    });

    test("multi", async () => {
      const [r, key] = [await connect(), unique()];
      assert.deepEqual(await r.multi().rPush(key, "a").lLen(key).exec(), [1, 1]);
    });

    test("publish and subscribe", async () => {
      const [r, listener, name] = [await connect(), await connect(), unique()];
      const got = [];
      await listener.subscribe(name, (text, channel) => got.push([channel, text]));
      assert.equal(await r.publish(name, "v"), 1);
      await waitUntil(() => got.length, "the message");
      assert.deepEqual(got, [[name, "v"]]);
    });
  });
}
