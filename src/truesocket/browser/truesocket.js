/*!
 * truesocket.js: the browser's side of truesocket. One file, nothing to build, nothing to install.
 * 浏览器端：一个文件，无需构建，无需安装。
 *
 *     <script src="/socket.io/truesocket.js"></script>                                a page (sets `io`)
 *     <script type="module"> import { io } from "/socket.io/truesocket.mjs"; ...      a module
 *
 *     const socket = io();                                  // this page's server
 *     socket.on("news", (text) => console.log(text));       // the server emits "news"
 *     socket.emit("say", "hello", (answer) => ...);         // the server's answer comes back (an ack)
 *
 * It speaks Engine.IO 4 and Socket.IO 5, so it also talks to other servers of that protocol, and its API is in the
 * manner of the official client. It opens a WebSocket at once; only where that is impossible (a proxy in between does
 * not let it through) it uses HTTP long-polling. `socket.transport` says which one is in use.
 *
 * How the file is laid out, from the bytes up:
 *
 *     Emitter                                on, once, off
 *     buildPacket, parsePacket, ...          Socket.IO packets <-> text and attachments (pure functions)
 *     WebSocketTransport, PollingTransport   move Engine.IO packets
 *     Engine                                 one connection: opening, heartbeat, close
 *     Backoff, Manager                       keeps a connection up; shares it between namespaces
 *     Socket                                 one namespace: what an application holds
 *     io()                                   finds or makes the Manager, and hands out a Socket
 */
