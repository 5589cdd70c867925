// A chart of cells and lines on a canvas (velovi/plotting/chart.py): points, areas, lines and stacked
// areas over two axes.
// Part of veloVI Explorer, BSD-3-Clause.

import { axisTicks } from "./axis_ticks.js";
import {
  answerPartQueries,
  drawOutline,
  formatNumber,
  icon,
  make,
  PEN_ICONS,
  pointAt,
  radioButtons,
} from "./elements.js";
import { unpack } from "./message.js";
import { outlineBounds } from "./outline.js";

const LETTERS = 11,
  GAP = 8,
  REACH = 10,
  TITLE = 13;
const SMALLEST_OUTLINE = 4; // pixels

// Layers that lie on top of each other: the lower and the upper edge of each, (bins,).
export function stackLayers(layers) {
  let below = null;
  return layers.map((own) => {
    const low = below ?? new Float64Array(own.length);
    below = Float64Array.from(own, (value, i) => value + low[i]);
    return { low, high: below };
  });
}
// Index of the value that is nearest.
export function nearestIndex(values, wanted) {
  let best = 0;
  for (let i = 1; i < values.length; i++)
    if (Math.abs(values[i] - wanted) < Math.abs(values[best] - wanted)) best = i;
  return best;
}
// From data to pixels inside a plot and back; view is { x: [low, high], y: [low, high] }.
export function makeScales({ x: [a, b], y: [c, d] }, { left, right, top, bottom }) {
  const [sx, sy] = [(right - left) / (b - a), (bottom - top) / (d - c)];
  return {
    x: (value) => left + (value - a) * sx,
    y: (value) => bottom - (value - c) * sy,
    backX: (pixel) => a + (pixel - left) / sx,
    backY: (pixel) => c + (bottom - pixel) / sy,
  };
}

// ---------------------------------------------------------------- the component

const PEN = {
  lasso: [() => icon(PEN_ICONS.lasso), "Draw a lasso around cells"],
  box: [() => icon(PEN_ICONS.box), "Draw a box around cells"],
  pan: [() => icon(PEN_ICONS.pan), "Move the chart; the wheel zooms"],
};

class Chart {
  constructor(root) {
    this.root = root;
    this.bar = root.querySelector(".bar");
    this.stage = root.querySelector(".stage");
    this.ink = this.stage.querySelector("canvas").getContext("2d");
    this.card = this.stage.querySelector(".card");
    this.resized = new ResizeObserver(() => this.draw());
    this.resized.observe(this.stage);
    this.listen();
    this.silence = answerPartQueries((name) =>
      name === this.header?.name ? this.visiblePart() : null,
    );
  }
  free() {
    this.silence();
    this.resized.disconnect();
  }

  update({ header, parts }) {
    this.header = header;
    const { theme, gene, x, y } = header;
    this.points = header.points.map((group, i) => ({ ...group, places: parts[`points${i}`] }));
    this.areas = header.areas.map((area, i) => ({ ...area, path: parts[`areas${i}`] }));
    this.lines = header.lines.map((line, i) => ({ ...line, path: parts[`lines${i}`] }));
    const edges = stackLayers(header.layers.map((_, i) => parts[`layers${i}`]));
    this.layers = header.layers.map((layer, i) => ({ ...layer, ...edges[i] }));
    this.bins = parts.bins ?? [];
    const whole = JSON.stringify([x, y, gene]);
    if (whole !== this.whole) this.home();
    this.whole = whole;
    this.pen = header.outlines ? (PEN[this.pen] ? this.pen : "lasso") : "zoom";
    for (const [name, colour] of Object.entries(theme))
      this.root.style.setProperty(`--${name}`, colour);
    this.root.style.setProperty("--height", `${header.height}px`);
    this.stage.setAttribute("aria-label", header.alt);
    this.card.hidden = true;
    this.near = null;
    this.fillBar();
    this.draw();
  }
  visiblePart() {
    const { x, y } = this.header;
    const whole =
      JSON.stringify({ x: [x.low, x.high], y: [y.low, y.high] }) === JSON.stringify(this.view);
    return { ...(whole ? { x: null, y: null } : this.view), hidden: [] };
  }
  home() {
    const { x, y } = this.header;
    this.view = { x: [x.low, x.high], y: [y.low, y.high] };
  }

