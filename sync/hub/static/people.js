// Forms of people: gathers the roles that a form grants, adds and takes away rows of them, and shows a new password.
import { send } from "/hub/send.js";

const row = document.getElementById("grant");

function grants(form) {
  return [...form.querySelectorAll("[data-grant]")].map((one) => {
    const scope = one.querySelector("[data-scope]").value.trim();
    const [organisation, site = ""] = scope === "everywhere" ? [""] : scope.split("/");
    return { role: one.querySelector("[data-role]").value, organisation, site };
  });
}

function tell(form, level, words) {
  const told = form.querySelector("[data-told]");
  told.dataset.level = level;
  told.textContent = words;
  told.hidden = false;
}

document.addEventListener("click", (event) => {
  if (event.target.matches("[data-less]")) event.target.closest("[data-grant]").remove();
  if (!event.target.matches("[data-more]")) return;
  const added = row.content.firstElementChild.cloneNode(true);
  event.target.closest("p").before(added);
  added.querySelector("select").focus();
});

document.addEventListener("submit", async (event) => {
  const form = event.target;
  if (!form.dataset.person) return;
  event.preventDefault();
  const [method, pattern] = form.dataset.person.split(" ");
  const address = pattern.replace("{person}", () => encodeURIComponent(form.elements.person.value));
  const body = { grants: grants(form) };
  if (method === "POST") body.name = form.elements.name.value;
  try {
    const said = await send(method, address, body);
    if (form.dataset.then === "reload") location.reload();
    else tell(form, "good", `${said.person.name} may sign in; the password, shown only now: ${said.password}`);
  } catch (error) {
    tell(form, "bad", error.message);
  }
});

document.addEventListener("sent", (event) => {
  if (event.target.matches("[data-password]")) tell(event.target, "good", `The new password, shown only now: ${event.detail.password}`);
});
