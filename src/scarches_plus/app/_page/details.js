// What a job found: composition, selection, novel cells, and downloads.

import { get, post } from "./api.js";
import { $, count, el, fill, percent, tried } from "./dom.js";
import { value } from "./shown.js";

const MOST_ROWS = 100;

export class Details {
  /**
   * `picture` saves the map; `renamed(result)` is called when clusters got names; `shownOnly()` selects what is shown;
   * `covered()` colours the map by presence.
   */
  constructor({ picture, renamed, shownOnly, covered }) {
    Object.assign(this, { picture, renamed, shownOnly, covered });
    this.tab = "Composition";
    this.selected = null; // { shown, rows }
  }

  draw(shown, all) {
    $("no-results").hidden = Boolean(shown);
    $("results").hidden = !shown;
    this.shown = shown;
    this.all = all;
    if (!shown) return;
    if (this.selected && !all.includes(this.selected.shown)) this.selected = null;
    const tabs = ["Composition", "Presence", "Selection", "Novel", "About"];
    const panel = el("div", { role: "tabpanel", id: "panel", "aria-label": this.tab });
    fill($("results"),
      el("h2", {}, shown.name),
      shown.result.notes.length ? el("details", { class: "problem small" }, el("summary", {}, `${shown.result.notes.length} ${shown.result.notes.length > 1 ? "things" : "thing"} to know`), shown.result.notes.map((note) => el("p", {}, note))) : null,
      el("div", { class: "downloads", "aria-label": "Downloads" }, this.downloads()),
      el("div", { class: "tabs", role: "tablist" }, tabs.map((name) => el("button", {
        type: "button", role: "tab", "aria-selected": String(name === this.tab), "aria-pressed": String(name === this.tab), "aria-controls": "panel",
        onclick: () => { this.tab = name; this.draw(shown, all); },
      }, name))),
      panel);
    tried(() => ({ Composition: () => this.composition(panel), Presence: () => this.presence(panel), Selection: () => this.selection(panel), "Novel": () => this.novel(panel), About: () => this.about(panel) })[this.tab]())();
  }

  select(shown, rows) {
    this.selected = rows.length ? { shown, rows } : null;
    this.tab = "Selection";
    this.draw(this.shown, this.all);
  }

  downloads() {
    const file = (name, text) => el("a", { href: `/api/jobs/${this.shown.id}/files/${name}`, ...(name === "report.html" ? { target: "_blank", rel: "noopener" } : { download: "" }) }, text);
    return [
      file("result.h5ad", "h5ad"), file("cells.csv", "CSV"), file("cells.arrow", "Arrow"), file("report.html", "Report"), file("script.py", "Python script"),
      el("button", { type: "button", onclick: tried(() => this.picture("png")) }, "PNG"), el("button", { type: "button", onclick: tried(() => this.picture("svg")) }, "SVG"),
    ];
  }

  composition(panel) {
    const { result } = this.shown;
    const known = result.reference_composition;
    const labels = [...new Set([...Object.keys(result.composition), ...Object.keys(known)])];
    const share = (counts, label) => (Object.hasOwn(counts, label) ? counts[label] : 0) / Math.max(1, Object.values(counts).reduce((a, b) => a + b, 0));
    const others = this.all.filter((one) => one !== this.shown);
    const rows = labels.map((label) => ({ label, own: share(result.composition, label), reference: share(known, label) })).sort((a, b) => b.own - a.own);
    const most = Math.max(...rows.map(({ own, reference }) => Math.max(own, reference)), 1e-9);
    fill(panel,
      el("p", { class: "small" }, `${count(result.n_cells)} cells. The lighter bar is the share in the reference.`),
      el("table", {},
        el("thead", {}, el("tr", {}, el("th", { scope: "col" }, result.labels_key), el("th", { scope: "col", class: "number" }, "cells"), el("th", { scope: "col", class: "number" }, "share"), others.map((one) => el("th", { scope: "col", class: "number" }, one.name)), el("th", { scope: "col", class: "bars" }, "and in the reference"))),
        el("tbody", {}, rows.map(({ label, own, reference }) => el("tr", {},
          el("td", {}, label), el("td", { class: "number" }, count(result.composition[label] ?? 0)), el("td", { class: "number" }, percent(own)),
          others.map((one) => el("td", { class: "number" }, percent(share(one.result.composition, label)))),
          el("td", { class: "bars", title: `reference ${percent(reference)}` }, el("span", { class: "bar", width: `${(100 * own) / most}%` }), el("span", { class: "bar other", width: `${(100 * reference) / most}%` })))))));
  }

