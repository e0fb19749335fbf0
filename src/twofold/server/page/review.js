// The review page: one post at a time, the most uncertain first. Decisions are on disk before they are shown.

import {
  call, confidenceOf, direction, el, onApiKey, percent, pictureOf, plural, relationName, showText, tag, typeClass,
} from "./view.js";

const $ = (id) => document.getElementById(id);
const state = {
  setup: null, reviewer: localStorage.getItem("twofold-reviewer") ?? "", post: null, words: [], current: 0,
  pending: null, // a span that is being added: {start, end} in code points
  queue: Promise.resolve(),
};

// --- the service --------------------------------------------------------------------------------------

/** One request at a time: a decision depends on the previous one. */
function ask(path, body) {
  const work = state.queue.then(() => call(path, { body: { reviewer: state.reviewer, ...body } }));
  state.queue = work.catch(() => {});
  return work;
}

async function attempt(work) {
  try {
    await work();
  } catch (error) {
    say(error.message, true);
  }
}

const next = () => attempt(async () => {
  const { post, progress } = await ask("/v1/review/next");
  showProgress(progress);
  state.pending = null;
  if (post) open(post);
  else {
    state.post = null;
    show();
  }
});

function decide(decisions, { then = null } = {}) {
  const { number } = state.post;
  return attempt(async () => {
    const { post, progress } = await ask(`/v1/review/posts/${number}`, { decisions });
    showProgress(progress);
    if (state.post?.number !== number) return;
    state.post = post;
    then?.();
    show();
    refreshStatistics();
  });
}

function open(post, { current = null } = {}) {
  state.post = post;
  state.words = wordsOf(post.text);
  state.current = current ?? Math.max(0, firstOpen());
  say(post.entities.length ? "" : "The model predicts nothing here. Add what it missed, or finish the post.");
  show();
  $("text").scrollIntoView({ block: "nearest" });
}

// --- items: entities, then relations --------------------------------------------------------------------

const items = () => [
  ...state.post.entities.map((entity, index) => ({ about: "entity", index, ...entity })),
  ...state.post.relations.map((relation, index) => ({ about: "relation", index, ...relation })),
];
const item = () => items()[state.current];
/** Whether a relation has a rejected argument, so that it needs no decision. */
const argumentRejected = ({ about, head, tail }) => about === "relation" && [head, tail].some((i) => state.post.entities[i].answer === "reject");
const isOpen = (one) => one.answer === null && !argumentRejected(one);
const firstOpen = (from = 0) => {
  const all = items();
  for (let step = 0; step < all.length; step += 1) {
    const index = (from + step) % all.length;
    if (isOpen(all[index])) return index;
  }
  return -1;
};

function advance() {
  const index = firstOpen(state.current);
  if (index >= 0) {
    state.current = index;
    say("");
  } else say("Everything is decided. Add what was missed, or finish the post.");
}

function answer(name, extra = {}) {
  const one = item();
  if (!one) return;
  decide([{ about: one.about, item: one.index, answer: name, ...extra }], { then: name === "correct" && extra.start !== undefined ? null : advance });
}

function chooseType(type) {
  if (state.pending) {
    const { start, end } = state.pending;
    state.pending = null;
    decide([{ about: "add", start, end, type }], {
      then: () => {
        state.current = state.post.entities.length - 1;
        say(`Added as ${type}.`);
      },
    });
    return;
  }
  const one = item();
  if (!one || one.about !== "entity") return;
  if (one.predicted && one.predicted.type === type && one.predicted.start === one.start && one.predicted.end === one.end) answer("accept");
  else answer("correct", { type });
}

// --- spans, by whole words -----------------------------------------------------------------------------

function wordsOf(text) {
  const points = (end) => Array.from(text.slice(0, end)).length;
  return [...text.matchAll(/[\p{L}\p{N}\p{M}_]+|[^\s\p{L}\p{N}\p{M}_]/gu)].map((match) => ({
    start: points(match.index), end: points(match.index + match[0].length),
  }));
}

