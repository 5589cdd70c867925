// Cells as points on one or more maps that share a camera and a selection. WebGL 2 draws the
// points from five bytes a cell; a 2-D canvas above it draws lines, names and the lasso.
// This file, after common.js, is what the browser runs: there is no build step, and nothing else is
// fetched.
// Part of veloVI Explorer, BSD-3-Clause.

const kept = (window.__veloviScatter ??= { places: new Map(), codes: new Map(), views: new Map() });
// of these the server may send a name only; it counts on fewer being kept than there are
const MOST = { places: 4, codes: 12 };
const PREVIEW = 150_000; // points drawn while something changes
const SETTLED = 160; // milliseconds of rest before all are drawn
const AT_ONCE = 20; // the same when nobody is moving anything
const ANSWER = 900; // longest wait for the server before that, because drawing holds up its answer
const UNCHOSEN = 0.14; // share of their colour that cells keep while others are selected
const MISSING = 255; // code of a cell without a value
const LEAST_DEEP = 4; // cells in one pixel that are drawn, however well the uppermost covers it
const EDGE = 40; // pixels beyond the picture's edge into which a point may reach
const ROUNDED = 0.07; // pixels by which a point's place may be off
const OPAQUE = 255;
const NOWHERE = -32768; // coordinate of a cell without a place
const FULL = 32767;
const STORED = "velovi-selection";
const FINE = 3; // pixels of a saved picture for one of the page's
const LARGEST = 8192; // pixels of its longer side at most
const MARGIN = 12; // the page's pixels around it

// ---------------------------------------------------------------- what the server sends

function unpack(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const length = view.getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(4, 4 + length)));
  const start = 4 + length;
  const kinds = { i2: Int16Array, u1: Uint8Array, f4: Float32Array, u4: Uint32Array };
  const parts = {};
  for (const [name, kind, offset, count] of header.parts) {
    const size = kinds[kind].BYTES_PER_ELEMENT * count;
    const at = bytes.byteOffset + start + offset;
    // a copy is aligned whatever stands before it
    parts[name] = new kinds[kind](bytes.buffer.slice(at, at + size));
  }
  return { header, parts };
}

function remember(kind, key, values) {
  const all = kept[kind];
  const found = values ?? all.get(key);
  if (!found) return null;
  all.delete(key);
  all.set(key, found);
  while (all.size > MOST[kind]) all.delete(all.keys().next().value);
  return found;
}

// ---------------------------------------------------------------- bits

const isSet = (bits, i) => (bits[i >> 3] >> (i & 7)) & 1;
function countBits(bits) {
  let total = 0;
  for (let b of bits) for (; b; b &= b - 1) total++;
  return total;
}
function sameBits(a, b) {
  if (!a || !b) return a === b;
  return a.length === b.length && a.every((value, i) => value === b[i]);
}
function asText(bits) {
  let text = "";
  for (let i = 0; i < bits.length; i += 0x8000)
    text += String.fromCharCode(...bits.subarray(i, i + 0x8000));
  return btoa(text);
}

// ---------------------------------------------------------------- drawing points

const VERTEX = `#version 300 es
layout(location=0) in vec2 place;
layout(location=1) in float code;
layout(location=2) in float chosen;
uniform vec4 camera;
uniform float size;
uniform float opacity;
uniform float dimming;
uniform float unchosen;
uniform sampler2D palette;
out vec4 colour;
out float sharpness;
void main() {
  vec4 own = texelFetch(palette, ivec2(int(code + 0.5), 0), 0);
  float dim = dimming * (1.0 - chosen);
  float wide = size + 1.5 * dimming * chosen;
  bool hidden = own.a < 0.5 || place.x < -1.0;
  gl_Position = hidden ? vec4(2.0, 2.0, 2.0, 1.0) : vec4(place * camera.xy + camera.zw, 0.0, 1.0);
  gl_PointSize = wide;
  colour = vec4(own.rgb, mix(opacity, min(1.0, opacity + 0.2), dimming * chosen) * mix(1.0, unchosen, dim));
  sharpness = wide;
}`;
const FRAGMENT = `#version 300 es
precision mediump float;
in vec4 colour;
in float sharpness;
out vec4 result;
void main() {
  float edge = sharpness < 2.5 ? 1.0
    : 1.0 - smoothstep(1.0 - 2.0 / sharpness, 1.0, 2.0 * length(gl_PointCoord - 0.5));
  if (edge <= 0.0) discard;
  result = vec4(colour.rgb * colour.a * edge, colour.a * edge);
}`;

function compile(gl, kind, source) {
  const shader = gl.createShader(kind);
  gl.shaderSource(shader, source);
  gl.compileShader(shader);
  if (!gl.getShaderParameter(shader, gl.COMPILE_STATUS)) throw new Error(gl.getShaderInfoLog(shader));
  return shader;
}

