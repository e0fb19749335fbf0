// The demo page: shows the entities and relations extracted from a post beside its picture.

import {
  bar, call, confidenceOf, copy, el, onApiKey, percent, placeInWords, plural, relationName, shares, showGraph, showHeat,
  showText, sourceClass, sourceName, tag, typeClass, typeName,
} from "./view.js";

const $ = (id) => document.getElementById(id);
const PAUSE = 500; // milliseconds from the last key to the extraction
const state = {
  setup: null, image: null, sources: { picture: true, alt_text: true },
  whole: null, // the result with all sources
  record: null, // the result with the sources that are switched on
  explanation: null, // the effect of picture regions on entities and relations
  unexplained: "", // why there is no explanation
  selected: 0, // number of an entity
  relation: null, // number of a relation that is selected instead
  threshold: 0.5, run: 0, waiting: null, request: null,
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
  forgetExample();
  button.setAttribute("aria-pressed", "true");
  Object.assign(state, { selected: 0, relation: null });
  $("text").value = example.text;
  $("alt").value = example.alt_text ?? "";
  grow();
  if (!example.picture) {
    setImage(null);
    schedule(0);
    return;
  }
  try {
    const file = await fileAt(example.picture);
    if (button.hasAttribute("aria-pressed")) takeFile(file); // else another example was chosen meanwhile
  } catch (error) {
    setImage(null);
    $("result").hidden = true; // it shows another post
    say(error.message, true);
  }
}

/** Show no example as chosen. */
function forgetExample() {
  for (const button of document.querySelectorAll("#examples button")) button.removeAttribute("aria-pressed");
}

async function fileAt(path) {
  const answer = await fetch(path).catch(() => null);
  if (!answer?.ok) throw new Error("The picture of this example cannot be loaded. Is the service still running?");
  const blob = await answer.blob();
  return new File([blob], path.split("/").pop(), { type: blob.type });
}

function grow() {
  const area = $("text");
  area.style.height = "auto";
  area.style.height = `${area.scrollHeight + 2}px`;
}

// --- extraction ---------------------------------------------------------------------------------------

function schedule(pause = PAUSE) {
  clearTimeout(state.waiting);
  state.waiting = setTimeout(extract, pause);
}

async function extract() {
  clearTimeout(state.waiting);
  state.request?.abort();
  const run = ++state.run;
  $("nothing-yet").hidden = Boolean($("text").value.trim());
  if (!$("text").value.trim()) {
    $("result").hidden = true;
    $("reading").removeAttribute("aria-busy");
    say("");
    return;
  }
  state.request = new AbortController();
  const { signal } = state.request;
  say("Extracting …");
  $("reading").setAttribute("aria-busy", "true");
  try {
    const allSources = JSON.stringify(post({ all: true })) === JSON.stringify(post());
    const record = await call("/v1/extract", { body: post(), signal });
    const whole = allSources ? record : await call("/v1/extract", { body: post({ all: true }), signal });
    if (run !== state.run) return;
    Object.assign(state, { record, whole, explanation: null, unexplained: "" });
    state.selected = Math.min(state.selected, Math.max(0, record.entities.length - 1));
    if (state.relation >= record.relations.length) state.relation = null;
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
  } catch (error) {
    if (error.name === "AbortError" || error.status === 429) throw error; // extract() handles it
    if (run !== state.run) return;
    state.unexplained = error.message;
    showCaption();
  } finally {
    if (run === state.run) $("seen").classList.remove("waiting");
  }
}

function say(text, alarm = false) {
  $("status").textContent = text;
  $("status").classList.toggle("alarm", alarm);
}

