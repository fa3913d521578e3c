// The values of a node's devices as they come. How old a value is counts on while nothing comes.
const pill = document.querySelector("[data-live]");
const cards = new Map([...document.querySelectorAll("[data-device]")].map((card) => [card.dataset.device, card]));
let ahead = 0; // of the hub's clock before ours, ms

function text(reading) {
  if (reading.value === null) return "–";
  if (reading.words) return reading.words;
  if (typeof reading.value === "string") return reading.value;
  const digits = Number.isInteger(reading.value) ? 0 : Math.abs(reading.value) >= 100 ? 1 : 2;
  return reading.value.toLocaleString("en", { minimumFractionDigits: 0, maximumFractionDigits: digits });
}

function age(ms) {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 120) return `${seconds} s ago`;
  if (seconds < 7200) return `${Math.floor(seconds / 60)} min ago`;
  return seconds < 172800 ? `${Math.floor(seconds / 3600)} h ago` : `${Math.floor(seconds / 86400)} d ago`;
}

function show(device) {
  const card = cards.get(device.name);
  if (!card) { location.reload(); return; } // one that was not there before
  card.dataset.ts = device.ts;
  for (const reading of device.readings) {
    const field = card.querySelector(`[data-key="${CSS.escape(reading.key)}"]`);
    if (field) field.textContent = text(reading);
  }
}

function tick() {
  for (const card of cards.values()) card.querySelector("[data-age]").textContent = age(Date.now() + ahead - card.dataset.ts);
}

let stream; // while somebody looks

function heard(event) {
  const said = JSON.parse(event.data);
  ahead = said.now - Date.now();
  for (const node of said.nodes) {
    const presence = document.querySelector("[data-node-presence]");
    presence.textContent = node.online ? "online" : node.last_seen ? "offline" : "never heard";
    presence.parentElement.dataset.presence = presence.textContent;
    node.devices.forEach(show);
  }
  tick();
}

function listen() {
  stream?.close();
  if (document.hidden) return;
  stream = new EventSource(pill.dataset.live);
  stream.onmessage = heard;
  stream.onopen = () => { pill.dataset.state = "live"; pill.textContent = "live"; };
  stream.onerror = () => { pill.dataset.state = "broken"; pill.textContent = "no connection"; };
}

document.addEventListener("visibilitychange", listen);
listen();
setInterval(tick, 1000);

const events = document.querySelector("[data-events]");
setInterval(async () => {
  if (document.hidden) return;
  try {
    const answer = await fetch(events.dataset.events, { cache: "no-store" });
    if (answer.ok && !events.contains(document.activeElement)) events.innerHTML = await answer.text();
  } catch { /* the pill says it */ }
}, 10000);
