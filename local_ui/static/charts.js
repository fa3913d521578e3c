// A small chart a device: its power over the last ten minutes. Without uPlot the page is whole, only without charts.
const MINUTES = 10;
const GAP_S = 20; // two readings further apart are not joined
const charts = new Map(); // by device name: { plot, xs, ys }

function color(name) { return getComputedStyle(document.documentElement).getPropertyValue(name).trim(); }

function withGaps(rows) {
  const xs = [], ys = [];
  for (const [ts, value] of rows) {
    const x = ts / 1000;
    if (xs.length && x - xs.at(-1) > GAP_S) { xs.push((x + xs.at(-1)) / 2); ys.push(null); }
    xs.push(x);
    ys.push(value);
  }
  return [xs, ys];
}

function options(element) {
  const accent = getComputedStyle(element).getPropertyValue("--accent").trim();
  const axis = { stroke: color("--soft"), grid: { stroke: color("--line"), width: 1 }, ticks: { show: false } };
  return {
    width: element.clientWidth, height: element.clientHeight,
    legend: { show: false }, cursor: { drag: { x: false, y: false } },
    axes: [{ ...axis, size: 22, values: (_, ticks) => ticks.map((x) => new Date(x * 1000).toTimeString().slice(0, 5)) }, { ...axis, size: 52 }],
    series: [{}, { stroke: accent, width: 1.5, points: { show: false } }],
  };
}

async function startChart(uPlot, element) {
  const device = element.closest("[data-device]").dataset.device;
  const query = new URLSearchParams({ device, key: element.dataset.chart, minutes: MINUTES });
  const answer = await fetch(`/api/v1/history?${query}`);
  if (!answer.ok) return;
  const [xs, ys] = withGaps((await answer.json()).rows);
  element.classList.add("drawn");
  const plot = new uPlot(options(element), [xs, ys], element);
  charts.set(device, { plot, xs, ys });
  new ResizeObserver(() => plot.setSize({ width: element.clientWidth, height: element.clientHeight })).observe(element);
}

export async function startCharts() {
  let uPlot;
  try { uPlot = (await import("/static/vendor/uPlot.esm.js")).default; } catch { return; }
  for (const element of document.querySelectorAll("[data-chart]")) await startChart(uPlot, element);
}

export function chartPoint(device, ts, text) {
  const chart = charts.get(device);
  const x = ts / 1000;
  const y = Number(text.replaceAll(",", ""));
  if (!chart || x <= (chart.xs.at(-1) ?? 0) || Number.isNaN(y)) return;
  if (chart.xs.length && x - chart.xs.at(-1) > GAP_S) { chart.xs.push(x - 1); chart.ys.push(null); }
  chart.xs.push(x);
  chart.ys.push(y);
  while (chart.xs[0] < x - 60 * MINUTES) { chart.xs.shift(); chart.ys.shift(); }
  chart.plot.setData([chart.xs, chart.ys]);
}
