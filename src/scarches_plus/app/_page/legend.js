// The legend: groups that can be hidden, or a scale that can be cut.

import { css, grey, rampColor } from "./colors.js";
import { count, el, fill } from "./dom.js";

/** Draw a legend; `change` is called when groups are hidden or the scale is cut. */
export function drawLegend(node, scheme, filter, { novel, change }) {
  const parts = [];
  if (scheme.kind === "groups") {
    const some = scheme.groups.filter((group) => scheme.counts.get(group) > 0).sort((a, b) => scheme.counts.get(b) - scheme.counts.get(a));
    const toggle = (group) => () => {
      if (filter.hidden.has(group)) filter.hidden.delete(group);
      else filter.hidden.add(group);
      change();
    };
    const only = (group) => () => {
      const others = [...some, null].filter((one) => one !== group);
      const alone = others.every((one) => filter.hidden.has(one)) && !filter.hidden.has(group);
      filter.hidden.clear();
      if (!alone) others.forEach((one) => filter.hidden.add(one));
      change();
    };
    const item = (group, text, color, n) => el("li", {}, el("button", {
      type: "button", "aria-pressed": String(!filter.hidden.has(group)), onclick: toggle(group), ondblclick: only(group),
      title: "Click hides or shows, double click shows it alone",
    }, el("span", { class: "swatch", color }), `${text} `, el("span", { class: "quiet" }, count(n))));
    parts.push(el("ul", {},
      some.map((group) => item(group, group, css(scheme.colors.get(group)), scheme.counts.get(group))),
      scheme.without ? item(null, "no value", css(grey()), scheme.without) : null,
      novel ? el("li", {}, el("button", { type: "button", disabled: true }, el("span", { class: "swatch novel" }), `novel ${count(novel)}`)) : null,
      filter.hidden.size ? el("li", {}, el("button", { type: "button", onclick: () => { filter.hidden.clear(); change(); } }, "Show all")) : null));
  } else if (scheme.kind === "number") {
    const bar = el("canvas", { "aria-hidden": "true" });
    bar.width = 256;
    bar.height = 1;
    const paint = bar.getContext("2d");
    for (let x = 0; x < 256; x++) {
      paint.fillStyle = css(rampColor(x / 255));
      paint.fillRect(x, 0, 1, 1);
    }
    const ends = filter.range ?? [null, null];
    const input = (at, text) => el("input", {
      type: "number", step: "any", "aria-label": text, placeholder: scheme.limits[at].toPrecision(3), value: Number.isFinite(ends[at]) ? ends[at] : "",
      onchange: (event) => {
        const next = [...(filter.range ?? [-Infinity, Infinity])];
        next[at] = event.target.value === "" ? [-Infinity, Infinity][at] : Number(event.target.value);
        filter.range = next.every((end) => !Number.isFinite(end)) ? null : next;
        change();
      },
    });
    parts.push(el("div", { class: "scale" }, input(0, "Show cells from"), bar, input(1, "Show cells up to"),
      novel ? el("span", { class: "small" }, el("span", { class: "swatch novel", role: "img", "aria-label": "diamond" }), ` novel ${count(novel)}`) : null));
  }
  fill(node, parts);
}