const wordAt = (offset, edge) => state.words.findIndex((word) => (edge === "start" ? word.end > offset : word.end >= offset));

/** A span whose start or end is moved by a word. */
function moved({ start, end }, edge, step) {
  const first = wordAt(start, "start");
  const last = wordAt(end, "end");
  const target = (edge === "start" ? first : last) + step;
  if (target < 0 || target >= state.words.length) return null;
  if (edge === "start" ? target > last : target < first) return null;
  return edge === "start" ? { start: state.words[target].start, end } : { start, end: state.words[target].end };
}

function move(edge, step) {
  if (state.pending) {
    state.pending = moved(state.pending, edge, step) ?? state.pending;
    show();
    return;
  }
  const one = item();
  if (one?.about !== "entity") return;
  const span = moved(one, edge, step);
  if (span) answer("correct", span);
}

function shiftPending(step) {
  const first = wordAt(state.pending.start, "start") + step;
  if (first < 0 || first >= state.words.length) return;
  state.pending = { ...state.words[first] };
  show();
}

function beginAdding(span = null) {
  if (!state.words.length) return;
  const taken = (word) => state.post.entities.some((e) => e.answer !== "reject" && word.start < e.end && e.start < word.end);
  const start = item()?.about === "entity" ? item().end : 0;
  const free = state.words.find((word) => word.start >= start && !taken(word)) ?? state.words.find((word) => !taken(word));
  state.pending = span ?? { ...(free ?? state.words[0]) };
  say("New entity: choose its words with the arrow keys (Shift for more) or by selecting them, then its type. Esc cancels.");
  show();
}

function endAdding() {
  state.pending = null;
  say("");
  show();
}

/** Code points of the post before a position in the document; type tags do not count. */
function offsetOf(node, offset) {
  const range = document.createRange();
  range.setStart($("text"), 0);
  range.setEnd(node, offset);
  const part = range.cloneContents();
  part.querySelectorAll(".tag").forEach((one) => one.remove());
  return Array.from(part.textContent).length;
}

function onSelection() {
  const selection = document.getSelection();
  if (!selection || selection.isCollapsed || !selection.rangeCount || !state.post) return;
  const range = selection.getRangeAt(0);
  if (!$("text").contains(range.startContainer) || !$("text").contains(range.endContainer)) return;
  const [from, to] = [offsetOf(range.startContainer, range.startOffset), offsetOf(range.endContainer, range.endOffset)];
  const inside = state.words.filter((word) => word.start < to && word.end > from);
  if (!inside.length) return;
  selection.removeAllRanges();
  beginAdding({ start: inside[0].start, end: inside.at(-1).end });
}

// --- showing ------------------------------------------------------------------------------------------

function say(text, alarm = false) {
  $("say").textContent = text;
  $("say").classList.toggle("alarm", alarm);
}

function showProgress({ posts, finished, mine, skipped }) {
  $("progress").textContent = `${finished.toLocaleString("en")} of ${plural(posts, "post", "posts")} finished`;
  $("progress-bar").style.flexBasis = `${(100 * finished) / Math.max(1, posts)}%`;
  $("name").textContent = `${state.reviewer} (${mine} finished${skipped ? `, ${skipped} skipped` : ""})`;
}

function show() {
  const { post } = state;
  $("desk").hidden = !post;
  $("actions").hidden = !state.reviewer;
  $("done").hidden = Boolean(post) || !state.reviewer;
  for (const id of ["accept", "reject", "add", "skip", "finish"]) $(id).disabled = !post;
  $("accept").disabled ||= Boolean(state.pending);
  if (!post) {
    $("done-text").textContent = "Every post is finished, skipped by you, or open with another reviewer.";
    return;
  }
  $("post-id").textContent = `Post ${post.number + 1}, ID ${post.id}`;
  const pictured = Boolean(post.picture);
  $("desk").classList.toggle("pictured", pictured);
  $("figure").hidden = !pictured;
  showPicture(post.picture);
  $("picture").alt = post.alt_text ?? "Picture of the post";
  $("note").textContent = post.picture_note ? `The picture could not be read, and the model did not use it: ${post.picture_note}.` : "";
  $("caption").textContent = post.alt_text ? `Alt text: ${post.alt_text}` : "";
  $("caption").dir = direction(post.alt_text ?? "");
  showPost();
  showItems();
  showTypes();
}

