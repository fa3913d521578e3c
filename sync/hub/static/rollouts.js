// The form that begins a roll-out: sent as JSON with lists, then the page of the new one.
import { send } from "./send.js";

const form = document.querySelector("[data-rollout]");

function words(text) {
  return text.split(/[\s,]+/).filter(Boolean);
}

function read() {
  const find = (name) => form.querySelector(`[data-${name}]`).value;
  const body = {
    kind: find("what"), waves: words(find("waves")), soak_s: 60 * Number(find("soak")),
    ill_max: Number(form.elements.ill_max.value), reason: form.elements.reason.value,
  };
  if (body.kind === "update") body.release = form.elements.release.value;
  else body.patch = form.elements.patch.value;
  const whom = find("for");
  if (whom === "everywhere") body.everywhere = true;
  else if (whom === "nodes") body.nodes = words(find("target"));
  else body[whom] = find("target").trim();
  return body;
}

function update() {
  const kind = form.querySelector("[data-what]").value;
  for (const part of form.querySelectorAll("[data-of]")) {
    part.hidden = part.dataset.of !== kind;
    const field = part.querySelector("input, textarea");
    field.disabled = field.required = false;
    field[part.hidden ? "disabled" : "required"] = true;
  }
  const whom = form.querySelector("[data-whom]");
  whom.hidden = form.querySelector("[data-for]").value === "everywhere";
  form.querySelector("[data-target]").required = !whom.hidden;
}

if (form) {
  form.addEventListener("input", update);
  update();
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    event.stopPropagation();  // it has lists, which send.js does not know
    if (!confirm(form.dataset.sure)) return;
    const told = form.querySelector("[data-told]");
    const button = form.querySelector("button");
    button.disabled = true;
    try {
      const made = await send("POST", "/api/v1/rollouts", read());
      location.assign(`/rollouts/${made.rollout.id}`);
    } catch (error) {
      told.className = "notice";
      told.dataset.level = "bad";
      told.textContent = error.message;
      told.hidden = false;
      button.disabled = false;
    }
  });
}
