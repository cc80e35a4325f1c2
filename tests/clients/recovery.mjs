// A client drops and comes back CUTS times under a stream of numbered events, over a wire that this file cuts.
//
//     node tests/clients/recovery.mjs (ours|official) (websocket|polling) http://127.0.0.1:5000 CUTS
//
// Writes one line of JSON: what came, and how often the client was recovered.

import net from "node:net";
import { createRequire } from "node:module";

const [kind, transport, url, cuts] = [process.argv[2], process.argv[3], new URL(process.argv[4]), Number(process.argv[5])];

async function library() {
  if (kind === "official") return createRequire(import.meta.url)("socket.io-client-4").io;
  await import(new URL("../../src/truesocket/browser/truesocket.js", import.meta.url));
  return globalThis.io;
}

/** Passes bytes on, and breaks all its connections on demand, without a word. */
const ends = new Set();
const wire = net.createServer((here) => {
  const there = net.connect(Number(url.port), url.hostname);
  for (const [from, to] of [[here, there], [there, here]]) {
    ends.add(from);
    from.setNoDelay(true);
    from.on("data", (data) => to.write(data));
    from.on("error", () => {});
    from.on("close", () => { ends.delete(from); to.destroy(); });
  }
});
const cut = () => ends.forEach((end) => end.resetAndDestroy());

const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));
const once = (emitter, event) => new Promise((resolve) => emitter.once(event, resolve));
const get = async (path) => (await fetch(new URL(path, url))).text();

await new Promise((resolve) => wire.listen(0, "127.0.0.1", resolve));
const io = await library();
const socket = io(`http://127.0.0.1:${wire.address().port}`, {
  transports: [transport], reconnectionDelay: 1, reconnectionDelayMax: 5, retries: 1000, ackTimeout: 10000,
});
const numbers = [];
const answers = [];
let [recovered, lost, last] = [0, 0, undefined];
socket.on("n", (number) => numbers.push(number));
socket.on("end", (number) => { last = number; });
await once(socket, "connect");
socket.on("connect", () => { socket.recovered ? recovered++ : lost++; });
await get("/start");
for (let i = 0; i < cuts; i++) {
  while (!socket.connected) await pause(1);
  if (kind === "ours") socket.emit("once", i, (error, answer) => answers.push(error ? error.message : answer));
  await pause(Math.random() * 20);
  const back = once(socket, "connect");
  while (socket.connected) {                   // a poller may have no request under way: it does not notice
    cut();
    await pause(1);
  }
  await back;
}
while (kind === "ours" && answers.length < cuts) await pause(10);
const server = JSON.parse(await get("/stop"));
while (last === undefined) await pause(5);
const report = JSON.stringify({ numbers, last, recovered, lost, answers, server });
process.stdout.write(`${report}\n`, () => process.exit());      // it is more than a pipe takes at once
