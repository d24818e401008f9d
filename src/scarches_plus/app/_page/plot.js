// The map: moving, zooming, picking, drawing a lasso, and names on the islands.

import { Painter, hasCard } from "./gl.js";
import { RasterPainter } from "./raster.js";

const NS = "http://www.w3.org/2000/svg";
const MOVING = 60000; // points of a layer that are drawn while the map moves
const MOST_NAMES = 40;
const PICK = 12; // pixels

export class Plot {
  constructor(canvas, over) {
    this.canvas = canvas;
    this.over = over;
    this.painter = hasCard() ? new Painter(canvas) : new RasterPainter(canvas);
    this.layers = []; // { layer, hidden, alpha(i) }
    this.names = [];
    this.view = { x: 0, y: 0, scale: 1 };
    this.tool = "pan";
    this.handlers = { select: () => {}, pick: () => {}, hover: () => {} };
    this.pointers = new Map();
    this.listen();
    canvas.addEventListener("webglcontextlost", () => { location.reload(); }); // jobs and results are on the server
    new ResizeObserver(() => this.resize()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.later());
  }

  on(event, handler) { this.handlers[event] = handler; }

  /** Show layers of points: `{ xy, colors, marks, pickable, size }` each, the first at the bottom. */
  show(given) {
    const kept = new Map(this.layers.map((one) => [one.given, one]));
    const next = given.map((one) => {
      const known = kept.get(one);
      if (known) { kept.delete(one); return known; }
      return { given: one, layer: this.painter.layer(one.xy) };
    });
    for (const one of kept.values()) this.painter.drop(one.layer);
    this.layers = next;
    for (const one of this.layers) {
      const { colors, marks } = one.given;
      if (one.colors === colors && one.marks === marks) continue;
      this.painter.paint(one.layer, colors, marks);
      Object.assign(one, { colors, marks });
    }
    this.later(this.layers.some(({ layer }) => layer.n > MOVING)); // a sample at once, all of it after
  }

  setNames(names) { this.names = names.slice(0, MOST_NAMES); this.write(); }

  /** Show all points. */
  fit() {
    let [left, right, low, high] = [Infinity, -Infinity, Infinity, -Infinity];
    for (const { given } of this.layers) {
      const { xy } = given;
      for (let i = 0; i < xy.length; i += 2) {
        if (xy[i] < left) left = xy[i];
        if (xy[i] > right) right = xy[i];
        if (xy[i + 1] < low) low = xy[i + 1];
        if (xy[i + 1] > high) high = xy[i + 1];
      }
    }
    if (left > right) return;
    const { width, height } = this.size();
    this.fitted = 0.92 * Math.min(width / Math.max(right - left, 1e-6), height / Math.max(high - low, 1e-6));
    this.view = { x: (left + right) / 2, y: (low + high) / 2, scale: this.fitted };
    this.later();
  }

  size() { return { width: this.canvas.clientWidth || 1, height: this.canvas.clientHeight || 1 }; }

  resize() {
    const { width, height } = this.size();
    const ratio = Math.min(devicePixelRatio || 1, 2);
    this.canvas.width = Math.round(width * ratio);
    this.canvas.height = Math.round(height * ratio);
    this.over.setAttribute("viewBox", `0 0 ${width} ${height}`);
    if (this.layers.length && this.fitted === undefined) this.fit();
    this.later();
  }

  later(moving = false) {
    clearTimeout(this.rest);
    if (moving) this.rest = setTimeout(() => this.later(), 180);
    this.moving = moving;
    if (this.frame) return;
    this.frame = requestAnimationFrame(() => { this.frame = 0; this.draw(this.moving ? MOVING : Infinity); });
  }

