"use strict";
(() => {
  const root = document.documentElement;
  const every = (selector, within) => [...(within || document).querySelectorAll(selector)];

  // ---- colours: the reader's choice, kept where the browser lets a local file keep anything ----
  const remember = (value) => { try { localStorage.setItem("kpi-theme", value); } catch (refused) { return refused; } };
  const remembered = () => { try { return localStorage.getItem("kpi-theme"); } catch (refused) { return null; } };
  const themes = every("input[name=theme]");
  const dress = (value) => { if (value === "auto") delete root.dataset.theme; else root.dataset.theme = value; };
  const kept = themes.find((input) => input.value === remembered());
  if (kept) { kept.checked = true; dress(kept.value); }
  for (const input of themes) input.addEventListener("change", () => { dress(input.value); remember(input.value); });

  // ---- the ledger: filter ----
  const table = document.getElementById("targets");
  const targets = every(".t", table);
  const chips = every(".chip");
  const find = document.getElementById("find");
  const workload = document.getElementById("workload");
  const texts = targets.map((body) => body.rows[0].textContent.toLowerCase().replace(/\s+/g, " "));
  const filter = () => {
    const states = new Set(chips.filter((c) => c.getAttribute("aria-pressed") === "true").map((c) => c.dataset.state));
    const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    targets.forEach((body, place) => {
      const fits = states.has(body.dataset.state)
        && (!workload.value || body.dataset.workload === workload.value)
        && words.every((word) => texts[place].includes(word));
      body.hidden = !fits;
      count += fits;
    });
    document.getElementById("shown").textContent = `${count} of ${targets.length} targets shown`;
    document.getElementById("none").hidden = count > 0;
  };
  for (const chip of chips) {
    chip.addEventListener("click", () => {
      chip.setAttribute("aria-pressed", String(chip.getAttribute("aria-pressed") !== "true"));
      filter();
    });
  }
  find.addEventListener("input", filter);
  workload.addEventListener("change", filter);
  filter();

  // ---- the ledger: sort ----
  const collator = new Intl.Collator("en", { numeric: true });
  const numeric = new Set(["rank", "spare", "place"]);
  const value = (body, key) => (numeric.has(key) ? (body.dataset[key] === "" ? NaN : Number(body.dataset[key])) : body.dataset[key]);
  const compare = (key, way) => (one, other) => {
    const a = value(one, key), b = value(other, key);
    const none = (v) => v === "" || Number.isNaN(v);
    if (none(a) || none(b)) return none(a) - none(b) || one.dataset.place - other.dataset.place;
    const found = numeric.has(key) ? a - b : collator.compare(a, b);
    return way * found || one.dataset.place - other.dataset.place;
  };
  for (const button of every("thead button", table)) {
    button.addEventListener("click", () => {
      const head = button.closest("th");
      const down = head.getAttribute("aria-sort") === "ascending";
      for (const other of every("[aria-sort]", table)) other.setAttribute("aria-sort", "none");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      table.append(...targets.slice().sort(compare(button.dataset.key, down ? -1 : 1)));
    });
  }
  for (const button of every(".more", table)) {
    button.addEventListener("click", () => {
      const open = button.getAttribute("aria-expanded") !== "true";
      button.setAttribute("aria-expanded", String(open));
      document.getElementById(button.getAttribute("aria-controls")).hidden = !open;
    });
  }

  // ---- figures: each drawn when it comes near the window ----
  const drawn = new Map();
  const draw = (chart) => {
    if (!drawn.has(chart)) {
      const spec = JSON.parse(document.getElementById(chart.dataset.spec).textContent);
      const options = { mode: "vega-lite", actions: false, renderer: "svg", ast: true, tooltip: { disableDefaultStyle: true } };
      drawn.set(chart, window.vegaEmbed(chart, spec, options).then((made) => {
        for (const svg of every("svg", chart)) svg.setAttribute("aria-hidden", "true");
        chart.style.minHeight = "";
        chart.dataset.drawn = "yes";
        return made.view;
      }));
    }
    return drawn.get(chart);
  };
  const charts = window.vegaEmbed ? every(".chart") : [];
  const near = new IntersectionObserver((entries) => {
    for (const entry of entries) if (entry.isIntersecting) { near.unobserve(entry.target); draw(entry.target); }
  }, { rootMargin: "600px" });
  charts.forEach((chart) => near.observe(chart));
  addEventListener("beforeprint", () => charts.forEach(draw));
  for (const select of every("select[data-chart]")) {
    const chart = document.getElementById(select.dataset.chart);
    const spec = chart && JSON.parse(document.getElementById(chart.dataset.spec).textContent);
    const first = spec && spec.params && spec.params[0].value;
    if (first) select.value = first;
    select.addEventListener("change", () => chart && draw(chart).then((view) => view.signal("chosen", select.value).runAsync()));
  }
})();
