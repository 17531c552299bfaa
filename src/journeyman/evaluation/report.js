(function () {
  "use strict";
  var figures = JSON.parse(document.getElementById("figures").textContent);

  // Colours are written as "var:name" in the figures, so that one figure serves light, dark and print.
  function resolve(value, styles) {
    if (typeof value === "string" && value.startsWith("var:")) {
      return styles.getPropertyValue("--" + value.slice(4)).trim();
    }
    if (Array.isArray(value)) {
      return value.map(function (item) { return resolve(item, styles); });
    }
    if (value && typeof value === "object") {
      var copy = {};
      Object.keys(value).forEach(function (key) { copy[key] = resolve(value[key], styles); });
      return copy;
    }
    return value;
  }

  function draw() {
    var styles = getComputedStyle(document.documentElement);
    Object.keys(figures).forEach(function (id) {
      var figure = resolve(figures[id], styles);
      Plotly.react(document.getElementById(id), figure.data, figure.layout, { displayModeBar: false, responsive: true });
    });
  }

  // Failures by the field that differs and by text; the choice stands in the address, so that a view can be sent to somebody.
  function filter() {
    var box = document.getElementById("filters");
    if (!box) { return; }
    var field = document.getElementById("by-field"), text = document.getElementById("by-text");
    var items = Array.prototype.slice.call(document.querySelectorAll(".failure[data-fields]"));
    function show() {
      var wanted = text.value.toLowerCase();
      var kept = items.filter(function (item) {
        var fits = !field.selectedIndex || JSON.parse(item.dataset.fields).indexOf(field.value) >= 0;
        item.hidden = !(fits && item.textContent.toLowerCase().indexOf(wanted) >= 0);
        return !item.hidden;
      });
      document.getElementById("shown").textContent = kept.length + " of " + items.length;
    }
    function keep() {
      var said = new URLSearchParams();
      if (field.selectedIndex) { said.set("field", field.value); }
      if (text.value) { said.set("text", text.value); }
      history.replaceState(null, "", "#" + said.toString());
      show();
    }
    var given = new URLSearchParams(location.hash.slice(1));
    Array.prototype.forEach.call(field.options, function (option, place) {
      if (place && given.has("field") && option.value === given.get("field")) { field.selectedIndex = place; }
    });
    text.value = given.get("text") || "";
    box.hidden = false;
    field.addEventListener("change", keep);
    text.addEventListener("input", keep);
    show();
  }

  draw();
  filter();
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  window.matchMedia("print").addEventListener("change", draw);
})();
