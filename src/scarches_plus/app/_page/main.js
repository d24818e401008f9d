// Put the parts of the page together.

import { post, view } from "./api.js";
import { grey, groupColors, onScheme } from "./colors.js";
import { Details } from "./details.js";
import { $, complain, count, options, tried } from "./dom.js";
import { Jobs } from "./jobs.js";
import { drawLegend } from "./legend.js";
import { savePicture } from "./picture.js";
import { Plot, namesOf } from "./plot.js";
import { Setup } from "./setup.js";
import { Shown, paint, schemeOf, value } from "./shown.js";

const BY_QUERY = "\u0000query"; // colour by which query a cell is of
const BY_PRESENCE = "\u0000presence"; // colour the reference by how densely the cells cover it
const NO_LABEL = 65535;

class Page {
  constructor() {
    this.plot = new Plot($("points"), $("over"));
    this.reference = null; // what the server says of it
    this.map = null; // { what, xy, codes, labels, layer }
    this.shown = [];
    this.filter = { hidden: new Set(), range: null };
    this.scheme = { kind: "none" };
    this.covers = null; // presence on the reference's points, while they are coloured by it
    this.setup = new Setup({ opened: (reference, chosen) => this.queue(() => this.open(reference, chosen)), started: (job) => this.jobs.add(job) });
    this.jobs = new Jobs((states) => this.queue(() => this.show(states)));
    this.details = new Details({
      picture: (kind) => savePicture(kind, this.plot, this.scheme, this.shown[0]?.name ?? "map"),
      renamed: (shown, result) => this.rename(shown, result),
      shownOnly: () => this.select(this.plot.within(null)),
      covered: () => { $("color").value = BY_PRESENCE; this.gene = null; $("gene").value = ""; return this.recolor(true); },
    });
    this.listen();
  }

  async start() {
    await Promise.all([this.setup.start(), this.jobs.start()]);
    document.body.dataset.ready = "yes";
  }

  /** Change what the map shows one after the other: each change fetches something first. */
  queue(change) {
    const next = (this.last ?? Promise.resolve()).then(change);
    this.last = next.catch(() => {});
    return next;
  }

  listen() {
    $("color").addEventListener("change", tried(() => { this.gene = null; $("gene").value = ""; return this.recolor(true); }));
    $("gene-form").addEventListener("submit", tried((event) => { event.preventDefault(); this.gene = $("gene").value.trim() || null; return this.recolor(true); }));
    const tool = (name) => () => {
      this.plot.setTool(name);
      for (const one of ["pan", "lasso"]) $(`tool-${one}`).setAttribute("aria-pressed", String(one === name));
    };
    $("tool-pan").addEventListener("click", tool("pan"));
    $("tool-lasso").addEventListener("click", tool("lasso"));
    $("fit").addEventListener("click", () => this.plot.fit());
    $("show-labels").addEventListener("change", () => this.name());
    $("show-reference").addEventListener("change", () => this.draw());
    onScheme(tried(() => { if (this.map) this.map.look = null; return this.recolor(false); }));
    this.plot.on("select", (found) => this.select(found));
    this.plot.on("pick", (found) => { if (found) this.select(this.plot.layers.map((_, at) => (at === found.layer ? Uint32Array.of(found.index) : new Uint32Array(0)))); });
    this.plot.on("hover", (found, place) => this.tell(found, place));
  }

  /** A reference was opened: show its map, unless results are shown that nobody turned away from. */
  async open(reference, chosen) {
    this.reference = reference;
    if (chosen && this.shown.length) {
      this.jobs.choose([]);
    } else if (this.shown.length === 0) {
      await this.take(reference);
      await this.recolor(true);
      this.plot.fit();
    }
  }

  async take(reference) {
    if (!reference.map) { this.map = null; return; }
    if (this.map?.file === reference.map) return;
    const { xy, label, labels } = await view(`/maps/${reference.map}`);
    this.map = { file: reference.map, xy, codes: label, labels, cells: reference.map_cells };
  }

