// The demo's page. Everything other people typed goes through textContent, and nowhere else.
"use strict";

const $ = (id) => document.getElementById(id);
const root = document.documentElement;
const say = (en, zh) => (root.dataset.lang === "zh" ? zh : en);
const SAMPLES = 40;

/** Only what has changed: a screen reader reads a status aloud each time it is written. */
function write(id, text) {
  if ($(id).textContent !== String(text)) $(id).textContent = text;
}

const state = {
  me: null,
  people: { count: 0, list: [] },
  serverSays: null,             // the transport, as the server sees it
  attempt: 0,                   // how often we have tried to come back
  gaps: [],                     // seconds between two pushes
  lastPush: 0,
  lastNumber: 0,
  latencies: [],                // milliseconds
  loop: null,                   // {count, pushes, worst} while the endless loop runs
};

// ------------------------------------------------------------------------------------------------- connection

const forcePolling = new URLSearchParams(location.search).get("transport") === "polling";
const socket = io({
  transports: forcePolling ? ["polling"] : ["websocket", "polling"],
  auth: (give) => give({ key: recall("key") }),          // so that a reload keeps the name
});

socket.on("connect", () => {
  state.attempt = 0;
  state.lastPush = 0;
  stopLoop();
  showConnection();
  measure();
});

socket.on("disconnect", () => {
  state.serverSays = null;
  stopLoop();
  showConnection();
});

socket.on("connect_error", showConnection);
socket.io.on("reconnect_attempt", (attempt) => {
  state.attempt = attempt;
  showConnection();
});

socket.on("welcome", ({ you, people, messages }) => {
  state.me = you;
  remember("key", you.key);
  $("messages").replaceChildren();
  $("empty").hidden = false;
  messages.forEach(showMessage);
  showPeople(people);
});

function showConnection() {
  const transport = socket.transport;
  const agreed = transport !== null && transport === state.serverSays;
  const names = { websocket: "WebSocket", polling: say("long-polling", "长轮询") };
  const coming = state.attempt
    ? say(`Reconnecting (${state.attempt})…`, `正在重连（${state.attempt}）…`)
    : say("Connecting…", "正在连接…");
  $("badge").dataset.state = transport || "connecting";
  write("badge-text", transport ? names[transport] : coming);
  write("browser-says", transport ? (agreed ? `${transport} ✓` : transport) : "–");
  write("server-says", state.serverSays ? (agreed ? `${state.serverSays} ✓` : state.serverSays) : "–");
  const scheme = transport === "websocket" ? location.protocol.replace("http", "ws") : location.protocol;
  write("address", transport ? `${scheme}//${location.host}/socket.io/` : "–");
  $("try-polling").hidden = forcePolling;
  $("try-websocket").hidden = !forcePolling;
  $("loop-switch").disabled = $("talk-send").disabled = !socket.connected;
}

// ----------------------------------------------------------------------------------------------------- pushes

socket.on("pulse", ({ number }) => {
  const now = performance.now();
  if (state.lastPush) state.gaps.push((now - state.lastPush) / 1000);
  state.gaps.splice(0, state.gaps.length - SAMPLES);
  state.lastPush = now;
  state.lastNumber = number;
  if (state.loop) state.loop.pushes++;
  showPushes();
  showLoop();
});

function showPushes() {
  if (!state.lastNumber) return;
  write("push-number", `#${state.lastNumber}`);
  const gap = state.gaps.at(-1);
  if (gap !== undefined) {
    write("push-caption", say(
      `${gap.toFixed(3)} s after the one before. One background task for everybody.`,
      `距上一次 ${gap.toFixed(3)} 秒。所有人共用一个后台任务。`,
    ));
  }
  drawBars($("push-chart"), state.gaps);
}

// ---------------------------------------------------------------------------------------------------- latency

function measure() {
  const start = performance.now();
  socket.timeout(10000).emit("measure", (error, transport) => {
    if (error) return;
    const took = performance.now() - start;
    if (state.serverSays) state.latencies.push(took);      // not the first: it competes with the page's own loading
    state.latencies.splice(0, state.latencies.length - SAMPLES);
    state.serverSays = transport;
    if (state.loop) state.loop.worst = Math.max(state.loop.worst, took);
    showConnection();
    showLatency();
    showLoop();
  });
}

setInterval(() => socket.connected && measure(), 1000);

function showLatency() {
  if (!state.latencies.length) return;
  const sorted = [...state.latencies].sort((a, b) => a - b);
  const [median, worst] = [sorted[sorted.length >> 1], sorted.at(-1)].map(milliseconds);
  write("latency", milliseconds(state.latencies.at(-1)));
  write("latency-caption", say(
    `Browser, handler and back. Median ${median} ms, slowest ${worst} ms.`,
    `浏览器到处理函数再回来。中位数 ${median} ms，最慢 ${worst} ms。`,
  ));
  drawCurve($("latency-chart"), state.latencies);
}

const milliseconds = (value) => (value < 10 ? value.toFixed(1) : value.toFixed(0));

// ----------------------------------------------------------------------------------------------------- people

socket.on("people", showPeople);

function showPeople(people = state.people) {
  state.people = people;
  write("people-count", people.count || "–");
  const items = people.list.map((person) => {
    const item = make("li", person.key === state.me?.key ? "me" : "");
    item.append(avatar(person), make("span", "", nameOf(person)));
    if (person.transport === "polling") item.append(make("span", "slow", say("polling", "轮询")));
    return item;
  });
  const others = people.count - people.list.length;
  if (others > 0) items.push(make("li", "more", say(`and ${others} more`, `还有 ${others} 人`)));
  $("people").replaceChildren(...items);
  if (state.me) {
    write("you-name", nameOf(state.me));
    dress($("you-avatar"), state.me);
  }
}

