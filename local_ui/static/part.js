// Fetches the part of the page that changes again every few seconds, while somebody looks; the server escapes what is
// in it. data-every: how many seconds; 2 without.
const part = document.querySelector("[data-part]");
const pill = document.querySelector("[data-stream]");
const every = Number(part.dataset.every ?? 2) * 1000;
let shown; // as it came; what scripts changed since is not in it
let asking = false;

const called = (details) => details.id || details.querySelector("summary")?.textContent.trim();

// A table that somebody has moved sideways stays where it is, and so do the keyboard and what is open; a press must
// not lose its button, nor a selection its text.
function replace(html) {
  if (html === shown || part.querySelector("button:active, a:active")) return;
  const selected = getSelection();
  if (!selected.isCollapsed && part.contains(selected.anchorNode)) return;
  const focused = part.contains(document.activeElement) ? document.activeElement.id : "";
  const moved = [...part.querySelectorAll(".scroll")].map((table) => table.scrollLeft);
  const turned = new Map([...part.querySelectorAll("details")].map((one) => [called(one), one.open]));
  const { scrollX, scrollY } = window;
  part.innerHTML = html;
  shown = html;
  part.querySelectorAll("details").forEach((one) => { one.open = turned.get(called(one)) ?? one.open; });
  part.querySelectorAll(".scroll").forEach((table, index) => { table.scrollLeft = moved[index] ?? 0; });
  if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
  scrollTo(scrollX, scrollY);
}

async function refresh() {
  if (document.hidden || asking) return;
  asking = true;
  try {
    const answer = await fetch(part.dataset.part, { cache: "no-store" });
    if (!answer.ok) throw new Error(String(answer.status));
    replace(await answer.text());
    pill.dataset.state = "live";
    pill.textContent = "live";
  } catch {
    pill.dataset.state = "broken";
    pill.textContent = "no connection";
  } finally {
    asking = false;
  }
}

setInterval(refresh, every);
document.addEventListener("visibilitychange", refresh);
refresh();
