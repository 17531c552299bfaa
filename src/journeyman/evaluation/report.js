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

  draw();
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  window.matchMedia("print").addEventListener("change", draw);
})();