function showPicture(path) {
  const image = $("picture");
  if (!path || image.dataset.path === path) return;
  image.dataset.path = path;
  URL.revokeObjectURL(image.src);
  image.removeAttribute("src");
  attempt(async () => {
    const address = await pictureOf(path);
    if (image.dataset.path === path) image.src = address;
  });
}

function showPost() {
  const { post, pending } = state;
  const overlaps = (entity) => pending && entity.start < pending.end && pending.start < entity.end;
  // A rejected entity is shown only where it overlaps none of the others.
  const shown = post.entities.map((entity, index) => ({ ...entity, index })).filter((entity) => !overlaps(entity));
  const kept = shown.filter((e) => e.answer !== "reject");
  const rejected = shown.filter((e) => e.answer === "reject" && !kept.some((o) => o.start < e.end && e.start < o.end));
  const spans = [...kept, ...rejected];
  if (pending) spans.push({ ...pending, type: "new", pending: true, answer: "add" });
  spans.sort((one, other) => one.start - other.start);
  const current = item();
  showText($("text"), post.text, spans, (entity) => (entity.pending ? { class: "pending" } : {
    class: `${entity.answer === null ? "undecided" : `decided-${entity.predicted ? entity.answer : entity.answer === "reject" ? "reject" : "add"}`} ${!pending && current?.about === "entity" && current.index === entity.index ? "selected" : ""}`,
    onclick: () => goTo(entity.index),
  }));
}

function goTo(index) {
  state.current = index;
  state.pending = null;
  show();
}

function showItems() {
  const focused = document.activeElement?.dataset?.item;
  $("items").replaceChildren(...items().map((one, index) => {
    const current = !state.pending && index === state.current;
    const name = one.about === "entity" ? entityName(one) : relationLabel(one);
    const row = el("li", {
      class: `item ${one.about === "entity" ? typeClass(one.type) : ""} ${current ? "current" : ""}`, onclick: () => goTo(index),
    }, el("button", { type: "button", class: "name", "data-item": index, "aria-current": current ? "true" : null }, ...name), answerOf(one),
    one.confidence === null ? el("span", { class: "confidence" }) : confidenceOf(one.confidence));
    if (current && one.about === "entity") row.append(spanKeys());
    return row;
  }));
  if (focused !== undefined) document.querySelector(`[data-item="${focused}"]`)?.focus();
}

function entityName(one) {
  const parts = [tag(one.type), " ", el("bdi", {}, one.text)];
  const was = one.predicted;
  if (was && one.answer === "correct") {
    const before = was.text === one.text ? was.type : `${was.text} (${was.type})`;
    parts.push(el("span", { class: "was" }, "predicted: ", el("bdi", {}, before)));
  } else if (one.candidates?.length > 1 && one.answer === null) {
    parts.push(el("span", { class: "was" }, `possible: ${one.candidates.join(", ")}`));
  }
  return parts;
}

function relationLabel({ head, tail, type }) {
  const [from, to] = [state.post.entities[head], state.post.entities[tail]];
  return [el("bdi", {}, from.text), el("span", { class: "relation" }, ` ${relationName(type)} → `), el("bdi", {}, to.text)];
}

const ANSWERS = { accept: "accepted", correct: "corrected", reject: "rejected" };

function answerOf(one) {
  if (argumentRejected(one)) return el("span", { class: "answer" }, "rejected with its entity");
  if (one.answer === null) return el("span", { class: "answer" }, "open");
  const added = one.about === "entity" && !one.predicted && one.answer !== "reject";
  return el("span", { class: `answer ${added ? "add" : one.answer}` }, added ? "added" : ANSWERS[one.answer]);
}