// --- results ------------------------------------------------------------------------------------------

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
  const container = $("switches");
  const focused = document.activeElement?.id;
  const legend = container.querySelector("legend");
  container.replaceChildren(legend, chip("text", true, true, "always used: entities are words of the text"));
  const has = present();
  for (const name of ["picture", "alt_text"]) {
    if (state.setup && !state.setup.sources.includes(name)) continue;
    container.append(chip(name, has[name] && state.sources[name], !has[name], has[name] ? "" : "not in this post"));
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

const accepted = (item) => (item.confidence ?? 1) >= state.threshold;
const relationAccepted = (relation) => [relation, ...[relation.head, relation.tail].map((i) => state.record.entities[i])].every(accepted);

function showMarks() {
  const { record } = state;
  showText($("marked"), record.text, record.entities, (entity, index) => ({
    class: `${isSelected(index) ? "selected" : ""} ${accepted(entity) ? "" : "to-review"}`,
    role: "button", tabindex: 0, "aria-pressed": String(isSelected(index)),
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

/** Whether an entity is selected, or is an argument of the selected relation. */
function isSelected(index) {
  const relation = state.record.relations[state.relation];
  return relation ? [relation.head, relation.tail].includes(index) : index === state.selected;
}

function select(index, relation = null) {
  Object.assign(state, { selected: index, relation });
  $("marked").querySelectorAll("mark").forEach((mark, i) => {
    mark.classList.toggle("selected", isSelected(i));
    mark.setAttribute("aria-pressed", String(isSelected(i)));
  });
  showEntities();
  showRelations();
  showSelected();
}

const selectRelation = (number) => select(state.record.relations[number].head, number);

function showEntities() {
  const { record } = state;
  const focused = document.activeElement?.dataset?.entity;
  const rows = record.entities.map((entity, index) => row(entity, index));
  const lost = without(state.whole.entities, (entity) => entityIn(record, entity))
    .map((entity) => lostRow(entity, tag(entity.type), " ", el("bdi", {}, entity.text)));
  $("entities").replaceChildren(...rows, ...lost);
  if (!record.entities.length && !lost.length) $("entities").append(el("li", { class: "nothing" }, "No entity found."));
  if (focused !== undefined) document.querySelector(`[data-entity="${focused}"]`)?.focus();
}

function row(entity, index) {
  const open = state.relation === null && index === state.selected;
  const head = el("button", {
    type: "button", class: "row-head", "aria-expanded": String(open), "data-entity": index, onclick: () => select(index),
  },
  el("span", { class: "name" }, tag(entity.type), " ", el("bdi", {}, entity.text), change(entity, entityIn(state.whole, entity))),
  accepted(entity) ? null : el("span", { class: "review" }, "to review"),
  confidenceOf(entity.confidence, bar(entity.confidence ?? 0)));
  return el("li", { class: `row ${open ? "open" : ""} ${typeClass(entity.type)}` }, head, open ? details(entity) : null);
}

/** The evidence for an entity or a relation. */
function details(item) {
  const parts = [];
  if (Object.keys(item.sources).length) {
    parts.push(el("div", {}, el("h4", {}, "Where the evidence comes from"), shares(item.sources)));
  }
  if (item.uncertainty) {
    const { entities, relations } = state.record;
    const ofKind = entities.includes(item) ? entities : relations;
    const most = Math.max(...ofKind.flatMap(({ uncertainty: u }) => (u ? [u.aleatoric, u.epistemic] : [])), 1e-9);
    const line = (name, meaning, value) => el("div", { class: "measure" },
      el("span", {}, name, el("small", {}, meaning)), bar(value / most), el("span", { class: "number" }, value.toFixed(2)));
    parts.push(el("div", {}, el("h4", {}, "Uncertainty, in the units of the scores"),
      line("aleatoric", " – noise in posts like this", item.uncertainty.aleatoric),
      line("epistemic", " – what the model has not seen", item.uncertainty.epistemic)));
  }
  return el("div", { class: "details" }, ...parts);
}

// What a source that is switched off would change.
const same = (one, other) => one.start === other.start && one.end === other.end;
const switchedOff = () => state.record !== state.whole;
const missingSources = () => Object.entries(present()).filter(([name, inPost]) => inPost && !state.sources[name])
  .map(([name]) => `the ${sourceName(name)}`).join(" and ");
/** Predictions that need a source that is switched off. */
const without = (items, found) => (switchedOff() ? items.filter((item) => !found(item)) : []);
const lostRow = (item, ...name) => el("li", { class: "lost" }, el("span", { class: "name" }, ...name),
  el("span", { class: "note" }, `only with ${missingSources()}: ${percent(item.confidence)} %`));

/** The entity of the same words in another result or explanation. */
const entityIn = (found, entity) => found.entities.find((other) => same(entity, other));

/** The relation of the same type between the same words. */
const relationIn = (found, relation, entities) => found.relations.find((other) => other.type === relation.type
  && ["head", "tail"].every((role) => same(entities[relation[role]], found.entities[other[role]])));

function change(item, before) {
  if (!switchedOff()) return null;
  if (!before) return el("span", { class: "note" }, `not with ${missingSources()}`);
  const points = Math.round(100 * item.confidence) - Math.round(100 * before.confidence);
  if (before.type !== item.type) return el("span", { class: "note changed" }, `${before.type} with ${missingSources()}`);
  if (points === 0) return el("span", { class: "note" }, "unchanged");
  return el("span", { class: "note changed" }, `${points > 0 ? "+" : "−"}${plural(Math.abs(points), "point", "points")} without ${missingSources()}`);
}

function showRelations() {
  const { entities, relations } = state.record;
  const focused = document.activeElement?.dataset?.relation;
  const { whole } = state;
  const lost = without(whole.relations, (relation) => relationIn(state.record, relation, whole.entities))
    .map((relation) => lostRow(relation, ...relationInWords(relation, whole.entities)));
  $("relations").hidden = relations.length + lost.length === 0;
  const symmetric = state.setup?.symmetric ?? [];
  showGraph($("graph"), entities, relations, {
    symmetric, faded: (relation) => !relationAccepted(relation), selected: state.relation, choose: selectRelation,
  });
  $("relation-list").replaceChildren(...relations.map((relation, index) => relationRow(relation, index)), ...lost);
  if (focused !== undefined) document.querySelector(`[data-relation="${focused}"]`)?.focus();
}

function relationRow(relation, index) {
  const open = index === state.relation;
  const head = el("button", {
    type: "button", class: "row-head", "aria-expanded": String(open), "data-relation": index, onclick: () => selectRelation(index),
  },
  el("span", { class: "name", title: relation.type }, ...relationInWords(relation, state.record.entities),
    change(relation, relationIn(state.whole, relation, state.record.entities))),
  relationAccepted(relation) ? null : el("span", { class: "review" }, "to review"),
  confidenceOf(relation.confidence, bar(relation.confidence ?? 0)));
  return el("li", { class: `row ${open ? "open" : ""}` }, head, open ? details(relation) : null);
}

/** Head, relation and tail of a relation, as parts of a line. */
function relationInWords({ head, tail, type }, entities) {
  const [from, to] = [entities[head], entities[tail]];
  const argument = (entity) => el("bdi", { class: typeClass(entity.type) }, entity.text);
  const arrow = state.setup?.symmetric.includes(type) ? " " : " → ";
  return [argument(from), " ", el("span", { class: "relation" }, relationName(type)), arrow, argument(to)];
}

// --- threshold ----------------------------------------------------------------------------------------

function showThreshold() {
  const { entities, relations } = state.record;
  $("least").value = String(Math.round(100 * state.threshold));
  $("least").setAttribute("aria-valuetext", `${Math.round(100 * state.threshold)} per cent`);
  $("least-value").textContent = `${Math.round(100 * state.threshold)} %`;
  const review = entities.filter((entity) => !accepted(entity)).length;
  const pairs = relations.filter((relation) => !relationAccepted(relation)).length;
  const kept = [plural(entities.length - review, "entity", "entities")];
  if (relations.length) kept.push(plural(relations.length - pairs, "relation", "relations"));
  const total = review + pairs;
  $("kept").textContent = total === 0 ? "Everything is accepted" : `${kept.join(" and ")} accepted, ${total} to review`;
  for (const button of document.querySelectorAll("#guarantees button")) {
    button.setAttribute("aria-pressed", String(Math.round(100 * Number(button.dataset.threshold)) === Math.round(100 * state.threshold)));
  }
}

function showGuarantees() {
  const known = state.setup.thresholds ?? [];
  if (!known.length) return;
  $("guarantees").append(el("span", { class: "label" }, "Entities, at most"),
    ...known.map(({ error, threshold, coverage }) => el("button", {
      type: "button", "data-threshold": threshold,
      title: `The model's calibration guarantees it from ${percent(threshold)} %; ${percent(coverage)} % of the entities are kept`,
      onclick: () => setThreshold(threshold),
    }, `${percent(error)} % wrong`)));
}

function setThreshold(value) {
  state.threshold = value;
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
    const { area, relation_area: relationArea } = state.explanation;
    showHeat($("heat"), found.regions, state.relation === null ? area : relationArea, { width, height });
    $("heat").hidden = false;
    $("seen").classList.add("heated");
  } else clearHeat();
  showCaption();
}

/** The explanation of the selected entity or relation. */
function explained() {
  const { record, explanation } = state;
  if (!record || !explanation) return null;
  const relation = record.relations[state.relation];
  if (!relation) {
    const entity = record.entities[state.selected];
    return entity && entityIn(explanation, entity);
  }
  return relationIn(explanation, relation, record.entities);
}

function showCaption() {
  const container = $("seen-caption");
  const { record } = state;
  if (!state.image) return;
  if (!state.sources.picture) {
    container.replaceChildren("Switched off: the picture was not used.");
    return;
  }
  if (record.picture.status === "unreadable") {
    container.replaceChildren(el("strong", {}, "The picture could not be read. "), record.picture.reason, " Only the text was used.");
    return;
  }
  const found = explained();
  if (!found?.regions) {
    const waiting = record.entities.length ? "Computing the effect of each region of the picture …" : "";
    container.replaceChildren(state.unexplained ? `The effect of the picture is not known. ${state.unexplained}` : waiting);
    return;
  }
  const relation = record.relations[state.relation];
  const name = relation ? relationInWords(relation, record.entities) : [el("b", {}, el("bdi", {}, record.entities[state.selected].text))];
  const { row: r, column: c, words } = placeInWords(found.regions);
  const strongest = found.regions[r][c];
  const odds = (p) => Math.log(p / (1 - p));
  const p = Math.min(Math.max(found.confidence, 1e-6), 1 - 1e-6);
  const left = 1 / (1 + Math.exp(-(odds(p) - strongest)));
  const effect = Math.round(100 * p) === Math.round(100 * left)
    ? "masking it changes the confidence by less than a point"
    : `without it the confidence would be ${percent(left)}\u00a0%`;
  container.replaceChildren(
    el("span", { class: "heat-title" }, "Regions that affect ", ...name, ": "),
    `most of all the ${words}, which ${strongest < 0 ? "opposes" : "supports"} it; ${effect}. Without the whole picture: ${percent(found.without_picture)}\u00a0% instead of ${percent(found.confidence)}\u00a0%.`,
    el("span", { class: "heat-key" },
      el("span", {}, el("i", { class: "swatch for", "aria-hidden": "true" }), "supports it"),
      el("span", {}, el("i", { class: "swatch against", "aria-hidden": "true" }), "opposes it"),
      el("span", {}, "by occlusion: regions are masked in turn")));
}

// --- copy ---------------------------------------------------------------------------------------------

function python() {
  const value = post();
  const lines = [`"id": 1`, `"text": ${pythonString(value.text)}`];
  if (value.image) lines.push(`"image": ${pythonString(state.image.name)}`);
  if (value.alt_text) lines.push(`"alt_text": ${pythonString(value.alt_text)}`);
  return [
    "import twofold", "", "extractor = twofold.load()", `post = {${lines.join(", ")}}`,
    "for extraction in extractor.extract([post]):", "    for entity in extraction.entities:",
    `        if entity.confidence >= ${state.threshold.toFixed(2)}:`,
    "            print(entity.text, entity.type, round(entity.confidence, 3))", "",
  ].join("\n");
}

/** A Python string literal: JSON's escapes are valid in Python, except for lone surrogates. */
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
    extract();
  });
  $("text").addEventListener("input", () => {
    forgetExample();
    grow();
    schedule();
  });
  $("text").addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) extract();
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
  $("least").addEventListener("input", (event) => setThreshold(Number(event.target.value) / 100));
  $("copy-json").addEventListener("click", () => onCopy(JSON.stringify(state.record, null, 1), "JSON"));
  $("copy-python").addEventListener("click", () => onCopy(python(), "Python"));
  onApiKey(() => (state.setup ? extract() : start()));
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
  state.threshold = state.setup.thresholds?.find(({ error }) => error === 0.1)?.threshold ?? 0.5;
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
