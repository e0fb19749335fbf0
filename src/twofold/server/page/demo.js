// The demo page: a post goes in, and what is read in it is shown beside the picture.

import {
  bar, call, confidenceOf, copy, el, onApiKey, percent, placeInWords, plural, relationName, shares, showGraph, showHeat,
  showText, sourceClass, sourceName, tag, typeClass, typeName,
} from "./view.js";

const $ = (id) => document.getElementById(id);
const PAUSE = 500; // milliseconds after the last key before a post is read
const state = {
  setup: null, image: null, sources: { picture: true, alt_text: true },
  whole: null, // the result with all sources
  record: null, // the result with the sources that are switched on
  explanation: null, selected: 0, least: 0.5, run: 0, waiting: null, request: null,
};

// --- the post -----------------------------------------------------------------------------------------

/** Which sources besides the text this post has. */
const present = () => ({ picture: Boolean(state.image), alt_text: Boolean($("alt").value.trim()) });

function post({ all = false } = {}) {
  const value = { id: 1, text: $("text").value };
  if (state.image && (all || state.sources.picture)) value.image = { base64: state.image.base64 };
  const alt = $("alt").value.trim();
  if (alt && (all || state.sources.alt_text)) value.alt_text = alt;
  return value;
}

function setImage(image) {
  state.image = image;
  $("thumb").hidden = !image;
  $("choose").hidden = Boolean(image);
  for (const name of ["preview", "picture"]) {
    if (image) $(name).src = image.url;
    else $(name).removeAttribute("src");
  }
  clearHeat();
}

function takeFile(file) {
  if (!file) return;
  const reader = new FileReader();
  reader.onload = () => {
    const url = reader.result;
    setImage({ url, base64: url.slice(url.indexOf(",") + 1), name: file.name || "photo.jpg" });
    schedule(0);
  };
  reader.onerror = () => say("The file cannot be read.", true);
  reader.readAsDataURL(file);
}

async function takeExample(example, button) {
  for (const other of document.querySelectorAll("#examples button")) other.removeAttribute("aria-pressed");
  button.setAttribute("aria-pressed", "true");
  state.selected = 0;
  $("text").value = example.text;
  $("alt").value = example.alt_text ?? "";
  grow();
  if (example.picture) {
    const blob = await (await fetch(example.picture)).blob();
    takeFile(new File([blob], example.picture.split("/").pop(), { type: blob.type }));
  } else {
    setImage(null);
    schedule(0);
  }
}

function grow() {
  const area = $("text");
  area.style.height = "auto";
  area.style.height = `${area.scrollHeight + 2}px`;
}

// --- reading ------------------------------------------------------------------------------------------

function schedule(pause = PAUSE) {
  clearTimeout(state.waiting);
  state.waiting = setTimeout(read, pause);
}

async function read() {
  clearTimeout(state.waiting);
  state.request?.abort();
  const run = ++state.run;
  if (!$("text").value.trim()) {
    $("result").hidden = true;
    say(state.setup ? "Type a post, or choose an example." : "");
    return;
  }
  state.request = new AbortController();
  const { signal } = state.request;
  say("Reading …");
  $("reading").setAttribute("aria-busy", "true");
  try {
    const everything = JSON.stringify(post({ all: true })) === JSON.stringify(post());
    const record = await call("/v1/extract", { body: post(), signal });
    const whole = everything ? record : await call("/v1/extract", { body: post({ all: true }), signal });
    if (run !== state.run) return;
    Object.assign(state, { record, whole, explanation: null });
    state.selected = Math.min(state.selected, Math.max(0, record.entities.length - 1));
    show();
    say("");
    $("key-form").hidden = true;
    if (record.picture.status === "read" && record.entities.length) await explain(run, signal);
  } catch (error) {
    if (error.name === "AbortError") return;
    if (run !== state.run) return;
    if (error.status === 401) $("key-form").hidden = false;
    say(error.retry ? `${error.message} Trying again in ${error.retry} s.` : error.message, true);
    if (error.retry) schedule(1000 * Math.min(30, Number(error.retry) || 1));
  } finally {
    if (run === state.run) $("reading").removeAttribute("aria-busy");
  }
}

