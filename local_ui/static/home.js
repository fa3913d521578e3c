// The site's page: puts what the stream says into the page that the server made, and lets numbers age.
import { startCharts, chartPoint } from "/static/charts.js";

const STALE_MS = 30_000;
const pill = document.querySelector("[data-stream]");
let clockAhead = Number(document.querySelector("[data-now]").dataset.now) - Date.now(); // the gateway's clock less ours
let heardAt = Date.now();
let failures = 0;
let reloading = false;

const setText = (element, text) => { if (element && element.textContent !== text) element.textContent = text; };
const card = (name) => document.querySelector(`[data-device="${CSS.escape(name)}"]`);

function showDevice(device) {
  const element = card(device.name);
  // A device or a group of points that was not there when the page was made: have it made anew.
  if (!element || device.points.some((point) => !element.querySelector(`[data-key="${CSS.escape(point.key)}"]`))) return reload();
  element.dataset.presence = device.presence;
  element.dataset.ts = device.ts;
  setText(element.querySelector('[data-text="presence"]'), device.presence);
  setText(element.querySelector('[data-text="reason"]'), device.reason);
  setText(element.querySelector('[data-text="doubtful"]'), device.doubtful);
  for (const point of device.points) {
    const key = CSS.escape(point.key);
    for (const value of element.querySelectorAll(`[data-key="${key}"]`)) {
      setText(value, point.text);
      const row = value.closest("tr");
      row?.classList.toggle("missing", point.missing);
      if (row) row.title = point.why ?? "";
    }
    for (const unit of element.querySelectorAll(`[data-unit="${key}"]`)) setText(unit, point.unit);
    if (point.key === device.chart) chartPoint(device.name, device.ts, point.text);
  }
}

function show(view) {
  heardAt = Date.now();
  clockAhead = view.now - heardAt;
  failures = 0;
  setText(document.querySelector("[data-buffer]"), view.buffer);
  setText(document.querySelector("[data-clock]"), view.clock);
  const sync = document.querySelector("[data-sync]");
  sync.dataset.level = view.sync_level;
  setText(sync, view.sync);
  const error = document.querySelector("[data-buffer-error]");
  error.hidden = !view.buffer_error;
  setText(error, view.buffer_error);
  view.devices.forEach(showDevice);
  age();
}

function reload() {
  if (reloading) return;
  reloading = true;
  setTimeout(() => location.reload(), 1000);
}

function ageText(ms) {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  for (const [size, unit] of [[86400, "d"], [3600, "h"], [60, "min"]]) if (seconds >= 2 * size) return `${Math.floor(seconds / size)} ${unit} ago`;
  return `${seconds} s ago`;
}

function age() {
  const now = Date.now() + clockAhead;
  for (const element of document.querySelectorAll("[data-device]")) {
    const ts = Number(element.dataset.ts);
    element.classList.toggle("stale", now - ts > STALE_MS);
    setText(element.querySelector("[data-age]"), ts ? `\u00b7 ${ageText(now - ts)}` : "");
  }
  const silent = Date.now() - heardAt;
  const broken = failures > 0 || silent > STALE_MS;
  pill.dataset.state = broken ? "broken" : "live";
  setText(pill, broken ? `no connection; numbers are ${ageText(silent).replace(" ago", " old")}` : "live");
}

async function poll() {
  if (!failures) return;
  try {
    const answer = await fetch("/api/v1/view", { cache: "no-store" });
    if (answer.ok) show(await answer.json());
  } catch { failures += 1; }
}

function listen() {
  const stream = new EventSource("/api/v1/stream"); // reconnects by itself
  stream.onmessage = (event) => show(JSON.parse(event.data));
  stream.onerror = () => {
    failures += 1;
    age();
    if (stream.readyState === EventSource.CLOSED) { setTimeout(listen, 3000); }
  };
}

age();
setInterval(age, 1000);
setInterval(poll, 3000);
listen();
startCharts();