function spanKeys() {
  const button = (label, name, edge, step) => el("button", {
    type: "button", "aria-label": name,
    onclick: (event) => {
      event.stopPropagation();
      move(edge, step);
    },
  }, label);
  return el("div", { class: "span-keys" },
    el("span", {}, "begins ", button("←", "Begin a word earlier", "start", -1), " ", button("→", "Begin a word later", "start", 1)),
    el("span", {}, "ends ", button("←", "End a word earlier", "end", -1), " ", button("→", "End a word later", "end", 1)),
    el("span", { class: "note" }, "Alt or Shift with ← →"));
}

function showTypes() {
  const one = item();
  const relation = !state.pending && one?.about === "relation";
  const container = $("types");
  if (relation) {
    const options = [...new Set([one.type, ...state.setup.relation_types])];
    const select = el("select", { "aria-label": "Type of the relation", onchange: (event) => answer("correct", { type: event.target.value }) },
      ...options.map((type) => el("option", { value: type, selected: type === one.type }, relationName(type))));
    container.replaceChildren(select);
    return;
  }
  const buttons = state.setup.types.slice(0, 9).map((type, i) => el("button", {
    type: "button", class: `type ${typeClass(type)}`, onclick: () => chooseType(type),
  }, type, el("kbd", {}, String(i + 1))));
  container.replaceChildren(...buttons.flatMap((button) => [button, " "]));
}

// --- statistics ---------------------------------------------------------------------------------------

async function refreshStatistics() {
  if (!$("so-far").open) return;
  await attempt(async () => showStatistics(await call("/v1/review/statistics")));
}

const interval = ({ value, low, high }) => (value === null ? "–" : [`${percent(value)} %`, el("small", {}, `95 % interval ${percent(low)} to ${percent(high)} %`)]);

function showStatistics(statistics) {
  const { answers, missed, finished, agreement, entity_error: error } = statistics;
  const cell = (name, value, more = null) => el("div", {}, el("dt", {}, name), el("dd", {}, ...[value].flat(), more ? el("small", {}, more) : null));
  const decided = answers.accept + answers.correct + answers.reject;
  $("figures").replaceChildren(
    el("dl", {},
      cell("Wrong among decided entities", interval(error), `${decided} decided: ${answers.accept} right, ${answers.correct} corrected, ${answers.reject} rejected`),
      cell("Missed entities", String(missed), `on ${plural(finished, "finished post", "finished posts")}`),
      cell("Agreement of reviewers, F1", agreement.posts ? `${percent(agreement.f1)} %` : "–",
        agreement.posts ? `${agreement.same} of ${plural(agreement.posts, "post", "posts")} with the same entities` : "no post has two reviewers yet")),
    table("Entities", statistics.entities), statistics.relations.some((row) => row.accepted) ? table("Relations", statistics.relations) : "",
    el("p", { class: "note" }, "If the most uncertain posts come first, the error rate among decided predictions is not that of all. The estimate corrects the confidences by the decisions, and uses them for the rest."));
}

function table(name, rows) {
  const head = ["Accepted from", "accepted", "of these decided", "wrong, by the confidences", "wrong, by the decisions", "95 % interval"];
  const shown = rows.filter((row, i) => row.accepted && (i % 2 === 0 || i === rows.length - 1));
  return el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": `${name} by threshold` }, el("table", {},
    el("caption", {}, `${name} by threshold`),
    el("thead", {}, el("tr", {}, ...head.map((title) => el("th", { scope: "col" }, title)))),
    el("tbody", {}, ...shown.map(({ threshold, accepted, reviewed, claimed, error }) => el("tr", {},
      el("th", { scope: "row" }, `${Math.round(100 * threshold)} %`), el("td", {}, accepted.toLocaleString("en")), el("td", {}, reviewed.toLocaleString("en")),
      el("td", {}, `${percent(claimed)} %`), el("td", {}, `${percent(error.value)} %`), el("td", {}, `${percent(error.low)} to ${percent(error.high)} %`))))));
}

