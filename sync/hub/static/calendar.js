// A calendar is one stop of the tab key; in it the arrow keys move, and what the pointer or the keyboard is at is told.
const WAYS = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };

for (const calendar of document.querySelectorAll("[data-calendar]")) {
  const told = calendar.querySelector("[data-told]");
  const rows = [...calendar.querySelectorAll("tbody tr")].map((row) => [...row.querySelectorAll("td")]);
  let here = rows[0]?.[0];
  if (here) here.tabIndex = 0;

  const tell = (cell) => { if (cell?.title) told.textContent = cell.title; };
  const go = (cell) => {
    if (!cell) return;
    here.tabIndex = -1;
    here = cell;
    here.tabIndex = 0;
    here.focus();
  };

  calendar.addEventListener("pointerover", (event) => tell(event.target.closest("td")));
  calendar.addEventListener("focusin", (event) => tell(event.target.closest("td")));
  calendar.addEventListener("click", (event) => { if (event.target.closest("td")) go(event.target.closest("td")); });
  calendar.addEventListener("keydown", (event) => {
    const row = rows.findIndex((cells) => cells.includes(event.target));
    if (row < 0 || event.ctrlKey || event.altKey || event.metaKey) return;
    const column = rows[row].indexOf(event.target);
    let to;
    if (event.key in WAYS) to = rows[row + WAYS[event.key][0]]?.[column + WAYS[event.key][1]];
    else if (event.key === "Home") [to] = rows[row];
    else if (event.key === "End") to = rows[row].at(-1);
    else return;
    event.preventDefault();
    go(to);
  });
}
