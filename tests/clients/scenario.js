// What one official JavaScript client lives through; `live` returns a report of what it saw.
//
// The server side is tests/apps/clients_app.py, between them stands tests/clients/proxy.py; test_clients.py reads the
// report. Runs in Node.js (run_client.cjs) and in a page (page_client.py), which is why it needs neither. Every step
// waits for what it needs, the whole run for at most 60 seconds.
"use strict";

const EVENTS = 1000;
const TEXT = 'naïve 世界 😀 "quoted"\ttab\nline \\n no line \\ \u2028 é';

/** `io` is the client's; `job` says how: see `Run.job` in roster.py; `cut()` cuts all its connections. */
async function live(io, job, parser, cut) {
  const report = {};
  let failed;
  const failure = new Promise((_, reject) => (failed = reject));
  const late = setTimeout(() => failed("the scenario took more than 60 s"), 60_000);
  try {
    await Promise.race([failure, scenario(io, job, parser, cut, report, failed)]);
  } catch (error) {
    report.failure = String((error && error.stack) || error) + (error && error.message ? ` (${error.message})` : "");
  }
  clearTimeout(late);
  return report;
}

const once = (socket, event) => new Promise((resolve) => socket.once(event, (...args) => resolve(args)));
const acked = (socket, ...args) => new Promise((resolve) => socket.emit(...args, (...answer) => resolve(answer)));
const engine = (socket) => socket.io.engine;
const until = async (what) => {
  for (let turn = 0; turn < 400 && !what(); turn++) await new Promise((resolve) => setTimeout(resolve, 25));
};

// bytes as people send them there: a Buffer in Node.js, an ArrayBuffer in a page; what comes back may be either
const bytes = (list) => (typeof Buffer === "undefined" ? Uint8Array.from(list).buffer : Buffer.from(list));
const list = (data) => Array.from(new Uint8Array(data));
const isBytes = (data) => data instanceof ArrayBuffer || ArrayBuffer.isView(data);

/** Whether two large things are the same. */
function same(one, other) {
  if (typeof one === "string") return one === other;
  const [left, right] = [new Uint8Array(one), new Uint8Array(other)];
  return isBytes(other) && left.length === right.length && left.every((value, place) => value === right[place]);
}

