/* Keys that lead somewhere: "/" puts the cursor into the search of the bar. Nothing needs them. */
document.addEventListener("keydown", (event) => {
  const typing = event.target.closest("input, select, textarea, [contenteditable]");
  if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
  const field = document.querySelector(`[data-cursor="${CSS.escape(event.key)}"]`);
  if (field) {
    field.focus();
    event.preventDefault();
  }
});