class Points {
  constructor(canvas) {
    const gl = canvas.getContext("webgl2", { antialias: false, preserveDrawingBuffer: true, premultipliedAlpha: true });
    if (!gl) throw new Error("no WebGL 2");
    this.canvas = canvas;
    this.gl = gl;
    this.setUp();
  }
  setUp() {
    const gl = this.gl;
    const program = gl.createProgram();
    gl.attachShader(program, compile(gl, gl.VERTEX_SHADER, VERTEX));
    gl.attachShader(program, compile(gl, gl.FRAGMENT_SHADER, FRAGMENT));
    gl.linkProgram(program);
    gl.useProgram(program);
    this.at = Object.fromEntries(
      ["camera", "size", "opacity", "dimming", "unchosen"].map((name) => [name, gl.getUniformLocation(program, name)]));
    this.buffers = [0, 1, 2].map(() => gl.createBuffer());
    this.order = gl.createBuffer();
    this.preview = gl.createBuffer();
    const formats = [[2, gl.SHORT, true, 4], [1, gl.UNSIGNED_BYTE, false, 1], [1, gl.UNSIGNED_BYTE, false, 1]];
    formats.forEach(([count, type, normal, stride], i) => {
      gl.bindBuffer(gl.ARRAY_BUFFER, this.buffers[i]);
      gl.enableVertexAttribArray(i);
      gl.vertexAttribPointer(i, count, type, normal, stride, 0);
    });
    gl.bindTexture(gl.TEXTURE_2D, gl.createTexture());
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.NEAREST);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MAG_FILTER, gl.NEAREST);
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
  }
  fill(i, values) {
    const gl = this.gl;
    gl.bindBuffer(gl.ARRAY_BUFFER, this.buffers[i]);
    gl.bufferData(gl.ARRAY_BUFFER, values, gl.STATIC_DRAW);
  }
  setPreview(order) {
    this.fillOrder(this.preview, order);
    this.counts = [order.length, order.length];
    this.whole = this.preview;
  }
  setOrder(order) {
    this.fillOrder(this.order, order);
    this.counts[0] = order.length;
    this.whole = this.order;
  }
  fillOrder(buffer, order) {
    const gl = this.gl;
    gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, buffer);
    gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, order, gl.STATIC_DRAW);
  }
  setPalette(rgba) {
    const gl = this.gl;
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, 256, 1, 0, gl.RGBA, gl.UNSIGNED_BYTE, rgba);
  }
  draw(camera, size, opacity, dimming, quick) {
    const gl = this.gl;
    if (gl.isContextLost() || !this.counts) return;
    gl.viewport(0, 0, this.canvas.width, this.canvas.height);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT);
    gl.uniform4f(this.at.camera, ...camera);
    gl.uniform1f(this.at.size, size);
    gl.uniform1f(this.at.opacity, opacity);
    gl.uniform1f(this.at.dimming, dimming ? 1 : 0);
    gl.uniform1f(this.at.unchosen, UNCHOSEN);
    gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, quick ? this.preview : this.whole);
    gl.drawElements(gl.POINTS, this.counts[quick ? 1 : 0], gl.UNSIGNED_INT, 0);
  }
  free() {
    this.gl.getExtension("WEBGL_lose_context")?.loseContext();
  }
}

// Which cell is drawn when: groups mixed, high values above low ones, selected cells on top.
function drawingOrder(codes, bits, map, count) {
  const n = codes.length;
  const step = coprime(n);
  const levels = new Uint8Array(256);
  for (let c = 0; c < 256; c++)
    levels[c] = map.kind === "labels" ? 1 : c === MISSING ? 0 : map.symmetric ? 1 + Math.abs(c - 127) : 1 + Math.min(c, 253);
  const starts = new Uint32Array(513);
  const level = (i) => levels[codes[i]] + (bits && isSet(bits, i) ? 256 : 0);
  const used = Math.min(n, count);
  for (let k = 0, i = 0; k < used; k++, i = (i + step) % n) starts[level(i) + 1]++;
  for (let l = 0; l < 512; l++) starts[l + 1] += starts[l];
  const order = new Uint32Array(used);
  for (let k = 0, i = 0; k < used; k++, i = (i + step) % n) order[starts[level(i)]++] = i;
  return order;
}
// The cells of an order that can be seen: those in sight, and of many in one pixel the uppermost,
// until nothing shines through. In pictures of a million cells most lie below others, and drawing
// them takes longest. cover says how much a cell of a code hides, unselected and selected.
function uncovered(order, places, codes, bits, cover, [zoomX, zoomY, atX, atY], wide, tall) {
  const [sx, sy] = [(zoomX * wide) / (2 * FULL), (zoomY * tall) / (2 * FULL)];
  const [ox, oy] = [((atX + 1) * wide) / 2, ((atY + 1) * tall) / 2];
  const hidden = new Uint8Array(wide * tall);
  const found = new Uint32Array(order.length);
  let at = order.length;
  for (let k = order.length - 1; k >= 0; k--) {
    const i = order[k], own = cover[codes[i] + (bits && isSet(bits, i) ? 256 : 0)];
    if (!own || places[2 * i] === NOWHERE) continue;
    const x = places[2 * i] * sx + ox, y = places[2 * i + 1] * sy + oy;
    const left = Math.floor(x), low = Math.floor(y);
    if (left < 1 || low < 1 || left >= wide - 1 || low >= tall - 1) {
      // part of a point at the edge may still be in sight
      if (x > -EDGE && y > -EDGE && x < wide + EDGE && y < tall + EDGE) found[--at] = i;
      continue;
    }
    const pixel = low * wide + left;
    // graphics cards round to sixteenths of a pixel: what is near its edge may be in the next one
    const besideX = Math.floor(x + ROUNDED) > left ? 1 : Math.floor(x - ROUNDED) < left ? -1 : 0;
    const besideY = Math.floor(y + ROUNDED) > low ? wide : Math.floor(y - ROUNDED) < low ? -wide : 0;
    if (hidden[pixel] === OPAQUE && hidden[pixel + besideX] === OPAQUE && hidden[pixel + besideY] === OPAQUE) continue;
    hidden[pixel] = Math.min(OPAQUE, hidden[pixel] + own);
    found[--at] = i;
  }
  return found.subarray(at);
}
// What a cell of each code hides of those below it, of OPAQUE, unselected and then selected: after
// OPAQUE, a screen's 256 steps show nothing of what is below.
function covers(opacity, selecting, shown) {
  const hides = (one) => {
    const share = -Math.log(1 - Math.min(one, 0.9999)) / Math.log(256);
    return Math.max(1, Math.min(Math.ceil(OPAQUE / LEAST_DEEP), Math.floor(OPAQUE * share)));
  };
  const [others, chosen] = [hides(opacity * (selecting ? UNCHOSEN : 1)), hides(opacity + 0.2)];
  return Uint8Array.from({ length: 512 }, (_, c) => shown[c % 256] && (c < 256 ? others : chosen));
}
function coprime(n) {
  if (n < 3) return 1;
  const gcd = (a, b) => (b ? gcd(b, a % b) : a);
  let step = Math.max(1, Math.round(n * 0.6180339887));
  while (gcd(step, n) !== 1) step++;
  return step;
}