  // ------------------------------------------------------------ elements
  fillBar() {
    this.bar.replaceChildren(...this.lines.filter((line) => line.name).map(lineKey));
    if (!this.header.outlines) return;
    const tools = make("span", { class: "tools" });
    const signs = Object.fromEntries(
      Object.entries(PEN).map(([name, [sign, explained]]) => [name, [sign(), explained]]),
    );
    const pens = radioButtons(
      "Tool",
      signs,
      () => this.pen,
      (name) => {
        this.pen = name;
        for (const button of pens.children) button.update();
        this.stage.dataset.pen = name;
      },
    );
    const whole = make("button", { type: "button", title: "Show all cells (0)" }, "Whole chart");
    whole.onclick = () => {
      this.home();
      this.draw();
    };
    tools.append(pens, whole);
    this.bar.append(tools);
  }

  // ------------------------------------------------------------ drawing
  get plot() {
    const { x, y, font } = this.header,
      { ink } = this;
    const [wide, tall] = [this.stage.clientWidth, this.stage.clientHeight];
    ink.font = `${LETTERS}px ${font}`;
    const bottom = tall - LETTERS - GAP - (x.title ? TITLE + 5 : 0);
    const up = axisTicks(this.view.y, (bottom - GAP) / 42);
    const left =
      Math.max(...up.map(([, text]) => ink.measureText(text).width), 0) +
      GAP +
      (y.title ? TITLE + GAP : 0);
    const right = wide - GAP;
    return {
      left,
      right,
      top: GAP,
      bottom,
      up,
      along: axisTicks(this.view.x, (right - left) / 70),
    };
  }
  draw() {
    if (!this.header || !this.stage.clientWidth) return;
    const { ink, stage } = this;
    const fine = window.devicePixelRatio || 1;
    const [wide, tall] = [
      Math.round(stage.clientWidth * fine),
      Math.round(stage.clientHeight * fine),
    ];
    if (ink.canvas.width !== wide || ink.canvas.height !== tall)
      Object.assign(ink.canvas, { width: wide, height: tall });
    stage.dataset.pen = this.pen;
    ink.setTransform(fine, 0, 0, fine, 0, 0);
    ink.clearRect(0, 0, wide, tall);
    this.at = this.plot;
    const to = makeScales(this.view, this.at);
    this.to = to;
    this.drawAxes(to);
    ink.save();
    ink.beginPath();
    ink.rect(this.at.left, this.at.top, this.at.right - this.at.left, this.at.bottom - this.at.top);
    ink.clip();
    for (const layer of this.layers) this.drawLayer(layer, to);
    for (const group of this.points) this.drawPoints(group, to, fine);
    for (const area of this.areas) this.drawArea(area, to);
    for (const line of this.lines) this.drawLine(line, to);
    if (this.outline) drawOutline(ink, this.outline.path, this.header.theme);
    if (this.near) this.drawNear(to);
    ink.restore();
    const { stamp, gene } = this.header;
    if (this.root.dataset.drawn === stamp) return;
    this.root.dataset.drawn = stamp;
    window.dispatchEvent(new CustomEvent("velovi-shown", { detail: gene }));
  }
  drawAxes(to) {
    const { ink, at } = this,
      { x, y, font, theme } = this.header;
    ink.lineWidth = 1;
    ink.font = `${LETTERS}px ${font}`;
    ink.fillStyle = theme.muted;
    ink.strokeStyle = theme.grid;
    ink.beginPath();
    ink.textAlign = "center";
    ink.textBaseline = "top";
    for (const [value, text] of at.along) {
      const across = to.x(value);
      ink.moveTo(across, at.top);
      ink.lineTo(across, at.bottom);
      ink.fillText(text, across, at.bottom + 5);
    }
    ink.textAlign = "right";
    ink.textBaseline = "middle";
    for (const [value, text] of at.up) {
      const down = to.y(value);
      ink.moveTo(at.left, down);
      ink.lineTo(at.right, down);
      ink.fillText(text, at.left - 5, down);
    }
    ink.stroke();
    ink.font = `${TITLE}px ${font}`;
    ink.textAlign = "center";
    ink.textBaseline = "bottom";
    ink.fillText(x.title, (at.left + at.right) / 2, this.stage.clientHeight - 2);
    ink.save();
    ink.translate(1, (at.top + at.bottom) / 2);
    ink.rotate(-Math.PI / 2);
    ink.textBaseline = "top";
    ink.fillText(y.title, 0, 0);
    ink.restore();
  }
  drawPoints({ places, color, opacity, size }, to, fine) {
    const { ink } = this;
    // one picture of a point, set down many times
    const side = Math.ceil(size * fine) + 2;
    const stamp = new OffscreenCanvas(side, side),
      pen = stamp.getContext("2d");
    pen.fillStyle = color;
    pen.arc(side / 2, side / 2, (size * fine) / 2, 0, 2 * Math.PI);
    pen.fill();
    ink.globalAlpha = opacity;
    const wide = side / fine;
    for (let k = 0; k < places.length; k += 2)
      ink.drawImage(stamp, to.x(places[k]) - wide / 2, to.y(places[k + 1]) - wide / 2, wide, wide);
    ink.globalAlpha = 1;
  }
  drawLayer({ low, high, color }, to) {
    const { ink, bins } = this;
    ink.beginPath();
    for (let i = 0; i < bins.length; i++)
      ink[i ? "lineTo" : "moveTo"](to.x(bins[i]), to.y(high[i]));
    for (let i = bins.length - 1; i >= 0; i--) ink.lineTo(to.x(bins[i]), to.y(low[i]));
    ink.closePath();
    ink.fillStyle = color;
    ink.fill();
    ink.strokeStyle = this.header.theme.paper;
    ink.lineWidth = 0.8;
    ink.stroke();
  }
  trace(path, to) {
    const { ink } = this;
    ink.beginPath();
    for (let k = 0; k < path.length; k += 2)
      ink[k ? "lineTo" : "moveTo"](to.x(path[k]), to.y(path[k + 1]));
  }
  drawArea({ path, color }, to) {
    this.trace(path, to);
    this.ink.closePath();
    this.ink.fillStyle = color;
    this.ink.fill();
  }
  drawLine({ path, color, width, dash }, to) {
    const { ink } = this;
    this.trace(path, to);
    ink.setLineDash(dash);
    ink.lineJoin = "round";
    ink.strokeStyle = color;
    ink.lineWidth = width;
    ink.stroke();
    ink.setLineDash([]);
  }
  drawNear(to) {
    const { ink, at } = this,
      { x, y } = this.near;
    ink.lineWidth = 1.5;
    ink.strokeStyle = this.header.theme.ink;
    ink.beginPath();
    if (y === undefined) {
      ink.moveTo(to.x(x), at.top);
      ink.lineTo(to.x(x), at.bottom);
    } else ink.arc(to.x(x), to.y(y), 5, 0, 2 * Math.PI);
    ink.stroke();
  }

