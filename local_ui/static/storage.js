// The buttons that change how often the buffer is written.
const refused = document.querySelector("[data-refused]");

async function choose(button) {
  button.disabled = true;
  try {
    const answer = await fetch("/api/v1/storage/pace", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ commit_s: JSON.parse(button.dataset.pace) }),
    });
    if (answer.ok) return location.reload();
    refused.textContent = (await answer.json()).error;
  } catch {
    refused.textContent = "no connection to the gateway; nothing was changed";
  }
  refused.hidden = false;
  button.disabled = false;
}

for (const button of document.querySelectorAll("[data-pace]")) button.addEventListener("click", () => choose(button));
