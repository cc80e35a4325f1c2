// truesocket.js against a running server, with Node's own test runner:
//
//     TRUESOCKET_URL=http://127.0.0.1:5000 node --test tests/browser_client/test_client.mjs
//
// test_browser_client.py does it for you.  The server is tests/apps/browser_client_app.py; any Socket.IO 5 server with
// the same handlers will do.  The tests of the section "a scripted server" need none: they put a class of their own in
// the place of WebSocket.
//
// Node has a global WebSocket from version 22 on, and before that with --experimental-websocket.

import assert from "node:assert/strict";
import { after, afterEach, describe, test } from "node:test";

await import(new URL("../../src/truesocket/browser/truesocket.js", import.meta.url));
const { io, Manager } = globalThis.io;

const URL_OF_SERVER = process.env.TRUESOCKET_URL;
const needsServer = { skip: URL_OF_SERVER ? false : "TRUESOCKET_URL is not set", timeout: 60000 };
const needsWebSocket = {
  ...needsServer,
  skip: needsServer.skip || (globalThis.WebSocket ? false : "no WebSocket: use Node 22, or --experimental-websocket"),
};

const opened = [];

/** A Socket of its own connection, closed when the test is over. */
function open(options = {}, namespace = "/", url = URL_OF_SERVER) {
  const socket = io(url + namespace, { forceNew: true, reconnectionDelay: 50, reconnectionDelayMax: 100, ...options });
  opened.push(socket);
  return socket;
}

/** The arguments of the next event. */
function next(emitter, event, milliseconds = 5000) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`"${event}" did not come`)), milliseconds);
    emitter.once(event, (...args) => {
      clearTimeout(timer);
      resolve(args);
    });
  });
}

const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));
const bytes = (...numbers) => new Uint8Array(numbers);
const numbers = (buffer) => [...new Uint8Array(buffer)];

afterEach(() => {
  for (const socket of opened.splice(0)) socket.disconnect();
});

// --------------------------------------------------------------------------------------------- on each transport

