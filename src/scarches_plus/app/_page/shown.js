// A finished job that is shown: its positions, columns and colours.

import { get, post, view } from "./api.js";
import { css, grey, groupColors, rampColor } from "./colors.js";

const NO_VALUE = 65535;

export class Shown {
  static async load(state) {
    const one = new Shown();
    one.id = state.id;
    one.name = state.name;
    one.columns = new Map();
    [one.result, { xy: one.xy }] = await Promise.all([get(`/jobs/${state.id}/result`), view(`/jobs/${state.id}/views/points.view`)]);
    one.n = one.xy.length / 2;
    await one.mark();
    return one;
  }

  /** Novel cells have a mark of their own, whatever they are coloured by. */
  async mark() {
    this.marks = null;
    if (!this.result.novel) return;
    const { values, groups } = await this.column("novel");
    const novel = groups.indexOf("True");
    this.marks = Uint8Array.from(values, (code) => Number(code === novel));
  }

  /** A column's values, and its groups if it has any; `null` if the job has no such column. */
  async column(name) {
    if (this.columns.has(name)) return this.columns.get(name);
    const told = this.result.columns.find((column) => column.name === name);
    if (!told) return null;
    const { values } = await view(`/jobs/${this.id}/views/${told.file}`);
    const found = { name, kind: told.kind, values, groups: told.groups };
    this.columns.set(name, found);
    return found;
  }

  async gene(name) {
    const key = `gene ${name}`;
    if (!this.columns.has(key)) {
      const { file, gene } = await post(`/jobs/${this.id}/gene`, { gene: name });
      const { values } = await view(`/jobs/${this.id}/views/${file}`);
      this.columns.set(key, { name: gene, kind: "number", values });
    }
    return this.columns.get(key);
  }

  /** How densely the cells cover each point of the reference's map, and its labels. */
  async presence() {
    const measure = async () => {
      const { file, labels } = await post(`/jobs/${this.id}/presence`, {});
      const { values } = await view(`/jobs/${this.id}/views/${file}`);
      return { name: "presence", kind: "number", values, labels };
    };
    this.covers ??= measure().catch((error) => { this.covers = null; throw error; });
    return this.covers;
  }

  async names() {
    this.cells ??= await get(`/jobs/${this.id}/names`);
    return this.cells;
  }
}

/** Colours (red, green, blue, alpha of each cell) of a column; `hidden` groups and values out of `range` vanish. */
export function paint(n, column, scheme, hidden, range) {
  const bytes = new Uint8Array(4 * n);
  const none = grey();
  if (!column) {
    for (let i = 0; i < n; i++) bytes.set([...none, 200], 4 * i);
    return bytes;
  }
  if (column.kind === "number") {
    const [low, high] = scheme.limits;
    const ramp = Array.from({ length: 256 }, (_, step) => rampColor(step / 255));
    for (let i = 0; i < n; i++) {
      const value = column.values[i];
      const known = Number.isFinite(value);
      const color = known ? ramp[Math.max(0, Math.min(255, Math.round((255 * (value - low)) / (high - low || 1))))] : none;
      const out = range && (!known || value < range[0] || value > range[1]);
      bytes[4 * i] = color[0]; bytes[4 * i + 1] = color[1]; bytes[4 * i + 2] = color[2]; bytes[4 * i + 3] = out ? 0 : 255;
    }
    return bytes;
  }
  const colors = column.groups.map((group) => scheme.colors.get(group) ?? none);
  const gone = column.groups.map((group) => hidden.has(group));
  for (let i = 0; i < n; i++) {
    const code = column.values[i];
    const color = code === NO_VALUE ? none : colors[code];
    bytes[4 * i] = color[0]; bytes[4 * i + 1] = color[1]; bytes[4 * i + 2] = color[2];
    bytes[4 * i + 3] = (code === NO_VALUE ? hidden.has(null) : gone[code]) ? 0 : 255;
  }
  return bytes;
}

/** One scheme of colours for a column of several jobs, with how many cells each group has. */
export function schemeOf(columns, known) {
  const there = columns.filter(Boolean);
  if (there.length === 0) return { kind: "none" };
  if (there.some(({ kind }) => kind === "number")) return { kind: "number", limits: limitsOf(there) };
  const groups = [...new Set(there.flatMap((column) => column.groups))];
  const colors = new Map(groupColors(groups, known).map((color, at) => [groups[at], color]));
  const counts = new Map(groups.map((group) => [group, 0]));
  let without = 0;
  for (const column of there) {
    for (const code of column.values) {
      if (code === NO_VALUE) without += 1;
      else counts.set(column.groups[code], counts.get(column.groups[code]) + 1);
    }
  }
  return { kind: "groups", groups, colors, counts, without };
}

/** The 1st and 99th percentile of all values, or their ends where these are equal. */
function limitsOf(columns) {
  const sample = [];
  for (const { values } of columns.filter(({ kind }) => kind === "number")) {
    const step = Math.max(1, Math.floor(values.length / 50000));
    for (let i = 0; i < values.length; i += step) if (Number.isFinite(values[i])) sample.push(values[i]);
  }
  if (sample.length === 0) return [0, 1];
  sample.sort((a, b) => a - b);
  const at = (share) => sample[Math.min(sample.length - 1, Math.floor(share * sample.length))];
  const [low, high] = [at(0.01), at(0.99)];
  return low < high ? [low, high] : [sample[0], sample[sample.length - 1]];
}

export const value = (column, at) => {
  const found = column.values[at];
  if (column.kind === "number") return Number.isFinite(found) ? Number(found.toPrecision(3)) : "";
  return found === NO_VALUE ? "" : column.groups[found];
};

export { css };