// --- keys ---------------------------------------------------------------------------------------------

const ACTIONS = {
  accept: () => (state.pending ? null : answer("accept")),
  reject: () => (state.pending ? endAdding() : answer("reject")),
  add: () => (state.pending ? endAdding() : beginAdding()),
  skip: () => decide([{ about: "skip" }], { then: next }),
  finish: () => {
    if (state.pending) return say("Choose a type for the new entity first, or press Esc.");
    return decide([{ about: "finish" }], { then: next });
  },
  undo: () => attempt(async () => {
    const { post, progress } = await ask("/v1/review/undo");
    showProgress(progress);
    if (!post) return say("There is nothing to undo.");
    state.pending = null;
    open(post, { current: state.post?.number === post.number ? Math.min(state.current, Math.max(0, post.entities.length + post.relations.length - 1)) : null });
    say("Undone.");
    return refreshStatistics();
  }),
};

function onKey(event) {
  if (event.ctrlKey || event.metaKey || !state.reviewer || $("welcome").hidden === false) return;
  const typing = event.target.closest("input, select, textarea, dialog");
  const pressing = event.target.closest("button, summary") && (event.key === "Enter" || event.key === " ");
  if (typing || pressing) return;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const step = { ArrowLeft: -1, ArrowRight: 1 }[key];
  const action = { a: "accept", r: "reject", x: "reject", n: "add", s: "skip", u: "undo", Enter: "finish" }[key];
  if (action === "undo") ACTIONS.undo();
  else if (!state.post) return;
  else if (step && event.altKey) move("start", step);
  else if (step && event.shiftKey) move("end", step);
  else if (step && state.pending) shiftPending(step);
  else if (key === "Escape" && state.pending) endAdding();
  else if (["ArrowDown", "j"].includes(key)) walk(1);
  else if (["ArrowUp", "k"].includes(key)) walk(-1);
  else if (/^[1-9]$/.test(key) && state.setup.types[key - 1]) chooseType(state.setup.types[key - 1]);
  else if (action) ACTIONS[action]();
  else return;
  event.preventDefault();
}

function walk(step) {
  const count = items().length;
  if (count && !state.pending) goTo((state.current + step + count) % count);
  document.querySelector(".item.current")?.scrollIntoView({ block: "nearest" });
}

// --- start --------------------------------------------------------------------------------------------

function askName() {
  $("welcome").hidden = false;
  $("who").hidden = true;
  $("desk").hidden = $("actions").hidden = $("done").hidden = true;
  $("reviewer").value = state.reviewer;
  $("reviewer").focus();
}

async function begin() {
  $("welcome").hidden = true;
  $("who").hidden = false;
  await next();
}

async function start() {
  for (const [id, action] of Object.entries(ACTIONS)) $(id).addEventListener("click", action);
  document.addEventListener("keydown", onKey);
  // After a mouse click, keys go to the page again, and Enter does not press the button a second time.
  document.addEventListener("click", (event) => {
    if (event.detail > 0) document.activeElement?.closest("button, summary")?.blur();
  });
  $("text").addEventListener("pointerup", () => setTimeout(onSelection));
  $("change").addEventListener("click", askName);
  $("so-far").addEventListener("toggle", refreshStatistics);
  $("name-form").addEventListener("submit", (event) => {
    event.preventDefault();
    state.reviewer = $("reviewer").value.trim();
    if (!state.reviewer) return;
    localStorage.setItem("twofold-reviewer", state.reviewer);
    begin();
  });
  onApiKey(connect);
  await connect();
}

async function connect() {
  try {
    state.setup = await call("/v1/review");
  } catch (error) {
    $("progress").textContent = error.message;
    $("key-form").hidden = error.status !== 401;
    return;
  }
  $("key-form").hidden = true;
  $("progress").textContent = "Review";
  $("source").textContent = `· ${state.setup.source}`;
  if (state.reviewer) begin();
  else askName();
}

start();
