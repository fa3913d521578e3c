// Any points of a device over any time. What was not read is a gap; minutes and hours have a band from least to greatest.
const place = document.querySelector("[data-charts]");
const what = place && JSON.parse(place.querySelector("[data-what]").textContent);
const form = place?.querySelector("form");
const told = place?.querySelector("[data-told]");
const target = place?.querySelector("[data-plot]");
const csv = place?.querySelector("[data-csv]");
const COLORS = ["--grid", "--pv", "--battery", "--load", "--other"];
const DASHES = [[], [8, 4], [2, 3], [10, 3, 2, 3], [5, 2]]; // colours alone do not tell lines apart
const PALE = "33"; // alpha of the band
const AXES = 2;
// From ticks so many seconds apart on: as what they are written, and beneath where a year, a day or a minute begins.
const DAY = "\n{D} {MMM}", YEAR = "\n{D} {MMM} {YYYY}";
const TIMES = [
  [31536000, "{YYYY}", null, null, null, null, null, null, 1],
  [2419200, "{MMM}", "\n{YYYY}", null, null, null, null, null, 1],
  [86400, "{D} {MMM}", "\n{YYYY}", null, null, null, null, null, 1],
  [60, "{HH}:{mm}", YEAR, null, DAY, null, null, null, 1],
  [0.001, "{HH}:{mm}:{ss}", YEAR, null, DAY, null, null, null, 1],
];
let plot;
let asked = 0; // an older answer may come after a newer one
let drawn; // the answer that is shown

const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const seconds = (ms) => ms / 1000;

function option(value, name) {
  const made = document.createElement("option");
  made.value = value;
  made.textContent = name;
  return made;
}

function listPoints() {
  const device = what.devices.find((one) => one.name === form.elements.device.value);
  form.elements.key.replaceChildren(...device.points.map((one) => option(one.key, `${one.label}${one.unit ? ` (${one.unit})` : ""}`)));
  if (device.points.length) form.elements.key.options[0].selected = true;
}

function range() {
  const { range: last, since, until } = form.elements;
  if (last.value) { const now = Date.now(); return [now - Number(last.value), now]; }
  return [since, until].map((field) => (field.value ? new Date(field.value).getTime() : NaN));
}

// Two rows further apart than this have a gap between them: raw ones than some of their usual distances.
function farApart(chart) {
  if (chart.step_ms) return 1.5 * chart.step_ms;
  const apart = chart.lines.flatMap(({ rows }) => rows.slice(1).map((row, at) => row[0] - rows[at][0])).sort((a, b) => a - b);
  return Math.max(10000, 3 * (apart[Math.floor(apart.length / 2)] ?? 0));
}

// One column of times for all lines, as uPlot wants it, with a null wherever a line has a gap.
export function columns(chart) {
  const far = farApart(chart);
  const times = new Set();
  for (const { rows } of chart.lines) {
    rows.forEach(([ts], at) => {
      times.add(ts);
      if (at && ts - rows[at - 1][0] > far) times.add(rows[at - 1][0] + 1);
    });
  }
  const xs = [...times].sort((a, b) => a - b);
  const index = new Map(xs.map((ts, at) => [ts, at]));
  const data = [xs.map(seconds)];
  for (const { rows } of chart.lines) {
    const filled = [1, 2, 3].map(() => new Array(xs.length).fill(undefined));
    rows.forEach((row, at) => {
      if (at && row[0] - rows[at - 1][0] > far) filled.forEach((column) => { column[index.get(rows[at - 1][0] + 1)] = null; });
      filled.forEach((column, n) => { column[index.get(row[0])] = row[n + 1] ?? (n ? row[1] : null); });
    });
    data.push(...(chart.step_ms ? filled : [filled[0]]));
  }
  return data;
}

function options(chart) {
  const axis = { stroke: color("--soft"), grid: { stroke: color("--line"), width: 1 }, ticks: { show: false } };
  const units = [...new Set(chart.lines.map((line) => line.unit))];
  const scale = (unit) => `u${units.indexOf(unit)}`;
  const series = [{ value: "{YYYY}-{MM}-{DD} {HH}:{mm}:{ss}" }], bands = [];
  chart.lines.forEach((line, at) => {
    const stroke = color(COLORS[at % COLORS.length]);
    series.push({ label: `${line.key}${line.unit ? ` (${line.unit})` : ""}`, scale: scale(line.unit), stroke, dash: DASHES[at % DASHES.length], width: 1.5, points: { show: false } });
    if (!chart.step_ms) return;
    const first = series.length;
    for (const name of ["least", "greatest"]) series.push({ label: `${line.key} ${name}`, scale: scale(line.unit), stroke: "transparent", points: { show: false } });
    bands.push({ series: [first + 1, first], fill: stroke + PALE });
  });
  return {
    width: target.clientWidth, height: 320, series, bands, cursor: { drag: { x: true, y: false } },
    axes: [{ ...axis, values: TIMES }, ...units.slice(0, AXES).map((unit, at) => ({ ...axis, scale: scale(unit), size: 64, side: at ? 1 : 3, label: unit, labelSize: 16 }))],
  };
}

