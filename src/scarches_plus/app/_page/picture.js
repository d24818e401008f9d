// Save the map as PNG or SVG, with its names and legend.

import { css } from "./colors.js";
import { save } from "./details.js";

const MOST_CIRCLES = 20000; // more go into an SVG as a picture
const WIDTH = 240;

const escape = (text) => text.replace(/[&<>"']/g, (sign) => `&#${sign.charCodeAt(0)};`);

export async function savePicture(kind, plot, scheme, name) {
  const { width, height } = plot.size();
  const entries = scheme.kind === "groups" ? scheme.groups.filter((group) => scheme.counts.get(group) > 0).slice(0, 40) : [];
  const style = getComputedStyle(document.body);
  const [back, ink] = [style.backgroundColor, style.color];
  plot.draw();
  const points = plot.canvas.toDataURL("image/png");
  const shown = plot.layers.filter(({ given }) => !given.hidden);
  const circles = shown.reduce((sum, { given }) => sum + given.xy.length / 2, 0) <= MOST_CIRCLES;
  const texts = [...plot.over.querySelectorAll("text")].map((node) => `<text x="${node.getAttribute("x")}" y="${node.getAttribute("y")}" text-anchor="middle" font-weight="600" stroke="${back}" stroke-width="3" paint-order="stroke" fill="${ink}">${escape(node.textContent)}</text>`);
  const legend = entries.map((group, at) => `<circle cx="${width + 20}" cy="${24 + 20 * at}" r="6" fill="${css(scheme.colors.get(group))}"/><text x="${width + 34}" y="${28 + 20 * at}" fill="${ink}">${escape(group)} (${scheme.counts.get(group)})</text>`);
  const full = width + (entries.length ? WIDTH : 0);
  const tall = Math.max(height, entries.length ? 30 + 20 * entries.length : 0);
  const body = circles ? shown.map(({ given, layer }) => circlesOf(plot, given, layer.size / (plot.canvas.width / width), ink)).join("") : `<image width="${width}" height="${height}" href="${points}"/>`;
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="${full}" height="${tall}" viewBox="0 0 ${full} ${tall}" font-family="sans-serif" font-size="12.5"><rect width="100%" height="100%" fill="${back}"/>${body}${texts.join("")}${legend.join("")}</svg>`;
  const file = new Blob([svg], { type: "image/svg+xml" });
  const stem = name.split(".")[0] || "map";
  if (kind === "svg") { save(file, `${stem}-map.svg`); return; }
  const address = URL.createObjectURL(file);
  try {
    const image = new Image();
    image.src = address;
    await image.decode();
    const canvas = document.createElement("canvas");
    canvas.width = 2 * full;
    canvas.height = 2 * tall;
    canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
    save(await new Promise((resolve) => { canvas.toBlob(resolve, "image/png"); }), `${stem}-map.png`);
  } finally {
    URL.revokeObjectURL(address);
  }
}

function circlesOf(plot, { xy, colors, marks }, size, ink) {
  const parts = [];
  const radius = (Math.max(1, size) / 2).toFixed(2);
  for (let i = 0; i < xy.length / 2; i++) {
    if (colors[4 * i + 3] === 0) continue;
    const [x, y] = plot.toScreen(xy[2 * i], xy[2 * i + 1]).map((place) => place.toFixed(1));
    const color = css(colors.slice(4 * i, 4 * i + 3));
    const half = 1.5 + 0.65 * size;
    parts.push(marks?.[i]
      ? `<path d="M${x} ${y - half}l${half} ${half}l${-half} ${half}l${-half} ${-half}z" fill="${color}" stroke="${ink}"/>`
      : `<circle cx="${x}" cy="${y}" r="${radius}" fill="${color}" fill-opacity="${(colors[4 * i + 3] / 255).toFixed(2)}"/>`);
  }
  return parts.join("");
}