var truesocket = (function () {
  "use strict";

  // ------------------------------------------------------------------------------------------------------ options

  /** Every option there is, with its default. `undefined` means: none. Times are in milliseconds. */
  const DEFAULTS = {
    path: "/socket.io/",                       // where the server listens, under the origin
    query: undefined,                          // object; goes into the URL of the connection
    auth: undefined,                           // object, or function (callback) { callback(object) }; per namespace
    transports: ["websocket", "polling"],      // those allowed; WebSocket is tried first, whatever the order
    reconnection: true,
    reconnectionAttempts: Infinity,
    reconnectionDelay: 1000,                   // before the first attempt; doubles with each one
    reconnectionDelayMax: 5000,
    randomizationFactor: 0.5,                  // 0.5: each delay is spread by up to 50 % either way
    timeout: 20000,                            // one attempt to connect; 0 or false: no limit
    ackTimeout: undefined,                     // default for every emit that wants an ack
    retries: 0,                                // emits are repeated so often until they are answered, one at a time
    autoConnect: true,
    forceNew: false,                           // a connection of its own, not shared with other io() calls
    multiplex: true,                           // false: the same as forceNew
    withCredentials: false,                    // cookies on cross-origin long-polling (a WebSocket always sends them)
    WebSocket: undefined,                      // another WebSocket class, for tests and old Node versions
  };

  /** How long a WebSocket may take to open while long-polling stands ready to take over. */
  const WEBSOCKET_PATIENCE = 5000;
  /** A WebSocket that hung is not waited for again by the next pages of this tab, for so long. */
  const REMEMBER_HANG = 5 * 60 * 1000;
  /** Where a WebSocket has worked before, so many reconnects try nothing else: it is the server that is away. */
  const WEBSOCKET_ONLY_ATTEMPTS = 3;
  /** Volatile events are dropped while more bytes than this wait unsent in the WebSocket. */
  const VOLATILE_BACKLOG = 16 * 1024;
  /** How long the answer to an emit may take, before it is repeated, where no ackTimeout says so. */
  const RETRY_AFTER = 10000;
  /** Some servers of this protocol refuse more packets than this in one polling request ... */
  const PACKETS_PER_POST = 16;
  /** ... and some forget the events before a goodbye (of a namespace, or of the connection) in the same request. */
  const GOODBYE = /^(41|1$)/;

  function checkOptions(options) {
    for (const name of Object.keys(options)) {
      if (name in DEFAULTS) continue;
      const nearest = Object.keys(DEFAULTS).sort((a, b) => distance(name, a) - distance(name, b))[0];
      const hint = distance(name, nearest) <= 3 ? `did you mean "${nearest}"?` : "it has no effect.";
      console.warn(`truesocket: unknown option "${name}": ${hint} Options: ${Object.keys(DEFAULTS).join(", ")}`);
    }
  }

  /** How many letters must change to make `a` into `b` (Levenshtein), upper and lower case being the same. */
  function distance(a, b) {
    let row = Array.from({ length: b.length + 1 }, (_, j) => j);
    for (let i = 1; i <= a.length; i++) {
      const next = [i];
      for (let j = 1; j <= b.length; j++) {
        const swap = a[i - 1].toLowerCase() === b[j - 1].toLowerCase() ? 0 : 1;
        next[j] = Math.min(next[j - 1] + 1, row[j] + 1, row[j - 1] + swap);
      }
      row = next;
    }
    return row[b.length];
  }

  // ------------------------------------------------------------------------------------------------------ Emitter

  /** An error in a listener is the page's own: show it like any uncaught error, and let everything else go on. */
  function report(error) {
    if (typeof reportError === "function") reportError(error);
    else setTimeout(() => { throw error; });
  }

  function call(listener, self, args) {
    try {
      listener.apply(self, args);
    } catch (error) {
      report(error);
    }
  }

  class Emitter {
    constructor() {
      this.handlers = new Map();               // event name -> [{listener, once}]
    }

    on(event, listener) {
      return this.listen(event, listener, false);
    }

    once(event, listener) {
      return this.listen(event, listener, true);
    }

    /** off("x", f) removes f; off("x") every listener of "x"; off() all of them. */
    off(event, listener) {
      if (event === undefined) this.handlers.clear();
      else if (listener === undefined) this.handlers.delete(event);
      else this.handlers.set(event, this.entries(event).filter((entry) => entry.listener !== listener));
      return this;
    }

    listeners(event) {
      return this.entries(event).map((entry) => entry.listener);
    }

    hasListeners(event) {
      return this.entries(event).length > 0;
    }

    /** Calls the listeners of this side. (`Socket.emit` is another thing: it sends an event to the server.) */
    fire(event, ...args) {
      for (const entry of this.entries(event)) {       // a listener may come or go meanwhile: every change copies
        if (entry.once) this.handlers.set(event, this.entries(event).filter((other) => other !== entry));
        call(entry.listener, this, args);
      }
    }

    listen(event, listener, once) {
      if (typeof listener !== "function") throw new TypeError(`the listener of "${event}" must be a function`);
      this.handlers.set(event, [...this.entries(event), { listener, once }]);
      return this;
    }

    entries(event) {
      return this.handlers.get(event) || [];
    }
  }

  // The names under which the DOM and Node know the same things; the official client has them too.
  Emitter.prototype.addEventListener = Emitter.prototype.addListener = Emitter.prototype.on;
  Emitter.prototype.removeEventListener = Emitter.prototype.removeListener = Emitter.prototype.off;
  Emitter.prototype.removeAllListeners = Emitter.prototype.off;

  // -------------------------------------------------------------------------------------------- Socket.IO packets

  // On the wire: <type>[<number of attachments>-][<namespace>,][<ack id>][JSON], then each attachment by itself.
  const CONNECT = 0, DISCONNECT = 1, EVENT = 2, ACK = 3, CONNECT_ERROR = 4, BINARY_EVENT = 5, BINARY_ACK = 6;
  const PACKET = /^([0-6])(?:(\d+)-)?(?:(\/[^,]*)(?:,|$))?(\d+)?([\s\S]*)$/;

  /** These events come from this file itself; nobody may send them over the wire. */
  const RESERVED = ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"];

  function isBinary(value) {
    const tag = Object.prototype.toString.call(value);         // unlike instanceof, it knows things from other frames
    return ArrayBuffer.isView(value) || /^\[object (ArrayBuffer|Blob|File)\]$/.test(tag);
  }

  /** Makes the frames of one packet: its text, then its attachments. Raises what JSON.stringify raises. */
  function buildPacket(type, namespace, data, id) {
    const attachments = [];
    const json = data === undefined ? "" : JSON.stringify(data, function (key, value) {
      const original = this[key];              // `value` has been through toJSON() already, which Node's Buffer has
      if (!isBinary(original)) return value;
      attachments.push(original);
      return { _placeholder: true, num: attachments.length - 1 };
    });
    if (attachments.length && type === CONNECT) throw new TypeError("auth cannot contain binary data");
    let head = String(attachments.length ? type + 3 : type);       // EVENT -> BINARY_EVENT, ACK -> BINARY_ACK
    if (attachments.length) head += `${attachments.length}-`;
    if (namespace !== "/") head += `${namespace},`;
    return [head + (id === undefined ? "" : id) + json, ...attachments];
  }

  /** Reads a packet's text. If `expected` > 0, so many attachments follow, and completePacket reads the JSON. */
  function parsePacket(text) {
    const match = PACKET.exec(text);
    if (!match) throw new Error(`not a Socket.IO packet: ${text.slice(0, 40)}`);
    const type = Number(match[1]);
    const packet = {
      type,
      namespace: match[3] || "/",
      id: match[4] === undefined ? undefined : Number(match[4]),
      json: match[5],
      expected: match[2] === undefined ? 0 : Number(match[2]),
      attachments: [],
    };
    const binary = type === BINARY_EVENT || type === BINARY_ACK;
    if (binary !== (match[2] !== undefined)) throw new Error("the number of attachments does not fit the packet type");
    return packet.expected > 0 ? packet : completePacket(packet);
  }

  function completePacket(packet) {
    const binary = packet.type === BINARY_EVENT || packet.type === BINARY_ACK;
    const fill = (_key, value) => {
      if (!value || value._placeholder !== true) return value;
      const attachment = packet.attachments[value.num];
      if (!attachment) throw new Error("a placeholder names no attachment");
      return attachment;
    };
    packet.data = packet.json ? JSON.parse(packet.json, binary ? fill : undefined) : undefined;
    if (binary) packet.type -= 3;
    if (!isValid(packet)) throw new Error(`malformed Socket.IO packet of type ${packet.type}`);
    return packet;
  }

  function isValid({ type, id, data }) {
    const isObject = typeof data === "object" && data !== null && !Array.isArray(data);
    switch (type) {
      case CONNECT: return data === undefined || isObject;
      case DISCONNECT: return data === undefined;
      case CONNECT_ERROR: return typeof data === "string" || isObject;
      case ACK: return Array.isArray(data) && id !== undefined;
      default: return Array.isArray(data) && (typeof data[0] === "number" || isEventName(data[0]));
    }
  }

  function isEventName(name) {
    return typeof name === "string" && !RESERVED.includes(name);
  }

  // --------------------------------------------------------------------------------------------------- transports

  // A transport moves Engine.IO packets: strings that begin with the packet's type, or binary data. It calls
  // `up.packet(string | ArrayBuffer)` and, once, `up.closed(reason, error)`. After close() or leave() nobody listens.

  class WebSocketTransport {
    constructor(url, options, up) {
      this.name = "websocket";
      this.url = url.replace(/^http/, "ws");
      this.options = options;
      this.up = up;
      this.ws = null;
    }

    /** Raises where there is no WebSocket, or where the page may not open this one. */
    open() {
      const WebSocketClass = this.options.WebSocket || globalThis.WebSocket;
      if (!WebSocketClass) throw new Error("there is no WebSocket in this JavaScript");
      let reason = "transport close";
      this.ws = new WebSocketClass(this.url);
      this.ws.binaryType = "arraybuffer";
      this.ws.onmessage = (event) => this.up.packet(event.data);
      this.ws.onerror = () => { reason = "transport error"; };      // says nothing more; `close` always follows
      this.ws.onclose = (event) => {
        const why = event.reason ? `, ${event.reason}` : "";
        this.up.closed(reason, new Error(`the WebSocket closed (code ${event.code}${why})`));
      };
    }

    get writable() {
      return this.ws.bufferedAmount < VOLATILE_BACKLOG;
    }

    /** A WebSocket takes each kind of frame (a string, an ArrayBuffer, a view of one, a Blob), and keeps the order. */
    send(frames) {
      for (const frame of frames) this.ws.send(frame);
    }

    /** What was sent before still goes out. */
    leave() {
      this.close();
    }

    close() {
      if (this.ws) this.ws.close();
    }
  }

  class PollingTransport {
    constructor(url, options, up) {
      this.name = "polling";
      this.url = url;
      this.options = options;
      this.up = up;
      this.sid = null;                         // set by the Engine when it has read the open packet
      this.maxPayload = Infinity;              // so is this: bytes in one POST
      this.queue = [];
      this.posting = false;
      this.leaving = false;
      this.aborter = new AbortController();
    }

    open() {
      this.poll();
    }

    get writable() {
      return !this.posting;
    }

    send(frames) {
      this.queue.push(...frames);
      this.post();
    }

    /** The queue still goes out, and then a close packet: at once if the queue is empty, as when the page goes away. */
    leave() {
      this.leaving = true;
      this.send(["1"]);
    }

    close() {
      this.aborter.abort();
    }

    /** Always one GET on its way: the server answers it when it has something to say. */
    async poll() {
      try {
        while (!this.leaving && !this.aborter.signal.aborted) {
          const payload = await this.request("GET");
          for (const packet of payload.split("\x1e")) {
            this.up.packet(packet[0] === "b" ? fromBase64(packet.slice(1)) : packet);
          }
        }
      } catch (error) {
        this.up.closed("transport error", error);
      }
    }

    /** Never two POSTs at once (the order would be lost); what is emitted meanwhile goes with the next one. */
    async post() {
      if (this.posting) return;
      this.posting = true;
      try {
        await null;                            // gathers everything that is emitted in one go
        while (this.queue.length && !this.aborter.signal.aborted) await this.request("POST", await this.nextPayload());
        this.posting = false;
        if (this.leaving) this.close();
      } catch (error) {
        this.up.closed("transport error", error);
      }
    }

    async nextPayload() {
      const packets = [];
      let size = 0;
      while (this.queue.length && packets.length < PACKETS_PER_POST) {
        const frame = this.queue[0];
        const packet = typeof frame === "string" ? frame : "b" + (await toBase64(frame));
        size += new TextEncoder().encode(packet).length + 1;
        if (packets.length && (size > this.maxPayload || GOODBYE.test(packet))) break;
        packets.push(packet);
        this.queue.shift();
      }
      return packets.join("\x1e");
    }

    async request(method, body) {
      const response = await fetch(this.sid ? `${this.url}&sid=${encodeURIComponent(this.sid)}` : this.url, {
        method,
        body,
        cache: "no-store",
        credentials: this.options.withCredentials ? "include" : "same-origin",
        keepalive: this.leaving && method === "POST" && body.length < 60000,     // 64 KiB may outlive the page
        signal: this.aborter.signal,
      });
      const text = await response.text();
      if (!response.ok) throw new Error(`HTTP ${response.status} ${explain(text)}`.trim());
      return text;
    }
  }

  const TRANSPORTS = { websocket: WebSocketTransport, polling: PollingTransport };

  /** A refused request says why: {"code": 1, "message": "Session ID unknown"}, or anything at all from a proxy. */
  function explain(body) {
    try {
      const { message, hint } = JSON.parse(body);
      return [message, hint].filter(Boolean).join(": ");
    } catch {
      return "";
    }
  }

  async function toBase64(data) {
    const buffer = typeof data.arrayBuffer === "function" ? await data.arrayBuffer() : data;         // a Blob
    const bytes = ArrayBuffer.isView(buffer)
      ? new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength)
      : new Uint8Array(buffer);
    let binary = "";
    for (let i = 0; i < bytes.length; i += 8192) binary += String.fromCharCode(...bytes.subarray(i, i + 8192));
    return btoa(binary);
  }

  function fromBase64(text) {
    return Uint8Array.from(atob(text), (character) => character.charCodeAt(0)).buffer;
  }

  // ------------------------------------------------------------------------------------------------------- Engine

  /**
   * One Engine.IO connection, from the first request to its end; it never comes back (the Manager makes a new one).
   *
   *     opening --open packet--> open --anything wrong, or leave()--> closed
   *        \-- every transport failed, or time is up ---------------> closed
   *
   * Fires "open", "message" (string | ArrayBuffer), "ping", and then one of: "error" (Error: it could not be opened)
   * or "close" (reason, details). After leave() it fires nothing.
   */
  class Engine extends Emitter {
    constructor(url, options, transportNames) {
      super();
      this.id = null;                          // the session id the server gave
      this.transport = null;
      this.state = "opening";
      this.url = url;
      this.options = options;
      this.remaining = [...transportNames];
      this.failures = [];
      this.hung = false;                       // a WebSocket was given up because it took too long
      this.heartbeat = undefined;              // set by the open packet, with the time when we last heard the server
      this.lastHeard = 0;
      this.timers = {};
      if (options.timeout) this.later("deadline", options.timeout, () => this.giveUp("timeout"));
      this.tryNext();
    }

    send(frames) {
      for (const frame of frames) {
        const size = typeof frame === "string" ? frame.length : frame.byteLength ?? frame.size;
        if (size > this.maxPayload) {
          console.warn(`truesocket: a message of ${size} bytes is more than the server takes (${this.maxPayload}); ` +
            "it will close the connection. Send less at once, or raise max_http_buffer_size on the server.");
        }
      }
      this.transport.send(frames.map((frame) => (typeof frame === "string" ? "4" + frame : frame)));
    }

    /** True if the server was silent for too long, though no timer has fired yet: this computer may have slept. */
    isStale() {
      const stale = Date.now() > this.lastHeard + this.heartbeat;
      if (stale) this.later("watch", 0, () => this.watch());
      return stale;
    }

    /** Closes on our own wish, and cleanly: what was sent still goes out. */
    leave() {
      if (this.state === "closed") return;     // and is perhaps still saying goodbye
      const wasOpen = this.state === "open";
      const transport = this.end();
      if (wasOpen) transport.leave();
      else if (transport) transport.close();
    }

    close(reason, details) {
      if (this.state === "closed") return;
      const event = this.state === "open" ? "close" : "error";
      const transport = this.end();
      if (transport) transport.close();
      if (event === "close") this.fire("close", reason, details);
      else this.fire("error", details);
    }

    tryNext() {
      const name = this.remaining.shift();
      if (!name) return this.giveUp();
      const query = new URLSearchParams(this.options.query);
      query.set("EIO", "4");
      query.set("transport", name);
      const up = {
        packet: (packet) => { if (isCurrent()) this.receive(packet); },
        closed: (reason, error) => { if (isCurrent()) this.transportClosed(reason, error); },
      };
      const isCurrent = () => this.transport === transport && this.state !== "closed";
      const transport = new TRANSPORTS[name](`${this.url}?${query}`, this.options, up);
      this.transport = transport;
      if (this.remaining.length) {
        this.later("patience", Math.min(WEBSOCKET_PATIENCE, this.options.timeout / 2 || Infinity), () => {
          this.hung = true;
          up.closed("transport error", new Error("it took too long to open"));
        });
      }
      try {
        transport.open();
      } catch (error) {
        this.later("failure", 0, () => up.closed("transport error", error));      // nobody listens to us yet
      }
    }

    transportClosed(reason, error) {
      if (this.state === "open") return this.close(reason, { description: error.message, context: error });
      const failed = this.transport;
      this.failures.push(`${failed.name}: ${error.message}`);
      this.transport = null;
      this.cancel("patience");
      failed.close();
      this.tryNext();
    }

    giveUp(...more) {
      if (this.state !== "opening") return;
      const error = new Error(`cannot connect to ${this.url} (${[...this.failures, ...more].join("; ")})`);
      error.type = "TransportError";
      this.close("transport error", error);
    }

    receive(packet) {
      this.lastHeard = Date.now();
      if (this.state === "opening") return packet[0] === "0" ? this.opened(packet) : this.malformed(packet);
      if (typeof packet !== "string") return this.fire("message", packet);
      switch (packet[0]) {
        case "1": return this.close("transport close", { description: "the server closed the connection" });
        case "2":
          this.transport.send(["3" + packet.slice(1)]);
          return this.fire("ping");
        case "4": return this.fire("message", packet.slice(1));
        case "6": return undefined;
        default: return this.malformed(packet);
      }
    }

    opened(packet) {
      let hello;
      try {
        hello = JSON.parse(packet.slice(1)) || {};
      } catch {
        return this.malformed(packet);
      }
      const heartbeat = hello.pingInterval + hello.pingTimeout;
      if (!hello.sid || !(heartbeat > 0)) return this.malformed(packet);
      this.cancel();
      this.state = "open";
      this.heartbeat = heartbeat;
      this.id = this.transport.sid = hello.sid;
      this.maxPayload = this.transport.maxPayload = hello.maxPayload || Infinity;
      this.watch();
      this.fire("open");
    }

    /** One timer, no matter how much arrives: it looks at the clock, and sleeps for what is left. */
    watch() {
      const left = this.lastHeard + this.heartbeat - Date.now();
      if (left < 0) this.close("ping timeout", { description: `the server was silent for ${this.heartbeat} ms` });
      else this.later("watch", left + 1, () => this.watch());
    }

    malformed(packet) {
      const what = typeof packet === "string" ? packet.slice(0, 40) : "binary data";
      const error = new Error(`not an Engine.IO packet here: ${what}`);
      if (this.state === "open") this.close("parse error", { description: error.message, context: error });
      else this.transportClosed("parse error", error);
    }

    end() {
      this.state = "closed";
      this.cancel();
      return this.transport;
    }

    later(name, delay, task) {
      this.cancel(name);
      this.timers[name] = setTimeout(task, delay);
    }

    /** cancel("x") stops one timer, cancel() all of them. */
    cancel(name) {
      for (const each of name ? [name] : Object.keys(this.timers)) clearTimeout(this.timers[each]);
    }
  }

  // ---------------------------------------------------------------------------------------------- Backoff, Manager

  /** 1 s, 2 s, 4 s, 5 s, 5 s ... each spread at random, so that a thousand pages do not come back in one instant. */
  class Backoff {
    constructor(options) {
      this.options = options;
      this.attempts = 0;
    }

    next() {
      const { reconnectionDelay, reconnectionDelayMax: max, randomizationFactor: spread } = this.options;
      const base = Math.min(reconnectionDelay * 2 ** this.attempts++, max);
      const low = base * (1 - spread);
      const high = Math.min(base * (1 + spread), max);
      return low + Math.random() * (high - low);
    }

    reset() {
      this.attempts = 0;
    }
  }

  /** Managers that have, or want, a connection; see the listeners of the page below. */
  const awake = new Set();

  /**
   * Keeps one connection to one server, and shares it between namespaces (one Socket each).
   *
   *     idle --open()--> opening --> open --lost--> waiting --time is up--> opening ...
   *     any --close()--> idle        opening --failed--> waiting
   *
   * Fires "open", "error", "ping", "close", "reconnect_attempt", "reconnect", "reconnect_error", "reconnect_failed".
   */
  class Manager extends Emitter {
    constructor(url, options) {
      super();
      if (typeof url !== "string") [url, options] = [undefined, url];
      checkOptions(options || {});
      const place = locate(url);
      this.opts = { ...DEFAULTS, query: place.query, ...options };
      this.opts.path = normalPath(this.opts.path);
      this.origin = place.origin;
      this.engine = null;
      this.state = "idle";
      this.sockets = new Map();                // namespace -> Socket
      this.backoff = new Backoff(this.opts);
      this.timer = undefined;
      this.unfinished = null;                  // a packet whose attachments have not all arrived
      this.websocketWorked = false;
      if (this.opts.autoConnect) this.open();
    }

    /** The Socket of a namespace ("/" is the default one). */
    socket(namespace = "/", options = {}) {
      let socket = this.sockets.get(namespace);
      if (!socket) {
        socket = new Socket(this, namespace, options);
        this.sockets.set(namespace, socket);
      }
      if (options.autoConnect ?? this.opts.autoConnect) socket.connect();
      return socket;
    }

    /** Opens the connection. Sockets do it by themselves; `callback(error?)` is told how this attempt ended. */
    open(callback) {
      if (this.state === "opening" || this.state === "open") return this;
      const transports = this.chooseTransports();
      clearTimeout(this.timer);
      awake.add(this);
      this.state = "opening";
      this.unfinished = null;
      const engine = new Engine(this.origin + this.opts.path, this.opts, transports);
      this.engine = engine;
      engine.on("open", () => this.opened(callback));
      engine.on("error", (error) => this.failed(error, callback));
      engine.on("ping", () => this.fire("ping"));
      engine.on("message", (frame) => this.receive(frame));
      engine.on("close", (reason, details) => this.lost(reason, details));
      return this;
    }

    /** Closes the connection for all namespaces, and does not come back until open() or socket.connect(). */
    close() {
      const wasOpen = this.state === "open";
      this.rest();
      if (this.engine) this.engine.leave();
      if (wasOpen) this.told("forced close");
    }

    send(frames) {
      if (this.state === "open") this.engine.send(frames);
    }

    /** A Socket needs the connection no longer. */
    release() {
      if (![...this.sockets.values()].some((socket) => socket.active)) this.close();
    }

    chooseTransports() {
      const names = ["websocket", "polling"].filter((name) => this.opts.transports.includes(name));
      if (!names.length) throw new Error('transports must name "websocket", "polling" or both');
      if (names.length === 1) return names;
      if (this.websocketWorked && this.backoff.attempts <= WEBSOCKET_ONLY_ATTEMPTS) return ["websocket"];
      if (this.backoff.attempts === 0 && memory.recall(this.origin)) return ["polling"];
      return names;
    }

    opened(callback) {
      const attempts = this.backoff.attempts;
      this.backoff.reset();
      this.state = "open";
      if (this.engine.transport.name === "websocket") {
        this.websocketWorked = true;
        memory.forget(this.origin);
      } else if (this.engine.hung) {
        memory.keep(this.origin);
      }
      this.fire("open");
      for (const socket of this.activeSockets()) socket.join();
      if (callback) callback();
      if (attempts) this.fire("reconnect", attempts);
    }

    failed(error, callback) {
      const attempts = this.backoff.attempts;
      this.afterwards(this.opts.reconnection && !callback);        // who gave a callback decides what to do next
      this.fire("error", error);
      for (const socket of this.activeSockets()) socket.fire("connect_error", error);
      if (attempts) this.fire("reconnect_error", error);
      if (callback) callback(error);
      this.wait();
    }

    lost(reason, details) {
      this.afterwards(this.opts.reconnection);
      this.told(reason, details);
      this.wait();
    }

    /** Sets the state that listeners find when they hear that the connection is gone: they may open() or close(). */
    afterwards(comeBack) {
      if (comeBack) this.state = "waiting";
      else this.rest();
    }

    told(reason, details) {
      this.fire("close", reason, details);
      for (const socket of this.activeSockets()) socket.closed(reason, details);
    }

    wait() {
      if (this.state !== "waiting") return;
      if (this.backoff.attempts < this.opts.reconnectionAttempts) {
        this.timer = setTimeout(() => this.retry(), this.backoff.next());
      } else {
        this.rest();
        this.fire("reconnect_failed");
      }
    }

    retry() {
      if (this.state !== "waiting") return;
      clearTimeout(this.timer);
      this.fire("reconnect_attempt", this.backoff.attempts);
      if (this.state === "waiting") this.open();
    }

    rest() {
      clearTimeout(this.timer);
      this.backoff.reset();
      this.state = "idle";
      awake.delete(this);
    }

    receive(frame) {
      let packet;
      try {
        packet = this.assemble(frame);
      } catch (error) {
        return this.engine.close("parse error", { description: error.message, context: error });
      }
      const socket = packet && this.sockets.get(packet.namespace);
      if (socket) socket.receive(packet);
    }

    /** A text begins a packet; attachments complete it. Returns the packet when it is whole, and null before. */
    assemble(frame) {
      if (typeof frame === "string") {
        if (this.unfinished) throw new Error("a text came where an attachment was due");
        const packet = parsePacket(frame);
        if (packet.expected === packet.attachments.length) return packet;
        this.unfinished = packet;
        return null;
      }
      const packet = this.unfinished;
      if (!packet) throw new Error("an attachment came that no packet announced");
      if (packet.attachments.push(frame) < packet.expected) return null;
      this.unfinished = null;
      return completePacket(packet);
    }

    activeSockets() {
      return [...this.sockets.values()].filter((socket) => socket.active);
    }
  }

  // As in the official client: manager.reconnectionDelay() reads an option, manager.reconnectionDelay(500) sets it.
  for (const name of ["reconnection", "reconnectionAttempts", "reconnectionDelay", "reconnectionDelayMax",
    "randomizationFactor", "timeout"]) {
    Manager.prototype[name] = function (value) {
      if (value === undefined) return this.opts[name];
      this.opts[name] = value;
      return this;
    };
  }
  Manager.prototype.connect = Manager.prototype.open;

  /** What this tab knows of a server: that a WebSocket to it only hangs. Without sessionStorage, it knows nothing. */
  const memory = {
    recall: (origin) => Number(memory.use("getItem", origin)) > Date.now(),
    keep: (origin) => memory.use("setItem", origin, String(Date.now() + REMEMBER_HANG)),
    forget: (origin) => memory.use("removeItem", origin),
    use(method, origin, ...value) {
      try {
        return globalThis.sessionStorage[method](`truesocket:hung:${origin}`, ...value);
      } catch {
        return null;
      }
    },
  };

  if (typeof globalThis.addEventListener === "function") {
    // The page goes away: tell the server at once. If the browser keeps the page ("back" brings it alive again), the
    // reconnect timer goes on where it stopped.
    globalThis.addEventListener("pagehide", () => {
      for (const manager of awake) {
        if (manager.state !== "open") continue;
        manager.engine.leave();
        manager.lost("transport close", { description: "the page was left" });
      }
    });
    // The network is back: do not sit out the delay.
    globalThis.addEventListener("online", () => awake.forEach((manager) => manager.retry()));
  }

  // ------------------------------------------------------------------------------------------------------- Socket

  /**
   * One namespace of one connection: what `io()` returns. Fires "connect", "connect_error" (Error with .message and
   * .data), "disconnect" (reason, details), and every event that the server emits.
   */
  class Socket extends Emitter {
    constructor(manager, namespace, options) {
      super();
      this.io = manager;
      this.nsp = namespace;
      this.auth = options.auth;
      this.id = undefined;                     // the server's name for this socket, while connected
      this.connected = false;
      this.active = false;                     // connected, or coming (back) by itself
      this.recovered = false;                  // whether the server has given back what we were, and all we missed
      this.pid = undefined;                    // under this name we can come back, if the server offers it,
      this.offset = undefined;                 // and this was the last event that came
      this.epoch = undefined;                  // what our server's offsets begin with
      this.flags = {};                         // what .volatile and .timeout() say about the next emit
      this.ackTimeout = options.ackTimeout ?? manager.opts.ackTimeout;
      this.retries = options.retries ?? manager.opts.retries;
      this.queue = [];                         // with retries: emitted and not answered yet; the first one is out
      this.retryKey = undefined;               // with our ack ids, it tells the server which event comes twice
      this.nextAckId = 0;
      this.acks = new Map();                   // id -> {callback, withError, timer}
      this.outbox = [];                        // emitted while not connected: {id, event, frames}
      this.inbox = [];                         // some servers emit before they have confirmed the namespace
      this.taps = { incoming: [], outgoing: [] };
    }

    get disconnected() {
      return !this.connected;
    }

    /** "websocket", "polling", or null while not connected. */
    get transport() {
      return this.connected ? this.io.engine.transport.name : null;
    }

    connect() {
      const joining = this.active;
      this.active = true;
      if (this.io.state === "idle") this.io.open();
      else if (this.io.state === "open" && !joining) this.join();
      return this;
    }

    disconnect() {
      const wasConnected = this.connected;
      if (wasConnected) this.io.send(buildPacket(DISCONNECT, this.nsp));
      this.active = false;
      this.pid = this.offset = undefined;
      this.io.release();
      if (wasConnected) this.closed("io client disconnect");
      return this;
    }

    /** Sends an event. If the last argument is a function, it is called with the server's answer. */
    emit(event, ...args) {
      const callback = typeof args[args.length - 1] === "function" ? args.pop() : undefined;
      this.dispatch(event, args, callback, false);
      return this;
    }

    /** Sends an event; the promise is fulfilled with the server's answer, or rejected if none can come any more. */
    emitWithAck(event, ...args) {
      return new Promise((resolve, reject) => {
        this.dispatch(event, args, (error, answer) => (error ? reject(error) : resolve(answer)), true);
      });
    }

    send(...args) {
      return this.emit("message", ...args);
    }

    /** The next emit fails if no answer came within so many milliseconds: its callback gets (error, ...answer). */
    timeout(milliseconds) {
      this.flags.timeout = milliseconds;
      return this;
    }

    /** The next emit is dropped, not kept, if it cannot go out at once. */
    get volatile() {
      this.flags.volatile = true;
      return this;
    }

    /** listener(event, ...args) is called for every event that comes in, before the listeners of that event. */
    onAny(listener) {
      return this.tap("incoming", [...this.taps.incoming, listener]);
    }

    prependAny(listener) {
      return this.tap("incoming", [listener, ...this.taps.incoming]);
    }

    /** Removes this listener, or all. */
    offAny(listener) {
      return this.tap("incoming", this.taps.incoming.filter((other) => listener && other !== listener));
    }

    /** listener(event, ...args) is called for every event that goes out, when it does. */
    onAnyOutgoing(listener) {
      return this.tap("outgoing", [...this.taps.outgoing, listener]);
    }

    offAnyOutgoing(listener) {
      return this.tap("outgoing", this.taps.outgoing.filter((other) => listener && other !== listener));
    }

    tap(direction, listeners) {
      this.taps[direction] = listeners;
      return this;
    }

    // ---- from here on: called by the Manager, and by the methods above

    dispatch(event, args, callback, withError) {
      const flags = this.flags;
      this.flags = {};
      if (!isEventName(event) && typeof event !== "number") {
        throw RESERVED.includes(event)
          ? new Error(`"${event}" is a reserved event name: it cannot be emitted`)
          : new TypeError("emit() needs the name of the event, a string, as its first argument");
      }
      const queued = this.retries > 0 && !flags.volatile;
      const id = callback || queued ? this.nextAckId++ : undefined;
      const packet = { id, event: [event, ...args], frames: buildPacket(EVENT, this.nsp, [event, ...args], id) };
      if (queued) return this.enqueue(packet, callback, withError, flags.timeout ?? this.ackTimeout);
      if (callback) this.awaitAck(id, callback, withError, flags.timeout ?? this.ackTimeout);
      const ready = this.connected && !this.io.engine.isStale();
      if (flags.volatile && !(ready && this.io.engine.transport.writable)) return;
      if (ready) this.transmit(packet);
      else this.outbox.push(packet);
    }

    /** With retries: an event waits for its turn, and is sent until it is answered. */
    enqueue(packet, callback, withError, timeout) {
      const settled = (error, ...args) => {
        if (error && packet.tries <= this.retries) return this.advance();
        this.queue.shift();
        if (callback && (withError || timeout !== undefined)) call(callback, this, [error, ...args]);
        else if (callback && !error) call(callback, this, args);
        this.advance();
      };
      this.queue.push(Object.assign(packet, { tries: 0, timeout: timeout ?? RETRY_AFTER, settled }));
      if (this.queue.length === 1) this.advance();
    }

    /** Sends the first event of the queue, if it is not on its way. */
    advance() {
      const packet = this.queue[0];
      if (!packet || !this.connected || this.acks.has(packet.id)) return;
      packet.tries++;
      this.awaitAck(packet.id, packet.settled, true, packet.timeout);
      this.transmit(packet);
    }

    /** The connection is gone and the first event's answer with it: that is no failed try, it is sent again. */
    takeBack() {
      const packet = this.queue[0];
      const ack = packet && this.acks.get(packet.id);
      if (!ack) return;
      clearTimeout(ack.timer);
      this.acks.delete(packet.id);
      packet.tries--;
    }

    transmit(packet) {
      for (const listener of this.taps.outgoing) call(listener, this, packet.event);
      this.io.send(packet.frames);
    }

    awaitAck(id, callback, withError, timeout) {
      const ack = { callback, withError: withError || timeout !== undefined, timer: undefined };
      this.acks.set(id, ack);
      if (timeout === undefined) return;
      ack.timer = setTimeout(() => {
        this.outbox = this.outbox.filter((packet) => packet.id !== id);
        this.settle(id, new Error("operation has timed out"), []);
      }, timeout);
    }

    settle(id, error, args) {
      const ack = this.acks.get(id);
      if (!ack) return;                        // answered twice, or too late
      this.acks.delete(id);
      clearTimeout(ack.timer);
      if (ack.withError) call(ack.callback, this, [error, ...args]);
      else if (!error) call(ack.callback, this, args);
    }

    /** The connection is open: ask for the namespace. */
    join() {
      let engine = this.io.engine;
      const ask = (auth) => {
        if (!this.active || this.io.engine !== engine) return;     // too late: auth() took its time
        engine = null;                                             // and only once
        this.io.send(buildPacket(CONNECT, this.nsp, this.credentials(auth)));
      };
      if (typeof this.auth === "function") call(this.auth, this, [ask]);
      else ask(this.auth);
    }

    /** What the page gives, who we were, and under which key we repeat events. */
    credentials(auth) {
      const own = {};
      if (this.pid) Object.assign(own, { pid: this.pid, offset: this.offset });
      if (this.retries > 0) own.retry_key = this.retryKey ??= randomKey();
      return Object.keys(own).length ? { ...own, ...auth } : auth;
    }

    receive(packet) {
      if (!this.active) {                      // disconnect() was called while this was on its way
        if (packet.type === CONNECT) this.io.send(buildPacket(DISCONNECT, this.nsp));
        return;
      }
      switch (packet.type) {
        case CONNECT: return this.joined(packet.data);
        case CONNECT_ERROR: return this.refused(packet.data);
        case ACK: return this.settle(packet.id, null, packet.data);
        case EVENT: return this.connected ? this.deliver(packet) : void this.inbox.push(packet);
        default: return this.expelled();
      }
    }

    joined(data) {
      if (!data || !data.sid) {
        return this.refused("the server speaks an older Socket.IO protocol (Socket.IO 2.x): it needs a 2.x client");
      }
      this.id = data.sid;
      this.recovered = Boolean(data.pid) && data.pid === this.pid;
      this.pid = data.pid;
      if (!this.recovered) this.offset = data.offset;
      this.epoch = data.offset && data.offset.replace(/\d+$/, "");
      this.connected = true;
      for (const packet of this.inbox.splice(0)) this.deliver(packet);
      while (this.connected && this.outbox.length) this.transmit(this.outbox.shift());
      if (this.connected) this.fire("connect");
      this.advance();
    }

    /** The server says no. Trying again by itself would be no use: the page may change `auth` and call connect(). */
    refused(data) {
      this.active = false;
      this.io.release();
      const error = new Error(typeof data === "string" ? data : data.message);
      error.data = typeof data === "string" ? undefined : data.data;
      this.fire("connect_error", error);
    }

    expelled() {
      this.active = false;
      this.pid = this.offset = undefined;
      this.io.release();
      this.closed("io server disconnect");
    }

    deliver(packet) {
      const event = [String(packet.data[0]), ...packet.data.slice(1)];
      if (packet.id !== undefined) event.push(this.answerFor(packet.id));
      else if (this.pid && event.length > 1) this.note(event);
      for (const listener of this.taps.incoming) call(listener, this, event);
      this.fire(...event);
    }

    /** Where the server can give back what we miss, each event ends with its offset. The page does not see ours. */
    note(event) {
      const last = event[event.length - 1];
      if (typeof last !== "string" || (this.epoch && !last.startsWith(this.epoch))) return;
      this.offset = last;
      if (this.epoch) event.pop();
    }

    /** The function that answers an event of the server: once, and only on the connection that brought the question. */
    answerFor(id) {
      const session = this.id;
      let answered = false;
      return (...args) => {
        if (answered || this.id !== session) return;
        answered = true;
        this.io.send(buildPacket(ACK, this.nsp, args, id));
      };
    }

    /** The connection, or this namespace on it, is gone. */
    closed(reason, details) {
      const wasConnected = this.connected;
      this.connected = false;
      this.id = undefined;
      this.inbox = [];
      this.takeBack();
      const waiting = new Set(this.outbox.map((packet) => packet.id));
      const unanswered = [...this.acks.keys()].filter((id) => !waiting.has(id));
      if (wasConnected) this.fire("disconnect", reason, details);
      else this.fire("connect_error", new Error(`the connection ended before the server had let us in (${reason})`));
      for (const id of unanswered) this.settle(id, new Error("socket has been disconnected"), []);
    }
  }

  Socket.prototype.open = Socket.prototype.connect;
  Socket.prototype.close = Socket.prototype.disconnect;

  // ----------------------------------------------------------------------------------------------------------- io

  /** Managers that io() shares, by origin and path. */
  const shared = new Map();

  /**
   * io(), io("/namespace"), io("https://example.org/namespace"), each with options as last argument.
   * Calls for the same server share one connection, as long as they are for different namespaces.
   */
  function io(url, options) {
    if (typeof url === "object" && url !== null) [url, options] = [undefined, url];
    options = options || {};
    const place = locate(url);
    const key = place.origin + normalPath(options.path || DEFAULTS.path);
    const known = shared.get(key);
    const alone = options.forceNew || options.multiplex === false || (known && known.sockets.has(place.namespace));
    if (known && !alone) {
      checkOptions(options);
      return known.socket(place.namespace, options);
    }
    const manager = new Manager(place.origin, { query: place.query, ...options });
    if (!alone) shared.set(key, manager);
    return manager.socket(place.namespace, options);
  }

  /** Splits what the page gave into the server's origin, the namespace and the query. */
  function locate(url) {
    const page = globalThis.location;
    if (url === undefined || url === null || url.startsWith("/")) {
      if (!page || !/^https?:/.test(page.protocol)) {
        throw new Error('io() needs the address of the server here, such as io("http://localhost:5000")');
      }
      if (!url) url = "/";
      url = url.startsWith("//") ? page.protocol + url : `${page.protocol}//${page.host}${url}`;
    } else if (!/^(https?|wss?):\/\//.test(url)) {
      url = `${page && /^https?:/.test(page.protocol) ? page.protocol : "https:"}//${url}`;
    }
    const { origin, pathname, searchParams } = new URL(url.replace(/^ws/, "http"));
    return { origin, namespace: decodeURI(pathname), query: Object.fromEntries(searchParams) };
  }

  /** 128 bits that nobody guesses. */
  function randomKey() {
    const bytes = globalThis.crypto.getRandomValues(new Uint8Array(16));
    return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  }

  function normalPath(path) {
    const middle = path.replace(/^\/+|\/+$/g, "");
    return middle ? `/${middle}/` : "/";
  }

  return Object.assign(io, { io, connect: io, Manager, Socket, protocol: 5 });
})();

globalThis.io = truesocket;