async function explain(run, signal) {
  $("seen").classList.add("waiting");
  try {
    const explanation = await call("/v1/explain", { body: post(), signal });
    if (run !== state.run) return;
    state.explanation = explanation;
    showSelected();
  } finally {
    if (run === state.run) $("seen").classList.remove("waiting");
  }
}

function say(text, alarm = false) {
  $("status").textContent = text;
  $("status").classList.toggle("alarm", alarm);
}

// --- what was found -----------------------------------------------------------------------------------

function show() {
  const { record } = state;
  $("result").hidden = false;
  showSwitches();
  const pictured = Boolean(state.image);
  $("seen").hidden = !pictured;
  $("sheet").classList.toggle("text-only", !pictured);
  $("seen").classList.toggle("off", !state.sources.picture);
  $("picture").alt = $("alt").value.trim() || "Picture of the post";
  clearHeat();
  showMarks();
  showEntities();
  showRelations();
  showThreshold();
  showCaption();
  $("threshold").hidden = record.entities.length === 0;
  $("copied").textContent = "";
}

function showSwitches() {
  const place = $("switches");
  const focused = document.activeElement?.id;
  const legend = place.querySelector("legend");
  place.replaceChildren(legend, chip("text", true, true, "always read: entities are words of the text"));
  const has = present();
  for (const name of ["picture", "alt_text"]) {
    if (state.setup && !state.setup.sources.includes(name)) continue;
    place.append(chip(name, has[name] && state.sources[name], !has[name], has[name] ? "" : "not in this post"));
  }
  if (focused?.startsWith("use-")) $(focused)?.focus();
}

function chip(name, on, fixed, title) {
  const input = el("input", {
    type: "checkbox", id: `use-${name}`, checked: on, disabled: fixed,
    onchange: (event) => {
      state.sources[name] = event.target.checked;
      schedule(0);
    },
  });
  return el("label", { class: `chip source ${fixed ? "fixed" : ""}`, title: title || null },
    input, el("span", {}, el("i", { class: `key ${sourceClass(name)}`, "aria-hidden": "true" }), sourceName(name)));
}

const accepted = (item) => (item.confidence ?? 1) >= state.least;
const stands = (relation) => [relation, ...[relation.head, relation.tail].map((i) => state.record.entities[i])].every(accepted);

function showMarks() {
  const { record } = state;
  showText($("marked"), record.text, record.entities, (entity, index) => ({
    class: `${index === state.selected ? "selected" : ""} ${accepted(entity) ? "" : "to-review"}`,
    role: "button", tabindex: 0, "aria-pressed": String(index === state.selected),
    "aria-label": `${entity.text}, ${typeName(entity.type) || entity.type}, confidence ${percent(entity.confidence)} per cent`,
    onclick: () => select(index),
    onkeydown: (event) => onMarkKey(event, index),
  }));
}

function onMarkKey(event, index) {
  const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
  if (event.key === "Enter" || event.key === " ") select(index);
  else if (step) select((index + step + state.record.entities.length) % state.record.entities.length);
  else return;
  event.preventDefault();
  $("marked").querySelectorAll("mark")[state.selected]?.focus();
}

function select(index) {
  state.selected = index;
  $("marked").querySelectorAll("mark").forEach((mark, i) => {
    mark.classList.toggle("selected", i === index);
    mark.setAttribute("aria-pressed", String(i === index));
  });
  showEntities();
  showSelected();
}

function showEntities() {
  const { record } = state;
  const focused = document.activeElement?.dataset?.entity;
  const rows = record.entities.map((entity, index) => row(entity, index));
  const lost = lostEntities().map((entity) => el("li", { class: "lost" },
    el("span", { class: "name" }, tag(entity.type), " ", el("bdi", {}, entity.text)),
    el("span", { class: "note" }, `only with ${missingSources()}: ${percent(entity.confidence)} %`)));
  $("entities").replaceChildren(...rows, ...lost);
  if (!record.entities.length && !lost.length) $("entities").append(el("li", { class: "nothing" }, "No entity found."));
  if (focused !== undefined) document.querySelector(`[data-entity="${focused}"]`)?.focus();
}

