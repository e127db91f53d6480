// What the suites of this folder share: the addresses, unique names, and waiting for a condition.
const { randomUUID } = require("node:crypto");

function address(variable) {
  const value = process.env[variable];
  if (!value) return null;
  const at = value.lastIndexOf(":");
  return { host: value.slice(0, at), port: Number(value.slice(at + 1)), text: value };
}

const unique = (stem = "t") => `${stem}-${randomUUID().slice(0, 13)}`;

// The first true value of `condition()`; throws when the deadline passes.
async function waitUntil(condition, what, deadlineMs = 20000) {
  const end = Date.now() + deadlineMs;
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (Date.now() > end) throw new Error(`not within ${deadlineMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

module.exports = { address, unique, waitUntil };