for (const transport of ["websocket", "polling"]) {
  describe(transport, transport === "websocket" ? needsWebSocket : needsServer, () => {
    const options = { transports: [transport] };

    test("connects, and says over what", async () => {
      const socket = open(options);
      assert.equal(socket.connected, false);
      assert.equal(socket.disconnected, true);
      assert.equal(socket.active, true);
      assert.equal(socket.transport, null);
      await next(socket, "connect");
      assert.equal(socket.connected, true);
      assert.equal(socket.transport, transport);
      assert.equal(socket.io.engine.transport.name, transport);
      assert.equal(socket.recovered, false);
      const me = await socket.emitWithAck("whoami");
      assert.deepEqual(me, { sid: socket.id, transport, namespace: "/" });
    });

    test("auth as an object, and the query", async () => {
      const socket = open({ ...options, auth: { token: "秘密" }, query: { color: "red & blue" } });
      const [welcome] = await next(socket, "welcome");
      assert.deepEqual(welcome.auth, { token: "秘密" });
      assert.equal(welcome.query, "red & blue");
    });

    test("auth as a function is asked again for each connection", async () => {
      let count = 0;
      const socket = open({ ...options, auth: (give) => setTimeout(() => give({ count: ++count }), 10) });
      assert.deepEqual((await next(socket, "welcome"))[0].auth, { count: 1 });
      socket.io.engine.transport.close();
      if (transport === "polling") socket.io.engine.close("transport error", { description: "cut by the test" });
      assert.deepEqual((await next(socket, "welcome"))[0].auth, { count: 2 });
    });

    test("a refused connection: message and data, and no attempts by itself", async () => {
      const socket = open({ ...options, auth: { refuse: true } });
      let attempts = 0;
      socket.io.on("reconnect_attempt", () => attempts++);
      const [error] = await next(socket, "connect_error");
      assert.ok(error instanceof Error);
      assert.equal(error.message, "not you");
      assert.deepEqual(error.data, { code: 7 });
      assert.equal(socket.connected, false);
      assert.equal(socket.active, false);
      await pause(300);
      assert.equal(attempts, 0);
      socket.auth = {};
      socket.connect();
      await next(socket, "connect");
    });

    test("the server answers", async () => {
      const socket = open(options);
      const answer = await new Promise((resolve) => {
        socket.emit("echo", 1, "zwei", { 三: [null, true] }, (...args) => resolve(args));
      });
      assert.deepEqual(answer, [1, "zwei", { 三: [null, true] }]);
      assert.equal(await socket.emitWithAck("echo", "one"), "one");
    });

    test("the server asks", async () => {
      const socket = open(options);
      socket.on("question", (value, answer) => {
        answer(value + 1, "second");
        answer("a second answer goes nowhere");
      });
      socket.emit("ask_me", 41);
      assert.deepEqual((await next(socket, "answered"))[0], [42, "second"]);
    });

    test("timeout: an error in time, or null and the answer", async () => {
      const socket = open(options);
      await next(socket, "connect");
      const [error] = await new Promise((resolve) => {
        socket.timeout(100).emit("nobody_listens", (...args) => resolve(args));
      });
      assert.equal(error.message, "operation has timed out");
      const args = await new Promise((resolve) => {
        socket.timeout(3000).emit("echo", "x", "y", (...all) => resolve(all));
      });
      assert.deepEqual(args, [null, "x", "y"]);
      await assert.rejects(socket.timeout(100).emitWithAck("nobody_listens"), /timed out/);
      assert.equal(await socket.timeout(3000).emitWithAck("echo", "z"), "z");
    });

    test("ackTimeout is the timeout of every emit", async () => {
      const socket = open({ ...options, ackTimeout: 100 });
      await next(socket, "connect");
      await assert.rejects(socket.emitWithAck("nobody_listens"), /timed out/);
    });

    test("binary, both ways, inside other things", async () => {
      const socket = open(options);
      const back = next(socket, "binary_back");
      const ack = await socket.emitWithAck("binary", { deep: [0, { bytes: bytes(1, 2, 255) }] });
      assert.equal(ack.ok, true);
      assert.ok(ack.copy instanceof ArrayBuffer);
      assert.deepEqual(numbers(ack.copy), [1, 2, 255]);
      const [{ n }] = await back;
      assert.equal(n[0], 1);
      assert.deepEqual(numbers(n[1].bytes), [255, 2, 1]);
    });

    test("every kind of binary, several at once, and text in between keeps its place", async () => {
      const socket = open(options);
      const view = new DataView(bytes(9, 8, 7, 6).buffer, 1, 2);
      const kinds = [bytes(1).buffer, view, new Uint16Array([0x0102]), new Blob(["hé"]), new Uint8Array(0)];
      const first = socket.emitWithAck("echo", kinds);
      const second = socket.emitWithAck("echo", "after");
      const all = await first;
      assert.deepEqual(all.map(numbers), [[1], [8, 7], [2, 1], [...new TextEncoder().encode("hé")], []]);
      assert.equal(await second, "after");
    });

    test("a large text and many bytes", async () => {
      const socket = open(options);
      const text = "字".repeat(100000);
      const data = new Uint8Array(200000).map((_, i) => i * 7);
      assert.equal(await socket.emitWithAck("echo", text), text);
      assert.deepEqual(new Uint8Array(await socket.emitWithAck("echo", data)), data);
    });

    test("everything arrives in order", async () => {
      const socket = open(options);
      const seen = [];
      socket.on("tick", (i) => seen.push(i));
      socket.emit("flood", 300);
      await socket.emitWithAck("echo", "done");
      while (seen.length < 300) await pause(10);
      assert.deepEqual(seen, Array.from({ length: 300 }, (_, i) => i));
      const answers = await Promise.all(Array.from({ length: 100 }, (_, i) => socket.emitWithAck("echo", i)));
      assert.deepEqual(answers, Array.from({ length: 100 }, (_, i) => i));
    });

    test("a namespace shares the connection, and leaves alone", async () => {
      const manager = new Manager(URL_OF_SERVER, options);
      const main = manager.socket("/");
      const chat = manager.socket("/chat");
      opened.push(main, chat);
      await Promise.all([next(main, "connect"), next(chat, "connect")]);
      assert.notEqual(main.id, chat.id);
      assert.equal(main.io.engine, chat.io.engine);
      const said = next(chat, "said");
      assert.equal(await chat.emitWithAck("say", "大家好"), "heard");
      assert.deepEqual(await said, ["大家好"]);
      chat.disconnect();
      assert.equal(chat.connected, false);
      assert.equal(await main.emitWithAck("echo", "still here"), "still here");
      chat.connect();
      await next(chat, "connect");
    });

    test("a namespace that does not exist is refused", async () => {
      const socket = open(options, "/no-such-namespace");
      const [error] = await next(socket, "connect_error");
      assert.equal(error.message, "Invalid namespace");
    });

    test("the server disconnects us: no way back by itself, but by connect()", async () => {
      const socket = open(options);
      await next(socket, "connect");
      socket.emit("kick");
      const [reason] = await next(socket, "disconnect");
      assert.equal(reason, "io server disconnect");
      assert.equal(socket.connected, false);
      assert.equal(socket.active, false);
      assert.equal(socket.id, undefined);
      await pause(300);
      assert.equal(socket.connected, false);
      socket.connect();
      await next(socket, "connect");
    });

    test("we disconnect: what was emitted still arrives", async () => {
      const watcher = open(options, "/chat");
      const socket = open(options, "/chat");
      await Promise.all([next(watcher, "connect"), next(socket, "connect")]);
      const said = next(watcher, "said");
      socket.emit("say", "last words");
      const reasons = [];
      socket.on("disconnect", (reason) => reasons.push(reason));
      socket.disconnect();
      socket.disconnect();
      assert.deepEqual(reasons, ["io client disconnect"]);
      assert.deepEqual(await said, ["last words"]);
    });

    test("an answer that can no longer come is an error; a plain callback is just forgotten", async () => {
      const socket = open(options);
      await next(socket, "connect");
      const waiting = socket.emitWithAck("nobody_listens");
      socket.emit("nobody_listens", () => assert.fail("nobody answered"));
      socket.disconnect();
      await assert.rejects(waiting, /has been disconnected/);
    });

    test("comes back, with what was emitted meanwhile, but without what was volatile", async () => {
      const socket = open(options);
      await next(socket, "connect");
      const firstId = socket.id;
      const events = [];
      for (const name of ["reconnect_attempt", "reconnect"]) socket.io.on(name, (n) => events.push([name, n]));
      const gone = next(socket, "disconnect");
      socket.io.engine.close("transport close", { description: "cut by the test" });
      const [reason, details] = await gone;
      assert.equal(reason, "transport close");
      assert.equal(details.description, "cut by the test");
      assert.equal(socket.active, true);
      const lost = [];
      socket.volatile.emit("echo", "volatile", () => lost.push("answered"));
      const kept = socket.emitWithAck("echo", "kept");
      await next(socket, "connect");
      assert.equal(await kept, "kept");
      assert.notEqual(socket.id, firstId);
      assert.deepEqual(events, [["reconnect_attempt", 1], ["reconnect", 1]]);
      assert.deepEqual(lost, []);
      assert.equal(socket.transport, transport);
    });

    test("volatile goes out while connected", async () => {
      const socket = open(options);
      await next(socket, "connect");
      await pause(100);
      assert.equal(await socket.volatile.timeout(2000).emitWithAck("echo", "now"), "now");
    });

    test("emitted before the connection stands", async () => {
      const socket = open({ ...options, autoConnect: false });
      const answer = socket.emitWithAck("echo", "early");
      assert.equal(socket.active, false);
      socket.connect();
      assert.equal(await answer, "early");
    });

    test("onAny and onAnyOutgoing hear everything", async () => {
      const socket = open(options);
      const [seen, sent] = [[], []];
      socket.onAny((name) => seen.push(name));
      socket.onAnyOutgoing((name) => sent.push(name));
      await socket.emitWithAck("echo", 1);
      socket.offAny();
      socket.offAnyOutgoing();
      socket.emit("flood", 1);
      await next(socket, "tick");
      assert.deepEqual(seen, ["welcome"]);
      assert.deepEqual(sent, ["echo"]);
    });
  });
}