function hexToRgb(text) {
  const value = parseInt(text.slice(1, 7), 16);
  return [value >> 16, (value >> 8) & 255, value & 255];
}

// ---------------------------------------------------------------- which cell is where

class Finder {
  // cells sorted into the squares of a grid, so that the nearest one is found among few
  constructor(points) {
    const n = points.length / 2;
    this.points = points;
    this.side = Math.max(1, Math.min(512, Math.round(Math.sqrt(n / 4))));
    const squares = this.side * this.side;
    this.starts = new Uint32Array(squares + 1);
    const square = new Int32Array(n);
    for (let i = 0; i < n; i++) {
      square[i] = points[2 * i] === NOWHERE ? -1 : this.row(points[2 * i + 1]) * this.side + this.row(points[2 * i]);
      if (square[i] >= 0) this.starts[square[i] + 1]++;
    }
    for (let s = 0; s < squares; s++) this.starts[s + 1] += this.starts[s];
    const next = this.starts.slice();
    this.cells = new Uint32Array(this.starts[squares]);
    for (let i = 0; i < n; i++) if (square[i] >= 0) this.cells[next[square[i]]++] = i;
  }
  row(value) {
    return Math.max(0, Math.min(this.side - 1, Math.floor(((value / FULL + 1) / 2) * this.side)));
  }
  nearest(x, y, within, visible) {
    const [a, b] = [this.row((x - within) * FULL), this.row((x + within) * FULL)];
    const [c, d] = [this.row((y - within) * FULL), this.row((y + within) * FULL)];
    let best = -1, least = within * within;
    for (let r = c; r <= d; r++)
      for (let k = this.starts[r * this.side + a]; k < this.starts[r * this.side + b + 1]; k++) {
        const i = this.cells[k];
        const dx = this.points[2 * i] / FULL - x, dy = this.points[2 * i + 1] / FULL - y;
        const away = dx * dx + dy * dy;
        if (away <= least && visible(i)) { best = i; least = away; }
      }
    return best;
  }
}

// ---------------------------------------------------------------- the component

const PEN = { pan: "Move the map", lasso: "Draw a lasso around cells", box: "Draw a box around cells" };
const COMBINE = { replace: "New", add: "Add", subtract: "Take away" };

class Scatter {
  constructor(root, send) {
    this.root = root;
    this.send = send;
    this.camera = { zoom: 1, x: 0, y: 0 };
    this.pen = "pan";
    this.combine = "replace";
    this.hidden = new Map(); // title of the colouring -> hidden groups
    this.past = []; // earlier selections
    this.panels = [];
    this.hovered = -1;
    this.resized = new ResizeObserver(() => this.layOut());
    this.heard = (event) => this.showCell(event.detail);
    window.addEventListener("velovi-cell", this.heard);
  }
  free() {
    this.keep();
    this.resized.disconnect();
    window.removeEventListener("velovi-cell", this.heard);
    this.panels.forEach((panel) => panel.points.free());
    cancelAnimationFrame(this.frame);
    clearTimeout(this.settling);
  }

  // A view is the same one when the reader comes back to its page or its run.
  keep() {
    const { camera, pen, hidden, past } = this;
    if (this.header) kept.views.set(this.header.view, { camera, pen, hidden, past });
  }
  recall(header) {
    if (this.header?.view === header.view) return;
    this.keep();
    Object.assign(this, { camera: { zoom: 1, x: 0, y: 0 }, hidden: new Map(), past: [] }, kept.views.get(header.view));
  }

  // ------------------------------------------------------------ new data
  update({ header, parts }) {
    this.began = performance.now();
    const points = remember("places", header.places, parts.places);
    const codes = header.maps.map((map, i) => remember("codes", map.codes, parts[`codes${i}`]));
    if (!points || codes.includes(null)) return this.send("missing", true);
    this.recall(header);
    const before = this.header;
    this.header = header;
    const moved = points !== this.places;
    if (moved) this.finder = null;
    this.places = points;
    this.n = points.length / 2;
    this.lines = header.field ? { starts: parts.starts, path: parts.path, heads: parts.heads } : null;
    const reshaped = this.shape(header.maps.length);
    const recoloured = codes.map((one, i) => moved || reshaped || one !== this.codes?.[i]);
    this.codes = codes;
    const reselected = moved || !sameBits(this.bits, parts.selected ?? null);
    if (reselected) {
      if (!moved) this.putAside(); // selected elsewhere: Undo leads back from there as well
      this.bits = parts.selected ?? null;
      this.chosen = this.bits ? countBits(this.bits) : 0;
      if (kept.begun) this.store({ run: header.run, count: this.chosen, bits: this.chosen ? asText(this.bits) : "" });
    }
    if (!kept.begun && !this.chosen) this.regain();
    kept.begun = true;
    this.dress();
    this.panels.forEach((panel, i) => {
      panel.map = header.maps[i];
      if (moved || reshaped) panel.points.fill(0, this.places);
      if (recoloured[i]) panel.points.fill(1, codes[i]);
      this.legend(panel, i);
      this.paint(panel);
    });
    if (reselected || recoloured.includes(true)) this.applySelection();
    this.status();
    // what came may be the answer to what is drawn already
    if (reselected || recoloured.includes(true) || before?.look !== header.look) this.layOut();
    else if (this.quick) this.rest(SETTLED);
    else this.root.dataset.drawn = header.stamp;
  }

