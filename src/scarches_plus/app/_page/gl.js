// Draw points with plain WebGL: sprites of one size, discs, and diamonds for marked ones.

import { shuffled } from "./order.js";

const VERTEX = `
attribute vec2 aXY; attribute vec4 aColor; attribute float aMark;
uniform vec2 uScale; uniform vec2 uShift; uniform mediump float uSize;
varying vec4 vColor; varying float vMark;
void main() {
  vColor = aColor; vMark = aMark;
  bool shown = aColor.a > 0.0;
  gl_Position = shown ? vec4(aXY * uScale + uShift, 0.0, 1.0) : vec4(2.0, 2.0, 0.0, 1.0);
  gl_PointSize = aMark > 0.5 ? uSize * 1.3 + 3.0 : uSize;
}`;
const FRAGMENT = `
precision mediump float;
varying vec4 vColor; varying float vMark;
uniform float uSize; uniform vec3 uInk;
void main() {
  vec2 p = gl_PointCoord * 2.0 - 1.0;
  if (vMark > 0.5) {
    float d = abs(p.x) + abs(p.y);
    if (d > 1.0) discard;
    gl_FragColor = vec4(d > 0.62 ? uInk : vColor.rgb, 1.0);
  } else {
    float alpha = vColor.a;
    if (uSize > 2.5) alpha *= clamp((1.0 - length(p)) * uSize * 0.5 + 0.5, 0.0, 1.0);
    gl_FragColor = vec4(vColor.rgb * alpha, alpha);
  }
}`;

/** Draws layers of points. A layer is drawn in random order, so that any first part of it is a fair sample. */
export class Painter {
  constructor(canvas) {
    this.canvas = canvas;
    const gl = canvas.getContext("webgl", { antialias: false, alpha: true, premultipliedAlpha: true });
    if (!gl) throw new Error("this browser has no WebGL, with which the map is drawn");
    this.gl = gl;
    const program = gl.createProgram();
    for (const [kind, source] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, source);
      gl.compileShader(shader);
      gl.attachShader(program, shader);
    }
    gl.linkProgram(program);
    if (!gl.getProgramParameter(program, gl.LINK_STATUS)) throw new Error(gl.getProgramInfoLog(program));
    gl.useProgram(program);
    this.at = Object.fromEntries(["aXY", "aColor", "aMark"].map((name) => [name, gl.getAttribLocation(program, name)]));
    this.to = Object.fromEntries(["uScale", "uShift", "uSize", "uInk"].map((name) => [name, gl.getUniformLocation(program, name)]));
    for (const place of Object.values(this.at)) gl.enableVertexAttribArray(place);
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
  }

  /** Put positions (x, y, x, y, ...) on the graphics card. */
  layer(xy) {
    const n = xy.length / 2;
    const order = shuffled(n);
    const positions = new Float32Array(xy.length);
    for (let i = 0; i < n; i++) {
      positions[2 * i] = xy[2 * order[i]];
      positions[2 * i + 1] = xy[2 * order[i] + 1];
    }
    const layer = { n, order, xy, buffers: [0, 1, 2].map(() => this.gl.createBuffer()), size: 1 };
    this.fill(layer.buffers[0], positions);
    return layer;
  }

  /** Give a layer colours (red, green, blue, alpha for each point; alpha 0 hides it) and marks (0 or 1). */
  paint(layer, colors, marks) {
    const { n, order } = layer;
    const from = new Uint32Array(colors.buffer, colors.byteOffset, n);
    const to = new Uint32Array(n);
    const own = new Uint8Array(n);
    for (let i = 0; i < n; i++) {
      to[i] = from[order[i]];
      if (marks) own[i] = marks[order[i]];
    }
    this.fill(layer.buffers[1], to);
    this.fill(layer.buffers[2], own);
  }

  /** The picture's pixels, right after it was drawn. */
  read() {
    const { gl } = this;
    const pixels = new Uint8Array(4 * this.canvas.width * this.canvas.height);
    gl.readPixels(0, 0, this.canvas.width, this.canvas.height, gl.RGBA, gl.UNSIGNED_BYTE, pixels);
    return pixels;
  }

  fill(buffer, data) {
    this.gl.bindBuffer(this.gl.ARRAY_BUFFER, buffer);
    this.gl.bufferData(this.gl.ARRAY_BUFFER, data, this.gl.STATIC_DRAW);
  }

  drop(layer) {
    layer.buffers.forEach((buffer) => this.gl.deleteBuffer(buffer));
  }

  /** Draw layers one above the other: at most so many points of each. */
  draw(layers, scale, shift, ink, most) {
    const { gl, at, to } = this;
    gl.viewport(0, 0, this.canvas.width, this.canvas.height);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT);
    gl.uniform2f(to.uScale, ...scale);
    gl.uniform2f(to.uShift, ...shift);
    gl.uniform3f(to.uInk, ...ink);
    for (const layer of layers) {
      gl.uniform1f(to.uSize, layer.size);
      const attribute = (place, buffer, size, type, normal) => {
        gl.bindBuffer(gl.ARRAY_BUFFER, buffer);
        gl.vertexAttribPointer(place, size, type, normal, 0, 0);
      };
      attribute(at.aXY, layer.buffers[0], 2, gl.FLOAT, false);
      attribute(at.aColor, layer.buffers[1], 4, gl.UNSIGNED_BYTE, true);
      attribute(at.aMark, layer.buffers[2], 1, gl.UNSIGNED_BYTE, false);
      gl.drawArrays(gl.POINTS, 0, Math.min(layer.n, most));
    }
  }
}

/** Whether a graphics card draws: a simulated one is slower than drawing without. */
export function hasCard() {
  const gl = document.createElement("canvas").getContext("webgl");
  if (!gl) return false;
  const told = gl.getExtension("WEBGL_debug_renderer_info");
  const name = gl.getParameter(told ? told.UNMASKED_RENDERER_WEBGL : gl.RENDERER);
  gl.getExtension("WEBGL_lose_context")?.loseContext();
  return !/swiftshader|llvmpipe|softpipe|software|basic render/i.test(String(name));
}
