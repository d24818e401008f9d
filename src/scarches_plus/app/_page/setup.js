// Choose a reference and cells, see what is wrong with them, and start a job.

import { get, post, remove, upload } from "./api.js";
import { $, count, el, fill, options, percent, tried } from "./dom.js";

const NO_BATCH = "";

export class Setup {
  /** `opened(reference)` is called with each reference that is opened, `started(job)` with each job. */
  constructor({ opened, started }) {
    this.opened = opened;
    this.started = started;
    this.reference = null;
    this.cells = null; // { file } or { path }, and name
    $("reference").addEventListener("change", tried(() => this.open($("reference").value, { chosen: true })));
    $("other-reference").addEventListener("submit", tried((event) => { event.preventDefault(); return this.openOther(); }));
    $("path-form").addEventListener("submit", tried((event) => { event.preventDefault(); return this.takePath(); }));
    $("file").addEventListener("change", tried(() => this.send($("file").files[0])));
    $("batch").addEventListener("change", tried(() => this.check()));
    $("layer").addEventListener("change", tried(() => this.check()));
    $("labels-key").addEventListener("change", tried(() => this.reference && this.open(this.reference.what, { labelsKey: $("labels-key").value })));
    for (const name of ["modality", "transpose"]) $(name).addEventListener("change", tried(() => this.readAgain()));
    $("force").addEventListener("change", () => this.allow());
    for (const radio of document.querySelectorAll("input[name=method]")) radio.addEventListener("change", () => this.report && this.allow());
    $("run-form").addEventListener("submit", tried((event) => { event.preventDefault(); return this.run(); }));
    this.listenForDrops();
  }

  async start() {
    const { references, paths } = await get("/references");
    $("other").hidden = $("path-form").hidden = !paths;
    options($("reference"), references.map(({ what, title, species, tissue }) => [what, `${title}${tissue ? ` (${[species, tissue].filter((word) => word !== "none").join(", ")})` : ""}`, what]));
    if (references.length) await this.open(references[0].what);
  }

  async openOther() {
    const what = $("reference-path").value.trim();
    if (!what) return;
    await this.open(what, { chosen: true });
    if (![...$("reference").options].some((one) => one.value === what)) $("reference").append(el("option", { value: what, textContent: what }));
    $("reference").value = what;
  }

  /** Open a reference; `chosen` by the visitor, so that its map is what they want to see. */
  async open(what, { labelsKey, chosen = false } = {}) {
    const turn = (this.turn = (this.turn ?? 0) + 1);
    if (labelsKey === undefined) { // nothing is mapped onto the reference of before, and cells are looked at anew
      this.reference = this.report = null;
      this.checks = (this.checks ?? 0) + 1;
      $("run-form").hidden = true;
    }
    fill($("card"), el("p", { class: "quiet" }, "Opening the reference…"));
    try {
      const found = await post("/references", { what, labels_key: labelsKey ?? null });
      if (turn !== this.turn) return;
      this.reference = found;
    } catch (error) {
      if (turn === this.turn) fill($("card"), el("p", { class: "bad" }, error.message));
      return;
    }
    const found = this.reference;
    options($("labels-key"), found.labels_keys.map((key) => [key, key]), found.labels_key);
    fill($("card"), cardOf(found));
    await this.opened(found, chosen);
    if (this.cells && labelsKey === undefined && turn === this.turn) await this.check();
  }

  listenForDrops() {
    const zone = $("drop");
    let depth = 0;
    const over = (change) => (event) => { event.preventDefault(); depth = Math.max(0, depth + change); zone.classList.toggle("over", depth > 0); };
    addEventListener("dragenter", over(1));
    addEventListener("dragleave", over(-1));
    addEventListener("dragover", (event) => event.preventDefault());
    addEventListener("drop", tried((event) => { over(-9)(event); return this.send(event.dataTransfer.files[0]); }));
  }

  async send(file) {
    if (!file) return;
    const bar = el("progress", { max: 1, value: 0, "aria-label": "Sending the file" });
    const turn = this.forget();
    fill($("check"), el("p", {}, `Sending ${file.name} to the server on this machine…`), bar);
    try {
      const sent = await upload(file, (share) => { bar.value = share; });
      if (turn !== this.sends) { drop(sent.file); return; } // another file was taken meanwhile
      this.take({ file: sent.file, name: file.name });
    } catch (error) {
      if (turn === this.sends) fill($("check"), el("p", { class: "bad" }, error.message));
      return;
    } finally {
      $("file").value = "";
    }
    await this.check();
  }

  async takePath() {
    const path = $("path").value.trim();
    if (!path) return;
    this.forget();
    this.take({ path, name: path.split(/[\\/]/).pop() });
    await this.check();
  }

  /** Leave the cells of before, and whatever is still asked about them; return the number of those to come. */
  forget() {
    if (this.cells?.file && !this.cells.mapped) drop(this.cells.file);
    this.sends = (this.sends ?? 0) + 1;
    this.checks = (this.checks ?? 0) + 1;
    this.cells = null;
    this.report = null;
    $("run-form").hidden = $("reading").hidden = true;
    $("modality").value = "";
    $("transpose").checked = false;
    return this.sends;
  }