  async presence(panel) {
    const { shown } = this;
    if (shown.result.map !== "reference") { fill(panel, el("p", {}, "The reference has no map, so which of its states these cells cover is not measured.")); return; }
    fill(panel, el("p", { class: "quiet", role: "status" }, "Measuring…"));
    let labels;
    try {
      ({ labels } = await shown.presence());
    } catch (error) {
      fill(panel, el("p", { class: "bad" }, error.message));
      return;
    }
    if (this.shown !== shown || this.tab !== "Presence") return;
    const heads = [["label"], ["presence", "as densely as the reference's own cells: 1, not at all: 0"], ["share", "of these cells, and its 95 % interval were they a sample"], ["in ref.", "share in the reference"]];
    const rows = [...labels].sort((a, b) => b.presence - a.presence);
    fill(panel,
      el("p", { class: "small" }, "Which states of the reference these cells cover, and how surely. Cells called novel are left out."),
      el("div", { class: "row" }, el("button", { type: "button", onclick: tried(() => this.covered()) }, "Show on the map")),
      el("table", {},
        el("thead", {}, el("tr", {}, heads.map(([head, title]) => el("th", { scope: "col", ...(title ? { class: "number", title } : {}) }, head)))),
        el("tbody", {}, rows.map((row) => el("tr", {}, el("td", {}, row.label), el("td", { class: "number" }, row.presence.toFixed(2)),
          el("td", { class: "number" }, percent(row.share), el("div", { class: "small quiet" }, `${percent(row.low).slice(0, -2)}–${percent(row.high)}`)), el("td", { class: "number" }, percent(row.reference_share)))))));
  }

  async selection(panel) {
    const tools = el("div", { class: "row" }, el("button", { type: "button", onclick: () => this.shownOnly() }, "Select what is shown"),
      this.selected ? el("button", { type: "button", onclick: () => this.select(this.shown, []) }, "Clear") : null);
    if (!this.selected) {
      fill(panel, tools, el("p", { class: "quiet" }, "Draw a lasso around cells (tool Lasso, or Shift and drag), click a cell, or hide groups in the legend and select what is shown."));
      return;
    }
    const { shown, rows } = this.selected;
    const { result } = shown;
    const names = await shown.names();
    const wanted = [result.predicted, "probability", ...(result.novel ? ["novel_state"] : []), result.batch_key];
    const columns = (await Promise.all([...new Set(wanted)].map((name) => shown.column(name)))).filter(Boolean);
    const labels = columns[0];
    const counts = new Map();
    for (const row of rows) counts.set(value(labels, row), (counts.get(value(labels, row)) ?? 0) + 1);
    const parts = [...counts].sort((a, b) => b[1] - a[1]);
    const why = el("div", { "aria-live": "polite" });
    const explain = tried(async (row) => { fill(why, el("p", { class: "quiet" }, "Asking…")); fill(why, whyOf((await post(`/jobs/${shown.id}/explain`, { rows: [row] }))[0])); });
    fill(panel, tools,
      el("p", { id: "selected" }, `${count(rows.length)} of ${count(result.n_cells)} cells of ${shown.name} are selected.`),
      el("table", {}, el("tbody", {}, parts.map(([label, n]) => el("tr", {}, el("td", {}, label), el("td", { class: "number" }, count(n)), el("td", { class: "number" }, percent(n / rows.length)), el("td", { class: "bars" }, el("span", { class: "bar", width: `${(100 * n) / rows.length}%` })))))),
      why,
      el("h3", {}, rows.length > MOST_ROWS ? `Cells, the first ${MOST_ROWS}` : "Cells"),
      el("div", { class: "scroll", tabIndex: 0, role: "region", "aria-label": "Selected cells" }, el("table", {},
        el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "cell"), columns.map(({ name }) => el("th", { scope: "col" }, name)), el("th", { scope: "col" }, el("span", { class: "unseen" }, "why")))),
        el("tbody", {}, [...rows.slice(0, MOST_ROWS)].map((row) => el("tr", {}, el("td", {}, names[row]), columns.map((column) => el("td", {}, String(value(column, row)))),
          el("td", {}, el("button", { type: "button", class: "link", onclick: () => explain(row), "aria-label": `Why this label of ${names[row]}` }, "Why?"))))))),
      el("div", { class: "downloads" }, el("button", { type: "button", onclick: () => saveTable(names, columns, rows, shown.name) }, "Save the selection as CSV")));
    if (rows.length === 1) explain(rows[0]);
  }

  novel(panel) {
    const { result } = this.shown;
    const { novel } = result;
    if (!novel) {
      fill(panel, el("p", {}, result.novelty || "Novelty was not judged."));
      return;
    }
    const clusters = Object.entries(novel.clusters);
    const inputs = new Map(clusters.map(([cluster]) => [cluster, el("input", { type: "text", value: novel.names[cluster] ?? "", "aria-label": `Name of ${cluster}`, placeholder: "name it" })]));
    const save = tried(async (event) => {
      event.preventDefault();
      const names = Object.fromEntries([...inputs].map(([cluster, input]) => [cluster, input.value.trim()]).filter(([, name]) => name));
      if (Object.keys(names).length === 0) throw new Error("give at least one cluster a name");
      this.renamed(this.shown, await post(`/jobs/${this.shown.id}/clusters`, { names }));
    });
    fill(panel,
      el("p", {}, el("strong", {}, count(novel.cells)), ` of ${count(result.n_cells)} cells are called novel: no label of the reference explains them.`),
      el("p", { class: "small quiet" }, `Of known cells ${percent(novel.alpha)} are expected to be called novel, and for one query between ${percent(novel.false_low)} and ${percent(novel.false_high)}. Where a cell lies on the map says nothing about novelty; novel cells are drawn as diamonds.`),
      clusters.length === 0
        ? el("p", {}, "No cluster of cells is mostly novel: single novel cells may be known ones.")
        : el("form", { onsubmit: save },
          el("table", {}, el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "cluster"), el("th", { scope: "col", class: "number" }, "cells"), el("th", { scope: "col" }, "name"))),
            el("tbody", {}, clusters.map(([cluster, n]) => el("tr", {}, el("td", {}, cluster), el("td", { class: "number" }, count(n)), el("td", {}, inputs.get(cluster)))))),
          el("p", {}, el("button", { type: "submit" }, "Save names"))));
  }

  about(panel) {
    const { result } = this.shown;
    const facts = [["reference", result.reference], ["labels", result.labels_key], ["batches", result.batch_key], ["file", result.kind], ["map", result.map === "reference" ? "the reference's, unmoved" : "of these cells alone: the reference has none"]];
    fill(panel,
      el("div", { class: "card" }, el("dl", {}, facts.map(([name, fact]) => [el("dt", {}, name), el("dd", {}, fact)]))),
      el("h3", {}, "Time"),
      el("table", {}, el("tbody", {}, Object.entries(result.seconds).map(([step, seconds]) => el("tr", {}, el("td", {}, step), el("td", { class: "number" }, `${seconds.toFixed(1)} s`))))));
  }
}