function row(entity, index) {
  const open = index === state.selected;
  const head = el("button", {
    type: "button", class: "row-head", "aria-expanded": String(open), "data-entity": index, onclick: () => select(index),
  },
  el("span", { class: "name" }, tag(entity.type), " ", el("bdi", {}, entity.text), change(entity)),
  accepted(entity) ? null : el("span", { class: "review" }, "to review"),
  confidenceOf(entity.confidence, bar(entity.confidence ?? 0)));
  return el("li", { class: `row ${open ? "open" : ""} ${typeClass(entity.type)}` }, head, open ? details(entity) : null);
}

function details(entity) {
  const parts = [];
  if (Object.keys(entity.sources).length) {
    parts.push(el("div", {}, el("h4", {}, "Where the evidence comes from"), shares(entity.sources)));
  }
  if (entity.uncertainty) {
    const most = Math.max(...state.record.entities.flatMap(({ uncertainty: u }) => (u ? [u.aleatoric, u.epistemic] : [])), 1e-9);
    const line = (name, meaning, value) => el("div", { class: "measure" },
      el("span", {}, name, el("small", {}, meaning)), bar(value / most), el("span", { class: "number" }, value.toFixed(2)));
    parts.push(el("div", {}, el("h4", {}, "Uncertainty, in the units of the scores"),
      line("aleatoric", " – noise in posts like this", entity.uncertainty.aleatoric),
      line("epistemic", " – what the model has not seen", entity.uncertainty.epistemic)));
  }
  return el("div", { class: "details" }, ...parts);
}

// What a source that is switched off would have changed.
const same = (one, other) => one.start === other.start && one.end === other.end;
const switchedOff = () => state.record !== state.whole;
const missingSources = () => Object.entries(present()).filter(([name, there]) => there && !state.sources[name])
  .map(([name]) => `the ${sourceName(name)}`).join(" and ");
const lostEntities = () => (switchedOff()
  ? state.whole.entities.filter((entity) => !state.record.entities.some((other) => same(entity, other))) : []);

function change(entity) {
  if (!switchedOff()) return null;
  const before = state.whole.entities.find((other) => same(entity, other));
  if (!before) return el("span", { class: "note" }, `not with ${missingSources()}`);
  const points = Math.round(100 * entity.confidence) - Math.round(100 * before.confidence);
  if (before.type !== entity.type) return el("span", { class: "note changed" }, `${before.type} with ${missingSources()}`);
  if (points === 0) return el("span", { class: "note" }, "unchanged");
  return el("span", { class: "note changed" }, `${points > 0 ? "+" : "−"}${plural(Math.abs(points), "point", "points")} without ${missingSources()}`);
}

function showRelations() {
  const { entities, relations } = state.record;
  $("relations").hidden = relations.length === 0;
  const symmetric = state.setup?.symmetric ?? [];
  const faded = (relation) => !stands(relation);
  showGraph($("graph"), entities, relations, { symmetric, faded });
  $("relation-list").replaceChildren(...relations.map((relation) => el("li", { class: "relation-row" },
    el("span", {}, el("bdi", { class: typeClass(entities[relation.head].type) }, entities[relation.head].text), " ",
      el("span", { class: "relation", title: relation.type }, relationName(relation.type)), symmetric.includes(relation.type) ? " " : " → ",
      el("bdi", { class: typeClass(entities[relation.tail].type) }, entities[relation.tail].text),
      faded(relation) ? el("span", { class: "review" }, "to review") : null),
    Object.keys(relation.sources).length > 1 ? shares(relation.sources) : null,
    confidenceOf(relation.confidence))));
}

// --- what goes to review ------------------------------------------------------------------------------