  // A page that is loaded again has forgotten the selection; this tab of the browser has not.
  regain() {
    try {
      const stored = JSON.parse(sessionStorage.getItem(STORED) ?? "null");
      if (stored?.run === this.header.run) this.send("picked", stored);
    } catch { /* not allowed to look: this page begins without a selection */ }
  }
  store(picked) {
    try {
      if (picked.count) sessionStorage.setItem(STORED, JSON.stringify(picked));
      else sessionStorage.removeItem(STORED);
    } catch { /* no room, or not allowed: then a refresh begins without a selection */ }
  }

  // As many panels as there are maps; true when they had to be made.
  shape(count) {
    if (this.panels.length === count) return false;
    this.panels.forEach((panel) => panel.points.free());
    this.root.querySelector(".maps").replaceChildren();
    this.panels = [];
    for (let i = 0; i < count; i++) this.panels.push(this.makePanel(i));
    return true;
  }
  dress() {
    const { theme, height, tall } = this.header;
    for (const name of ["ground", "ink", "quiet", "line", "accent"]) this.root.style.setProperty(`--${name}`, theme[name]);
    this.root.style.setProperty("--height", `max(${height}px, ${tall}vh)`);
    this.root.style.setProperty("--columns", this.header.columns);
    this.buildBar();
  }
  refill() {
    this.panels.forEach((panel, i) => {
      panel.points.fill(0, this.places);
      panel.points.fill(1, this.codes[i]);
      this.paint(panel);
    });
    this.applySelection();
    this.layOut();
  }

  applySelection() {
    const flags = new Uint8Array(this.n);
    if (this.bits) for (let i = 0; i < this.n; i++) flags[i] = isSet(this.bits, i);
    const bits = this.chosen ? this.bits : null;
    this.panels.forEach((panel, i) => {
      panel.points.fill(2, flags);
      panel.points.setPreview(drawingOrder(this.codes[i], bits, panel.map, PREVIEW));
      panel.order = panel.seen = null;
    });
  }
  orderAll(panel, i, sight) {
    if (this.n <= PREVIEW) return;
    const bits = this.chosen ? this.bits : null, { width, height } = panel.canvas, { opacity } = this.header;
    panel.order ??= drawingOrder(this.codes[i], bits, panel.map, this.n);
    const seen = [...sight, width, height, opacity, ...panel.shown].join();
    if (panel.seen === seen) return;
    const cover = covers(opacity, this.chosen > 0, panel.shown);
    panel.points.setOrder(uncovered(panel.order, this.places, this.codes[i], bits, cover, sight, width, height));
    panel.seen = seen;
  }

  paint(panel) {
    const { map } = panel;
    const rgba = new Uint8Array(1024);
    const hide = this.hidden.get(map.title);
    map.palette.forEach((hex, c) => rgba.set([...hexToRgb(hex), map.kind === "labels" && hide?.has(map.labels[c]) ? 0 : 255], 4 * c));
    rgba.set([...hexToRgb(map.missing), 255], 4 * MISSING);
    panel.shown = rgba.filter((_, k) => k % 4 === 3);
    panel.points.setPalette(rgba);
  }
  visible(panel, i, cell) {
    if (panel.map.kind !== "labels") return true;
    const hide = this.hidden.get(panel.map.title);
    return !hide?.has(panel.map.labels[this.codes[i][cell]]);
  }

  // ------------------------------------------------------------ elements
  makePanel(i) {
    const box = make("div", { class: "panel" });
    const head = make("div", { class: "head" });
    const stage = make("div", { class: "stage", tabindex: "0", role: "img" });
    const canvas = make("canvas"), above = make("canvas"), card = make("div", { class: "card", hidden: "" });
    const legend = make("div", { class: "legend" });
    // points are painted onto the sheet of lines and names: without a graphics card, browsers
    // leave out the part of a WebGL canvas that was outside the window when it was drawn
    stage.append(above, card);
    const body = make("div", { class: "body" });
    body.append(stage, legend);
    box.append(head, body);
    this.root.querySelector(".maps").append(box);
    const panel = { box, head, stage, canvas, above, card, legend, points: new Points(canvas), ink: above.getContext("2d") };
    canvas.addEventListener("webglcontextlost", (event) => event.preventDefault());
    canvas.addEventListener("webglcontextrestored", () => {
      panel.points.setUp();
      this.refill();
    });
    this.listen(panel, i);
    this.resized.observe(stage);
    return panel;
  }

