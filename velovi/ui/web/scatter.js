// Cells as points on one or more maps that share a camera and a selection. WebGL 2 draws the
// points from five bytes a cell; a 2-D canvas above it draws lines, names and the lasso.
// Python joins this file with those that it imports (velovi/ui/components.py): there is no build step.
// Part of veloVI Explorer, BSD-3-Clause.

import {
  bitsToText,
  combineBits,
  countBits,
  invertBits,
  isSet,
  noBits,
  sameBits,
  setBit,
} from "./bits.js";
import { Camera, unitPixels } from "./camera.js";
import { COORD_MAX, hexToRgb, MISSING } from "./cell_codes.js";
import { CellFinder } from "./cell_finder.js";
import { covers, drawingOrder, uncovered } from "./draw_order.js";
import {
  answerPartQueries,
  drawOutline,
  formatNumber,
  hint,
  icon,
  make,
  PEN_ICONS,
  pointAt,
  radioButtons,
} from "./elements.js";
import { groupLegend, valueLegend } from "./legend.js";
import { drawField, drawNames } from "./map_overlay.js";
import { savePicture } from "./map_picture.js";
import { unpack } from "./message.js";
import { cellsInside, outlineBounds } from "./outline.js";
import { Points } from "./points.js";

window.__veloviMaps ??= { places: new Map(), codes: new Map(), views: new Map() };
const kept = window.__veloviMaps;
// of these the server may send a name only; it counts on fewer being kept than there are
const MOST = { places: 4, codes: 12 };
const PREVIEW = 150_000; // points drawn while something changes
const SETTLED = 160; // milliseconds of rest before all are drawn
const AT_ONCE = 20; // the same when nobody is moving anything
const ANSWER = 900; // longest wait for the server before that, because drawing holds up its answer
const STORED = "velovi-selection";

function remember(kind, key, values) {
  const all = kept[kind];
  const found = values ?? all.get(key);
  if (!found) return null;
  all.delete(key);
  all.set(key, found);
  while (all.size > MOST[kind]) all.delete(all.keys().next().value);
  return found;
}

const PEN = {
  pan: "Move the map",
  lasso: "Draw a lasso around cells",
  box: "Draw a box around cells",
};
const COMBINE = { replace: "New", add: "Add", subtract: "Take away" };

class Scatter {
  constructor(root, send) {
    this.root = root;
    this.send = send;
    this.camera = new Camera();
    this.pen = "pan";
    this.combine = "replace";
    this.hidden = new Map(); // title of the colouring -> hidden groups
    this.past = []; // earlier selections
    this.panels = [];
    this.hovered = -1;
    this.resized = new ResizeObserver(() => this.layOut());
    this.heard = (event) => this.showCell(event.detail);
    window.addEventListener("velovi-cell", this.heard);
    this.silence = answerPartQueries((name) =>
      name === this.header?.name ? this.visiblePart() : null,
    );
  }
  free() {
    this.keep();
    this.resized.disconnect();
    window.removeEventListener("velovi-cell", this.heard);
    this.silence();
    for (const panel of this.panels) panel.points.free();
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
    Object.assign(
      this,
      { camera: new Camera(), hidden: new Map(), past: [] },
      kept.views.get(header.view),
    );
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
    this.lines = header.field
      ? {
          starts: parts.starts,
          path: parts.path,
          heads: parts.heads,
          strengths: parts.strengths,
        }
      : null;
    const reshaped = this.shape(header.maps.length);
    const recoloured = codes.map((values, i) => moved || reshaped || values !== this.codes?.[i]);
    this.codes = codes;
    const reselected = moved || !sameBits(this.bits, parts.selected ?? null);
    if (reselected) {
      if (!moved) this.putAside(); // selected elsewhere: Undo leads back from there as well
      this.bits = parts.selected ?? null;
      this.chosen = this.bits ? countBits(this.bits) : 0;
      if (kept.begun)
        this.store({
          run: header.run,
          count: this.chosen,
          bits: this.chosen ? bitsToText(this.bits) : "",
        });
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
    } catch {
      /* not allowed to look: this page begins without a selection */
    }
  }
  store(picked) {
    try {
      if (picked.count) sessionStorage.setItem(STORED, JSON.stringify(picked));
      else sessionStorage.removeItem(STORED);
    } catch {
      /* no room, or not allowed: then a refresh begins without a selection */
    }
  }

