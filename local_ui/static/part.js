// Fetches the part of the page that changes again every few seconds; the server escapes what is in it.
const part = document.querySelector("[data-part]");
const pill = document.querySelector("[data-stream]");

// A table that somebody has moved sideways stays where it is, and so does the keyboard; a press must not lose its button.
function replace(html) {
  if (part.querySelector("button:active, a:active")) return;
  const focused = part.contains(document.activeElement) ? document.activeElement.id : "";
  const moved = [...part.querySelectorAll(".scroll")].map((table) => table.scrollLeft);
  part.innerHTML = html;
  part.querySelectorAll(".scroll").forEach((table, index) => { table.scrollLeft = moved[index] ?? 0; });
  if (focused) document.getElementById(focused)?.focus();
}

async function refresh() {
  try {
    const answer = await fetch(part.dataset.part, { cache: "no-store" });
    if (!answer.ok) throw new Error(String(answer.status));
    replace(await answer.text());
    pill.dataset.state = "live";
    pill.textContent = "live";
  } catch {
    pill.dataset.state = "broken";
    pill.textContent = "no connection";
  }
}

setInterval(refresh, 2000);
refresh();
