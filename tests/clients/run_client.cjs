// One official JavaScript client lives through one scenario and prints what it saw, as one line of JSON.
//
//     node run_client.cjs <1|4> <url> <default|websocket|polling> <token>
//
// The server side is tests/apps/clients_app.py; test_clients.py reads the line. Every step waits for what it needs,
// the whole run for at most 30 seconds.
"use strict";

const [generation, url, transports, token] = process.argv.slice(2);
const io = require(`socket.io-client-${generation}`);
const { version } = require(`socket.io-client-${generation}/package.json`);

const report = { client: version };
const finish = (failure) => {
  if (failure) report.failure = String(failure.stack || failure);
  process.stdout.write(JSON.stringify(report) + "\n", () => process.exit(failure ? 1 : 0));
};
setTimeout(() => finish("the scenario took more than 30 s"), 30_000);

const options = { query: { token }, reconnection: false, auth: { user: "ann" } };
if (generation === "1") options.query = `token=${token}`; // 1.x takes only a string
if (transports !== "default") options.transports = [transports];

const once = (socket, event) => new Promise((resolve) => socket.once(event, (...args) => resolve(args)));
const acked = (socket, ...args) => new Promise((resolve) => socket.emit(...args, (...answer) => resolve(answer)));
const engine = (socket) => socket.io.engine;
const until = async (what) => {
  for (let turn = 0; turn < 100 && !what(); turn++) await new Promise((resolve) => setTimeout(resolve, 50));
};
const hex = (bytes) => Buffer.from(bytes).toString("hex"); // Buffer or ArrayBuffer, whatever this client hands out

async function scenario() {
  const root = io(url, options);
  for (const event of ["connect_error", "error"]) root.on(event, (error) => finish(error));

  root.io.once("open", () => (report.first_transport = engine(root).transport.name));

  // connect, and the message that the connect handler sent
  const welcome = once(root, "welcome");
  await once(root, "connect");
  report.id = root.id;
  [report.welcome] = await welcome;

  // which way the bytes go, as the client and as the server see it
  if (transports === "default") await until(() => engine(root).transport.name === "websocket");
  report.transport = engine(root).transport.name;
  [report.server_transport] = await acked(root, "transport");

  // event and ack
  const values = ["text", 42, 2.5, true, null, { list: [1, [2, { three: 3 }]], empty: {} }];
  const echoed = once(root, "echoed");
  report.ack = await acked(root, "echo", ...values);
  report.echoed = await echoed;
  report.ack_of_nothing = await acked(root, "echo");
  report.values = values;
  report.text = (await acked(root, "echo", "naïve 世界 😀"))[0];

  // the server asks, the client acks
  root.on("question", (question, answer) => answer(question + "?", [7]));
  const answered = once(root, "answered");
  root.emit("ask_me", "why");
  report.answered = await answered;

  // binary both ways, nested
  const back = once(root, "binary_back");
  const [blob, again] = await acked(root, "binary", Buffer.from([0, 1, 2, 255]), { inside: [Buffer.from("inner")] });
  const [event] = await back;
  report.binary_ack = [hex(blob), hex(again.again)];
  report.binary_event = [hex(event.reversed), hex(event.list[0]), event.list[1].size];

  // a second namespace on the same connection
  const room = io(`${url}/test_conn`, options);
  await once(room, "connect");
  report.same_connection = engine(room) === engine(root);
  report.namespace_id = room.id;
  report.namespace_ack = await acked(room, "echo", "in the room");

  // a namespace that refuses
  const secret = io(`${url}/secret`, options);
  secret.on("connect", () => finish("/secret let us in"));
  const [refusal] = await once(secret, generation === "1" ? "error" : "connect_error");
  report.refused = refusal instanceof Error ? { message: refusal.message, data: refusal.data } : refusal;

  // pushes from a background thread: to this client, to everybody in the namespace
  const arrivals = [];
  report.pushed = [];
  const all = new Promise((resolve) =>
    root.on("pushed", (message) => {
      arrivals.push(Date.now());
      if (report.pushed.push(message.number) === 3) resolve();
    }),
  );
  root.emit("push_me");
  await all;
  report.push_gaps = [arrivals[1] - arrivals[0], arrivals[2] - arrivals[1]];
  const heard = new Promise((resolve) => room.on("news", ({ tag }) => tag === token && resolve(tag)));
  room.emit("push_all", token);
  report.news = await heard;

  // the server throws us out of one namespace; the other lives on, until we leave it ourselves
  const gone = once(root, "disconnect");
  root.emit("throw_me_out");
  [report.disconnect] = await gone;
  report.namespace_afterwards = await acked(room, "echo", "still here");
  const left = once(room, "disconnect");
  room.disconnect();
  [report.namespace_disconnect] = await left;
  await new Promise((resolve) => setTimeout(resolve, 200)); // on polling the good-bye is a request of its own
}

scenario().then(() => finish(), finish);
