// Shared by the demo page and the review page: elements, marks in a text, numbers, the graph of relations.
// Untrusted texts only ever become text nodes. Offsets are code points, as everywhere in Twofold.

const SVG = "http://www.w3.org/2000/svg";
const TYPE_COLOURS = { PER: 0, LOC: 1, ORG: 2, MISC: 3 };
const TYPE_NAMES = { PER: "person", LOC: "location", ORG: "organisation", MISC: "other name" };
const SOURCE_COLOURS = { text: 0, picture: 1, alt_text: 2 };
const SOURCE_NAMES = {
  text: "text", picture: "picture", whole: "whole picture", crops: "parts of the picture", alt_text: "alt text",
  objects: "objects", ocr: "text in the picture", neighbours: "similar words",
};
const colours = new Map(Object.entries(TYPE_COLOURS));

/** An element with properties and children; a function is an event listener, null is left out. */
export function el(name, properties = {}, ...children) {
  return fill(document.createElement(name), properties, children);
}

/** An SVG element; see `el`. */
export function svg(name, properties = {}, ...children) {
  return fill(document.createElementNS(SVG, name), properties, children);
}

function fill(node, properties, children) {
  for (const [key, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") node.addEventListener(key.replace(/^on/, ""), value);
    else if (key === "style") for (const [name, part] of Object.entries(value)) node.style.setProperty(name, part);
    else node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

/** Class of a type's colour; types beyond the four known ones take the next colours in order. */
export function typeClass(type) {
  if (!colours.has(type)) colours.set(type, colours.size % 8);
  return `t${colours.get(type)}`;
}

export const typeName = (type) => TYPE_NAMES[type] ?? "";
export const sourceName = (name) => SOURCE_NAMES[name] ?? name;
export const sourceClass = (name) => `m${SOURCE_COLOURS[name] ?? 4}`;

/** "member of" for "/per/org/member_of". */
export function relationName(type) {
  const last = type.replace(/\/+$/, "").split("/").pop().replaceAll("_", " ").trim();
  return last || type;
}

/** Whole per cent; 100 and 0 only for exactly that. */
export function percent(share) {
  if (share === null || share === undefined || !Number.isFinite(share)) return "–";
  const whole = Math.round(100 * share);
  if (whole === 100 && share < 1) return ">99";
  return whole === 0 && share > 0 ? "<1" : String(whole);
}

export function band(confidence) {
  if (confidence === null || confidence === undefined) return "unknown";
  return confidence < 0.5 ? "low" : confidence < 0.8 ? "middle" : "high";
}

export const plural = (count, one, many) => `${count.toLocaleString("en")} ${count === 1 ? one : many}`;

export const tag = (type) => el("span", { class: `tag ${typeClass(type)}` }, el("bdi", {}, type));

export function bar(share) {
  const inner = el("i", { style: { width: `${100 * Math.max(0, Math.min(1, share))}%` } });
  return el("span", { class: "bar", "aria-hidden": "true" }, inner);
}

/** A confidence as a number in the colour of its band, with elements below it. */
export const confidenceOf = (share, ...below) => el("span", { class: `confidence ${band(share)}` },
  el("span", { class: "number" }, percent(share), el("small", {}, "\u00a0%")), ...below);

/** Shares of sources as one bar with a legend. */
export function shares(sources) {
  const entries = Object.entries(sources);
  const stack = el("span", { class: "stack", "aria-hidden": "true" });
  const words = el("span", { class: "shares" });
  for (const [name, { share }] of entries) {
    stack.append(el("i", { class: sourceClass(name), style: { "flex-grow": String(share) } }));
    const key = el("i", { class: `key ${sourceClass(name)}`, "aria-hidden": "true" });
    words.append(el("span", {}, key, `${sourceName(name)}\u00a0`, el("b", {}, `${percent(share)}\u00a0%`)), " ");
  }
  return el("div", {}, stack, words);
}

/** The direction of a text by its first letter with a direction. */
export function direction(text) {
  const found = /[\p{Script=Hebrew}\p{Script=Arabic}\p{Script=Syriac}\p{Script=Thaana}]|\p{Letter}/u.exec(text);
  return found && /[\p{Script=Hebrew}\p{Script=Arabic}\p{Script=Syriac}\p{Script=Thaana}]/u.test(found[0]) ? "rtl" : "ltr";
}

/**
 * Show a text with marks.
 * @param {HTMLElement} container is emptied
 * @param {string} text
 * @param {{start: number, end: number, type: string, confidence?: number}[]} items sorted, not overlapping
 * @param {(item: object, index: number) => object} properties of each mark
 */
export function showText(container, text, items, properties) {
  const points = Array.from(text);
  const slice = (start, end) => points.slice(start, end).join("");
  container.replaceChildren();
  container.dir = direction(text);
  let position = 0;
  items.forEach((item, index) => {
    if (item.start < position || item.end > points.length) return;
    if (item.start > position) container.append(slice(position, item.start));
    const { class: kind = "", ...rest } = properties(item, index);
    const classes = `${typeClass(item.type)} ${band(item.confidence)} ${kind}`;
    container.append(el("mark", { class: classes, ...rest }, slice(item.start, item.end), tag(item.type)));
    position = item.end;
  });
  if (position < points.length) container.append(slice(position, points.length));
}

const measure = document.createElement("canvas").getContext("2d");

function shortened(text, limit) {
  const points = Array.from(text);
  return points.length > limit ? `${points.slice(0, limit - 1).join("")}…` : text;
}

/**
 * The relations of a post as a graph.
 * @param {HTMLElement} container is emptied; its width is used
 * @param {object[]} entities of the post
 * @param {object[]} relations with head and tail as positions in the entities
 * @param {{symmetric: string[], faded: (relation: object) => boolean, selected: ?number,
 *   choose: (number: number) => void}} options
 */
export function showGraph(container, entities, relations, { symmetric, faded, selected, choose }) {
  const used = [...new Set(relations.flatMap(({ head, tail }) => [head, tail]))].sort((a, b) => a - b);
  container.replaceChildren();
  if (used.length === 0) return;
  const width = Math.max(280, Math.min(container.clientWidth || 560, 720));
  const height = used.length === 2 ? 84 : 120 + 46 * Math.min(used.length, 6);
  measure.font = "600 14px system-ui, sans-serif";
  const narrow = width < 480;
  const nodes = used.map((number, i) => {
    const label = shortened(entities[number].text, narrow ? 14 : 22);
    const half = measure.measureText(label).width / 2 + 14;
    const angle = Math.PI + (2 * Math.PI * i) / used.length;
    const x = width / 2 + Math.cos(angle) * (width / 2 - half - 2);
    const y = height / 2 + Math.sin(angle) * (height / 2 - 24);
    return { number, label, half, x: Math.max(half + 2, Math.min(width - half - 2, x)), y };
  });
  const at = new Map(nodes.map((node) => [node.number, node]));
  const arrow = svg("marker", {
    id: "arrow", viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 13, markerHeight: 13, markerUnits: "userSpaceOnUse",
    orient: "auto-start-reverse",
  }, svg("path", { d: "M0 0.6L7.4 4L0 7.4Z", class: "arrow" }));
  const edges = relations.map((relation, number) => edge(at, relation, relations.length, {
    directed: !symmetric.includes(relation.type), onclick: () => choose(number),
    state: `${faded(relation) ? "faded" : ""} ${number === selected ? "selected" : ""}`,
  }));
  const words = relations.map((r) =>
    `${entities[r.head].text} – ${relationName(r.type)} – ${entities[r.tail].text}, ${percent(r.confidence)} %`);
  container.append(
    svg("svg", {
      class: "graph", viewBox: `0 0 ${width} ${height}`, width, height, role: "img",
      "aria-label": `Graph of the relations: ${words.join("; ")}`,
    }, svg("defs", {}, arrow), ...edges.map(([line]) => line), ...nodes.map((node) => graphNode(node, entities)),
    ...edges.map(([, label]) => label)),
  );
}

function graphNode({ number, label, half, x, y }, entities) {
  return svg("g", { class: `node ${typeClass(entities[number].type)}` },
    svg("rect", { x: x - half, y: y - 16, width: 2 * half, height: 32, rx: 8 }),
    svg("text", { x, y: y + 5, "text-anchor": "middle" }, label));
}

function edge(at, relation, count, { directed, state, onclick }) {
  const [from, to] = [at.get(relation.head), at.get(relation.tail)];
  const [dx, dy] = [to.x - from.x, to.y - from.y];
  const length = Math.hypot(dx, dy) || 1;
  const bend = count > 1 ? Math.min(34, length / 6) : 0;
  const [cx, cy] = [(from.x + to.x) / 2 - (dy / length) * bend, (from.y + to.y) / 2 + (dx / length) * bend];
  const [x0, y0] = border(from, cx, cy);
  const [x1, y1] = border(to, cx, cy);
  const kind = `edge ${band(relation.confidence)} ${state}`;
  const line = svg("path", {
    class: kind, d: `M${x0} ${y0}Q${cx} ${cy} ${x1} ${y1}`, "marker-end": directed && "url(#arrow)",
  });
  const text = `${relationName(relation.type)} ${percent(relation.confidence)} %`;
  measure.font = "500 12px system-ui, sans-serif";
  const half = measure.measureText(text).width / 2 + 6;
  const [tx, ty] = [(x0 + 2 * cx + x1) / 4, (y0 + 2 * cy + y1) / 4];
  const label = svg("g", { class: `edge-label ${state}`, onclick },
    svg("rect", { x: tx - half, y: ty - 10, width: 2 * half, height: 20, rx: 5 }),
    svg("text", { x: tx, y: ty + 4, "text-anchor": "middle" }, text));
  return [line, label];
}

/** Where the line from the middle of a node to a point leaves the node. */
function border({ x, y, half }, px, py) {
  const [dx, dy] = [px - x, py - y];
  const scale = Math.min(dx ? (half + 3) / Math.abs(dx) : Infinity, dy ? 19 / Math.abs(dy) : Infinity, 1);
  return [x + dx * scale, y + dy * scale];
}

const FAINT = 0.1; // log-odds below which even the strongest region is shown weakly

/**
 * Draw a heat map over a picture: warm where a region supports the prediction, blue where it opposes it.
 * @param {HTMLCanvasElement} canvas over the whole picture
 * @param {number[][]} grid change of the log-odds by region
 * @param {number[]} area left, top, right, bottom of the grid as fractions of the picture
 * @param {{width: number, height: number}} size of the picture
 */
export function showHeat(canvas, grid, area, { width, height }) {
  const scale = 640 / Math.max(width, height);
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round(height * scale);
  const most = Math.max(...grid.flat().map(Math.abs), FAINT);
  const context = canvas.getContext("2d");
  const [x0, y0] = [area[0] * canvas.width, area[1] * canvas.height];
  const [w, h] = [area[2] * canvas.width - x0, area[3] * canvas.height - y0];
  context.fillStyle = "rgb(16 18 22 / .66)"; // what the encoder does not see
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.clearRect(x0, y0, w, h);
  const image = context.createImageData(Math.ceil(w), Math.ceil(h));
  for (let y = 0; y < image.height; y += 1) {
    for (let x = 0; x < image.width; x += 1) {
      const value = between(grid, (x + 0.5) / w, (y + 0.5) / h) / most;
      const colour = value < 0 ? [38, 84, 190] : [255, 168, 20];
      image.data.set([...colour, 205 * Math.abs(value) ** 0.85], 4 * (y * image.width + x));
    }
  }
  context.putImageData(image, Math.floor(x0), Math.floor(y0));
}

/** The value of a grid at a point, in fractions of its sides, interpolated between the centres of its cells. */
function between(grid, x, y) {
  const side = grid.length;
  const [gx, gy] = [x, y].map((part) => Math.max(0, Math.min(side - 1, part * side - 0.5)));
  const [c, r] = [Math.min(side - 2, Math.floor(gx)), Math.min(side - 2, Math.floor(gy))];
  if (side < 2) return grid[0][0];
  const [fx, fy] = [gx - c, gy - r].map((f) => f * f * (3 - 2 * f));
  const top = grid[r][c] * (1 - fx) + grid[r][c + 1] * fx;
  const bottom = grid[r + 1][c] * (1 - fx) + grid[r + 1][c + 1] * fx;
  return top * (1 - fy) + bottom * fy;
}

/** The region with the largest effect, positive or negative: its row and column, and its place in words. */
export function placeInWords(grid) {
  const side = grid.length;
  let best = [0, 0];
  grid.forEach((row, r) => row.forEach((value, c) => {
    if (Math.abs(value) > Math.abs(grid[best[0]][best[1]])) best = [r, c];
  }));
  const third = (i) => Math.floor((3 * i) / side);
  const words = [["top", "middle", "bottom"][third(best[0])], ["left", "centre", "right"][third(best[1])]];
  return { row: best[0], column: best[1], words: words[0] === "middle" && words[1] === "centre" ? "centre" : words.join(" ") };
}

export async function copy(text) {
  if (navigator.clipboard && window.isSecureContext) return navigator.clipboard.writeText(text);
  const area = el("textarea", { class: "screen-reader-only" });
  area.value = text;
  document.body.append(area);
  area.select();
  const done = document.execCommand("copy"); // the only way on a page without TLS
  area.remove();
  if (!done) throw new Error("The browser did not allow copying.");
}

const KEY = "twofold-key";

function authorization() {
  const key = sessionStorage.getItem(KEY);
  return key ? { Authorization: `Bearer ${key}` } : {};
}

/** Store the API key typed into its form, then continue. */
export function onApiKey(then) {
  document.getElementById("key-form").addEventListener("submit", (event) => {
    event.preventDefault();
    sessionStorage.setItem(KEY, document.getElementById("key").value);
    then();
  });
}

/** The address of a picture for an <img>, which would send no key; revoke it when it is no longer shown. */
export async function pictureOf(path) {
  const headers = authorization();
  if (!headers.Authorization) return path;
  const answer = await fetch(path, { headers });
  if (!answer.ok) throw new Error("The picture cannot be loaded.");
  return URL.createObjectURL(await answer.blob());
}

const sentence = (text) => `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;

/** JSON from the service; throws an error of the service with its message. */
export async function call(path, { body, signal } = {}) {
  const headers = { ...authorization(), ...(body === undefined ? {} : { "Content-Type": "application/json" }) };
  let answer;
  try {
    answer = await fetch(path, {
      method: body === undefined ? "GET" : "POST", headers, signal, cache: "no-store",
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("The service does not answer. Is it still running?");
  }
  const value = await answer.json().catch(() => null);
  if (answer.ok) return value;
  const problem = value?.error ?? {};
  const parts = [sentence(problem.message ?? `the service answered ${answer.status}`)];
  if (problem.expected) parts.push(`Expected ${problem.expected}.`);
  throw Object.assign(new Error(parts.join(" ")), { status: answer.status, retry: answer.headers.get("Retry-After") });
}
