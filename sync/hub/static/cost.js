// Says what is wrong with a tariff while it is written; a click on a mistake goes to its line.
import { send } from "/hub/send.js";

const PAUSE_MS = 400;

function goTo(text, line) {
  const lines = text.value.split("\n");
  const begin = lines.slice(0, line - 1).reduce((sum, one) => sum + one.length + 1, 0);
  text.focus();
  text.setSelectionRange(begin, begin + (lines[line - 1] ?? "").length);
}

function show(list, text, mistakes) {
  list.hidden = mistakes.length === 0;
  list.replaceChildren(...mistakes.map(({ line, words, hint }) => {
    const item = document.createElement("li");
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = `Line ${line}`;
    button.addEventListener("click", () => goTo(text, line));
    item.append(button, ` ${words}${hint ? `; ${hint}` : ""}`);
    return item;
  }));
  text.setAttribute("aria-invalid", String(mistakes.length > 0));
}

for (const form of document.querySelectorAll("form[data-tariff]")) {
  const text = form.querySelector("textarea");
  const list = form.querySelector(".mistakes");
  let timer;
  let asked = 0;
  async function check() {
    const mine = ++asked;
    try {
      const said = await send("POST", "/api/v1/tariffs/check", { text: text.value });
      if (mine === asked) show(list, text, said.mistakes);
    } catch { /* saving says it */ }
  }
  text.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(check, PAUSE_MS);
  });
}
