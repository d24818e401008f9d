// Draw points without a graphics card, pixel by pixel: faster than WebGL that is only simulated.

import { shuffled } from "./order.js";

/** Same as the Painter of gl.js, on a canvas of two dimensions. */
export class RasterPainter {
  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d", { willReadFrequently: true });
    this.masks = new Map();
  }

  layer(xy) {
    const n = xy.length / 2;
    const order = shuffled(n);
    const positions = new Float32Array(xy.length);
    for (let i = 0; i < n; i++) {
      positions[2 * i] = xy[2 * order[i]];
      positions[2 * i + 1] = xy[2 * order[i] + 1];
    }
    return { n, order, xy, positions, size: 1 };
  }

  paint(layer, colors, marks) {
    const { n, order } = layer;
    const from = new Uint32Array(colors.buffer, colors.byteOffset, n);
    layer.colors = new Uint32Array(n);
    layer.marks = marks ? new Uint8Array(n) : null;
    for (let i = 0; i < n; i++) {
      layer.colors[i] = from[order[i]];
      if (marks) layer.marks[i] = marks[order[i]];
    }
  }

  drop() {}

  draw(layers, scale, shift, ink, most) {
    const { width, height } = this.canvas;
    if (!width || !height) return;
    if (this.image?.width !== width || this.image?.height !== height) this.image = this.context.createImageData(width, height);
    const bytes = this.image.data;
    bytes.fill(0);
    const inked = ink.map((value) => Math.round(255 * value));
    for (const layer of layers) {
      const disc = this.mask(layer.size, false);
      const diamond = this.mask(layer.size * 1.3 + 3, true);
      const { positions, colors, marks } = layer;
      const n = Math.min(layer.n, most);
      const [ax, bx] = [(scale[0] * width) / 2, ((shift[0] + 1) * width) / 2 - 0.5];
      const [ay, by] = [(-scale[1] * height) / 2, ((1 - shift[1]) * height) / 2 - 0.5];
      for (let i = 0; i < n; i++) {
        const color = colors[i];
        const alpha = color >>> 24;
        if (alpha === 0) continue;
        const x = Math.round(positions[2 * i] * ax + bx);
        const y = Math.round(positions[2 * i + 1] * ay + by);
        if (x < -20 || x > width + 20 || y < -20 || y > height + 20) continue;
        if (marks?.[i]) stamp(bytes, width, height, diamond, x, y, color, 255, inked);
        else stamp(bytes, width, height, disc, x, y, color, alpha, inked);
      }
    }
    this.context.putImageData(this.image, 0, 0);
  }

  read() { return this.image?.data ?? new Uint8ClampedArray(0); }

  /** Offsets of the pixels of a sprite, how far each is covered, and which are its rim. */
  mask(size, diamond) {
    const key = `${size.toFixed(1)} ${diamond}`;
    if (!this.masks.has(key)) {
      const reach = Math.ceil(size / 2);
      const list = [];
      for (let dy = -reach; dy <= reach; dy++) {
        for (let dx = -reach; dx <= reach; dx++) {
          const far = diamond ? Math.abs(dx) + Math.abs(dy) : Math.hypot(dx, dy);
          const cover = Math.max(0, Math.min(1, size / 2 - far + 0.5));
          if (cover > 0.05) list.push(dx, dy, Math.round(256 * cover), diamond && far > 0.31 * size ? 1 : 0);
        }
      }
      this.masks.set(key, Int16Array.from(list));
    }
    return this.masks.get(key);
  }
}

function stamp(bytes, width, height, mask, x, y, color, alpha, ink) {
  const [red, green, blue] = [color & 255, (color >>> 8) & 255, (color >>> 16) & 255];
  for (let k = 0; k < mask.length; k += 4) {
    const px = x + mask[k];
    const py = y + mask[k + 1];
    if (px < 0 || px >= width || py < 0 || py >= height) continue;
    const a = (alpha * mask[k + 2]) / 65280;
    const at = 4 * (py * width + px);
    const rim = mask[k + 3];
    const below = bytes[at + 3] / 255;
    const whole = a + below * (1 - a);
    const part = a / whole;
    bytes[at] += ((rim ? ink[0] : red) - bytes[at]) * part;
    bytes[at + 1] += ((rim ? ink[1] : green) - bytes[at + 1]) * part;
    bytes[at + 2] += ((rim ? ink[2] : blue) - bytes[at + 2]) * part;
    bytes[at + 3] = 255 * whole;
  }
}