  buildBar() {
    const bar = this.root.querySelector(".bar");
    if (bar.childElementCount) return this.status();
    const group = (label, names, get, set) => choice(label, names, get, (name) => { set(name); this.status(); this.draw(); });
    const action = (text, hint, act) => {
      const button = make("button", { type: "button", title: hint });
      button.append(text);
      button.onclick = act;
      return button;
    };
    this.pens = group("Tool", {
      pan: [icon(PEN_ICONS.pan), PEN.pan],
      lasso: [icon(PEN_ICONS.lasso), PEN.lasso],
      box: [icon(PEN_ICONS.box), PEN.box],
    }, () => this.pen, (name) => { this.pen = name; });
    this.combines = group("What a new outline does", {
      replace: [COMBINE.replace, "A new outline replaces the selection"],
      add: [COMBINE.add, "A new outline adds to the selection (or hold Shift)"],
      subtract: [COMBINE.subtract, "A new outline takes away from the selection (or hold Alt)"],
    }, () => this.combine, (name) => { this.combine = name; });
    this.undo = action("Undo", "Take back the last change of the selection", () => this.takeBack());
    this.invert = action("Invert", "Select the cells that are not selected", () => this.invertAll());
    this.clear = action("Clear", "Select nothing (Escape)", () => this.choose(null));
    const whole = action("Whole map", "Show all cells (0)", () => this.home());
    this.said = make("span", { class: "said", role: "status" });
    const picture = action("Picture", "Save what the maps show now, zoomed and with groups hidden as they are, as a PNG", () => this.picture());
    bar.append(this.pens, this.combines, this.undo, this.invert, this.clear, whole, picture, this.said);
    this.status();
  }
  status() {
    if (!this.said) return;
    for (const box of [this.pens, this.combines]) for (const button of box.children) button.update();
    this.combines.hidden = this.pen === "pan";
    this.undo.disabled = !this.past.length;
    this.invert.disabled = this.clear.disabled = !this.chosen;
    this.said.textContent = this.chosen
      ? `${this.chosen.toLocaleString("en")} selected`
      : this.pen === "pan" ? "" : "Draw around cells";
    for (const panel of this.panels) panel.stage.dataset.pen = this.pen;
  }

  legend(panel, i) {
    const { map, legend, head } = panel;
    head.replaceChildren(make("strong", {}, map.title), ...(map.note ? [hint(map.note)] : []));
    legend.replaceChildren();
    panel.stage.setAttribute("aria-label", `${this.n.toLocaleString("en")} cells, coloured by ${map.title}`);
    legend.classList.toggle("wide", map.kind !== "labels");
    if (map.kind !== "labels") return this.ramp(panel);
    const hide = this.hidden.get(map.title) ?? new Set();
    this.hidden.set(map.title, hide);
    const redraw = () => { this.paint(panel); this.legend(panel, i); this.draw(); };
    map.labels.forEach((name, code) => {
      if (!map.counts[code]) return;
      const button = make("button", {
        type: "button", class: "entry", "aria-pressed": String(!hide.has(name)),
        title: "Click: hide or show. Double-click: show only this. Ctrl-click: select its cells.",
      });
      button.append(make("i", { style: `background:${map.palette[code]}` }), make("span", {}, name),
        make("small", {}, map.counts[code].toLocaleString("en")));
      const toggle = () => {
        if (hide.has(name)) hide.delete(name);
        else hide.add(name);
        redraw();
      };
      const only = () => {
        const alone = map.labels.every((one) => one === name || hide.has(one));
        hide.clear();
        if (!alone) for (const one of map.labels) if (one !== name) hide.add(one);
        redraw();
      };
      let waiting;
      button.onclick = (event) => {
        clearTimeout(waiting);
        if (event.ctrlKey || event.metaKey) return this.chooseGroup(i, code, event.shiftKey);
        if (event.detail > 1) return only();
        if (event.detail === 0) return toggle(); // from the keyboard
        waiting = setTimeout(toggle, 220);
      };
      button.onkeydown = (event) => { if (event.key === "o") only(); };
      legend.append(button);
    });
    if (hide.size) {
      const all = make("button", { type: "button", class: "entry all" }, "Show all groups");
      all.onclick = () => { hide.clear(); redraw(); };
      legend.append(all);
    }
  }
  ramp(panel) {
    const { map, legend } = panel;
    if (map.kind === "plain") return;
    const stops = map.palette.filter((_, c) => c % 14 === 0 || c === map.palette.length - 1);
    const scale = make("div", { class: "ramp" });
    scale.append(make("div", { class: "colours", style: `background:linear-gradient(to right,${stops.join(",")})` }));
    const middle = map.symmetric ? [make("span", {}, "0")] : [];
    const ends = make("div", { class: "ends" });
    ends.append(make("span", {}, map.lowText), ...middle, make("span", {}, map.highText));
    scale.append(ends);
    legend.append(scale);
    if (map.unknown) {
      const entry = make("div", { class: "unknown" });
      entry.append(make("i", { style: `background:${map.missing}` }), `no value: ${map.unknown.toLocaleString("en")}`);
      legend.append(entry);
    }
  }

  // ------------------------------------------------------------ camera
  layOut() {
    if (!this.header || !this.places) return;
    this.measure(Math.min(window.devicePixelRatio || 1, 2));
    // a part of very many cells can be seen at once
    this.draw(true, AT_ONCE);
  }
  measure(ratio) {
    for (const panel of this.panels) {
      const { width, height } = panel.stage.getBoundingClientRect();
      panel.width = Math.max(1, Math.round(width));
      panel.height = Math.max(1, Math.round(height));
      for (const canvas of [panel.canvas, panel.above]) {
        const [w, h] = [Math.round(panel.width * ratio), Math.round(panel.height * ratio)];
        if (canvas.width !== w) canvas.width = w;
        if (canvas.height !== h) canvas.height = h;
      }
      panel.ratio = ratio;
    }
  }
  unit(panel) {
    const [hx, hy] = this.header.extent;
    return 0.95 * Math.min(panel.width / (2 * hx), panel.height / (2 * hy));
  }
  toScreen(panel, x, y) {
    const unit = this.unit(panel), { zoom } = this.camera;
    return [panel.width / 2 + (x * zoom + this.camera.x) * unit, panel.height / 2 - (y * zoom + this.camera.y) * unit];
  }
  toWorld(panel, px, py) {
    const unit = this.unit(panel), { zoom } = this.camera;
    return [((px - panel.width / 2) / unit - this.camera.x) / zoom, (-(py - panel.height / 2) / unit - this.camera.y) / zoom];
  }
  zoomAt(panel, px, py, factor) {
    const [x, y] = this.toWorld(panel, px, py);
    this.camera.zoom = Math.max(0.5, Math.min(400, this.camera.zoom * factor));
    const [qx, qy] = this.toScreen(panel, x, y);
    const unit = this.unit(panel);
    this.camera.x += (px - qx) / unit;
    this.camera.y -= (py - qy) / unit;
    this.draw(true);
  }
  home() {
    this.camera = { zoom: 1, x: 0, y: 0 };
    this.draw();
  }

