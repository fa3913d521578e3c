// The buttons of the hub's page. They come anew with each part that is fetched, so one listener serves all.
const refused = document.querySelector("[data-refused]");
const told = document.querySelector("[data-told]");
const receipt = document.querySelector("[data-receipt]");

const say = (element, text) => { element.textContent = text; element.hidden = !text; };

// What the gateway answers; null where it refuses, which the page then says.
async function post(route, type, body) {
  say(refused, "");
  try {
    const answer = await fetch(route, { method: "POST", headers: { "Content-Type": type }, body });
    const said = await answer.json();
    if (answer.ok) return said;
    say(refused, said.error);
  } catch {
    say(refused, "no connection to the gateway; nothing was changed");
  }
  scrollTo(0, 0);
  return null;
}

document.addEventListener("click", ({ target }) => {
  const button = target.closest("[data-post]");
  if (!button) return;
  button.disabled = true;
  post(button.dataset.post, "application/json", button.dataset.body);
});

receipt?.addEventListener("change", async () => {
  if (!receipt.files.length) return;
  say(told, "");
  const said = await post("/api/v1/sync/receipt", "application/octet-stream", receipt.files[0]);
  if (said) say(told, said.told);
  receipt.value = ""; // the same file may be chosen again
});
