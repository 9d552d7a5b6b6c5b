"use strict";
// The page of `edge-agent look`: asks for the newest picture again and again, draws what was found on it, and lets shapes be drawn.

const byId = (id) => document.getElementById(id);
const canvas = byId("picture");
const context = canvas.getContext("2d");
const csrf = document.querySelector("meta[name=csrf]").content;
const NEAR_PX = 18; // a finger is not a needle
const KINDS = ["zone", "line", "mask"];
const HINTS = {
  zone: "Set the corners one after the other; drag one to move it. Three at least.",
  line: "Set where the line begins and where it ends. Who crosses it as the arrow shows goes in, the other way out.",
  mask: "What a mask covers is black for everything: models, snapshots, recordings, this page. Three corners at least.",
};
const COLOURS = { zone: "#2fd6ff", line: "#ffd02f", mask: "#ff5fa8" };

let lane = "";
let after = 0;
let told = null;
let bitmap = null;
let inFile = { shapes: { zone: {}, line: {}, mask: {} }, seen: "", file: "" };
let draft = null; // {kind, points, held}

function colourOf(label) {
  let sum = 0;
  for (const letter of label) sum = (sum * 31 + letter.codePointAt(0)) % 360;
  return `hsl(${sum} 90% 60%)`;
}

function list(id, texts) {
  const items = texts.map((text) => {
    const item = document.createElement("li");
    item.textContent = text;
    return item;
  });
  byId(id).replaceChildren(...items);
}

async function look() {
  let pause = 100;
  try {
    const answer = await fetch(`view?lane=${encodeURIComponent(lane)}&after=${after}`);
    if (!answer.ok) throw new Error(await problemOf(answer));
    const bytes = await answer.arrayBuffer();
    const length = new DataView(bytes).getUint32(0);
    const news = JSON.parse(new TextDecoder().decode(new Uint8Array(bytes, 4, length)));
    const jpeg = bytes.slice(4 + length);
    if (lane === "") lane = news.lane;
    if (news.lane === lane) await take(news, jpeg);
    if (inFile.seen === "") await loadShapes();
  } catch (error) {
    pause = 1500;
    told = null;
    bitmap = null;
    byId("why").textContent = error instanceof TypeError ? "`edge-agent look` has ended." : error.message;
    draw();
  }
  setTimeout(look, pause);
}

async function problemOf(answer) {
  const text = await answer.text();
  try {
    return JSON.parse(text).said;
  } catch {
    return text;
  }
}

