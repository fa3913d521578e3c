// The hub's page fetches its list of nodes again every two seconds; the server escapes what is in it.
const list = document.querySelector("[data-nodes]");
const pill = document.querySelector("[data-stream]");

async function refresh() {
  try {
    const answer = await fetch("/part/nodes", { cache: "no-store" });
    if (!answer.ok) throw new Error(String(answer.status));
    list.innerHTML = await answer.text();
    pill.dataset.state = "live";
    pill.textContent = "live";
  } catch {
    pill.dataset.state = "broken";
    pill.textContent = "no connection to the hub";
  }
}

setInterval(refresh, 2000);
refresh();
