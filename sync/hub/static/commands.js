// The course of a node's commands as it happens, and the form that orders one.
const pill = document.querySelector("[data-course]");
const list = document.querySelector("[data-list]");
const none = document.querySelector("[data-none]");

function element(name, text, className = "") {
  const made = document.createElement(name);
  made.textContent = text;
  if (className) made.className = className;
  return made;
}

const utc = (ms) => new Date(ms).toISOString();

function draw(one) {
  const { command, state } = one;
  const steps = [["queued", one.created], ["taken", one.taken]];
  if (state !== "queued" && state !== "taken") steps.push([state, one.changed]);
  const head = document.createElement("p");
  const who = [command.who, command.reason].filter(Boolean).join(": ");
  head.append(element("strong", command.kind), " ", element("span", state, "state"), " ", element("small", who));
  const times = steps.filter(([, at]) => at != null).map(([name, at]) => `${name} ${utc(at).slice(11, 19)}`);
  const facts = element("p", [utc(one.created).slice(0, 10), ...times].join(" · "), "facts");
  let line = list.querySelector(`[data-id="${CSS.escape(command.id)}"]`);
  if (!line) {
    line = document.createElement("li");
    line.dataset.id = command.id;
    list.prepend(line);
  }
  line.dataset.state = state;
  line.replaceChildren(head, facts, element("p", one.words ?? "", "words"));
  none.hidden = true;
}

let stream; // while somebody looks

function listen() {
  stream?.close();
  if (document.hidden) return;
  stream = new EventSource(pill.dataset.course);
  stream.onmessage = (event) => JSON.parse(event.data).forEach(draw);
  stream.onopen = () => { pill.dataset.state = "live"; pill.textContent = "live"; };
  stream.onerror = () => { pill.dataset.state = "broken"; pill.textContent = "no connection"; };
}

document.addEventListener("visibilitychange", listen);
listen();

const kind = document.querySelector("[data-kind]");
if (kind) {
  const form = kind.form;
  const body = form.elements.body;
  const since = form.querySelector("[data-since]");
  const until = form.querySelector("[data-until]");
  const update = () => {
    const resends = kind.value === "RESEND";
    for (const part of form.querySelectorAll("[data-of]")) part.hidden = !resends;
    const ranged = Boolean(since.value || until.value);
    since.required = until.required = resends && ranged;
    body.disabled = !resends;
    const ms = (field) => new Date(field.value).getTime();
    body.value = ranged && since.value && until.value ? JSON.stringify({ since: ms(since), until: ms(until) }) : "all";
  };
  form.addEventListener("input", update);
  update();
}