function nameOf(person) {
  const name = say(person.en, person.zh);
  return person.key === state.me?.key ? say(`${name} (you)`, `${name}（你）`) : name;
}

function avatar(person) {
  const circle = dress(make("span", "avatar"), person);
  circle.setAttribute("aria-hidden", "true");
  return circle;
}

function dress(circle, person) {
  circle.style.setProperty("--hue", person.hue);
  circle.textContent = say(person.en.split(" ").at(-1)[0], [...person.zh].at(-1));
  return circle;
}

// --------------------------------------------------------------------------------------------- the endless loop

$("loop-switch").addEventListener("click", () => (state.loop ? stopLoop() : startLoop()));
$("loop-label").addEventListener("click", () => $("loop-switch").click());

socket.on("server_response", ({ data }) => {
  if (!state.loop) return;
  state.loop.count++;
  const time = new Date().toLocaleTimeString([], { hour12: false });
  $("loop-lines").append(make("li", "", `${time}  Received #${state.loop.count}: ${data}`));
  while ($("loop-lines").children.length > 4) $("loop-lines").firstChild.remove();
  showLoop();
});

function startLoop() {
  state.loop = { count: 0, pushes: 0, worst: 0 };
  $("loop-lines").replaceChildren();
  $("loop-switch").setAttribute("aria-checked", "true");
  socket.emit("start_loop", { data: say("still running", "仍在运行") });
  showLoop();
}

function stopLoop() {
  if (!state.loop) return;
  state.loop = null;
  $("loop-switch").setAttribute("aria-checked", "false");
  if (socket.connected) socket.emit("stop_loop");
}

function showLoop() {
  if (!state.loop) return;
  write("loop-count", state.loop.count);
  write("loop-pushes", state.loop.pushes);
  write("loop-latency", state.loop.worst ? `${milliseconds(state.loop.worst)} ms` : "–");
}

// --------------------------------------------------------------------------------------------------- messages

socket.on("said", showMessage);

function showMessage({ from, text, at }) {
  const item = make("li");
  const who = make("p", "who", nameOf(from));
  const time = make("time", "", new Date(at).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" }));
  time.dateTime = new Date(at).toISOString();
  who.append(time);
  const words = make("p", "text", text);
  words.dir = "auto";
  item.append(avatar(from), who, words);
  const list = $("messages");
  list.append(item);
  while (list.children.length > 50) list.firstChild.remove();
  $("empty").hidden = true;
  $("messages-box").scrollTop = $("messages-box").scrollHeight;
}

$("talk-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = $("talk-text").value.trim();
  if (!text || !socket.connected) return;
  socket.emit("say", text);
  $("talk-text").value = "";
});

// ---------------------------------------------------------------------------------------------------- drawing

function svg(name, attributes) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}

function draw(place, children) {
  const picture = svg("svg", { viewBox: "0 0 400 64", preserveAspectRatio: "none", "aria-hidden": "true" });
  picture.append(...children);
  place.replaceChildren(picture);
}

/** One bar per push: as high as the pause before it was long, with the expected 2 s at two thirds. */
function drawBars(place, gaps) {
  const bars = [];
  for (let i = 0; i < SAMPLES; i++) {
    const gap = gaps[gaps.length - SAMPLES + i];
    const height = gap === undefined ? 3 : Math.max(3, Math.min(64, (gap / 3) * 64));
    const kind = gap === undefined ? "push none" : Math.abs(gap - 2) > 0.5 ? "push late" : "push";
    bars.push(svg("rect", { x: i * 10 + 1.5, width: 7, y: 64 - height, height, rx: 2, class: kind }));
  }
  draw(place, bars);
}

function drawCurve(place, values) {
  const top = Math.max(10, ...values) * 1.1;
  const step = 400 / (SAMPLES - 1);
  const points = values.map((value, i) => [400 - (values.length - 1 - i) * step, 64 - (value / top) * 64]);
  const line = points.map((point) => point.map((n) => n.toFixed(1)).join(",")).join(" ");
  draw(place, [
    svg("line", { x1: 0, x2: 400, y1: 64, y2: 64, class: "axis" }),
    svg("polygon", { points: `${points[0][0].toFixed(1)},64 ${line} 400,64`, class: "area" }),
    svg("polyline", { points: line, class: "curve" }),
  ]);
}

function make(name, className = "", text) {
  const element = document.createElement(name);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  return element;
}

// --------------------------------------------------------------------------------------------------- language

function choose(language) {
  root.dataset.lang = language;
  root.lang = language === "zh" ? "zh-CN" : "en";
  for (const button of document.querySelectorAll("[data-language]")) {
    button.setAttribute("aria-pressed", String(button.dataset.language === language));
  }
  $("talk-text").placeholder = $("talk-text").dataset[language === "zh" ? "placeholderZh" : "placeholderEn"];
  showConnection();
  showPushes();
  showLatency();
  showPeople();
}

for (const button of document.querySelectorAll("[data-language]")) {
  button.addEventListener("click", () => {
    document.cookie = `lang=${button.dataset.language}; path=/; max-age=31536000; samesite=lax`;
    choose(button.dataset.language);
  });
}

function recall(key) {
  try {
    return JSON.parse(sessionStorage.getItem(`demo:${key}`));
  } catch {
    return null;
  }
}

function remember(key, value) {
  try {
    sessionStorage.setItem(`demo:${key}`, JSON.stringify(value));
  } catch {
    // a browser that stores nothing gets a new name with each visit
  }
}

choose(root.dataset.lang);