  draw(most = Infinity) {
    const { width, height } = this.size();
    const { x, y, scale } = this.view;
    const ratio = this.canvas.width / width;
    const closer = Math.sqrt(Math.max(1, scale / (this.fitted || scale)));
    for (const { layer, given } of this.layers) {
      const base = Math.max(1.2, Math.min(5, 420 / Math.sqrt(layer.n + 1))) * (given.size ?? 1);
      layer.size = Math.min(14, base * closer) * ratio;
    }
    const ink = getComputedStyle(this.canvas).color.match(/[\d.]+/g).slice(0, 3).map((value) => value / 255);
    const shown = this.layers.filter(({ given }) => !given.hidden).map(({ layer }) => layer);
    this.painter.draw(shown, [2 * scale / width, 2 * scale / height], [-2 * scale * x / width, -2 * scale * y / height], ink, most);
    this.write();
    this.drawn = performance.now();
  }

  toScreen(x, y) {
    const { width, height } = this.size();
    return [(x - this.view.x) * this.view.scale + width / 2, height / 2 - (y - this.view.y) * this.view.scale];
  }

  toMap(left, top) {
    const { width, height } = this.size();
    return [(left - width / 2) / this.view.scale + this.view.x, (height / 2 - top) / this.view.scale + this.view.y];
  }

  /** Write names where no other name stands, larger groups first. */
  write() {
    const { width, height } = this.size();
    const placed = [];
    const texts = [];
    for (const { text, x, y } of this.names) {
      const [left, top] = this.toScreen(x, y);
      const half = 4.1 * text.length + 6;
      if (left < half / 2 || left > width - half / 2 || top < 12 || top > height - 6) continue;
      if (placed.some(([a, b, h]) => Math.abs(a - left) < h + half && Math.abs(b - top) < 16)) continue;
      placed.push([left, top, half]);
      const node = document.createElementNS(NS, "text");
      node.setAttribute("x", Math.max(half, Math.min(width - half, left)));
      node.setAttribute("y", top + 4);
      node.textContent = text;
      texts.push(node);
    }
    const path = this.lasso && document.createElementNS(NS, "path");
    path?.setAttribute("d", `M${this.lasso.map((point) => point.join(",")).join("L")}Z`);
    this.over.replaceChildren(...texts, ...(path ? [path] : []));
  }

  zoom(factor, left, top) {
    const [x, y] = this.toMap(left, top);
    const scale = Math.max((this.fitted ?? 1) / 4, Math.min((this.fitted ?? 1) * 4000, this.view.scale * factor));
    const kept = this.view.scale / scale;
    this.view = { x: x + (this.view.x - x) * kept, y: y + (this.view.y - y) * kept, scale };
    this.later(true);
  }

  move(right, down) {
    this.view = { ...this.view, x: this.view.x - right / this.view.scale, y: this.view.y + down / this.view.scale };
    this.later(true);
  }

  /** The point of a layer that can be picked, nearest to a place on the screen. */
  nearest(left, top) {
    let best = null;
    let least = PICK ** 2;
    this.layers.forEach(({ given }, at) => {
      if (!given.pickable || given.hidden) return;
      const { xy, colors } = given;
      const [x, y] = this.toMap(left, top);
      const scale = this.view.scale ** 2;
      for (let i = 0, j = 0; i < xy.length; i += 2, j++) {
        const distance = ((xy[i] - x) ** 2 + (xy[i + 1] - y) ** 2) * scale;
        if (distance <= least && colors[4 * j + 3] > 0) { least = distance; best = { layer: at, index: j }; }
      }
    });
    return best;
  }

  /** Places of shown points within a polygon on the screen (`null`: the whole screen), for each layer. */
  within(polygon) {
    const corners = polygon?.map(([left, top]) => this.toMap(left, top));
    const { width, height } = this.size();
    const [x0, y1] = this.toMap(0, 0);
    const [x1, y0] = this.toMap(width, height);
    return this.layers.map(({ given }) => {
      if (!given.pickable || given.hidden) return new Uint32Array(0);
      const { xy, colors } = given;
      const found = [];
      for (let i = 0, j = 0; i < xy.length; i += 2, j++) {
        if (colors[4 * j + 3] === 0) continue;
        const [x, y] = [xy[i], xy[i + 1]];
        if (corners ? inside(x, y, corners) : x >= x0 && x <= x1 && y >= y0 && y <= y1) found.push(j);
      }
      return Uint32Array.from(found);
    });
  }

  setTool(tool) { this.tool = tool; this.canvas.classList.toggle("lasso", tool === "lasso"); }