async function draw() {
  const keys = [...form.elements.key.selectedOptions].map((one) => one.value).slice(0, COLORS.length);
  const [since, until] = range();
  if (!keys.length || !(since < until)) { told.textContent = keys.length ? "The time from … to is not whole, or upside down." : "Choose a point."; return; }
  told.textContent = "looking it up";
  const mine = ++asked;
  const query = new URLSearchParams({ node: what.node, device: form.elements.device.value, since, until, points: 2000 });
  keys.forEach((key) => query.append("key", key));
  const [{ default: uPlot }, answer] = await Promise.all([import("/static/vendor/uPlot.esm.js"), fetch(`/api/v1/series?${query}`)]);
  const chart = await answer.json().catch(() => ({ error: `the hub answered ${answer.status}` }));
  if (mine !== asked) return;
  clear();
  if (!answer.ok) throw new Error(chart.error);
  const count = chart.lines.reduce((sum, { rows }) => sum + rows.length, 0);
  const unit = { raw: "every reading", minute: "by the minute", hour: chart.step_ms > 3600000 ? `by ${chart.step_ms / 3600000} hours` : "by the hour" };
  told.textContent = count ? `${unit[chart.resolution]}, your local time${chart.step_ms ? "; the band goes from the least to the greatest value" : ""}` : "Nothing was read in this time.";
  csv.hidden = !count;
  csv.href = `/api/v1/export?${query.toString().replace(/&points=\d+/, "")}&format=csv&resolution=${chart.resolution}`;
  const units = [...new Set(chart.lines.map((line) => line.unit))];
  if (count && units.length > AXES) told.textContent += `; ${units.slice(AXES).join(" and ")} without an axis: its values are below`;
  if (!count) return;
  drawn = () => { plot?.destroy(); plot = new uPlot(options(chart), columns(chart), target); };
  drawn();
  target.hidden = false;
}

function clear() {
  plot?.destroy();
  plot = drawn = undefined;
  target.replaceChildren();
  target.hidden = csv.hidden = true;
}

const surely = () => draw().catch((error) => { clear(); told.textContent = `It could not be drawn: ${error.message}`; });

// With the arrow keys along the values, which stand below; + and - are the pointer's zoom, Escape shows all again.
const MOVES = { ArrowLeft: -1, ArrowRight: 1, PageUp: -50, PageDown: 50, Home: -Infinity, End: Infinity };

function press(event) {
  if (!plot || event.ctrlKey || event.altKey || event.metaKey) return;
  const times = plot.data[0];
  const { min, max } = plot.scales.x;
  const at = plot.cursor.idx ?? times.length - 1;
  if (event.key in MOVES) {
    const first = Math.max(0, times.findIndex((time) => time >= min)), last = times.findLastIndex((time) => time <= max);
    const to = Math.min(last, Math.max(first, at + MOVES[event.key]));
    plot.setCursor({ left: plot.valToPos(times[to], "x"), top: 0 });
  } else if (event.key === "+" || event.key === "-") {
    const wide = (max - min) * (event.key === "+" ? 0.5 : 2), middle = times[at];
    plot.setScale("x", { min: Math.max(times[0], middle - wide / 2), max: Math.min(times.at(-1), middle + wide / 2) });
  } else if (event.key === "Escape") {
    plot.setScale("x", { min: times[0], max: times.at(-1) });
  } else return;
  event.preventDefault();
}

if (place) {
  form.elements.device.replaceChildren(...what.devices.map((one) => option(one.name, one.name)));
  listPoints();
  form.elements.device.addEventListener("change", listPoints);
  form.elements.range.addEventListener("change", () => {
    for (const field of form.querySelectorAll("[data-own]")) field.hidden = Boolean(form.elements.range.value);
  });
  form.addEventListener("submit", (event) => { event.preventDefault(); surely(); });
  form.addEventListener("change", surely);
  target.addEventListener("keydown", press);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => drawn?.());
  new ResizeObserver(() => plot?.setSize({ width: target.clientWidth, height: 320 })).observe(target);
  surely();
}