function showThreshold() {
  const { entities, relations } = state.record;
  $("least").value = String(Math.round(100 * state.least));
  $("least").setAttribute("aria-valuetext", `${Math.round(100 * state.least)} per cent`);
  $("least-value").textContent = `${Math.round(100 * state.least)} %`;
  const review = entities.filter((entity) => !accepted(entity)).length;
  const pairs = relations.filter((relation) => !stands(relation)).length;
  const kept = [plural(entities.length - review, "entity", "entities")];
  if (relations.length) kept.push(plural(relations.length - pairs, "relation", "relations"));
  const total = review + pairs;
  $("kept").textContent = total === 0 ? "Everything is accepted" : `${kept.join(" and ")} accepted, ${total} to review`;
  for (const button of document.querySelectorAll("#guarantees button")) {
    button.setAttribute("aria-pressed", String(Math.round(100 * Number(button.dataset.threshold)) === Math.round(100 * state.least)));
  }
}

function showGuarantees() {
  const known = state.setup.thresholds ?? [];
  if (!known.length) return;
  $("guarantees").append(el("span", { class: "label" }, "Entities, at most"),
    ...known.map(({ error, threshold, coverage }) => el("button", {
      type: "button", "data-threshold": threshold,
      title: `The model's calibration guarantees it from ${percent(threshold)} %; ${percent(coverage)} % of the entities are kept`,
      onclick: () => setLeast(threshold),
    }, `${percent(error)} % wrong`)));
}

function setLeast(value) {
  state.least = value;
  if (!state.record) return;
  showThreshold();
  $("marked").querySelectorAll("mark").forEach((mark, i) => {
    mark.classList.toggle("to-review", !accepted(state.record.entities[i]));
  });
  showEntities();
  showRelations();
}

// --- the picture --------------------------------------------------------------------------------------

function clearHeat() {
  $("heat").hidden = true;
  $("seen").classList.remove("heated");
}

function showSelected() {
  const found = explained();
  if (found?.regions) {
    const { naturalWidth: width, naturalHeight: height } = $("picture");
    showHeat($("heat"), found.regions, state.explanation.area, { width, height });
    $("heat").hidden = false;
    $("seen").classList.add("heated");
  } else clearHeat();
  showCaption();
}

function explained() {
  const entity = state.record?.entities[state.selected];
  return entity && state.explanation?.entities.find((other) => same(entity, other));
}

function showCaption() {
  const place = $("seen-caption");
  const { record } = state;
  if (!state.image) return;
  if (!state.sources.picture) {
    place.replaceChildren("Switched off: the picture was not read.");
    return;
  }
  if (record.picture.status === "unreadable") {
    place.replaceChildren(el("strong", {}, "The picture could not be read. "), record.picture.reason, " Only the text was used.");
    return;
  }
  const found = explained();
  const entity = record.entities[state.selected];
  if (!found?.regions) {
    place.replaceChildren(entity ? "Looking for what each entity took from the picture …" : "");
    return;
  }
  const { row: r, column: c, words } = placeInWords(found.regions);
  const strongest = found.regions[r][c];
  const odds = (p) => Math.log(p / (1 - p));
  const p = Math.min(Math.max(found.confidence, 1e-6), 1 - 1e-6);
  const left = 1 / (1 + Math.exp(-(odds(p) - strongest)));
  const effect = Math.round(100 * p) === Math.round(100 * left)
    ? "its part changes the confidence by less than a point"
    : `without it the confidence would be ${percent(left)}\u00a0%`;
  place.replaceChildren(
    el("span", { class: "heat-title" }, "What ", el("b", {}, el("bdi", {}, entity.text)), " looked at: "),
    `most of all the ${words}; ${effect}. Without the whole picture: ${percent(found.without_picture)}\u00a0% instead of ${percent(found.confidence)}\u00a0%.`,
    el("span", { class: "heat-key" },
      el("span", {}, el("i", { class: "swatch for", "aria-hidden": "true" }), "for the entity"),
      el("span", {}, el("i", { class: "swatch against", "aria-hidden": "true" }), "against it"),
      el("span", {}, "by occlusion of its regions")));
}

