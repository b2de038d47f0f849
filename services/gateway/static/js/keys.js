/* Keys that lead somewhere: "/" puts the cursor into the search of the bar. Nothing needs them. */
/* Beside them the buttons that show a password while it is typed; without this they are not there. */
document.addEventListener("keydown", (event) => {
  const typing = event.target.closest("input, select, textarea, [contenteditable]");
  if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
  const field = document.querySelector(`[data-cursor="${CSS.escape(event.key)}"]`);
  if (field) {
    field.focus();
    event.preventDefault();
  }
});

for (const button of document.querySelectorAll("[data-shows]")) {
  const field = document.getElementById(button.dataset.shows);
  const show = (open) => {
    field.type = open ? "text" : "password";
    button.setAttribute("aria-pressed", open);
  };
  button.hidden = false;
  button.addEventListener("click", () => {
    show(field.type === "password");
    field.focus();
  });
  // Browsers keep passwords, and no other text, when a form is sent.
  field.form.addEventListener("submit", () => show(false));
}