  draw(moving = false, rest = SETTLED) {
    this.quick = moving && this.n > PREVIEW;
    if (this.quick) this.rest(rest);
    else clearTimeout(this.settling);
    cancelAnimationFrame(this.frame);
    this.frame = requestAnimationFrame(() => this.drawNow());
  }
  rest(milliseconds) {
    clearTimeout(this.settling);
    this.settling = setTimeout(() => this.draw(), milliseconds);
  }
  drawNow() {
    const { header, camera } = this;
    this.panels.forEach((panel, i) => {
      if (!panel.width) return;
      const unit = this.unit(panel);
      const [sx, sy] = [(2 * unit) / panel.width, (2 * unit) / panel.height];
      const sight = [camera.zoom * sx, camera.zoom * sy, camera.x * sx, camera.y * sy];
      if (!this.quick) this.orderAll(panel, i, sight);
      // points grow a little as one comes nearer, but never hide the picture
      const size = header.size * panel.ratio * Math.min(3, Math.max(0.8, camera.zoom ** 0.35));
      panel.points.draw(sight, size, header.opacity, this.chosen > 0, this.quick);
      this.drawAbove(panel);
    });
    if (!this.quick) {
      this.root.dataset.drawn = header.stamp;
      this.root.dataset.milliseconds = String(Math.round(performance.now() - this.began));
      window.dispatchEvent(new CustomEvent("velovi-drawn", { detail: header.stamp }));
    }
  }
  drawAbove(panel) {
    const { ink } = panel;
    ink.setTransform(panel.ratio, 0, 0, panel.ratio, 0, 0);
    ink.clearRect(0, 0, panel.width, panel.height);
    ink.drawImage(panel.canvas, 0, 0, panel.width, panel.height);
    if (this.lines) this.drawField(panel);
    if (this.header.names && panel.map.kind === "labels") this.drawNames(panel);
    if (this.outline && this.outline.panel === panel) drawOutline(ink, this.outline.path, this.header.theme);
    if (this.hovered >= 0) {
      const [x, y] = this.toScreen(panel, this.places[2 * this.hovered] / FULL, this.places[2 * this.hovered + 1] / FULL);
      ink.beginPath();
      ink.arc(x, y, 6, 0, 2 * Math.PI);
      ink.lineWidth = 2;
      ink.strokeStyle = this.header.theme.ink;
      ink.stroke();
    }
  }
  drawField(panel) {
    const { ink } = panel, { starts, path, heads } = this.lines, { theme, field } = this.header;
    ink.lineWidth = field.width;
    ink.lineJoin = "round";
    ink.strokeStyle = theme.stream;
    ink.beginPath();
    for (let l = 0; l + 1 < starts.length; l++)
      for (let k = starts[l]; k < starts[l + 1]; k++) {
        const [x, y] = this.toScreen(panel, path[2 * k], path[2 * k + 1]);
        if (k === starts[l]) ink.moveTo(x, y);
        else ink.lineTo(x, y);
      }
    ink.stroke();
    ink.fillStyle = theme.head;
    ink.beginPath();
    const long = field.head;
    for (let k = 0; k < heads.length; k += 4) {
      const [x, y] = this.toScreen(panel, heads[k], heads[k + 1]);
      const [dx, dy] = [heads[k + 2], -heads[k + 3]];
      ink.moveTo(x + dx * long, y + dy * long);
      ink.lineTo(x - dx * long * 0.55 - dy * long * 0.62, y - dy * long * 0.55 + dx * long * 0.62);
      ink.lineTo(x - dx * long * 0.55 + dy * long * 0.62, y - dy * long * 0.55 - dx * long * 0.62);
      ink.closePath();
    }
    ink.fill();
  }
  drawNames(panel) {
    const { ink, map } = panel, { theme, font } = this.header;
    const hide = this.hidden.get(map.title), taken = [];
    ink.font = `600 12.5px ${font}`;
    ink.textAlign = "center";
    ink.textBaseline = "middle";
    ink.lineJoin = "round";
    for (const [code, x, y] of map.places) {
      const name = map.labels[code];
      if (hide?.has(name)) continue;
      let [px, py] = this.toScreen(panel, x, y);
      if (px < 0 || px > panel.width) continue; // the group's middle is out of sight
      const half = ink.measureText(name).width / 2 + 3;
      px = Math.max(half, Math.min(panel.width - half, px));
      const clash = (at) => taken.some(([cx, cy, h]) => Math.abs(cx - px) < h + half && Math.abs(cy - at) < 15);
      for (const shift of [0, -15, 15, -30, 30, -45, 45]) if (!clash(py + shift)) { py += shift; break; }
      taken.push([px, py, half]);
      ink.lineWidth = 4;
      ink.strokeStyle = theme.halo;
      ink.strokeText(name, px, py);
      ink.fillStyle = theme.ink;
      ink.fillText(name, px, py);
    }
  }

