// amqplib and a gateway whose disk is full: TRUNKLINE_SMALL_DISK is a file system of its own, and TRUNKLINE_SMALL_AMQP names the gateway
// that keeps its data there.
const { test } = require("node:test");
const assert = require("node:assert/strict");
const fs = require("node:fs");
const path = require("node:path");
const amqp = require("amqplib");
const { address, unique, waitUntil } = require("./support");

const server = address("TRUNKLINE_SMALL_AMQP");
const disk = process.env.TRUNKLINE_SMALL_DISK;
const options = { skip: server && disk ? false : "TRUNKLINE_SMALL_AMQP names no server", timeout: 60000 };

test("a publisher is told that it is blocked by a full disk, and then that it is not", options, async () => {
  const ballast = path.join(disk, "ballast");
  const connection = await amqp.connect(`amqp://guest:guest@${server.text}`, { timeout: 10000 });
  const notices = [];
  connection.on("blocked", (reason) => notices.push(reason));
  connection.on("unblocked", () => notices.push("unblocked"));
  const channel = await connection.createConfirmChannel();
  const queue = unique("q");
  await channel.assertQueue(queue, { durable: true });
  try {
    const space = fs.statfsSync(disk);
    fs.writeFileSync(ballast, Buffer.alloc(space.bavail * space.bsize - (4 << 20)));
    let published = 0;
    await waitUntil(() => {
      channel.sendToQueue(queue, Buffer.from("waits"), { persistent: true });
      published++;
      return notices.length;
    }, "the notice");
    assert.deepEqual(notices, ["low on disk"]);
    fs.unlinkSync(ballast);
    await waitUntil(() => notices.length === 2, "the second notice");
    assert.deepEqual(notices, ["low on disk", "unblocked"]);
    await channel.waitForConfirms();
    assert.equal((await channel.checkQueue(queue)).messageCount, published);
  } finally {
    fs.rmSync(ballast, { force: true });
    await connection.close();
  }
});