// --- copies -------------------------------------------------------------------------------------------

function python() {
  const value = post();
  const lines = [`"id": 1`, `"text": ${pythonString(value.text)}`];
  if (value.image) lines.push(`"image": ${pythonString(state.image.name)}`);
  if (value.alt_text) lines.push(`"alt_text": ${pythonString(value.alt_text)}`);
  return [
    "import twofold", "", "extractor = twofold.load()", `post = {${lines.join(", ")}}`,
    "for extraction in extractor.extract([post]):", "    for entity in extraction.entities:",
    `        if entity.confidence >= ${state.least.toFixed(2)}:`,
    "            print(entity.text, entity.type, round(entity.confidence, 3))", "",
  ].join("\n");
}

/** A string as Python writes it: JSON's escapes are Python's, but for those of half a character. */
const pythonString = (text) => JSON.stringify(text.toWellFormed?.() ?? text);

async function onCopy(text, name) {
  try {
    await copy(text);
    $("copied").textContent = `${name} copied`;
  } catch (error) {
    $("copied").textContent = error.message;
  }
}

// --- start --------------------------------------------------------------------------------------------

function showExamples(examples) {
  $("examples").replaceChildren(...examples.map((example) => {
    const button = el("button", { type: "button", onclick: () => takeExample(example, button) },
      example.picture ? el("img", { src: example.picture, alt: "", width: 56, height: 56, loading: "lazy" }) : el("span", { class: "no-thumb", "aria-hidden": "true" }, "Aa"),
      el("span", { dir: "auto" }, example.text));
    return el("li", {}, button);
  }));
}

function listen() {
  $("form").addEventListener("submit", (event) => {
    event.preventDefault();
    read();
  });
  $("text").addEventListener("input", () => {
    grow();
    schedule();
  });
  $("text").addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) read();
  });
  $("alt").addEventListener("input", () => schedule());
  $("file").addEventListener("change", (event) => {
    takeFile(event.target.files[0]);
    event.target.value = "";
  });
  $("remove").addEventListener("click", () => {
    setImage(null);
    $("file").focus();
    schedule(0);
  });
  const drop = document.querySelector(".composer");
  for (const name of ["dragenter", "dragover"]) {
    drop.addEventListener(name, (event) => {
      if (![...event.dataTransfer.types].includes("Files")) return;
      event.preventDefault();
      $("drop").classList.add("over");
    });
  }
  for (const name of ["dragleave", "drop"]) drop.addEventListener(name, () => $("drop").classList.remove("over"));
  drop.addEventListener("drop", (event) => {
    if (!event.dataTransfer.files.length) return;
    event.preventDefault();
    takeFile(event.dataTransfer.files[0]);
  });
  document.addEventListener("paste", (event) => {
    const file = [...(event.clipboardData?.files ?? [])].find(({ type }) => type.startsWith("image/"));
    if (file) takeFile(file);
  });
  $("least").addEventListener("input", (event) => setLeast(Number(event.target.value) / 100));
  $("copy-json").addEventListener("click", () => onCopy(JSON.stringify(state.record, null, 1), "JSON"));
  $("copy-python").addEventListener("click", () => onCopy(python(), "Python"));
  onApiKey(() => (state.setup ? read() : start()));
  let width = window.innerWidth;
  window.addEventListener("resize", () => {
    if (state.record && window.innerWidth !== width) showRelations();
    width = window.innerWidth;
  });
}

async function start() {
  try {
    state.setup = await call("/v1/page");
  } catch (error) {
    say(error.message, true);
    if (error.status === 401) $("key-form").hidden = false;
    return;
  }
  $("model").textContent = `· model ${state.setup.model}`;
  $("version").textContent = `Twofold ${state.setup.version}.`;
  state.least = state.setup.thresholds?.find(({ error }) => error === 0.1)?.threshold ?? 0.5;
  showGuarantees();
  showExamples(state.setup.examples);
  const first = document.querySelector("#examples button");
  if (!$("text").value && first) first.click();
  else {
    grow();
    schedule(0);
  }
}

listen();
start();