  // ------------------------------------------------------------ hands
  listen() {
    const { stage } = this;
    const here = (event) => pointAt(stage, event);
    stage.addEventListener(
      "wheel",
      (event) => {
        if (!this.header?.outlines) return;
        event.preventDefault();
        this.zoomAt(...here(event), Math.exp(event.deltaY * 0.0016));
      },
      { passive: false },
    );
    stage.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      stage.setPointerCapture(event.pointerId);
      this.leave();
      const [x, y] = here(event);
      if (this.pen === "pan") this.drag = [x, y];
      else
        this.outline = {
          from: [x, y],
          path: [[x, y]],
          how: event.shiftKey ? "add" : event.altKey ? "subtract" : "replace",
        };
    });
    stage.addEventListener("pointermove", (event) => {
      const [x, y] = here(event);
      if (this.drag) {
        this.move(
          this.to.backX(this.drag[0]) - this.to.backX(x),
          this.to.backY(this.drag[1]) - this.to.backY(y),
        );
        this.drag = [x, y];
      } else if (this.outline) {
        const [a, b] = this.outline.from,
          { top, bottom } = this.at;
        if (this.pen === "lasso") this.outline.path.push([x, y]);
        else if (this.pen === "box")
          this.outline.path = [
            [a, b],
            [x, b],
            [x, y],
            [a, y],
          ];
        else
          this.outline.path = [
            [a, top],
            [x, top],
            [x, bottom],
            [a, bottom],
          ];
        this.soon();
      } else this.hover(x, y);
    });
    stage.addEventListener("pointerup", () => {
      const { outline } = this;
      this.outline = this.drag = null;
      if (outline) this.outlined(outline);
    });
    stage.addEventListener("pointercancel", () => {
      this.outline = this.drag = null;
      this.draw();
    });
    stage.addEventListener("pointerleave", () => this.leave());
    stage.addEventListener("dblclick", () => {
      this.home();
      this.draw();
    });
    stage.addEventListener("keydown", (event) => {
      const {
          x: [a, b],
          y: [c, d],
        } = this.view,
        [dx, dy] = [(b - a) / 10, (d - c) / 10];
      const moves = {
        ArrowLeft: [-dx, 0],
        ArrowRight: [dx, 0],
        ArrowUp: [0, dy],
        ArrowDown: [0, -dy],
      };
      const middle = [(this.at.left + this.at.right) / 2, (this.at.top + this.at.bottom) / 2];
      if (moves[event.key]) this.move(...moves[event.key]);
      else if (event.key === "+" || event.key === "=") this.zoomAt(...middle, 0.8);
      else if (event.key === "-") this.zoomAt(...middle, 1.25);
      else if (event.key === "0") {
        this.home();
        this.draw();
      } else return;
      event.preventDefault();
    });
  }
  soon() {
    this.waiting ??= requestAnimationFrame(() => {
      this.waiting = null;
      this.draw();
    });
  }
  move(dx, dy) {
    this.view = { x: this.view.x.map((end) => end + dx), y: this.view.y.map((end) => end + dy) };
    this.soon();
  }
  zoomAt(x, y, factor) {
    const [cx, cy] = [this.to.backX(x), this.to.backY(y)];
    this.view = {
      x: this.view.x.map((end) => cx + (end - cx) * factor),
      y: this.view.y.map((end) => cy + (end - cy) * factor),
    };
    this.soon();
  }
  outlined({ path, how }) {
    const bounds = outlineBounds(path, SMALLEST_OUTLINE);
    const narrow = !bounds || bounds.right - bounds.left < SMALLEST_OUTLINE;
    const flat = !bounds || bounds.bottom - bounds.top < SMALLEST_OUTLINE;
    if (narrow || (flat && this.pen !== "zoom")) return this.draw();
    const x = path.map(([px]) => this.to.backX(px)),
      y = path.map(([, py]) => this.to.backY(py));
    if (this.pen === "zoom") this.view.x = [Math.min(...x), Math.max(...x)];
    else this.send("outlined", { gene: this.header.gene, x, y, how });
    this.draw();
  }
  hover(x, y) {
    const found = this.layers.length ? this.binAt(x) : this.cellAt(x, y);
    if (found?.x === this.near?.x && found?.y === this.near?.y) return;
    this.near = found;
    this.card.hidden = !found;
    this.soon();
    if (!found) return;
    this.card.replaceChildren(...found.lines);
    const { clientWidth, clientHeight } = this.stage;
    this.card.style.left = `${Math.max(4, Math.min(x + 14, clientWidth - this.card.offsetWidth - 4))}px`;
    this.card.style.top = `${Math.max(4, Math.min(y + 14, clientHeight - this.card.offsetHeight - 4))}px`;
  }
  cellAt(x, y) {
    let least = REACH * REACH,
      found = null;
    for (const { name, places } of this.points)
      for (let k = 0; k < places.length; k += 2) {
        const dx = this.to.x(places[k]) - x,
          dy = this.to.y(places[k + 1]) - y,
          away = dx * dx + dy * dy;
        if (away < least) {
          least = away;
          found = { name, x: places[k], y: places[k + 1] };
        }
      }
    if (!found) return null;
    const { x: along, y: up } = this.header;
    const lines = [
      make("b", {}, found.name),
      make("span", {}, `${along.title}: ${formatNumber(found.x)}`),
      make("span", {}, `${up.title}: ${formatNumber(found.y)}`),
    ];
    return { ...found, lines };
  }
  binAt(x) {
    const { bins, header } = this;
    if (!bins.length || x < this.at.left || x > this.at.right) return null;
    const best = nearestIndex(bins, this.to.backX(x));
    const lines = [make("b", {}, `${header.x.title}: ${formatNumber(bins[best])}`)];
    for (const { name, color, low, high } of this.layers) {
      const line = make("span", {}, `${name}: ${formatNumber(high[best] - low[best])}`);
      line.prepend(make("i", { style: `background:${color}` }));
      lines.push(line);
    }
    return { x: bins[best], lines };
  }
  leave() {
    if (!this.near) return;
    this.near = null;
    this.card.hidden = true;
    this.soon();
  }
}

// A line's sign and name in the key above the chart.
function lineKey({ name, color, width, dash }) {
  const entry = make("span", { class: "key" });
  const space = "http://www.w3.org/2000/svg";
  const picture = document.createElementNS(space, "svg");
  const stroke = document.createElementNS(space, "path");
  const look = {
    d: "M0 4H26",
    stroke: color,
    "stroke-width": width,
    "stroke-dasharray": dash.join(" "),
  };
  for (const [attribute, value] of Object.entries(look)) stroke.setAttribute(attribute, value);
  picture.append(stroke);
  entry.append(picture, name);
  return entry;
}

export default function ({ data, parentElement, setTriggerValue }) {
  const root = parentElement.querySelector(".velovi-chart");
  root.chart ??= new Chart(root);
  root.chart.send = (name, value) => setTriggerValue(name, value);
  if (data) root.chart.update(unpack(data));
  return () => {
    root.chart?.free();
    root.chart = null;
  };
}
