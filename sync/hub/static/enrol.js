// Shows a claim code that was just made, once, with the command to type and how long it is good.
const form = document.querySelector("[data-claim]");
const panel = document.querySelector("[data-code]");
const put = (name, text) => { panel.querySelector(`[data-${name}]`).textContent = text; };

function left(ms) {
  if (ms <= 0) return "it has expired";
  const s = Math.floor(ms / 1000), two = (n) => String(n).padStart(2, "0");
  return `good for ${Math.floor(s / 3600)}:${two(Math.floor(s / 60) % 60)}:${two(s % 60)} more`;
}

form?.addEventListener("sent", ({ detail }) => {
  const { code, claim } = detail;
  const until = performance.now() + (claim.expires - claim.created);  // the browser's clock may be wrong
  put("letters", code);
  put("node", claim.node);
  const { address, fingerprint } = form.dataset;
  const pin = fingerprint ? ` --tls-fingerprint ${fingerprint}` : "";
  put("command", `holdfast enrol ${code} --hub ${address}${pin} --config site.yaml`);
  put("left", left(until - performance.now()));
  panel.querySelector("[data-left]").ariaLive = "off";
  setInterval(() => put("left", left(until - performance.now())), 1000);
  panel.hidden = false;
  panel.scrollIntoView({ block: "nearest" });
});

panel?.querySelector("[data-copy]").addEventListener("click", async ({ target }) => {
  const command = panel.querySelector("[data-command]");
  try {
    await navigator.clipboard.writeText(command.textContent);
    target.textContent = "Copied";
  } catch {  // without TLS a browser gives no clipboard
    getSelection().selectAllChildren(command);
    target.textContent = "Selected: press Ctrl+C";
  }
});