  // ------------------------------------------------------------ to take away
  // What the maps show now, finer than a screen, with titles and keys where the page has them.
  picture() {
    const { root, header: { theme, maps } } = this;
    root.classList.add("whole"); // keys are laid out without the part that one would scroll to
    const frame = root.querySelector(".maps").getBoundingClientRect();
    const [width, height] = [frame.width + 2 * MARGIN, frame.height + 2 * MARGIN];
    const fine = Math.min(FINE, LARGEST / Math.max(width, height));
    const sheet = new OffscreenCanvas(Math.round(width * fine), Math.round(height * fine));
    const ink = sheet.getContext("2d");
    ink.scale(fine, fine);
    ink.fillStyle = theme.ground;
    ink.fillRect(0, 0, width, height);
    ink.translate(MARGIN - frame.left, MARGIN - frame.top);
    this.quick = false;
    this.measure(fine);
    this.drawNow();
    for (const panel of this.panels) {
      const at = panel.stage.getBoundingClientRect();
      ink.drawImage(panel.above, at.left, at.top, at.width, at.height);
      copyWords(ink, panel.box.querySelectorAll("strong, .ends span, .entry[aria-pressed=true] :is(span, small), .unknown"));
      for (const mark of panel.legend.querySelectorAll(".entry[aria-pressed=true] i, .unknown i")) {
        const { left, top, width: wide } = mark.getBoundingClientRect();
        ink.fillStyle = getComputedStyle(mark).backgroundColor;
        ink.beginPath();
        ink.arc(left + wide / 2, top + wide / 2, wide / 2, 0, 2 * Math.PI);
        ink.fill();
      }
      for (const ramp of panel.legend.querySelectorAll(".colours")) {
        const { left, right, top, width: wide, height: high } = ramp.getBoundingClientRect();
        ink.fillStyle = ink.createLinearGradient(left, 0, right, 0);
        panel.map.palette.forEach((hex, c, all) => ink.fillStyle.addColorStop(c / (all.length - 1), hex));
        ink.fillRect(left, top, wide, high);
      }
    }
    root.classList.remove("whole");
    this.layOut();
    const name = maps.map((map) => map.title).join(" and ").replace(/[^\p{L}\p{N}.-]+/gu, "_").slice(0, 80);
    sheet.convertToBlob().then((blob) => {
      const link = make("a", { href: URL.createObjectURL(blob), download: `${name || "map"}.png` });
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
    });
  }