  // As many panels as there are maps; true when they had to be made.
  shape(count) {
    if (this.panels.length === count) return false;
    for (const panel of this.panels) panel.points.free();
    this.root.querySelector(".maps").replaceChildren();
    this.panels = [];
    for (let i = 0; i < count; i++) this.panels.push(this.makePanel(i));
    return true;
  }
  dress() {
    const { theme, height, tall } = this.header;
    for (const name of ["paper", "ink", "muted", "line", "accent"])
      this.root.style.setProperty(`--${name}`, theme[name]);
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
    const bits = this.chosen ? this.bits : null,
      { width, height } = panel.canvas,
      { opacity } = this.header;
    panel.order ??= drawingOrder(this.codes[i], bits, panel.map, this.n);
    const seen = [...sight, width, height, opacity, ...panel.shown].join();
    if (panel.seen === seen) return;
    const cover = covers(opacity, this.chosen > 0, panel.shown);
    panel.points.setOrder(
      uncovered(panel.order, this.places, this.codes[i], bits, cover, sight, width, height),
    );
    panel.seen = seen;
  }

  paint(panel) {
    const { map } = panel;
    const rgba = new Uint8Array(1024);
    const hide = this.hidden.get(map.title);
    for (const [c, hex] of map.palette.entries()) {
      const hidden = map.kind === "labels" && hide?.has(map.labels[c]);
      rgba.set([...hexToRgb(hex), hidden ? 0 : 255], 4 * c);
    }
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
    const canvas = make("canvas"),
      above = make("canvas"),
      card = make("div", { class: "card", hidden: "" });
    const legend = make("div", { class: "legend" });
    // points are painted onto the sheet of lines and names: without a graphics card, browsers
    // leave out the part of a WebGL canvas that was outside the window when it was drawn
    stage.append(above, card);
    const body = make("div", { class: "body" });
    body.append(stage, legend);
    box.append(head, body);
    this.root.querySelector(".maps").append(box);
    const panel = {
      box,
      head,
      stage,
      canvas,
      above,
      card,
      legend,
      points: new Points(canvas),
      ink: above.getContext("2d"),
    };
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
    const group = (label, names, get, set) =>
      radioButtons(label, names, get, (name) => {
        set(name);
        this.status();
        this.draw();
      });
    const action = (text, hint, act) => {
      const button = make("button", { type: "button", title: hint });
      button.append(text);
      button.onclick = act;
      return button;
    };
    this.pens = group(
      "Tool",
      {
        pan: [icon(PEN_ICONS.pan), PEN.pan],
        lasso: [icon(PEN_ICONS.lasso), PEN.lasso],
        box: [icon(PEN_ICONS.box), PEN.box],
      },
      () => this.pen,
      (name) => {
        this.pen = name;
      },
    );
    this.combines = group(
      "What a new outline does",
      {
        replace: [COMBINE.replace, "A new outline replaces the selection"],
        add: [COMBINE.add, "A new outline adds to the selection (or hold Shift)"],
        subtract: [COMBINE.subtract, "A new outline takes away from the selection (or hold Alt)"],
      },
      () => this.combine,
      (name) => {
        this.combine = name;
      },
    );
    this.undo = action("Undo", "Take back the last change of the selection", () => this.takeBack());
    this.invert = action("Invert", "Select the cells that are not selected", () =>
      this.invertAll(),
    );
    this.clear = action("Clear", "Select nothing (Escape)", () => this.choose(null));
    const whole = action("Whole map", "Show all cells (0)", () => this.home());
    this.said = make("span", { class: "said", role: "status" });
    const picture = action(
      "Picture",
      "Save what the maps show now, zoomed and with groups hidden as they are, as a PNG",
      () => savePicture(this),
    );
    bar.append(
      this.pens,
      this.combines,
      this.undo,
      this.invert,
      this.clear,
      whole,
      picture,
      this.said,
    );
    this.status();
  }
  status() {
    if (!this.said) return;
    for (const box of [this.pens, this.combines])
      for (const button of box.children) button.update();
    this.combines.hidden = this.pen === "pan";
    this.undo.disabled = !this.past.length;
    this.invert.disabled = this.clear.disabled = !this.chosen;
    this.said.textContent = this.chosen
      ? `${this.chosen.toLocaleString("en")} selected`
      : this.pen === "pan"
        ? ""
        : "Draw around cells";
    for (const panel of this.panels) panel.stage.dataset.pen = this.pen;
  }

