// The buttons of the hub's page. They come anew with each part that is fetched, so one listener serves all.
const refused = document.querySelector("[data-refused]");

async function press(button) {
  button.disabled = true;
  refused.hidden = true;
  try {
    const headers = { "Content-Type": "application/json" };
    const answer = await fetch(button.dataset.post, { method: "POST", headers, body: button.dataset.body });
    if (answer.ok) return;
    refused.textContent = (await answer.json()).error;
  } catch {
    refused.textContent = "no connection to the gateway; nothing was changed";
  }
  refused.hidden = false;
}

document.addEventListener("click", ({ target }) => {
  const button = target.closest("[data-post]");
  if (button) press(button);
});