  // ------------------------------------------------------------ hands
  listen(panel, i) {
    const { stage } = panel;
    const at = (event) => pointAt(stage, event);
    stage.addEventListener("wheel", (event) => {
      event.preventDefault();
      this.zoomAt(panel, ...at(event), Math.exp(-event.deltaY * 0.0016));
    }, { passive: false });
    stage.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      stage.setPointerCapture(event.pointerId);
      this.leave();
      const [x, y] = at(event);
      if (this.pen === "pan") this.drag = { x, y };
      else this.outline = { panel, box: this.pen === "box", path: [[x, y]], from: [x, y], how: event.shiftKey ? "add" : event.altKey ? "subtract" : this.combine };
    });
    stage.addEventListener("pointermove", (event) => {
      const [x, y] = at(event);
      if (this.drag) {
        const unit = this.unit(panel);
        this.camera.x += (x - this.drag.x) / unit;
        this.camera.y -= (y - this.drag.y) / unit;
        this.drag = { x, y };
        return this.draw(true);
      }
      if (this.outline) {
        const [a, b] = this.outline.from;
        if (this.outline.box) this.outline.path = [[a, b], [x, b], [x, y], [a, y]];
        else this.outline.path.push([x, y]);
        return this.drawAbove(panel);
      }
      this.hover(panel, i, x, y);
    });
    const end = () => {
      const outline = this.outline;
      this.outline = null;
      if (this.drag) { this.drag = null; this.draw(); }
      if (outline) this.within(panel, i, outline);
    };
    stage.addEventListener("pointerup", end);
    stage.addEventListener("pointercancel", () => { this.drag = this.outline = null; this.draw(); });
    stage.addEventListener("pointerleave", () => this.leave());
    stage.addEventListener("dblclick", () => { if (this.pen === "pan") this.home(); });
    stage.addEventListener("keydown", (event) => {
      const step = 0.15;
      const moves = { ArrowLeft: [step, 0], ArrowRight: [-step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] };
      if (moves[event.key]) { this.camera.x += moves[event.key][0]; this.camera.y += moves[event.key][1]; this.draw(true); }
      else if (event.key === "+" || event.key === "=") this.zoomAt(panel, panel.width / 2, panel.height / 2, 1.25);
      else if (event.key === "-") this.zoomAt(panel, panel.width / 2, panel.height / 2, 0.8);
      else if (event.key === "0") this.home();
      else if (event.key === "Escape") { if (this.outline) { this.outline = null; this.draw(); } else this.choose(null); }
      else return;
      event.preventDefault();
    });
  }

  hover(panel, i, x, y) {
    this.finder ??= new Finder(this.places);
    const reach = 9 / (this.unit(panel) * this.camera.zoom);
    const cell = this.finder.nearest(...this.toWorld(panel, x, y), reach, (one) => this.visible(panel, i, one));
    if (cell === this.hovered) return;
    this.leave();
    if (cell < 0) return;
    this.hovered = cell;
    this.panels.forEach((one, k) => {
      const code = this.codes[k][cell], { map } = one;
      const told = map.kind === "labels" ? map.labels[code]
        : code === MISSING || map.kind === "plain" ? "no value" : `about ${number(map.low + ((map.high - map.low) * code) / 254)}`;
      const name = make("b", { class: "name" });
      one.card.replaceChildren(name, make("span", {}, `${map.title}: ${told}`));
      one.card.hidden = map.kind === "plain" && one !== panel;
      const [px, py] = this.toScreen(one, this.places[2 * cell] / FULL, this.places[2 * cell + 1] / FULL);
      one.card.style.left = `${Math.max(4, Math.min(px + 12, one.width - 190))}px`;
      one.card.style.top = `${Math.max(4, Math.min(py + 12, one.height - 60))}px`;
      this.drawAbove(one);
    });
    // the server knows the cell's name and its exact values
    clearTimeout(this.asking);
    this.asking = setTimeout(() => window.dispatchEvent(new CustomEvent("velovi-ask", { detail: { run: this.header.run, cell } })), 120);
  }
  showCell({ run, cell, name, values }) {
    if (run !== this.header?.run || cell !== this.hovered) return;
    for (const panel of this.panels) {
      panel.card.replaceChildren(make("b", { class: "name" }, name),
        ...values.map(([title, value]) => make("span", {}, `${title}: ${value}`)));
    }
  }
  leave() {
    clearTimeout(this.asking);
    if (this.hovered < 0) return;
    this.hovered = -1;
    for (const panel of this.panels) { panel.card.hidden = true; this.drawAbove(panel); }
  }

  // ------------------------------------------------------------ selecting
  within(panel, i, outline) {
    const { path } = outline;
    const xs = path.map((p) => p[0]), ys = path.map((p) => p[1]);
    const [left, right, top, bottom] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
    if (right - left < 3 && bottom - top < 3) return this.drawAbove(panel);
    // the outline as a picture: a cell is inside where its pixel is painted
    const fine = Math.min(4, 2048 / Math.max(right - left, bottom - top, 1));
    const [w, h] = [Math.ceil((right - left) * fine) + 2, Math.ceil((bottom - top) * fine) + 2];
    const sheet = new OffscreenCanvas(w, h).getContext("2d", { willReadFrequently: true });
    sheet.beginPath();
    path.forEach(([x, y], k) => sheet[k ? "lineTo" : "moveTo"]((x - left) * fine + 1, (y - top) * fine + 1));
    sheet.closePath();
    sheet.fill("evenodd");
    const painted = sheet.getImageData(0, 0, w, h).data;
    const inside = new Uint8Array((this.n + 7) >> 3);
    const unit = this.unit(panel), { zoom, x: cx, y: cy } = this.camera;
    for (let k = 0; k < this.n; k++) {
      const a = this.places[2 * k];
      if (a === NOWHERE) continue;
      const px = (panel.width / 2 + ((a / FULL) * zoom + cx) * unit - left) * fine + 1;
      if (px < 0 || px >= w) continue;
      const py = (panel.height / 2 - ((this.places[2 * k + 1] / FULL) * zoom + cy) * unit - top) * fine + 1;
      if (py < 0 || py >= h) continue;
      if (painted[4 * (Math.floor(py) * w + Math.floor(px)) + 3] > 127 && this.visible(panel, i, k)) inside[k >> 3] |= 1 << (k & 7);
    }
    this.merge(inside, outline.how);
  }
  chooseGroup(i, code, add) {
    const inside = new Uint8Array((this.n + 7) >> 3);
    for (let k = 0; k < this.n; k++) if (this.codes[i][k] === code) inside[k >> 3] |= 1 << (k & 7);
    this.merge(inside, add ? "add" : "replace");
  }
  merge(inside, how) {
    const bits = inside.slice();
    if (how !== "replace" && this.bits)
      for (let b = 0; b < bits.length; b++) bits[b] = how === "add" ? this.bits[b] | inside[b] : this.bits[b] & ~inside[b];
    else if (how === "subtract") bits.fill(0);
    this.choose(bits);
  }
  invertAll() {
    if (!this.bits) return;
    const bits = this.bits.map((b) => ~b & 255);
    const spare = 8 * bits.length - this.n;
    if (spare) bits[bits.length - 1] &= 255 >> spare;
    this.choose(bits);
  }
  putAside() {
    this.past.push(this.chosen ? this.bits : null);
    if (this.past.length > 20) this.past.shift();
  }
  takeBack() {
    if (this.past.length) this.choose(this.past.pop(), false);
  }
  choose(bits, remember = true) {
    const count = bits ? countBits(bits) : 0;
    if (!count && !this.chosen) return this.draw();
    if (remember) this.putAside();
    this.bits = count ? bits : null;
    this.chosen = count;
    const picked = { run: this.header.run, count, bits: count ? asText(bits) : "" };
    this.store(picked);
    this.send("picked", picked);
    this.status();
    // the server works while this browser draws
    setTimeout(() => {
      this.applySelection();
      this.draw(true, ANSWER);
    });
  }
}

// ---------------------------------------------------------------- small things

// Words of the page, written at the same places.
function copyWords(ink, elements) {
  ink.textBaseline = "middle";
  for (const element of elements) {
    const words = document.createRange();
    words.selectNodeContents(element.lastChild ?? element);
    const { left, top, width, height } = words.getBoundingClientRect();
    const room = Math.min(width, element.getBoundingClientRect().width);
    const { fontWeight, fontSize, fontFamily, color } = getComputedStyle(element);
    ink.font = `${fontWeight} ${fontSize} ${fontFamily}`;
    ink.fillStyle = color;
    ink.fillText(words.toString(), left, top + height / 2, room + 1);
  }
}
function hint(text) {
  const mark = make("span", { class: "hint", tabindex: "0", title: text, "aria-label": text }, "?");
  return mark;
}
export default function ({ data, parentElement, setTriggerValue }) {
  const root = parentElement.querySelector(".velovi-scatter");
  const send = (name, value) => setTriggerValue(name, value);
  try {
    root.scatter ??= new Scatter(root, send);
    root.scatter.send = send;
    if (data) root.scatter.update(unpack(data));
  } catch (error) {
    root.querySelector(".maps").textContent =
      `The map cannot be drawn: this browser offers no WebGL 2 (${error.message}). Another browser, or switching on its graphics acceleration, helps.`;
    console.warn(error);
  }
  return () => {
    root.scatter?.free();
    root.scatter = null;
  };
}
