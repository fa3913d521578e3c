// What the forms of the page of alerts say beyond "done".
function tell(form, level, words) {
  const told = form.querySelector("[data-told]");
  told.dataset.level = level;
  told.textContent = words;
}

document.addEventListener("sent", (event) => {
  const { target: form, detail } = event;
  if (form.matches("[data-test]")) tell(form, detail.sent ? "good" : "bad", detail.sent ? "It was taken." : detail.error);
  if (!form.matches("[data-receiver]")) return;
  if (detail.secret) tell(form, "good", `Its messages are signed with ${detail.secret}: note it down, it is not shown again.`);
  else location.reload();
});
