// What the reader chooses: theme, order of tables, benchmark, run and task. Figures come ready from the report; they
// are filtered, made faint and zoomed here.
"use strict";
const byId = (id) => document.getElementById(id);
const parse = (id) => JSON.parse(byId(id).textContent);
function unpack(id) { // JSON, compressed by zlib, in base64
  const bytes = Uint8Array.from(atob(byId(id).textContent), (character) => character.charCodeAt(0));
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"))).json();
}
const index = parse("index");
const runs = index.rows.flatMap(({ runs }, row) => runs.map((run) => Object.assign(run, { row })));
runs.forEach((run, id) => { run.id = id; });

const KEY = "lasem-report";
const storage = (kind) => { try { return window[kind]; } catch { return null; } }; // some browsers refuse it to files
const saved = (() => { try { return JSON.parse(storage("sessionStorage")?.getItem(KEY) ?? "{}"); } catch { return {}; } })();
function save() {
  const heading = byId("comparison-table").querySelector("th[aria-sort]");
  storage("sessionStorage")?.setItem(KEY, JSON.stringify({
    benchmark: byId("benchmark").value, filter: byId("filter").value, measure: byId("measure").value, run: chosenRun()?.path, task: byId("task").value,
    scroll: scrollY, open: [...document.querySelectorAll("details[open][id]")].map(({ id }) => id), sorted: heading && [heading.cellIndex, heading.ariaSort],
  }));
}

// Theme