  async show(states) {
    const kept = new Map(this.shown.map((one) => [one.id, one]));
    let shown = await Promise.all(states.map((state) => kept.get(state.id) ?? Shown.load(state)));
    const [first] = shown;
    const together = shown.filter(({ result }) => result.reference === first.result.reference && result.map === "reference");
    if (shown.length > 1 && together.length < shown.length) {
      complain(new Error("only queries on the same reference's own map can be shown side by side"));
      shown = [first];
      this.jobs.shown = [first.id];
    }
    if (first) {
      const { reference, labels_key } = first.result;
      const known = this.reference?.what === reference ? this.reference : null;
      const described = known ?? (await post("/references", { what: reference, labels_key }));
      if (first.result.map === "reference") await this.take(described);
      else this.map = null;
    } else if (this.reference) {
      await this.take(this.reference);
    }
    this.shown = shown;
    if (first) this.offerColors();
    $("color").disabled = $("gene").disabled = shown.length === 0;
    await this.recolor(true);
    this.plot.fit();
    this.details.draw(first, shown);
    if (first && matchMedia("(max-width: 1050px)").matches && document.body.dataset.ready) $("map").scrollIntoView();
  }

  offerColors() {
    const names = [...new Set(this.shown.flatMap(({ result }) => result.columns.map(({ name }) => name)))];
    const { predicted, uncertainty, batch_key: batch } = this.shown[0].result;
    const usual = [[predicted, "label"], ["probability", "probability of the label"], ["novel_score", "novelty"], ["novel_state", "novel or known"], [batch, "batch"]].filter(([name]) => names.includes(name));
    const others = names.filter((name) => !usual.some(([one]) => one === name) && name !== uncertainty);
    const before = $("color").value === BY_PRESENCE ? predicted : $("color").value; // presence is of one job
    const choices = [...(this.shown.length > 1 ? [[BY_QUERY, "query"]] : []), ...usual, ...(this.map ? [[BY_PRESENCE, "presence, on the reference"]] : []), ...others.map((name) => [name, name])];
    options($("color"), choices, choices.some(([name]) => name === before) ? before : predicted);
  }

  async recolor(anew = false) {
    if (anew) this.filter = { hidden: new Set(), range: null };
    const name = $("color").value;
    const turn = (this.turn = (this.turn ?? 0) + 1);
    const find = async (one, at) => {
      if (this.gene) return one.gene(this.gene);
      if (name === BY_QUERY) return { name: "query", kind: "groups", groups: this.shown.map((other) => other.name), values: new Uint16Array(one.n).fill(at) };
      return one.column(name);
    };
    const covers = name === BY_PRESENCE && !this.gene && this.map && this.shown.length ? await this.shown[0].presence() : null;
    const columns = covers ? this.shown.map(() => null) : await Promise.all(this.shown.map(find));
    if (turn !== this.turn) return; // another colour was chosen meanwhile
    if (covers && covers.values.length !== this.map.codes.length) throw new Error("the reference has another map now: open it again");
    Object.assign(this, { covers, columns });
    const ofReference = !this.shown.length && this.map && { kind: "groups", groups: this.map.labels, values: this.map.codes };
    this.scheme = covers ? { kind: "number", limits: [0, 1] } : schemeOf(ofReference ? [ofReference] : this.columns, this.knownLabels());
    this.draw();
  }

  knownLabels() {
    return this.map?.labels ?? Object.keys(this.shown[0]?.result.reference_composition ?? {});
  }

  draw() {
    const layers = [];
    if (this.map) layers.push(this.underneath());
    this.shown.forEach((one, at) => {
      one.layer ??= { xy: one.xy, pickable: true, size: 1.25 };
      one.layer.colors = paint(one.n, this.columns[at], this.scheme, this.filter.hidden, this.filter.range);
      one.layer.marks = one.marks;
      one.layer.hidden = Boolean(this.covers);
      layers.push(one.layer);
    });
    this.plot.show(layers);
    const novel = this.covers ? 0 : this.shown.reduce((sum, { result }) => sum + (result.novel?.cells ?? 0), 0);
    drawLegend($("legend"), this.scheme, this.filter, { novel, change: () => this.draw() });
    $("empty").hidden = layers.length > 0;
    if (!layers.length && this.reference) $("empty").textContent = "This reference has no map. Drop a file of cells: they get a map of their own.";
    $("map-note").textContent = this.note();
    $("points").setAttribute("aria-label", `Map of cells. ${this.note()}`);
    this.name();
  }