  legend(panel, i) {
    const { map, legend, head } = panel;
    head.replaceChildren(make("strong", {}, map.title), ...(map.note ? [hint(map.note)] : []));
    panel.stage.setAttribute(
      "aria-label",
      `${this.n.toLocaleString("en")} cells, coloured by ${map.title}`,
    );
    legend.classList.toggle("wide", map.kind !== "labels");
    if (map.kind !== "labels")
      return legend.replaceChildren(...(map.kind === "plain" ? [] : valueLegend(map)));
    const hidden = this.hidden.get(map.title) ?? new Set();
    this.hidden.set(map.title, hidden);
    const redraw = () => {
      this.paint(panel);
      this.legend(panel, i);
      this.draw();
    };
    legend.replaceChildren(
      ...groupLegend(map, hidden, redraw, (code, add) => this.chooseGroup(i, code, add)),
    );
  }

  // ------------------------------------------------------------ camera
  // What the first map shows, in the embedding's own units.
  visiblePart() {
    const { header, camera, panels } = this;
    const hidden = [...(this.hidden.get(header.maps[0].title) ?? [])];
    const [panel] = panels;
    if (camera.isHome) return { x: null, y: null, hidden };
    const [left, high] = camera.toWorld(panel, this.unit(panel), 0, 0);
    const [right, low] = camera.toWorld(panel, this.unit(panel), panel.width, panel.height);
    const [centreX, centreY] = header.centre;
    const own = (ends, centre) => ends.map((end) => centre + header.half * end);
    return { x: own([left, right], centreX), y: own([low, high], centreY), hidden };
  }
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
    return unitPixels(panel, this.header.extent);
  }
  toScreen(panel, x, y) {
    return this.camera.toScreen(panel, this.unit(panel), x, y);
  }
  zoomAt(panel, px, py, factor) {
    this.camera.zoomAt(panel, this.unit(panel), px, py, factor);
    this.draw(true);
  }
  home() {
    this.camera.home();
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
      const sight = camera.clip(panel, this.unit(panel));
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
    const { field, theme, names } = this.header,
      { map } = panel;
    const at = (x, y) => this.toScreen(panel, x, y);
    if (this.lines) drawField(ink, this.lines, field, theme, at);
    if (names && map.kind === "labels")
      drawNames(ink, map, this.hidden.get(map.title), this.header, panel.width, at);
    if (this.outline && this.outline.panel === panel) drawOutline(ink, this.outline.path, theme);
    if (this.hovered >= 0) {
      const [x, y] = this.toScreen(
        panel,
        this.places[2 * this.hovered] / COORD_MAX,
        this.places[2 * this.hovered + 1] / COORD_MAX,
      );
      ink.beginPath();
      ink.arc(x, y, 6, 0, 2 * Math.PI);
      ink.lineWidth = 2;
      ink.strokeStyle = theme.ink;
      ink.stroke();
    }
  }
  // All at once, with so many pixels for one of the page's.
  drawFine(ratio) {
    this.quick = false;
    this.measure(ratio);
    this.drawNow();
  }

  // ------------------------------------------------------------ hands
  listen(panel, i) {
    const { stage } = panel;
    const at = (event) => pointAt(stage, event);
    stage.addEventListener(
      "wheel",
      (event) => {
        event.preventDefault();
        this.zoomAt(panel, ...at(event), Math.exp(-event.deltaY * 0.0016));
      },
      { passive: false },
    );
    stage.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      stage.setPointerCapture(event.pointerId);
      this.leave();
      const [x, y] = at(event);
      if (this.pen === "pan") this.drag = { x, y };
      else
        this.outline = {
          panel,
          box: this.pen === "box",
          path: [[x, y]],
          from: [x, y],
          how: event.shiftKey ? "add" : event.altKey ? "subtract" : this.combine,
        };
    });
    stage.addEventListener("pointermove", (event) => {
      const [x, y] = at(event);
      if (this.drag) {
        this.camera.move(this.unit(panel), x - this.drag.x, y - this.drag.y);
        this.drag = { x, y };
        return this.draw(true);
      }
      if (this.outline) {
        const [a, b] = this.outline.from;
        if (this.outline.box)
          this.outline.path = [
            [a, b],
            [x, b],
            [x, y],
            [a, y],
          ];
        else this.outline.path.push([x, y]);
        return this.drawAbove(panel);
      }
      this.hover(panel, i, x, y);
    });
    const end = () => {
      const outline = this.outline;
      this.outline = null;
      if (this.drag) {
        this.drag = null;
        this.draw();
      }
      if (outline) this.within(panel, i, outline);
    };
    stage.addEventListener("pointerup", end);
    stage.addEventListener("pointercancel", () => {
      this.drag = this.outline = null;
      this.draw();
    });
    stage.addEventListener("pointerleave", () => this.leave());
    stage.addEventListener("dblclick", () => {
      if (this.pen === "pan") this.home();
    });
    stage.addEventListener("keydown", (event) => {
      const step = 0.15;
      const moves = {
        ArrowLeft: [step, 0],
        ArrowRight: [-step, 0],
        ArrowUp: [0, -step],
        ArrowDown: [0, step],
      };
      if (moves[event.key]) {
        this.camera.x += moves[event.key][0];
        this.camera.y += moves[event.key][1];
        this.draw(true);
      } else if (event.key === "+" || event.key === "=")
        this.zoomAt(panel, panel.width / 2, panel.height / 2, 1.25);
      else if (event.key === "-") this.zoomAt(panel, panel.width / 2, panel.height / 2, 0.8);
      else if (event.key === "0") this.home();
      else if (event.key === "Escape") {
        if (this.outline) {
          this.outline = null;
          this.draw();
        } else this.choose(null);
      } else return;
      event.preventDefault();
    });
  }

  hover(panel, i, x, y) {
    this.finder ??= new CellFinder(this.places);
    const reach = 9 / (this.unit(panel) * this.camera.zoom);
    const cell = this.finder.nearest(
      ...this.camera.toWorld(panel, this.unit(panel), x, y),
      reach,
      (candidate) => this.visible(panel, i, candidate),
    );
    if (cell === this.hovered) return;
    this.leave();
    if (cell < 0) return;
    this.hovered = cell;
    this.panels.forEach((other, k) => {
      const code = this.codes[k][cell],
        { map, card } = other;
      const told =
        map.kind === "labels"
          ? map.labels[code]
          : code === MISSING || map.kind === "plain"
            ? "no value"
            : `about ${formatNumber(map.low + ((map.high - map.low) * code) / 254)}`;
      const name = make("b", { class: "name" });
      card.replaceChildren(name, make("span", {}, `${map.title}: ${told}`));
      card.hidden = map.kind === "plain" && other !== panel;
      const [px, py] = this.toScreen(
        other,
        this.places[2 * cell] / COORD_MAX,
        this.places[2 * cell + 1] / COORD_MAX,
      );
      card.style.left = `${Math.max(4, Math.min(px + 12, other.width - 190))}px`;
      card.style.top = `${Math.max(4, Math.min(py + 12, other.height - 60))}px`;
      this.drawAbove(other);
    });
    // the server knows the cell's name and its exact values
    clearTimeout(this.asking);
    this.asking = setTimeout(
      () =>
        window.dispatchEvent(
          new CustomEvent("velovi-ask", { detail: { run: this.header.run, cell } }),
        ),
      120,
    );
  }
  showCell({ run, cell, name, values }) {
    if (run !== this.header?.run || cell !== this.hovered) return;
    for (const panel of this.panels) {
      panel.card.replaceChildren(
        make("b", { class: "name" }, name),
        ...values.map(([title, value]) => make("span", {}, `${title}: ${value}`)),
      );
    }
  }
  leave() {
    clearTimeout(this.asking);
    if (this.hovered < 0) return;
    this.hovered = -1;
    for (const panel of this.panels) {
      panel.card.hidden = true;
      this.drawAbove(panel);
    }
  }

  // ------------------------------------------------------------ selecting
  within(panel, i, { path, how }) {
    const bounds = outlineBounds(path);
    if (!bounds) return this.drawAbove(panel);
    const visible = (cell) => this.visible(panel, i, cell);
    this.choose(
      combineBits(
        this.bits,
        cellsInside(path, bounds, this.places, this.camera, panel, this.unit(panel), visible),
        how,
      ),
    );
  }
  chooseGroup(i, code, add) {
    const inside = noBits(this.n);
    for (let k = 0; k < this.n; k++) if (this.codes[i][k] === code) setBit(inside, k);
    this.choose(combineBits(this.bits, inside, add ? "add" : "replace"));
  }
  invertAll() {
    if (this.bits) this.choose(invertBits(this.bits, this.n));
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
    const picked = { run: this.header.run, count, bits: count ? bitsToText(bits) : "" };
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