async function take(news, jpeg) {
  told = news;
  after = news.at_us;
  if (jpeg.byteLength) bitmap = await createImageBitmap(new Blob([jpeg], { type: "image/jpeg" }));
  else if (news.why) bitmap = null;
  if (news.width_px && (canvas.width !== news.width_px || canvas.height !== news.height_px)) {
    canvas.width = news.width_px;
    canvas.height = news.height_px;
  }
  byId("why").textContent = bitmap ? "" : news.why ? `No picture: ${news.why}.` : "";
  const options = [...byId("lane").options].map((option) => option.value).join();
  if (options !== news.lanes.join()) {
    byId("lane").replaceChildren(...news.lanes.map((name) => new Option(name, name, false, name === lane)));
  }
  const state = byId("state");
  state.textContent = news.problem ? `${news.state}: ${news.problem}` : news.state;
  state.className = news.problem ? "bad" : "";
  byId("facts").textContent = facts(news);
  list("found", news.found.map((one) => `${one.label || one.model} ${one.score.toFixed(2)}${one.track ? ` #${one.track}` : ""} (${one.model})`));
  list("models", Object.entries(news.models).map(([name, model]) =>
    `${name} on ${model.delegate} (${model.runtime})${model.took_ms === null ? "" : `, ${model.took_ms} ms`}${model.problem ? `: ${model.problem}` : ""}`));
  byId("rates").textContent = Object.entries(news.rates).map(([name, rate]) => `${name} ${rate}`).join(", ");
  draw();
}

function facts(news) {
  if (news.age_s === null) return "";
  const blur = { none: "people are shown as they are", persons: "persons are hidden", faces: "faces are hidden" }[news.blur];
  const gate = news.held_back ? "; held back by the gate: nothing looked at it" : "";
  return `${news.width_px} × ${news.height_px}, ${news.age_s} s old, ${blur}${gate}`;
}

async function choose(name) {
  lane = name;
  after = 0;
  bitmap = null;
  await loadShapes();
}

async function loadShapes() {
  const answer = await fetch(`shapes?lane=${encodeURIComponent(lane)}`);
  if (!answer.ok) {
    say(await problemOf(answer), true);
    return;
  }
  inFile = await answer.json();
  byId("file").textContent = inFile.file;
  const items = [];
  for (const kind of KINDS) {
    for (const [name, points] of Object.entries(inFile.shapes[kind])) {
      const item = document.createElement("li");
      const button = document.createElement("button");
      item.textContent = `${kind} ${name}${holds(kind, name, points) ? "" : ", from the next start on"} `;
      button.textContent = "Change";
      button.type = "button";
      button.addEventListener("click", () => begin(kind, name, points.map((point) => [...point])));
      item.append(button);
      items.push(item);
    }
  }
  byId("shapes").replaceChildren(...items);
}

// Whether the running agent has it so.
function holds(kind, name, points) {
  return Boolean(told && told.shapes[kind]) && JSON.stringify(told.shapes[kind][name]) === JSON.stringify(points);
}

// Drawing on the canvas.

function draw() {
  const { width, height } = canvas;
  context.clearRect(0, 0, width, height);
  if (bitmap) context.drawImage(bitmap, 0, 0, width, height);
  const line = Math.max(2, width / 400);
  context.lineWidth = line;
  context.font = `${Math.max(12, width / 50)}px system-ui, sans-serif`;
  context.textBaseline = "bottom";
  for (const kind of KINDS) {
    for (const [name, points] of Object.entries(inFile.shapes[kind])) {
      if (draft && draft.kind === kind && byId("name").value === name) continue;
      if (!holds(kind, name, points)) context.setLineDash([line, line * 2]);
      shape(kind, name, points);
      context.setLineDash([]);
    }
  }
  for (const [x0, y0, x1, y1] of told ? told.moved : []) {
    context.setLineDash([line * 3, line * 2]);
    context.strokeStyle = "#ffffffaa";
    context.strokeRect(x0 * width, y0 * height, (x1 - x0) * width, (y1 - y0) * height);
    context.setLineDash([]);
  }
  for (const one of told ? told.found : []) {
    if (one.box) box(one);
  }
  if (draft) {
    shape(draft.kind, byId("name").value, draft.points);
    for (const [x, y] of draft.points) {
      context.beginPath();
      context.arc(x * width, y * height, line * 3, 0, 7);
      context.fillStyle = COLOURS[draft.kind];
      context.fill();
    }
  }
}

function box(one) {
  const [x0, y0, x1, y1] = one.box;
  const { width, height } = canvas;
  context.strokeStyle = colourOf(one.label);
  context.strokeRect(x0 * width, y0 * height, (x1 - x0) * width, (y1 - y0) * height);
  caption(`${one.label} ${one.score.toFixed(2)}${one.track ? ` #${one.track}` : ""}`, x0 * width, y0 * height, colourOf(one.label));
}

function caption(text, x, y, colour) {
  const high = parseFloat(context.font) * 1.25;
  const wide = context.measureText(text).width + 6;
  const top = Math.max(high, y);
  const left = Math.max(0, Math.min(x, canvas.width - wide));
  context.fillStyle = colour;
  context.fillRect(left, top - high, wide, high);
  context.fillStyle = "#000";
  context.fillText(text, left + 3, top - 2);
}

function shape(kind, name, points) {
  if (!points.length) return;
  const { width, height } = canvas;
  context.strokeStyle = COLOURS[kind];
  context.beginPath();
  points.forEach(([x, y], place) => context[place ? "lineTo" : "moveTo"](x * width, y * height));
  if (kind !== "line") {
    context.closePath();
    context.fillStyle = `${COLOURS[kind]}22`;
    context.fill();
  }
  context.stroke();
  if (kind === "line" && points.length === 2) arrow(points);
  caption(name || kind, points[0][0] * width, points[0][1] * height, COLOURS[kind]);
}

// Which way is in: with the line's beginning on the left hand and its end on the right. x to the right, y down, of length 1.
function inwards([[x0, y0], [x1, y1]]) {
  const long = Math.hypot(x1 - x0, y1 - y0);
  return long ? [(y1 - y0) / long, (x0 - x1) / long] : null;
}

function arrow(points) {
  const [[x0, y0], [x1, y1]] = points.map(([x, y]) => [x * canvas.width, y * canvas.height]);
  const way = inwards([[x0, y0], [x1, y1]]);
  if (!way) return;
  const [inX, inY] = way;
  const [alongX, alongY] = [-inY, inX];
  const size = Math.max(16, canvas.width / 20);
  const [x, y] = [(x0 + x1) / 2, (y0 + y1) / 2];
  const [tipX, tipY] = [x + inX * size, y + inY * size];
  context.beginPath();
  context.moveTo(x, y);
  context.lineTo(tipX, tipY);
  for (const side of [-1, 1]) {
    context.moveTo(tipX, tipY);
    context.lineTo(tipX - (inX * 0.4 + side * alongX * 0.3) * size, tipY - (inY * 0.4 + side * alongY * 0.3) * size);
  }
  context.stroke();
}

// Drawing by mouse and finger.

function place(event) {
  const area = canvas.getBoundingClientRect();
  const share = (value) => Math.min(1, Math.max(0, value));
  return [share((event.clientX - area.left) / area.width), share((event.clientY - area.top) / area.height)];
}

function nearest(event) {
  const area = canvas.getBoundingClientRect();
  let found = -1;
  let least = NEAR_PX;
  draft.points.forEach(([x, y], index) => {
    const away = Math.hypot(x * area.width + area.left - event.clientX, y * area.height + area.top - event.clientY);
    if (away <= least) [found, least] = [index, away];
  });
  return found;
}

canvas.addEventListener("pointerdown", (event) => {
  if (!draft || !event.isPrimary) return;
  event.preventDefault();
  canvas.setPointerCapture(event.pointerId);
  let held = nearest(event);
  if (held < 0 && !(draft.kind === "line" && draft.points.length === 2)) {
    draft.points.push(place(event));
    held = draft.points.length - 1;
  }
  draft.held = held;
  ready();
});

canvas.addEventListener("pointermove", (event) => {
  if (!draft || draft.held < 0 || !event.isPrimary) return;
  draft.points[draft.held] = place(event);
  ready();
});

for (const name of ["pointerup", "pointercancel"]) {
  canvas.addEventListener(name, () => {
    if (draft) draft.held = -1;
  });
}

function begin(kind, name, points) {
  draft = { kind, points, held: -1 };
  byId("name").value = name;
  byId("turn").hidden = kind !== "line";
  byId("hint").textContent = HINTS[kind];
  say("", false);
  ready();
}

function ready() {
  byId("drawing").hidden = !draft;
  canvas.className = draft ? "drawing" : "";
  byId("remove").hidden = !draft || !(byId("name").value in inFile.shapes[draft.kind]);
  const enough = draft && (draft.kind === "line" ? draft.points.length === 2 : draft.points.length >= 3);
  byId("save").disabled = !enough || !/^[a-z0-9][a-z0-9_-]{0,62}$/.test(byId("name").value);
  if (!draft) byId("hint").textContent = "";
  draw();
}

function say(text, bad) {
  byId("said").textContent = text;
  byId("said").className = bad ? "bad" : "";
}

async function save(remove) {
  const { kind, points } = draft;
  const body = { lane, kind, name: byId("name").value, points, seen: inFile.seen, remove };
  byId("save").disabled = true;
  try {
    const answer = await fetch("shapes", { method: "POST", headers: { "X-Look": csrf, "Content-Type": "application/json" }, body: JSON.stringify(body) });
    if (!answer.ok) throw new Error(await problemOf(answer));
    const { said } = await answer.json();
    draft = null;
    await loadShapes();
    say(said, false);
  } catch (error) {
    say(error.message, true);
  }
  ready();
}

for (const kind of KINDS) byId(`draw-${kind}`).addEventListener("click", () => begin(kind, "", []));
byId("undo").addEventListener("click", () => { draft.points.pop(); ready(); });
byId("turn").addEventListener("click", () => { draft.points.reverse(); ready(); });
byId("cancel").addEventListener("click", () => { draft = null; ready(); });
byId("save").addEventListener("click", () => save(false));
byId("remove").addEventListener("click", () => save(true));
byId("name").addEventListener("input", ready);
byId("lane").addEventListener("change", () => choose(byId("lane").value).then(() => { draft = null; ready(); }));
look();