  /** The reference's points: by label as long as nothing lies on them, light grey below a query. */
  underneath() {
    const { map } = this;
    const below = this.shown.length > 0;
    map.layer ??= { xy: map.xy, pickable: false, size: map.cells === map.codes.length ? 1 : 2.5 };
    const look = this.covers ? [this.shown[0].id, this.filter.range].join(" ") : below || [...this.filter.hidden].join("\u0000");
    if (map.look !== look && this.covers) {
      map.layer.colors = paint(map.codes.length, this.covers, this.scheme, this.filter.hidden, this.filter.range);
      map.look = look;
    } else if (map.look !== look) {
      const none = grey();
      const colors = below ? map.labels.map(() => none) : groupColors(map.labels, map.labels);
      const gone = [...map.labels, null].map((label) => this.filter.hidden.has(label));
      const n = map.codes.length;
      const bytes = new Uint8Array(4 * n);
      for (let i = 0; i < n; i++) {
        const color = map.codes[i] === NO_LABEL ? none : colors[map.codes[i]];
        bytes[4 * i] = color[0]; bytes[4 * i + 1] = color[1]; bytes[4 * i + 2] = color[2]; bytes[4 * i + 3] = below ? 80 : gone[map.codes[i] === NO_LABEL ? map.labels.length : map.codes[i]] ? 0 : 235;
      }
      map.layer.colors = bytes;
      map.look = look;
    }
    map.layer.hidden = !$("show-reference").checked && !this.covers;
    return map.layer;
  }

  name() {
    const on = $("show-labels").checked;
    if (!on) { this.plot.setNames([]); return; }
    if (this.map) {
      this.map.names ??= namesOf(this.map.xy, this.map.codes, this.map.labels);
      this.plot.setNames(this.map.names);
      return;
    }
    const [first] = this.shown;
    const column = first?.columns.get(first.result.predicted);
    this.plot.setNames(column ? namesOf(first.xy, column.values, column.groups) : []);
  }

  note() {
    if (this.shown.length === 0) return this.map ? `${this.base()}, by label.` : "";
    if (this.covers) return `Presence of ${this.shown[0].name} on ${this.base()}: 1 where its cells lie as densely as the reference's own, or more so, 0 where none do.`;
    const cells = this.shown.map(({ name, n }) => `${name}: ${count(n)} cells`).join("; ");
    if (!this.map) return `${cells}. This reference has no map: the picture is of these cells alone.`;
    return `${cells}, on ${this.base()}, which stay where they are.`;
  }

  /** What the map is of: cells, or points that stand for 20 of them and more where the cells stay at home. */
  base() {
    const { cells, codes } = this.map;
    return cells === codes.length ? `${count(cells)} cells of the reference` : `${count(codes.length)} points that stand for ${count(cells)} cells of the reference`;
  }

  select(found) {
    const at = found.findIndex((rows) => rows.length > 0);
    const shown = this.shown[at - (this.map ? 1 : 0)] ?? this.shown[0];
    if (shown) this.details.select(shown, at < 0 ? [] : found[at]);
  }

  tell(found, place) {
    const tip = $("tip");
    tip.hidden = !found;
    if (!found) return;
    const at = found.layer - (this.map ? 1 : 0);
    const one = this.shown[at];
    const labels = one.columns.get(one.result.predicted);
    const column = this.columns[at];
    const texts = [labels && value(labels, found.index), column && column !== labels && `${column.name}: ${value(column, found.index)}`, one.marks?.[found.index] && "novel"];
    tip.textContent = texts.filter(Boolean).join(" · ");
    const { width } = this.plot.size();
    tip.style.left = `${Math.min(place[0] + 12, width - 180)}px`;
    tip.style.top = `${place[1] + 14}px`;
  }

  async rename(shown, result) {
    shown.result = result;
    shown.columns.clear();
    await shown.mark();
    this.offerColors();
    $("color").value = "novel_named";
    await this.recolor(true);
    this.details.draw(shown, this.shown);
  }
}

tried(async () => {
  const page = new Page();
  window.page = page; // for those who look with the browser's own tools
  await page.start();
})();