function whyOf(answer) {
  const facts = [];
  if (answer.reason) facts.push(["verdict", answer.reason]);
  if (answer.neighbors) facts.push(["neighbours", answer.neighbors]);
  if (answer.novel !== undefined) facts.push(["novelty", `${answer.novel_score.toFixed(2)} (${answer.novel ? "above" : "below"} ${answer.novel_threshold.toFixed(2)})`], ["explained best by", answer.novel_label]);
  return el("div", { class: "card", id: "why" },
    el("strong", {}, `Why ${answer.prediction}?`), el("div", { class: "small quiet" }, answer.cell),
    el("table", {}, el("tbody", {}, answer.labels.map(({ label, probability }) => el("tr", {}, el("td", {}, label), el("td", { class: "number" }, percent(probability)), el("td", { class: "bars" }, el("span", { class: "bar", width: `${100 * probability}%` })))))),
    el("dl", {}, facts.map(([name, fact]) => [el("dt", {}, name), el("dd", {}, fact)])));
}

function saveTable(names, columns, rows, name) {
  // text that a spreadsheet would run as a formula gets a quote before it
  const cell = (raw) => { const text = String(raw); return `"${(/^[=+\-@\t\r]/.test(text) && Number.isNaN(Number(text)) ? `'${text}` : text).replaceAll('"', '""')}"`; };
  const lines = [["cell", ...columns.map((column) => column.name)], ...[...rows].map((row) => [names[row], ...columns.map((column) => value(column, row))])];
  save(new Blob([lines.map((line) => line.map(cell).join(",")).join("\n")], { type: "text/csv" }), `${name.split(".")[0]}-selection.csv`);
}

export function save(blob, name) {
  const link = el("a", { href: URL.createObjectURL(blob), download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}
