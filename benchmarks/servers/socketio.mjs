// Socket.IO's own server, on Node (`node socketio.mjs PORT`) or on Bun with its engine (`bun socketio.mjs PORT`).
import { createServer } from "node:http";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const port = Number(process.argv[2]);
// the packages live in the folder of the peers, not beside this file
const require = createRequire(process.env.BENCH_MODULES + "/");
const { Server } = require("socket.io");

const options = JSON.parse(process.env.BENCH_OPTIONS ?? "{}");
const payloads = {};
for (const size of [100, 2048]) {
  payloads[size] = JSON.parse(readFileSync(`${process.env.BENCH_PAYLOADS}/${size}.json`, "utf8"));
  payloads[`${size}b`] = Buffer.alloc(size);
}

// CLOCK_MONOTONIC, which the load reads, too. Node's hrtime is that clock; Bun's begins with the process.
const sinceBoot = globalThis.Bun ? await offsetOfBun() : 0;
const microseconds = () => Math.floor(Number(process.hrtime.bigint()) / 1000 + sinceBoot);

async function offsetOfBun() {
  const { dlopen, ptr } = await import("bun:ffi");
  const libc = dlopen("libc.so.6", { clock_gettime: { args: ["i32", "ptr"], returns: "i32" } });
  const time = new BigInt64Array(2);
  let least = Infinity;
  for (let i = 0; i < 100; i++) { // the quickest of some calls: the least of the time between the two clocks' readings
    libc.symbols.clock_gettime(1, ptr(time));
    const before = Number(time[0]) * 1e6 + Number(time[1]) / 1e3;
    least = Math.min(least, -(before - Number(process.hrtime.bigint()) / 1e3));
  }
  return -least;
}

function push(io, interval, times) {
  let due = microseconds();
  const next = () => {
    due += interval;
    setTimeout(() => {
      io.to("lobby").emit("tick", { t: microseconds(), d: due });
      if (--times > 0) next();
    }, Math.max(0, (due - microseconds()) / 1000));
  };
  next();
}

function handle(io) {
  io.on("connection", (socket) => {
    socket.join("lobby");
    socket.on("cast", (kind, times) => {
      for (let i = 0; i < times; i++) io.to("lobby").emit("news", payloads[kind]);
    });
    socket.on("enter", (room, ack) => { socket.join(room); ack(true); });
    socket.on("room", (room, kind) => io.to(room).emit("news", payloads[kind]));
    socket.on("ask", (text, ack) => ack(text));
    socket.on("tick", (interval, times) => push(io, interval, times));
  });
}

if (globalThis.Bun) {
  const { Server: Engine } = require("@socket.io/bun-engine");
  const io = new Server();
  const engine = new Engine({ path: "/socket.io/" });
  io.bind(engine);
  handle(io);
  Bun.serve({ hostname: "127.0.0.1", port, idleTimeout: 30, ...engine.handler() });
} else {
  const http = createServer();
  const io = new Server(http, { serveClient: false, ...options });
  // what its page on memory recommends: the first request of a connection is not kept
  io.engine.on("connection", (socket) => { socket.request = null; });
  handle(io);
  http.listen(port, "127.0.0.1", 4096);
}
