// The page of the buses fetches its figures again every three seconds; the server escapes what is in them.
const list = document.querySelector("[data-buses]");
const pill = document.querySelector("[data-stream]");

async function refresh() {
  try {
    const answer = await fetch("/part/buses", { cache: "no-store" });
    if (!answer.ok) throw new Error(String(answer.status));
    list.innerHTML = await answer.text();
    pill.dataset.state = "live";
    pill.textContent = "live";
  } catch {
    pill.dataset.state = "broken";
    pill.textContent = "no connection";
  }
}

setInterval(refresh, 3000);
refresh();