async function scenario(io, job, parser, cut, report, failed) {
  const query = `token=${job.token}`; // 1.x takes only a string
  const options = { query, auth: { user: "ann" }, reconnectionDelay: 20, reconnectionDelayMax: 100 };
  if (job.transports === "jsonp") Object.assign(options, { transports: ["polling"], forceJSONP: true });
  else if (job.transports !== "default") options.transports = [job.transports];
  if (parser) options.parser = parser;

  // a copy for each: 3.x writes into its options, and opens a second connection when it meets them again
  const root = io(job.url, { ...options });
  let calm = true; // while nobody cuts anything, no connection may break
  for (const event of ["connect_error", "error"]) root.on(event, (error) => calm && failed(error));
  root.on("disconnect", (reason) => calm && failed(`disconnected: ${reason}`));
  root.io.once("open", () => (report.first_transport = engine(root).transport.name));

  // connect, and the message that the connect handler sent
  const welcome = once(root, "welcome");
  await once(root, "connect");
  report.id = root.id;
  [report.welcome] = await welcome;

  // a second namespace on the same connection
  const room = io(`${job.url}/test_conn`, { ...options });
  const room_welcome = once(room, "welcome");
  await once(room, "connect");
  report.same_connection = engine(room) === engine(root);
  report.namespace_id = room.id;
  [report.namespace_welcome] = await room_welcome;
  report.namespace_ack = await acked(room, "echo", "in the room");

  // which way the bytes go, as the client and as the server see it
  if (job.transports === "default") await until(() => engine(root).transport.name === "websocket");
  report.transport = engine(root).transport.name;
  [report.server_transport, report.jsonp] = await acked(root, "transport");

  // event and ack
  const values = ["text", 42, 2.5, true, null, { list: [1, [2, { three: 3 }]], empty: {} }];
  const echoed = once(root, "echoed");
  report.ack = await acked(root, "echo", ...values);
  report.echoed = await echoed;
  report.ack_of_nothing = await acked(root, "echo");
  report.values = values;

  // the server asks, the client acks
  root.on("question", (question, answer) => answer(question + "?", [7]));
  const answered = once(root, "answered");
  root.emit("ask_me", "why");
  report.answered = await answered;

  // binary both ways, nested; the first text beyond ASCII that the server gets comes with it, on polling even in the
  // same payload: that waits for the event before it
  const back = once(root, "binary_back");
  root.emit("echo");
  const [blob, again, codes] = await acked(root, "binary", "grün", bytes([0, 1, 2, 255]), { inside: [bytes([9, 8])] });
  const [event] = await back;
  report.binary_types = [blob, again.again, event.reversed, event.list[0]].every(isBytes);
  report.binary_ack = [list(blob), list(again.again)];
  report.binary_event = [list(event.reversed), list(event.list[0]), event.list[1].size];
  report.binary_text = [codes, event.text];

  // text beyond ASCII, and what has to be escaped somewhere
  const spelled = once(root, "spelled");
  report.spelling = await acked(root, "spell", TEXT);
  report.spelled = await spelled;
  report.text = TEXT;

  // many events, in order
  for (let number = 0; number < EVENTS; number++) root.emit("count", number);
  [report.counted] = await acked(root, "counted");
  report.numbers = [];
  root.on("number", (number) => report.numbers.push(number));
  await acked(root, "count_for_me", EVENTS);

  // as large as may be
  const text = "0123456789".repeat(job.text_size / 10 + 1).slice(0, job.text_size);
  const binary = bytes(Array.from({ length: job.binary_size }, (_, place) => place % 251));
  report.big = [];
  for (const data of [text, binary]) {
    const back = typeof data === "string" ? job.text_back : job.binary_size;
    const [size, right, returned] = await acked(root, "big", data, back);
    report.big.push([size, right, same(data.slice(0, back), returned)]);
  }

  // pushes from a background thread: to this client, to everybody in the namespace
  report.pushed = [];
  const all = new Promise((resolve) =>
    root.on("pushed", (message, answer) => {
      answer();
      if (report.pushed.push(message.number) === 3) resolve();
    }),
  );
  root.emit("push_me");
  await all;
  const heard = new Promise((resolve) => room.on("news", ({ tag }) => tag === job.token && resolve(tag)));
  room.emit("push_all", job.token);
  report.news = await heard;

  // the connection breaks, then the server closes it: the client comes back by itself, in both namespaces
  calm = false;
  report.returns = [];
  for (const end of [cut, () => root.emit("close_me")]) {
    const before = [root.id, room.id];
    const gone = once(root, "disconnect");
    const here = Promise.all([once(root, "connect"), once(room, "connect")]);
    end();
    const [reason] = await gone;
    await here;
    const answers = [await acked(root, "echo", "back"), await acked(room, "echo", "back")];
    report.returns.push({ reason, new_ids: before[0] !== root.id && before[1] !== room.id, answers });
    if (job.transports === "default") await until(() => engine(root).transport.name === "websocket");
  }
  calm = true;

  // namespaces that refuse, on a connection of its own: what goes wrong here concerns nobody else
  report.refused = {};
  for (const who of ["secret", "closed", "root"]) {
    const more = { forceNew: true, reconnection: false, query: `${query}-aside` };
    if (who === "root") more.query += "&refuse=1";
    const shut = io(job.url + (who === "root" ? "/" : `/${who}`), { ...options, ...more });
    const let_in = once(shut, "connect").then(() => "let in");
    const said = once(shut, job.revision === 3 ? "error" : "connect_error").then(([error]) => error);
    const answer = await Promise.race([said, let_in]);
    const plain = answer instanceof Error ? { message: answer.message } : answer;
    if (answer.data !== undefined) plain.data = answer.data;
    report.refused[who] = plain;
    shut.io.engine.close();
  }

  // the server throws us out of one namespace; the other lives on, until we leave it ourselves
  calm = false;
  const gone = once(root, "disconnect");
  root.emit("throw_me_out");
  [report.disconnect] = await gone;
  report.namespace_afterwards = await acked(room, "echo", "still here");
  const left = once(room, "disconnect");
  room.disconnect();
  [report.namespace_disconnect] = await left;
  await new Promise((resolve) => setTimeout(resolve, 200)); // on polling the good-bye is a request of its own
}

if (typeof module !== "undefined") module.exports = { live };
