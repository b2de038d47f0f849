/* The queue of approvals: how many are ticked, all of a page, the dialog, the drawer, keys. All of it works without. */
(function () {
  "use strict";
  var one = function (path, root) { return (root || document).querySelector(path); };
  var all = function (path) { return Array.prototype.slice.call(document.querySelectorAll(path)); };
  var chosen = one("#chosen");
  var dialog = one("#dialog");
  var drawer = one("#drawer");
  var boxes = function () { return all("input[name=item][form=chosen]"); };

  function count() {
    if (!chosen) { return; }
    var said = one("[data-some]", chosen);
    var every = one("input[name=all]", chosen).checked;
    var n = boxes().filter(function (box) { return box.checked; }).length;
    said.textContent = n ? said.dataset.some.replace("{n}", n) : said.dataset.none;
    said.hidden = every;
    var page = one("th.tick input");
    if (page) { page.checked = n > 0 && n === boxes().length; page.indeterminate = n > 0 && n < boxes().length; }
  }

  function tickAll() {
    var place = one("th.tick");
    if (!place || !boxes().length) { return; }
    var box = document.createElement("input");
    box.type = "checkbox";
    box.setAttribute("aria-label", document.documentElement.lang === "en" ? "All on this page" : "选中本页全部");
    box.addEventListener("change", function () {
      boxes().forEach(function (other) { other.checked = box.checked; });
      count();
    });
    place.appendChild(box);
  }

  /* ---- dialog and drawer ---- */

  function shut() { if (dialog && dialog.open) { dialog.close(); } }

  document.addEventListener("htmx:afterSwap", function (event) {
    if (event.target === dialog) {
      if (!dialog.open) { dialog.showModal(); }
      var head = one("h1", dialog);
      if (head) { head.focus(); }
    }
    if (event.target === drawer) {
      var shown = one("[data-id]", drawer);
      if (shown) { mark(one("#row-" + shown.dataset.id)); one("h2", drawer).focus({ preventScroll: true }); }
    }
  });
  document.addEventListener("click", function (event) {
    var near = event.target.closest ? event.target : event.target.parentElement;
    if (near.closest("[data-close]") && near.closest("dialog")) { event.preventDefault(); shut(); }
    if (near.closest("[data-shut]")) {
      event.preventDefault();
      drawer.replaceChildren();
    }
  });
  document.addEventListener("change", function (event) {
    if (event.target.dataset && event.target.dataset.fills && event.target.value) {
      one("#" + event.target.dataset.fills, event.target.form).value = event.target.value;
    }
    count();
  });
  document.body.addEventListener("decided", function (event) {
    var row = one("#row-" + event.detail.id);
    if (row) { row.remove(); }
    count();
  });

  /* ---- keys ---- */

  var here = null;
  function mark(row) {
    if (here) { here.classList.remove("here"); }
    here = row;
    if (here) { here.classList.add("here"); here.scrollIntoView({ block: "nearest" }); }
  }
  function step(by) {
    var rows = all("tr[id^=row-]");
    if (!rows.length) { return; }
    var at = rows.indexOf(here);
    mark(rows[Math.max(0, Math.min(rows.length - 1, at < 0 ? 0 : at + by))]);
    one("a", here).focus({ preventScroll: true });
  }
  function press(key) {
    var button = one("#drawer [data-key=" + key.toUpperCase() + "]");
    if (!button) {
      if (here && !boxes().some(function (box) { return box.checked; })) { one("a", here).click(); return; }
      button = one("#chosen [data-key=" + key + "]");
    }
    if (button) { button.click(); }
  }
  var keys = {
    j: function () { step(1); },
    k: function () { step(-1); },
    x: function () { if (here) { var box = one("input", here); box.checked = !box.checked; count(); } },
    a: function () { press("a"); },
    r: function () { press("r"); },
    "?": function () { var help = one("#keys"); help.open = !help.open; if (help.open) { help.scrollIntoView(); } }
  };
  var use = one("#keys-on");
  if (use) {
    use.checked = localStorage.getItem("queue-keys") !== "off";
    use.addEventListener("change", function () { localStorage.setItem("queue-keys", use.checked ? "on" : "off"); });
  }
  document.addEventListener("keydown", function (event) {
    var typing = event.target.closest && event.target.closest("input:not([type=checkbox]), select, textarea, dialog");
    if (typing || event.ctrlKey || event.metaKey || event.altKey || !use || !use.checked) { return; }
    var act = keys[event.key.toLowerCase()];
    if (act) { event.preventDefault(); act(); }
  });

  if (use) { one("#keys").hidden = false; }
  tickAll();
  count();
})();