  listen() {
    const { canvas } = this;
    const place = (event) => {
      const box = canvas.getBoundingClientRect();
      return [event.clientX - box.left, event.clientY - box.top];
    };
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      this.zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0015)), ...place(event));
    }, { passive: false });
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      this.pointers.set(event.pointerId, place(event));
      this.dragged = 0;
      const draws = this.pointers.size === 1 && (this.tool === "lasso" || event.shiftKey);
      this.lasso = draws ? [place(event)] : null;
    });
    canvas.addEventListener("pointermove", (event) => {
      const before = this.pointers.get(event.pointerId);
      const now = place(event);
      if (!before) { this.handlers.hover(this.moving ? null : this.nearest(...now), now); return; }
      this.dragged += Math.hypot(now[0] - before[0], now[1] - before[1]);
      if (this.lasso) {
        this.lasso.push(now);
        this.write();
      } else if (this.pointers.size === 2) {
        const [other] = [...this.pointers].filter(([id]) => id !== event.pointerId).map(([, point]) => point);
        const spread = (point) => Math.max(10, Math.hypot(point[0] - other[0], point[1] - other[1]));
        this.zoom(spread(now) / spread(before), (now[0] + other[0]) / 2, (now[1] + other[1]) / 2);
      } else {
        this.move(now[0] - before[0], now[1] - before[1]);
      }
      this.pointers.set(event.pointerId, now);
    });
    const up = (event) => {
      if (!this.pointers.delete(event.pointerId)) return;
      const path = this.lasso;
      this.lasso = null;
      this.write();
      if (event.type === "pointercancel") return;
      if (this.dragged < 5) this.handlers.pick(this.nearest(...place(event)));
      else if (path && path.length > 2) this.handlers.select(this.within(path));
    };
    canvas.addEventListener("pointerup", up);
    canvas.addEventListener("pointercancel", up);
    canvas.addEventListener("pointerleave", () => this.handlers.hover(null));
    canvas.addEventListener("keydown", (event) => {
      const { width, height } = this.size();
      const step = { ArrowLeft: [60, 0], ArrowRight: [-60, 0], ArrowUp: [0, 60], ArrowDown: [0, -60] }[event.key];
      if (step) this.move(...step);
      else if (event.key === "+" || event.key === "=") this.zoom(1.3, width / 2, height / 2);
      else if (event.key === "-") this.zoom(1 / 1.3, width / 2, height / 2);
      else if (event.key === "0") this.fit();
      else return;
      event.preventDefault();
    });
  }
}

function inside(x, y, corners) {
  let odd = false;
  for (let i = 0, j = corners.length - 1; i < corners.length; j = i++) {
    const [xi, yi] = corners[i];
    const [xj, yj] = corners[j];
    if (yi > y !== yj > y && x < ((xj - xi) * (y - yi)) / (yj - yi) + xi) odd = !odd;
  }
  return odd;
}

/** Where to write the names of groups: on the cell that is nearest to the others of its group, larger groups first. */
export function namesOf(xy, codes, groups) {
  const members = groups.map(() => []);
  const step = Math.max(1, Math.floor(codes.length / 200000));
  for (let i = 0; i < codes.length; i += step) members[codes[i]]?.push(i);
  return groups
    .map((text, code) => ({ text, cells: members[code] }))
    .filter(({ cells }) => cells.length > 0)
    .sort((a, b) => b.cells.length - a.cells.length)
    .map(({ text, cells }) => ({ text, ...middle(xy, cells) }));
}

/** The cell with the least sum of distances to the others, among some of them: it lies on an island, not between two. */
function middle(xy, cells) {
  const step = Math.max(1, Math.floor(cells.length / 150));
  const some = cells.filter((_, at) => at % step === 0);
  let best = { sum: Infinity };
  for (const i of some) {
    let sum = 0;
    for (const j of some) sum += Math.hypot(xy[2 * i] - xy[2 * j], xy[2 * i + 1] - xy[2 * j + 1]);
    if (sum < best.sum) best = { sum, x: xy[2 * i], y: xy[2 * i + 1] };
  }
  return best;
}