function showTheme() {
  const dark = (document.documentElement.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  byId("theme").setAttribute("aria-pressed", String(dark));
  return dark;
}
function startTheme() {
  const chosen = storage("localStorage")?.getItem(`${KEY}-theme`);
  if (chosen) document.documentElement.dataset.theme = chosen;
  byId("theme").addEventListener("click", () => {
    const theme = showTheme() ? "light" : "dark";
    document.documentElement.dataset.theme = theme;
    storage("localStorage")?.setItem(`${KEY}-theme`, theme);
    showTheme();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", showTheme);
  showTheme();
}

// Tables

function sortBy(heading, order) {
  const table = heading.closest("table"), column = heading.cellIndex, body = table.tBodies[0];
  for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
  heading.setAttribute("aria-sort", order);
  const value = (row) => row.cells[column].dataset.sort ?? row.cells[column].textContent.trim();
  const known = (text) => text !== "" && text !== "-" && text !== "learning";
  body.append(...[...body.rows].sort((a, b) => {
    const [x, y] = [value(a), value(b)];
    if (!known(x) || !known(y)) return known(y) - known(x); // what is not known comes last, in either order
    const difference = isNaN(x) || isNaN(y) ? x.localeCompare(y, undefined, { numeric: true }) : x - y;
    return order === "ascending" ? difference : -difference;
  }));
}
function startSorting() {
  for (const heading of document.querySelectorAll("table[data-sortable] thead th")) {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    heading.append(button);
    const first = heading.classList.contains("text") ? "ascending" : "descending";
    button.addEventListener("click", () => sortBy(heading, heading.ariaSort ? (heading.ariaSort === "ascending" ? "descending" : "ascending") : first));
  }
}
function element(name, text, kind = "") {
  const made = document.createElement(name);
  made.textContent = text;
  made.className = kind;
  return made;
}
function fill(table, rows) { // columns are named by the table's head
  const kinds = [...table.tHead.rows[0].cells].map(({ className }) => className);
  table.tBodies[0].replaceChildren(...rows.map((texts) => {
    const row = document.createElement("tr");
    row.append(...texts.map((text, i) => element(kinds[i].includes("name") ? "th" : "td", text, kinds[i])));
    return row;
  }));
}

// Figures

function draw(id, figure, change = () => ({})) {
  byId(`${id}-figure`).hidden = !figure;
  if (!figure) return;
  const plot = byId(id), narrow = plot.clientWidth < 600, { meta, ...layout } = figure.layout;
  const data = figure.data.map((trace) => ({
    ...(meta.x && !trace.x ? { x: meta.x } : {}), ...trace, ...change(trace), ...(narrow && trace.x?.length > 6 && trace.texttemplate ? { texttemplate: "" } : {}),
  }));
  const shown = data.filter(({ visible }) => visible !== false);
  const names = shown.filter(({ name, showlegend }) => name && showlegend !== false).length;
  const top = 12 + 22 * Math.ceil(names / (narrow ? 3 : 8));
  const height = top + meta.height + (meta.height_per_line ?? 0) * new Set(shown.flatMap(({ y }) => y)).size;
  plot.style.minHeight = `${height}px`;
  plot.opacities = data.map(({ opacity }) => opacity ?? 1);
  Plotly.react(plot, data, {
    template: index.template, margin: { l: narrow ? 44 : 60, r: narrow ? 12 : 34, t: top, b: 44 }, dragmode: narrow ? false : "zoom", showlegend: names > 0, ...layout, height,
  }, { responsive: true, displaylogo: false, modeBarButtons: [["toImage", "resetScale2d"]] });
  if (plot.dataset.wired) return;
  plot.dataset.wired = "true";
  plot.on("plotly_hover", ({ points: [{ fullData, data, curveNumber }] }) => { if (fullData.mode?.includes("lines")) highlight(plot, data.legendgroup ?? curveNumber); });
  plot.on("plotly_unhover", () => highlight(plot, null));
  plot.on("plotly_click", ({ points: [point] }) => CLICKS[id]?.(point));
}
function highlight(plot, chosen) { // the line under the pointer stands out
  if (plot.dataset.lit === String(chosen)) return;
  plot.dataset.lit = String(chosen);
  const lines = plot._fullData.flatMap(({ mode, index }) => (mode?.includes("lines") ? [index] : []));
  Plotly.restyle(plot, { opacity: lines.map((i) => (chosen === null ? plot.opacities[i] : (plot.data[i].legendgroup ?? i) === chosen ? 1 : 0.2)) }, lines);
}
const CLICKS = {
  scores: ({ customdata: [id] }) => { showLearners(runs[id]); showRun().then(() => byId("one-run").scrollIntoView()); },
  "share-map": ({ x }) => { byId("task").value = String(x); showTask(); },
};

// Comparison

const named = (learner) => learner.toLowerCase().includes(byId("filter").value.toLowerCase().trim());
function filtered({ meta: { learner }, y, z, customdata }) {
  if (!Array.isArray(learner)) return { visible: named(learner) };
  const [rows, values, numbers] = [y, z, customdata].map((all) => all.filter((_, i) => named(learner[i])));
  return { y: rows, z: values, customdata: numbers };
}
function showComparison() {
  const chosen = byId("benchmark").value, rows = index.rows.map(({ benchmark, learner }) => ["", benchmark].includes(chosen) && named(learner));
  for (const row of byId("comparison-table").tBodies[0].rows) row.hidden = !rows[row.dataset.row];
  const number = rows.filter(Boolean).length;
  byId("comparison-says").textContent = number < rows.length ? `${number} of ${rows.length} rows.` : "";
  for (const id of ["scores", "forgetting", "growth", "units", "sharing"]) {
    const figure = index.figures[chosen][id === "scores" ? `scores-${byId("measure").value}` : id];
    draw(id, figure?.data.some(({ meta }) => [meta.learner].flat().some(named)) ? figure : null, filtered);
  }
}

// One run

let data = null; // of the chosen run
const chosenRun = () => runs[Number(byId("seed").value)];
function options(id, entries, chosen) {
  byId(id).replaceChildren(...entries.map(([value, text]) => new Option(text, value, false, String(value) === String(chosen))));
  byId(id).disabled = entries.length < 2;
}
function showLearners(wanted) {
  const several = index.benchmarks.length > 1;
  options("learner", index.rows.map((row, r) => [r, row.learner + (several ? ` on ${row.benchmark}` : "") + (row.finished ? "" : " (unfinished)")]), wanted.row);
  showSeeds(wanted.seed);
}
function showSeeds(wanted) {
  const { runs } = index.rows[byId("learner").value];
  options("seed", runs.map(({ id, seed, name }) => [id, seed === null ? name : `${seed}`]), (runs.find(({ seed }) => seed === wanted) ?? runs[0]).id);
}
async function showRun(wanted) {
  const { id, row } = chosenRun(), there = byId(`run-${id}`);
  for (const line of byId("comparison-table").tBodies[0].rows) line.toggleAttribute("aria-current", Number(line.dataset.row) === row);
  byId("run-body").hidden = !there;
  if (!there) { byId("run-says").textContent = "Its plots are left out to keep the page small; report fewer runs to see them."; return options("task", [["", "all"]], ""); }
  byId("task").disabled = true; // until its tasks are known
  const unpacked = await unpack(`run-${id}`), task = wanted ?? byId("task").value;
  if (chosenRun().id !== id) return; // another run was chosen in the meantime
  data = unpacked;
  options("task", [["", "all tasks"], ...data.tasks.map((name, t) => [t, `${t}: ${name}`])], data.tasks[task] ? task : "");
  fill(byId("tasks"), data.rows);
  byId("facts").replaceChildren(...data.facts.flatMap(([term, text]) => [element("dt", term), element("dd", text)]));
  byId("spec").textContent = data.spec;
  byId("spec-file").href = `data:application/toml;charset=utf-8,${encodeURIComponent(data.spec)}`;
  byId("again").hidden = byId("spec-details").hidden = !data.spec;
  showTask();
}
function showTask() {
  const task = byId("task").value === "" ? null : Number(byId("task").value);
  byId("run-says").textContent = task === null ? data.says.at(-1) : data.says[task];
  for (const row of byId("tasks").tBodies[0].rows) row.toggleAttribute("aria-current", task !== null && row.cells[0].textContent === String(task));
  const leading = task === null ? [] : data.leading[task];
  byId("leading").hidden = !leading.length;
  fill(byId("leading-table"), leading);
  const look = ({ meta = {} }) => {
    const mine = task === null || meta.task === undefined || meta.task === task;
    return meta.only ? { visible: task === null ? meta.all === true : mine } : mine ? {} : { opacity: 0.25, showlegend: false };
  };
  for (const id of ["accuracy", "probabilities", "share-map", "matrix"]) draw(id, zoomed(data.figures[id], task), look);
}
function zoomed(figure, task) { // to the epochs of a task, or with a frame around its column
  const { spans, mark } = figure?.layout.meta ?? {};
  if (task === null || (!spans?.[task] && !mark)) return figure;
  if (mark) return { ...figure, layout: { ...figure.layout, shapes: [{ type: "rect", x0: task - 0.5, x1: task + 0.5, yref: "paper", y0: 0, y1: 1, line: { color: "#858585", width: 3 } }] } };
  const [first, last] = spans[task], margin = Math.max(0.5, (last - first) / 40);
  const { xaxis, yaxis2 } = figure.layout, axes = { xaxis: { ...xaxis, range: [first - margin, last + margin] } };
  if (yaxis2?.overlaying) axes.yaxis2 = { ...yaxis2, visible: true }; // of the loss, which is drawn for one task only
  return { ...figure, layout: { ...figure.layout, ...axes } };
}

// Start, and the live page: it asks its file for the version and reads it again when that has changed

function startChoices() {
  const names = index.benchmarks.map((name) => [name, name]);
  options("benchmark", names.length > 1 ? [...names, ["", "all"]] : names, saved.benchmark ?? names[0][0]);
  options("measure", Object.entries(index.measures), saved.measure ?? "final");
  byId("filter").value = saved.filter ?? "";
  showLearners(runs.find(({ path }) => path === saved.run) ?? runs[index.first]);
  for (const [id, event] of [["benchmark", "change"], ["measure", "change"], ["filter", "input"]]) byId(id).addEventListener(event, showComparison);
  byId("learner").addEventListener("change", () => { showSeeds(seed); showRun(); });
  let seed = chosenRun().seed;
  byId("seed").addEventListener("change", () => { seed = chosenRun().seed; showRun(); });
  byId("task").addEventListener("change", showTask);
}
function startLive() {
  const { live, version } = document.body.dataset;
  if (!live) return;
  let frame = null;
  addEventListener("message", ({ data, source }) => {
    if (source === frame?.contentWindow && data?.lasem && data.lasem !== version) location.reload();
  });
  setInterval(() => {
    frame?.remove();
    frame = document.createElement("iframe");
    frame.hidden = true;
    frame.title = "version of this page";
    frame.src = `${location.href.split("#")[0]}#version`;
    document.body.append(frame);
  }, 1000 * Number(live));
}

startTheme();
startSorting();
startChoices();
if (saved.sorted) sortBy(byId("comparison-table").tHead.rows[0].cells[saved.sorted[0]], saved.sorted[1]);
for (const id of saved.open ?? []) byId(id)?.setAttribute("open", "");
addEventListener("pagehide", save);
startLive();
showComparison();
history.scrollRestoration = "manual";
showRun(saved.task).then(() => setTimeout(() => { // once the figures have their height
  if (saved.scroll) scrollTo(0, saved.scroll);
  document.documentElement.dataset.ready = "";
}));
