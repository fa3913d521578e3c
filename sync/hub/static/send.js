// Sends forms as JSON and says how it went, so that each act of a page is one call of the API.
//
//   <form data-send="POST /api/v1/sites" data-then="reload">   then: reload, or where to go; without it nothing
//     <input name="name"> <input name="count" type="number" data-as="number"> <p data-told hidden></p>
//   </form>
//
// Boxes of one name with data-as="list" make the list of those that are ticked.
// A {name} in the address is taken from the field of that name; an empty field that is not required is left out.
// What came back is told to the page as the event "sent", its `detail` the answer.
const csrf = document.querySelector("meta[name=csrf]")?.content ?? "";

export async function send(method, address, body) {
  const headers = { "X-CSRF-Token": csrf };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const answer = await fetch(address, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
  const text = await answer.text();
  let said = null;
  try { said = text ? JSON.parse(text) : null; } catch { /* a proxy's page, say */ }
  if (!answer.ok) throw new Error(said?.error ?? `the hub answered ${answer.status}`);
  return said;
}

function read(form) {
  const fields = {};
  for (const field of form.elements) {
    if (!field.name || field.disabled || (field.type === "radio" && !field.checked)) continue;
    if (field.dataset.as === "list") fields[field.name] = [...(fields[field.name] ?? []), ...(field.checked ? [field.value] : [])];
    else if (field.type === "checkbox") fields[field.name] = field.checked;
    else if (field.value === "" && !field.required) continue;
    else fields[field.name] = field.dataset.as === "number" ? Number(field.value) : field.value;
  }
  return fields;
}

function tell(form, level, words) {
  const told = form.querySelector("[data-told]");
  if (!told) return;
  told.className = "notice";
  told.dataset.level = level;
  told.textContent = words;
  told.hidden = !words;
}

document.addEventListener("submit", async (event) => {
  const form = event.target;
  if (!form.dataset.send) return;
  event.preventDefault();
  if (form.dataset.sure && !confirm(form.dataset.sure)) return;
  const fields = read(form);
  const [method, pattern] = form.dataset.send.split(" ");
  const address = pattern.replace(/\{(\w+)\}/g, (_, name) => {
    const value = fields[name];
    delete fields[name];
    return encodeURIComponent(value);
  });
  const buttons = [...form.querySelectorAll("button")];
  buttons.forEach((button) => { button.disabled = true; });
  try {
    const said = await send(method, address, method === "DELETE" ? undefined : fields);
    tell(form, "good", form.dataset.done ?? "done");
    form.dispatchEvent(new CustomEvent("sent", { detail: said, bubbles: true }));
    if (form.dataset.then === "reload") location.reload();
    else if (form.dataset.then) location.assign(form.dataset.then);
  } catch (error) {
    tell(form, "bad", error.message);
  } finally {
    buttons.forEach((button) => { button.disabled = false; });
  }
});