// --------------------------------------------------------------------------------------------- which transport

describe("choosing the transport", needsServer, () => {
  class Throws {
    constructor() {
      throw new Error("WebSocket is blocked here");
    }
  }

  class Hangs {
    close() {}
  }

  class Refused {
    constructor() {
      setTimeout(() => {
        this.onerror({});
        this.onclose({ code: 1006, reason: "" });
      });
    }

    close() {}
  }

  test("WebSocket first, in whatever order they are named", needsWebSocket, async () => {
    const socket = open({ transports: ["polling", "websocket"] });
    await next(socket, "connect");
    assert.equal(socket.transport, "websocket");
  });

  for (const [how, WebSocket] of Object.entries({ Throws, Hangs, Refused })) {
    test(`long-polling where the WebSocket ${how.toLowerCase()}`, async () => {
      const socket = open({ WebSocket, timeout: 2000 });
      socket.on("connect_error", (error) => assert.fail(error));
      await next(socket, "connect");
      assert.equal(socket.transport, "polling");
      assert.equal(await socket.emitWithAck("echo", "over polling"), "over polling");
    });
  }

  test("after a fallback, the next reconnect tries the WebSocket again", needsWebSocket, async () => {
    const socket = open({ WebSocket: Refused });
    await next(socket, "connect");
    assert.equal(socket.transport, "polling");
    socket.io.opts.WebSocket = undefined;
    socket.io.engine.close("transport close", {});
    await next(socket, "connect");
    assert.equal(socket.transport, "websocket");
  });

  test("where a WebSocket has worked, a failed reconnect is not taken for a blocked one", needsWebSocket, async () => {
    const socket = open({});
    await next(socket, "connect");
    socket.io.opts.WebSocket = Refused;
    socket.io.engine.close("transport close", {});
    const [error] = await next(socket, "connect_error");
    assert.match(error.message, /websocket: /);
    assert.doesNotMatch(error.message, /polling: /);
    socket.io.opts.WebSocket = undefined;
    await next(socket, "connect");
    assert.equal(socket.transport, "websocket");
  });

  test("only a WebSocket allowed, and it cannot be: an error that says so", async () => {
    const socket = open({ transports: ["websocket"], WebSocket: Throws, reconnection: false });
    const [error] = await next(socket, "connect_error");
    assert.match(error.message, /cannot connect to .*\(websocket: WebSocket is blocked here/);
    assert.equal(socket.active, true);
  });
});

describe("no server there", { timeout: 20000 }, () => {
  const nowhere = "http://127.0.0.1:9";            // the discard port: nobody listens

  test("connect_error for each attempt, then reconnect_failed; connect() starts anew", async () => {
    const socket = open({ transports: ["polling"], reconnectionAttempts: 2 }, "/", nowhere);
    const seen = [];
    for (const name of ["error", "reconnect_attempt", "reconnect_error"]) socket.io.on(name, () => seen.push(name));
    socket.on("connect_error", (error) => {
      assert.match(error.message, /cannot connect to http:\/\/127\.0\.0\.1:9\/socket\.io\/ \(polling: /);
      seen.push("connect_error");
    });
    await next(socket.io, "reconnect_failed");
    assert.deepEqual(seen, [
      "error", "connect_error",
      "reconnect_attempt", "error", "connect_error", "reconnect_error",
      "reconnect_attempt", "error", "connect_error", "reconnect_error",
    ]);
    socket.connect();
    await next(socket, "connect_error");
  });

  test("without reconnection, connect() in the connect_error listener tries again", async () => {
    const socket = open({ transports: ["polling"], reconnection: false }, "/", nowhere);
    await next(socket, "connect_error");
    const again = next(socket, "connect_error");
    socket.connect();
    await again;
  });

  test("disconnect() while a connection is being opened ends it without a word", async () => {
    const socket = open({ transports: ["polling"] }, "/", nowhere);
    for (const name of ["connect_error", "disconnect"]) socket.on(name, () => assert.fail(name));
    socket.disconnect();
    await pause(300);
    assert.equal(socket.io.state, "idle");
  });

  test("disconnect() while coming back ends it", async () => {
    const socket = open({ transports: ["polling"] }, "/", nowhere);
    await next(socket, "connect_error");
    socket.disconnect();
    assert.equal(socket.active, false);
    socket.on("connect_error", () => assert.fail("it went on"));
    await pause(300);
  });
});

describe("a server that never answers", { timeout: 10000 }, () => {
  class Hangs {
    close() {}
  }

  test("timeout: connect_error", async () => {
    const socket = open({ transports: ["websocket"], WebSocket: Hangs, timeout: 100 }, "/", "http://scripted.invalid");
    assert.match((await next(socket, "connect_error"))[0].message, /\(timeout\)$/);
  });

  test("timeout: false waits for ever", async () => {
    const socket = open({ transports: ["websocket"], WebSocket: Hangs, timeout: false }, "/", "http://scripted.invalid");
    socket.on("connect_error", () => assert.fail("it gave up"));
    await pause(200);
    assert.equal(socket.io.state, "opening");
  });
});

// ------------------------------------------------------------------------------------------- a scripted server

/** A WebSocket whose server is the test: `say` is what the server sends, `heard` what it got. */
class Scripted {
  static all = [];
  bufferedAmount = 0;
  heard = [];

  constructor(url) {
    this.url = url;
    Scripted.all.push(this);
    setTimeout(() => this.begin(this));
  }

  begin() {
    this.say('0{"sid":"e1","upgrades":[],"pingInterval":100,"pingTimeout":100,"maxPayload":1000}');
  }

  say(data) {
    this.onmessage({ data });
  }

  send(data) {
    this.heard.push(data);
    if (data === "40") setTimeout(() => this.say('40{"sid":"s1"}'));
  }

  close() {
    this.closed = true;
  }
}

function scripted(options = {}) {
  Scripted.all = [];
  const socket = io("http://scripted.invalid", {
    forceNew: true, WebSocket: Scripted, transports: ["websocket"], reconnectionDelay: 20, ...options,
  });
  opened.push(socket);
  return socket;
}

describe("a scripted server", { timeout: 10000 }, () => {
  const current = () => Scripted.all.at(-1);

  test("the address", async () => {
    const socket = scripted({ path: "live", query: { a: "1 2" } });
    await next(socket, "connect");
    assert.equal(current().url, "ws://scripted.invalid/live/?a=1+2&EIO=4&transport=websocket");
  });

  test("pings are answered, and keep the connection", async () => {
    const socket = scripted();
    let pings = 0;
    socket.io.on("ping", () => pings++);
    await next(socket, "connect");
    for (let i = 0; i < 5; i++) {
      await pause(80);
      current().say("2");
    }
    assert.equal(socket.connected, true);
    assert.equal(pings, 5);
    assert.equal(current().heard.filter((packet) => packet === "3").length, 5);
  });

  test("silence: ping timeout, and a new connection", async () => {
    const socket = scripted();
    await next(socket, "connect");
    const start = Date.now();
    const [reason] = await next(socket, "disconnect");
    assert.equal(reason, "ping timeout");
    assert.ok(Date.now() - start >= 190);
    assert.equal(current().closed, true);
    await next(socket, "connect");
    assert.equal(Scripted.all.length, 2);
  });

  test("an emit after a sleep does not go into the dead connection", async () => {
    const socket = scripted();
    await next(socket, "connect");
    const first = current();
    socket.io.engine.lastHeard -= 10000;
    socket.emit("hello");
    assert.deepEqual(first.heard, ["40"]);
    await next(socket, "connect");
    assert.deepEqual(current().heard, ["40", '42["hello"]']);
  });

  for (const bad of ["9", "4", "49", '42{"not":"an array"}', '42["connect"]', "42[broken", "43[1]", "44", "42/x",
    '51-["x"]', '451-["x",{"_placeholder":true,"num":0}', '451-["x",{"_placeholder":true,"num":7}]',
    new ArrayBuffer(1)]) {
    const name = typeof bad === "string" ? bad : "an attachment out of place";
    test(`nonsense ends in "parse error", and a new connection: ${name}`, async () => {
      const socket = scripted();
      await next(socket, "connect");
      const gone = next(socket, "disconnect");
      current().say(bad);
      if (typeof bad === "string" && bad.startsWith("451-")) current().say(new ArrayBuffer(1));
      assert.equal((await gone)[0], "parse error");
      await next(socket, "connect");
    });
  }

  test("an attachment is due, and a text comes", async () => {
    const socket = scripted();
    await next(socket, "connect");
    const gone = next(socket, "disconnect");
    current().say('451-["x",{"_placeholder":true,"num":0}]');
    current().say('42["y"]');
    assert.equal((await gone)[0], "parse error");
  });

  test("a placeholder in an ordinary event is ordinary data", async () => {
    const socket = scripted();
    await next(socket, "connect");
    const event = next(socket, "x");
    current().say('42["x",{"_placeholder":true,"num":0}]');
    assert.deepEqual(await event, [{ _placeholder: true, num: 0 }]);
  });

  test("the frames of an event with attachments", async () => {
    const socket = scripted();
    await next(socket, "connect");
    socket.emit("x", { a: Buffer.from([1]), b: [bytes(2)] }, () => {});
    const [text, ...attachments] = current().heard.slice(1);
    assert.equal(text, '452-0["x",{"a":{"_placeholder":true,"num":0},"b":[{"_placeholder":true,"num":1}]}]');
    assert.deepEqual(attachments.map((one) => [...one]), [[1], [2]]);
  });

  test("a listener that fails stops nobody else", async () => {
    const socket = scripted();
    await next(socket, "connect");
    const failures = [];
    const before = globalThis.reportError;
    globalThis.reportError = (error) => failures.push(error.message);
    after(() => { globalThis.reportError = before; });
    const seen = [];
    socket.on("x", () => { throw new Error("mine"); });
    socket.on("x", (value) => seen.push(value));
    current().say('42["x",1]');
    current().say('42["x",2]');
    assert.deepEqual(seen, [1, 2]);
    assert.deepEqual(failures, ["mine", "mine"]);
  });

  test("volatile is dropped while the connection cannot take more", async () => {
    const socket = scripted();
    await next(socket, "connect");
    current().bufferedAmount = 1e6;
    socket.volatile.emit("a");
    socket.emit("b");
    current().bufferedAmount = 0;
    socket.volatile.emit("c");
    assert.deepEqual(current().heard, ["40", '42["b"]', '42["c"]']);
  });

  test("the connection ends before the namespace is confirmed: connect_error, no disconnect", async () => {
    const socket = scripted({ auth: (give) => give({ slow: true }) });       // "40{...}" is not answered by the script
    socket.on("disconnect", () => assert.fail("it never was connected"));
    while (!Scripted.all[0]?.heard.length) await pause(5);
    const failed = next(socket, "connect_error");
    current().onclose({ code: 1001, reason: "" });
    const [error] = await failed;
    assert.match(error.message, /before the server had let us in \(transport close\)/);
    assert.equal(socket.active, true);
  });

  test("a Socket.IO 2 server is named as such", async () => {
    const socket = scripted({ auth: (give) => give({}) });
    while (!Scripted.all[0]?.heard.length) await pause(5);
    const failed = next(socket, "connect_error");
    current().say("40");
    assert.match((await failed)[0].message, /older Socket\.IO protocol/);
  });

  test("events before the confirmation wait for it", async () => {
    const socket = scripted({ auth: (give) => give({}) });
    const order = [];
    socket.on("connect", () => order.push("connect"));
    socket.on("early", () => order.push(`early, connected: ${socket.connected}`));
    while (!Scripted.all[0]?.heard.length) await pause(5);
    current().say('42["early"]');
    assert.deepEqual(order, []);
    current().say('40{"sid":"s1"}');
    assert.deepEqual(order, ["early, connected: true", "connect"]);
  });

  test("more than the server takes: a warning that says what to do", async (t) => {
    const warn = t.mock.method(console, "warn", () => {});
    const socket = scripted();
    await next(socket, "connect");
    socket.emit("x", "y".repeat(2000));
    assert.match(warn.mock.calls[0].arguments[0], /max_http_buffer_size/);
  });

  test("the manager's accessors and events", async () => {
    const socket = scripted();
    assert.equal(socket.io.reconnectionDelay(), 20);
    assert.equal(socket.io.reconnection(false), socket.io);
    await next(socket.io, "open");
    await next(socket, "connect");
    const closed = next(socket.io, "close");
    const disconnected = next(socket, "disconnect");
    current().onclose({ code: 1006, reason: "" });
    assert.equal((await closed)[0], "transport close");
    const [reason, details] = await disconnected;
    assert.equal(reason, "transport close");
    assert.match(details.description, /code 1006/);
    assert.equal(socket.io.state, "idle");
  });

  test("manager.close() closes for all, and connect() opens again", async () => {
    const socket = scripted();
    await next(socket, "connect");
    const gone = next(socket, "disconnect");
    socket.io.close();
    assert.equal((await gone)[0], "forced close");
    socket.connect();
    await next(socket, "connect");
  });

  test("manager.open(callback) tells how it ended", async () => {
    class Throws {
      constructor() {
        throw new Error("no");
      }
    }
    const options = { transports: ["websocket"], autoConnect: false };
    const good = new Manager("http://scripted.invalid", { ...options, WebSocket: Scripted });
    assert.equal(await new Promise((resolve) => good.open(resolve)), undefined);
    good.close();
    const bad = new Manager("http://scripted.invalid", { ...options, WebSocket: Throws });
    assert.match((await new Promise((resolve) => bad.open(resolve))).message, /websocket: no/);
    assert.equal(bad.state, "idle");
  });
});

// ------------------------------------------------------------------------------------------------------- misuse

describe("misuse", () => {
  const idle = (options = {}) => io("http://scripted.invalid", { autoConnect: false, forceNew: true, ...options });

  test("an option that does not exist is named, with the nearest that does", (t) => {
    const warn = t.mock.method(console, "warn", () => {});
    idle({ reconectionDelay: 1 });
    idle({ rememberUpgrade: true });
    const [first, second] = warn.mock.calls.map((one) => one.arguments[0]);
    assert.match(first, /unknown option "reconectionDelay": did you mean "reconnectionDelay"\?/);
    assert.match(second, /unknown option "rememberUpgrade": it has no effect/);
  });

  test("reserved event names", () => {
    const socket = idle();
    for (const name of ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"]) {
      assert.throws(() => socket.emit(name), /reserved event name/);
    }
  });

  test("things that cannot be", () => {
    const socket = idle();
    assert.throws(() => socket.emit({ not: "a name" }), /name of the event/);
    assert.throws(() => socket.on("x", "not a function"), /must be a function/);
    const loop = {};
    loop.loop = loop;
    assert.throws(() => socket.emit("x", loop), TypeError);
    assert.throws(() => idle({ transports: ["carrier pigeon"], autoConnect: true }), /"websocket", "polling" or both/);
    assert.throws(() => io(), /needs the address of the server/);
    assert.throws(() => io("/namespace"), /needs the address of the server/);
  });

  test("flags belong to one emit, even to one that fails", () => {
    const socket = idle();
    assert.throws(() => socket.volatile.emit("connect"));
    socket.emit("kept");
    assert.equal(socket.outbox.length, 1);
  });
});

// -------------------------------------------------------------------------------------------------- io() and friends

describe("io()", () => {
  const options = { autoConnect: false };

  test("namespaces of one server share a connection; the same namespace twice gets its own", () => {
    const a = io("http://one.invalid/a", options);
    const b = io("http://one.invalid/b", options);
    const again = io("http://one.invalid/a", options);
    assert.equal(a.io, b.io);
    assert.notEqual(a.io, again.io);
    assert.notEqual(io("http://one.invalid/c", { ...options, forceNew: true }).io, a.io);
    assert.notEqual(io("http://one.invalid/d", { ...options, multiplex: false }).io, a.io);
    assert.notEqual(io("http://one.invalid/e", { ...options, path: "/other" }).io, a.io);
    assert.notEqual(io("http://two.invalid/a", options).io, a.io);
  });

  test("addresses", () => {
    const at = (url) => {
      const socket = io(url, { ...options, forceNew: true });
      return [socket.io.origin, socket.nsp, socket.io.opts.query];
    };
    assert.deepEqual(at("http://h:5000"), ["http://h:5000", "/", {}]);
    assert.deepEqual(at("http://h:/test_conn"), ["http://h", "/test_conn", {}]);
    assert.deepEqual(at("wss://h/聊天?a=1"), ["https://h", "/聊天", { a: "1" }]);
    assert.deepEqual(at("localhost:5000/x"), ["https://localhost:5000", "/x", {}]);
  });

  test("the names of the official client", () => {
    assert.equal(io.connect, io);
    assert.equal(io.io, io);
    assert.equal(io.protocol, 5);
    const socket = io("http://one.invalid", { ...options, forceNew: true });
    for (const name of ["on", "once", "off", "addListener", "addEventListener", "removeListener", "removeEventListener",
      "removeAllListeners", "listeners", "hasListeners", "emit", "emitWithAck", "send", "open", "connect", "close",
      "disconnect", "timeout", "onAny", "prependAny", "offAny", "onAnyOutgoing", "offAnyOutgoing"]) {
      assert.equal(typeof socket[name], "function", name);
    }
  });

  test("off removes one listener, all of an event, or all", () => {
    const socket = io("http://one.invalid", { ...options, forceNew: true });
    const [f, g] = [() => {}, () => {}];
    socket.on("x", f).on("x", g).on("y", f);
    socket.off("x", f);
    assert.deepEqual(socket.listeners("x"), [g]);
    socket.off("x");
    assert.equal(socket.hasListeners("x"), false);
    socket.off();
    assert.equal(socket.hasListeners("y"), false);
  });
});

// ------------------------------------------------------------------------------------- coming back, and retries

describe("a server that recovers connections", { timeout: 10000 }, () => {
  let replies = [];

  /** Answers each CONNECT with the next of `replies`. */
  class Recovering extends Scripted {
    begin() {
      this.say('0{"sid":"e1","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000}');
    }

    send(data) {
      this.heard.push(data);
      if (data.startsWith("40")) setTimeout(() => this.say(`40${JSON.stringify(replies.shift())}`));
    }
  }

  const current = () => Scripted.all.at(-1);
  const connectPacket = () => JSON.parse(current().heard[0].slice(2) || "{}");

  /** The connection breaks; fulfilled when the client is back. */
  async function comeBack(socket) {
    const back = next(socket, "connect");
    current().onclose({ code: 1006 });
    await back;
  }

  test("pid and offset are named, the offset is not shown to the page, and recovered says how it went", async () => {
    replies = [{ sid: "s1", pid: "p1", offset: "e.3" }, { sid: "s1", pid: "p1", offset: "e.9" }];
    const socket = scripted({ WebSocket: Recovering, auth: { token: "t" } });
    const heard = [];
    socket.on("news", (...args) => heard.push(args));
    await next(socket, "connect");
    assert.deepEqual(connectPacket(), { token: "t" });
    assert.equal(socket.recovered, false);
    current().say('42["news",1,"e.4"]');
    current().say('42["news","last words","e.5"]');
    current().say('42["news","e.5"]');
    await comeBack(socket);
    assert.deepEqual(heard, [[1], ["last words"], []]);
    assert.deepEqual(connectPacket(), { pid: "p1", offset: "e.5", token: "t" });
    assert.equal(socket.recovered, true);
    assert.equal(socket.id, "s1");
  });

  test("no event yet: the offset of the CONNECT is named", async () => {
    replies = [{ sid: "s1", pid: "p1", offset: "e.3" }, { sid: "s1", pid: "p1", offset: "e.7" },
      { sid: "s1", pid: "p1", offset: "e.8" }];
    const socket = scripted({ WebSocket: Recovering });
    await next(socket, "connect");
    await comeBack(socket);
    assert.deepEqual(connectPacket(), { pid: "p1", offset: "e.3" });
    await comeBack(socket);                    // before what was missed has come: the offset must still be the first
    assert.deepEqual(connectPacket(), { pid: "p1", offset: "e.3" });
  });

  test("another pid: a new client, whose count begins anew", async () => {
    replies = [{ sid: "s1", pid: "p1", offset: "e.3" }, { sid: "s2", pid: "p2", offset: "f.1" },
      { sid: "s2", pid: "p2", offset: "f.1" }];
    const socket = scripted({ WebSocket: Recovering });
    await next(socket, "connect");
    await comeBack(socket);
    assert.equal(socket.recovered, false);
    assert.equal(socket.id, "s2");
    await comeBack(socket);
    assert.deepEqual(connectPacket(), { pid: "p2", offset: "f.1" });
  });

  test("events with an ack carry no offset", async () => {
    replies = [{ sid: "s1", pid: "p1", offset: "e.3" }, { sid: "s1", pid: "p1", offset: "e.3" }];
    const socket = scripted({ WebSocket: Recovering });
    const heard = [];
    socket.on("ask", (text, answer) => {
      heard.push(text);
      answer("yes");
    });
    await next(socket, "connect");
    current().say('4213["ask","e.8"]');
    assert.deepEqual(heard, ["e.8"]);
    assert.equal(current().heard.at(-1), '4313["yes"]');
    await comeBack(socket);
    assert.deepEqual(connectPacket(), { pid: "p1", offset: "e.3" });
  });

  test("the official server: offsets of a form of its own stay, as with the official client", async () => {
    replies = [{ sid: "s1", pid: "p1" }, { sid: "s1", pid: "p1" }];
    const socket = scripted({ WebSocket: Recovering });
    const heard = [];
    socket.on("news", (...args) => heard.push(args));
    await next(socket, "connect");
    current().say('42["news",1,"zzABC"]');
    await comeBack(socket);
    assert.deepEqual(heard, [[1, "zzABC"]]);
    assert.deepEqual(connectPacket(), { pid: "p1", offset: "zzABC" });
    assert.equal(socket.recovered, true);
  });

  test("who leaves on purpose, or is sent out, is somebody else the next time", async () => {
    replies = [{ sid: "s1", pid: "p1", offset: "e.3" }, { sid: "s2", pid: "p2", offset: "e.3" },
      { sid: "s3", pid: "p3", offset: "e.3" }];
    const socket = scripted({ WebSocket: Recovering });
    await next(socket, "connect");
    socket.disconnect();
    socket.connect();
    await next(socket, "connect");
    assert.deepEqual(connectPacket(), {});
    current().say("41");
    socket.connect();
    await next(socket, "connect");
    assert.deepEqual(connectPacket(), {});
  });
});

describe("retries", { timeout: 10000 }, () => {
  const current = () => Scripted.all.at(-1);
  const events = () => current().heard.filter((packet) => packet.startsWith("42"));
  let keys = [];

  class Retried extends Scripted {
    begin() {
      this.say('0{"sid":"e1","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000}');
    }

    send(data) {
      this.heard.push(data);
      if (!data.startsWith("40")) return;
      keys.push(JSON.parse(data.slice(2)).retry_key);
      setTimeout(() => this.say('40{"sid":"s1"}'));
    }
  }

  function retrying(options) {
    keys = [];
    return scripted({ WebSocket: Retried, retries: 3, ackTimeout: 50, ...options });
  }

  test("one event at a time, in order, the same packet until it is answered", async () => {
    const socket = retrying();
    socket.emit("a", 1);
    socket.emit("b", 2);
    await next(socket, "connect");
    while (events().length < 2) await pause(10);
    assert.ok(events().every((packet) => packet === '420["a",1]'));
    current().say("430[]");
    assert.deepEqual(events().at(-1), '421["b",2]');
    current().say("431[]");
    const all = events().length;
    await pause(120);
    assert.equal(events().length, all);
  });

  test("the key is 128 bits, the same for each connection, and only there where retries are", async () => {
    const socket = retrying();
    await next(socket, "connect");
    current().onclose({ code: 1006 });
    await next(socket, "connect");
    assert.match(keys[0], /^[0-9a-f]{32}$/);
    assert.equal(keys[0], keys[1]);
  });

  test("the answer goes to the callback, and to the promise", async () => {
    const socket = retrying();
    await next(socket, "connect");
    const heard = [];
    socket.emit("a", (error, answer) => heard.push(error, answer));
    current().say('430["yes"]');
    assert.deepEqual(heard, [null, "yes"]);
    const promise = socket.emitWithAck("b");
    current().say('431["no"]');
    assert.equal(await promise, "no");
  });

  test("too many tries: an error, and the next one has its turn", async () => {
    const socket = retrying();
    await next(socket, "connect");
    const failed = new Promise((resolve) => socket.emit("a", resolve));
    socket.emit("b");
    assert.match((await failed).message, /timed out/);
    assert.deepEqual(events(), ['420["a"]', '420["a"]', '420["a"]', '420["a"]', '421["b"]']);
  });

  test("a broken connection is no failed try", async () => {
    const socket = retrying({ retries: 1, ackTimeout: 5000 });
    await next(socket, "connect");
    const answered = new Promise((resolve) => socket.emit("a", (...args) => resolve(args)));
    for (let i = 0; i < 4; i++) {
      assert.deepEqual(events(), ['420["a"]']);
      current().onclose({ code: 1006 });
      await next(socket, "connect");
      await pause(0);
    }
    current().say('430["at last"]');
    assert.deepEqual(await answered, [null, "at last"]);
  });

  test("a volatile emit is not repeated", async () => {
    const socket = retrying();
    await next(socket, "connect");
    socket.volatile.emit("a");
    await pause(120);
    assert.deepEqual(events(), ['42["a"]']);
  });
});