  /** Work with these cells; of some kinds of files, how they are read can be told. */
  take(cells) {
    this.cells = cells;
    const [, kind] = /\.(h5mu|csv|tsv|txt)(?:\.gz)?$/i.exec(cells.name) ?? [];
    $("reading").hidden = !kind;
    $("modality-label").hidden = kind?.toLowerCase() !== "h5mu";
    $("transpose-label").hidden = !$("modality-label").hidden;
  }

  /** What of a job's options names the cells and how they are read. */
  asked() {
    const { file = null, path = null } = this.cells;
    const chosen = this.report ? { batch_key: $("batch").value || null, layer: $("layer").value || null } : {};
    const read = { modality: $("modality").value.trim() || null, transpose: $("transpose").checked };
    return { reference: this.reference.what, file, path, ...read, ...chosen };
  }

  /** Read the cells another way: what was found in them is forgotten. */
  readAgain() {
    this.report = null;
    $("run-form").hidden = true;
    return this.check();
  }

  async check() {
    if (!this.reference || !this.cells) return;
    const first = !this.report;
    const turn = (this.checks = (this.checks ?? 0) + 1);
    if (first) fill($("check"), el("p", { class: "quiet" }, "Looking at the cells…"));
    $("run").disabled = true;
    let report;
    try {
      report = await post("/check", this.asked());
      if (turn !== this.checks) return;
      if (first && report.suggested_batch_key) report = await post("/check", { ...this.asked(), batch_key: report.suggested_batch_key });
    } catch (error) {
      if (turn === this.checks) {
        fill($("check"), el("p", { class: "bad" }, error.message));
        if (first && $("reading").hidden) this.forget();
      }
      return;
    }
    if (turn !== this.checks) return;
    if (first) this.offer(report);
    this.report = report;
    fill($("check"), reportOf(report, this.cells.name));
    this.allow();
  }

  offer(report) {
    const columns = report.columns.filter(({ groups }) => groups !== null && groups >= 1);
    options($("batch"), [
      [NO_BATCH, "none: all cells are one batch"],
      ...columns.map(({ name, groups, names }) => [name, `${name} (${groups}: ${names.slice(0, 3).join(", ")}${groups > 3 ? ", …" : ""})`]),
    ], report.suggested_batch_key ?? NO_BATCH);
    options($("layer"), [["", "as the reference (X)"], ...report.layers.map((name) => [name, name])], "");
    for (const radio of document.querySelectorAll("input[name=method]")) {
      radio.checked = radio.value === report.method;
      radio.disabled = radio.value === "surgery" && !this.reference.encodes_batch;
    }
    $("run-form").hidden = false;
  }

  allow() {
    const { ok, maps_with_warnings } = this.report;
    const possible = maps_with_warnings && this.surgery();
    $("force-label").hidden = ok || !possible;
    $("run").disabled = !(ok || (possible && $("force").checked));
  }

  /** Whether the batches of the cells are learned. */
  surgery() {
    return document.querySelector("input[name=method]:checked").value === "surgery";
  }

  async run() {
    const number = (id) => ($(id).value === "" ? null : Number($(id).value));
    this.cells.mapped = true;
    const job = await post("/jobs", {
      ...this.asked(),
      name: this.cells.name,
      labels_key: $("labels-key").value || null,
      method: this.surgery() ? "surgery" : "zero-shot",
      max_epochs: this.surgery() ? number("epochs") : null,
      unknown_above: number("unknown") ?? 0.5,
      on_problem: !this.report.ok && this.surgery() && $("force").checked ? "warn" : "raise",
    });
    this.started(job);
  }
}

/** Let go of a file that was sent; what is not told now the server drops after a day. */
function drop(file) {
  remove(`/files/${file}`).catch(() => {});
}

function cardOf(found) {
  const { card } = found;
  const labels = Object.keys(found.composition);
  const facts = [
    ["cells", count(card.cells ?? Object.values(found.composition).reduce((a, b) => a + b, 0))],
    ["genes", `${count(found.n_genes)} (${found.genes.slice(0, 3).join(", ")}, …)`],
    ["model", `${found.model}, recipe ${found.recipe || "unknown"}`],
    ["batches", count(found.batches.length)],
    ["novelty", found.novelty ? "can be judged" : "cannot be judged: no profiles of labels"],
    ["license", card.license], ["source", card.citation || card.doi],
  ].filter(([, value]) => value);
  return el("div", { class: "card" },
    el("strong", {}, card.title || found.what),
    card.description ? el("p", { class: "small quiet" }, card.description.split("\n")[0]) : null,
    el("dl", {}, facts.map(([name, value]) => [el("dt", {}, name), el("dd", {}, value)])),
    el("details", {}, el("summary", {}, `${labels.length} labels (${found.labels_key})`), el("p", { class: "small" }, labels.join(", "))));
}

function reportOf(report, name) {
  const share = report.n_reference_genes ? report.n_genes_found / report.n_reference_genes : 0;
  return el("div", { class: "card" },
    el("strong", {}, name),
    el("p", { class: "small" }, `${count(report.n_cells)} cells, ${count(report.n_genes)} genes; ${percent(share)} of the reference's genes are there.`),
    report.problems.length === 0 ? el("p", { class: "good" }, "✓ No problems found.") : null,
    report.problems.map(({ severity, message, fix }) => el("div", { class: `problem ${severity}` }, el("b", {}, `${severity}: `), message, el("div", { class: "small" }, el("em", {}, "Fix: "), fix))));
}
