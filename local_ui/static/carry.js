// The hub's form for a file that somebody brought: says what became of it, and hands out the receipt.
const form = document.querySelector("[data-carry]");
const csrf = document.querySelector("meta[name=csrf]")?.content ?? "";
const told = document.querySelector("[data-told]");

function say(level, text) {
  told.dataset.level = level;
  told.textContent = text;
  told.hidden = false;
}

function download(name, blob) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  URL.revokeObjectURL(link.href);
}

async function bring(file) {
  const answer = await fetch(form.action, { method: "POST", body: file, headers: { "X-CSRF-Token": csrf } });
  if (!answer.ok) {
    const { error } = await answer.json();
    return say("bad", `${file.name}: ${error}`);
  }
  download(`${file.name}.receipt`, await answer.blob());
  const refused = Number(answer.headers.get("X-Refused"));
  if (refused) return say("bad", `${file.name}: taken but for ${refused} batches that the hub refuses; the site keeps them. Bring the receipt back.`);
  return say("good", `${file.name}: taken. Bring the receipt back to the site.`);
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const button = form.querySelector("button");
  button.disabled = true;
  say("none", "on its way ...");
  try {
    await bring(form.elements.file.files[0]);
  } catch {
    say("bad", "no connection to the hub, or its answer was cut off; bring the file again");
  }
  button.disabled = false;
});
