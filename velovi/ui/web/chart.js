// A chart of cells and lines on a canvas: it draws the part of a Plotly figure that the charts of
// one gene use (points, stacked areas, paths, two axes), in a hundredth of the time that Plotly
// needs to begin. Runs after common.js. Part of veloVI Explorer, BSD-3-Clause.

const LETTERS = 11, GAP = 8, REACH = 10, TITLE = 13, MOST_TICKS = 8;

// ---------------------------------------------------------------- what the server sends

const KINDS = { f4: Float32Array, f8: Float64Array, i1: Int8Array, i2: Int16Array, i4: Int32Array, u1: Uint8Array, u2: Uint16Array, u4: Uint32Array };
function values(column) {
  if (!column?.bdata) return column ?? [];
  const bytes = Uint8Array.from(atob(column.bdata), (letter) => letter.charCodeAt(0));
  return new KINDS[column.dtype](bytes.buffer);
}
// "M0,1L2,3Z" as a list of lines, each a list of numbers x, y, x, y, ...
function lines(path) {
  return path.split("M").filter(Boolean).map((one) => ({
    closed: one.endsWith("Z"),
    points: one.replace("Z", "").split("L").flatMap((pair) => pair.split(",").map(Number)),
  }));
}
// a stamp is "gene|chart"
const geneOf = (stamp) => stamp.slice(0, stamp.lastIndexOf("|"));
const dashes = (line) => (line.dash === "dash" ? [6, 4] : line.dash ? line.dash.split(",").map(parseFloat) : []);

// Round numbers between two ends, about as many as fit.
function ticks([low, high], room) {
  const rough = (high - low) / Math.max(2, Math.min(MOST_TICKS, room));
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((one) => one * power >= rough * 0.999);
  const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  const found = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + 1e-9 * step; k++)
    found.push([k * step, digits > 4 ? (k * step).toExponential(1) : (k * step).toFixed(digits)]);
  // one number says nothing about a scale
  return found.length < 2 && room < 64 ? ticks([low, high], 2 * Math.max(2, room)) : found;
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
  }
  free() {
    this.resized.disconnect();
  }

  update({ figure, stamp, theme, outlines, alt }) {
    const { data, layout } = JSON.parse(figure);
    this.said = { stamp, outlines, theme };
    this.layout = layout;
    this.areas = stacked(data.filter((trace) => trace.stackgroup));
    this.points = data.filter((trace) => trace.mode === "markers")
      .map((trace) => ({ ...trace, x: values(trace.x), y: values(trace.y) }));
    this.paths = (layout.shapes ?? []).filter((shape) => shape.path).map((shape) => ({ ...shape, lines: lines(shape.path) }));
    const whole = JSON.stringify([layout.xaxis.range, layout.yaxis.range, geneOf(stamp)]);
    if (whole !== this.whole) this.home();
    this.whole = whole;
    this.pen = outlines ? (PEN[this.pen] ? this.pen : "lasso") : "zoom";
    for (const [name, colour] of Object.entries(theme)) this.root.style.setProperty(`--${name}`, colour);
    this.root.style.setProperty("--height", `${layout.height}px`);
    this.stage.setAttribute("aria-label", alt);
    this.card.hidden = true;
    this.fillBar(data);
    this.draw();
  }
  home() {
    const { xaxis, yaxis } = this.layout;
    this.view = { x: [...xaxis.range], y: [...yaxis.range] };
  }

  // ------------------------------------------------------------ elements
  fillBar(data) {
    this.bar.replaceChildren();
    if (this.layout.showlegend !== false)
      for (const trace of data) if (trace.showlegend !== false) this.bar.append(key(trace));
    if (!this.said.outlines) return;
    const tools = make("span", { class: "tools" });
    const signs = Object.fromEntries(Object.entries(PEN).map(([name, [sign, explained]]) => [name, [sign(), explained]]));
    const pens = choice("Tool", signs, () => this.pen, (name) => {
      this.pen = name;
      for (const button of pens.children) button.update();
      this.stage.dataset.pen = name;
    });
    const whole = make("button", { type: "button", title: "Show all cells (0)" }, "Whole chart");
    whole.onclick = () => { this.home(); this.draw(); };
    tools.append(pens, whole);
    this.bar.append(tools);
  }

  // ------------------------------------------------------------ drawing
  get plot() {
    const { xaxis, yaxis } = this.layout, { ink } = this;
    const [wide, tall] = [this.stage.clientWidth, this.stage.clientHeight];
    ink.font = `${LETTERS}px ${this.layout.font.family}`;
    const bottom = tall - LETTERS - GAP - (xaxis.title?.text ? TITLE + 5 : 0);
    const up = ticks(this.view.y, (bottom - GAP) / 42);
    const left = Math.max(...up.map(([, text]) => ink.measureText(text).width), 0) + GAP + (yaxis.title?.text ? TITLE + GAP : 0);
    const right = wide - GAP;
    return { left, right, top: GAP, bottom, up, along: ticks(this.view.x, (right - left) / 70) };
  }
  scales(plot) {
    const { x: [a, b], y: [c, d] } = this.view;
    const [sx, sy] = [(plot.right - plot.left) / (b - a), (plot.bottom - plot.top) / (d - c)];
    return {
      x: (value) => plot.left + (value - a) * sx,
      y: (value) => plot.bottom - (value - c) * sy,
      backX: (place) => a + (place - plot.left) / sx,
      backY: (place) => c + (plot.bottom - place) / sy,
    };
  }
  draw() {
    if (!this.layout || !this.stage.clientWidth) return;
    const { ink, stage } = this;
    const fine = window.devicePixelRatio || 1;
    const [wide, tall] = [Math.round(stage.clientWidth * fine), Math.round(stage.clientHeight * fine)];
    if (ink.canvas.width !== wide || ink.canvas.height !== tall) Object.assign(ink.canvas, { width: wide, height: tall });
    stage.dataset.pen = this.pen;
    ink.setTransform(fine, 0, 0, fine, 0, 0);
    ink.clearRect(0, 0, wide, tall);
    this.at = this.plot;
    const to = (this.to = this.scales(this.at));
    this.drawAxes(to);
    ink.save();
    ink.beginPath();
    ink.rect(this.at.left, this.at.top, this.at.right - this.at.left, this.at.bottom - this.at.top);
    ink.clip();
    for (const area of this.areas) this.drawArea(area, to);
    for (const trace of this.points) this.drawPoints(trace, to, fine);
    for (const shape of this.paths) this.drawPath(shape, to);
    if (this.outline) drawOutline(ink, this.outline.path, this.said.theme);
    if (this.near) this.drawNear(to);
    ink.restore();
    if (this.root.dataset.drawn === this.said.stamp) return;
    this.root.dataset.drawn = this.said.stamp;
    window.dispatchEvent(new CustomEvent("velovi-charted", { detail: geneOf(this.said.stamp) }));
  }
  drawAxes(to) {
    const { ink, at } = this, { xaxis, yaxis } = this.layout;
    ink.lineWidth = 1;
    ink.font = `${LETTERS}px ${this.layout.font.family}`;
    ink.fillStyle = xaxis.tickfont.color;
    ink.strokeStyle = xaxis.gridcolor;
    ink.beginPath();
    ink.textAlign = "center";
    ink.textBaseline = "top";
    for (const [value, text] of at.along) {
      const x = to.x(value);
      ink.moveTo(x, at.top);
      ink.lineTo(x, at.bottom);
      ink.fillText(text, x, at.bottom + 5);
    }
    ink.textAlign = "right";
    ink.textBaseline = "middle";
    for (const [value, text] of at.up) {
      const y = to.y(value);
      ink.moveTo(at.left, y);
      ink.lineTo(at.right, y);
      ink.fillText(text, at.left - 5, y);
    }
    ink.stroke();
    ink.font = `${TITLE}px ${this.layout.font.family}`;
    ink.textAlign = "center";
    if (xaxis.title?.text) {
      ink.textBaseline = "bottom";
      ink.fillText(xaxis.title.text, (at.left + at.right) / 2, this.stage.clientHeight - 2);
    }
    if (yaxis.title?.text) {
      ink.save();
      ink.translate(1, (at.top + at.bottom) / 2);
      ink.rotate(-Math.PI / 2);
      ink.textBaseline = "top";
      ink.fillText(yaxis.title.text, 0, 0);
      ink.restore();
    }
  }
  drawPoints({ x, y, marker }, to, fine) {
    const { ink } = this;
    // one picture of a point, set down many times
    const size = marker.size ?? 4, side = Math.ceil(size * fine) + 2;
    const stamp = new OffscreenCanvas(side, side), pen = stamp.getContext("2d");
    pen.fillStyle = marker.color;
    pen.arc(side / 2, side / 2, (size * fine) / 2, 0, 2 * Math.PI);
    pen.fill();
    ink.globalAlpha = marker.opacity ?? 1;
    const wide = side / fine;
    for (let i = 0; i < x.length; i++) ink.drawImage(stamp, to.x(x[i]) - wide / 2, to.y(y[i]) - wide / 2, wide, wide);
    ink.globalAlpha = 1;
  }
  drawArea({ x, low, high, fillcolor, line }, to) {
    const { ink } = this;
    ink.beginPath();
    for (let i = 0; i < x.length; i++) ink[i ? "lineTo" : "moveTo"](to.x(x[i]), to.y(high[i]));
    for (let i = x.length - 1; i >= 0; i--) ink.lineTo(to.x(x[i]), to.y(low[i]));
    ink.closePath();
    ink.fillStyle = fillcolor;
    ink.fill();
    ink.strokeStyle = line.color;
    ink.lineWidth = line.width;
    ink.stroke();
  }
  drawPath({ lines, line, fillcolor }, to) {
    const { ink } = this;
    ink.beginPath();
    for (const { points, closed } of lines) {
      for (let k = 0; k < points.length; k += 2) ink[k ? "lineTo" : "moveTo"](to.x(points[k]), to.y(points[k + 1]));
      if (closed) ink.closePath();
    }
    if (fillcolor) { ink.fillStyle = fillcolor; ink.fill(); }
    if (!line?.width) return;
    ink.setLineDash(dashes(line));
    ink.lineJoin = "round";
    ink.strokeStyle = line.color;
    ink.lineWidth = line.width;
    ink.stroke();
    ink.setLineDash([]);
  }
  drawNear(to) {
    const { ink, at } = this, { x, y } = this.near;
    ink.lineWidth = 1.5;
    ink.strokeStyle = this.said.theme.ink;
    ink.beginPath();
    if (y === undefined) { ink.moveTo(to.x(x), at.top); ink.lineTo(to.x(x), at.bottom); }
    else ink.arc(to.x(x), to.y(y), 5, 0, 2 * Math.PI);
    ink.stroke();
  }

  // ------------------------------------------------------------ hands
  listen() {
    const { stage } = this;
    const here = (event) => pointAt(stage, event);
    stage.addEventListener("wheel", (event) => {
      if (!this.said?.outlines) return;
      event.preventDefault();
      this.zoomAt(...here(event), Math.exp(event.deltaY * 0.0016));
    }, { passive: false });
    stage.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      stage.setPointerCapture(event.pointerId);
      this.leave();
      const [x, y] = here(event);
      if (this.pen === "pan") this.drag = [x, y];
      else this.outline = { from: [x, y], path: [[x, y]], how: event.shiftKey ? "add" : event.altKey ? "subtract" : "replace" };
    });
    stage.addEventListener("pointermove", (event) => {
      const [x, y] = here(event);
      if (this.drag) {
        this.move(this.to.backX(this.drag[0]) - this.to.backX(x), this.to.backY(this.drag[1]) - this.to.backY(y));
        this.drag = [x, y];
      } else if (this.outline) {
        const [a, b] = this.outline.from, { top, bottom } = this.at;
        if (this.pen === "lasso") this.outline.path.push([x, y]);
        else if (this.pen === "box") this.outline.path = [[a, b], [x, b], [x, y], [a, y]];
        else this.outline.path = [[a, top], [x, top], [x, bottom], [a, bottom]];
        this.soon();
      } else this.hover(x, y);
    });
    stage.addEventListener("pointerup", () => {
      const { outline } = this;
      this.outline = this.drag = null;
      if (outline) this.outlined(outline);
    });
    stage.addEventListener("pointercancel", () => { this.outline = this.drag = null; this.draw(); });
    stage.addEventListener("pointerleave", () => this.leave());
    stage.addEventListener("dblclick", () => { this.home(); this.draw(); });
    stage.addEventListener("keydown", (event) => {
      const { x: [a, b], y: [c, d] } = this.view, [dx, dy] = [(b - a) / 10, (d - c) / 10];
      const moves = { ArrowLeft: [-dx, 0], ArrowRight: [dx, 0], ArrowUp: [0, dy], ArrowDown: [0, -dy] };
      const middle = [(this.at.left + this.at.right) / 2, (this.at.top + this.at.bottom) / 2];
      if (moves[event.key]) this.move(...moves[event.key]);
      else if (event.key === "+" || event.key === "=") this.zoomAt(...middle, 0.8);
      else if (event.key === "-") this.zoomAt(...middle, 1.25);
      else if (event.key === "0") { this.home(); this.draw(); }
      else return;
      event.preventDefault();
    });
  }
  soon() {
    this.waiting ??= requestAnimationFrame(() => { this.waiting = null; this.draw(); });
  }
  move(dx, dy) {
    this.view = { x: this.view.x.map((one) => one + dx), y: this.view.y.map((one) => one + dy) };
    this.soon();
  }
  zoomAt(x, y, factor) {
    const [cx, cy] = [this.to.backX(x), this.to.backY(y)];
    this.view = { x: this.view.x.map((one) => cx + (one - cx) * factor), y: this.view.y.map((one) => cy + (one - cy) * factor) };
    this.soon();
  }
  outlined({ path, how }) {
    const xs = path.map((one) => one[0]), ys = path.map((one) => one[1]);
    const [wide, tall] = [Math.max(...xs) - Math.min(...xs), Math.max(...ys) - Math.min(...ys)];
    if (wide < 4 || (this.pen !== "zoom" && tall < 4)) return this.draw();
    const [x, y] = [xs.map(this.to.backX), ys.map(this.to.backY)];
    if (this.pen === "zoom") this.view.x = [Math.min(...x), Math.max(...x)];
    else this.send("outlined", { gene: geneOf(this.said.stamp), x, y, how });
    this.draw();
  }
  hover(x, y) {
    const found = this.areas.length ? this.column(x) : this.nearest(x, y);
    if (found?.x === this.near?.x && found?.y === this.near?.y) return;
    this.near = found;
    this.card.hidden = !found;
    this.soon();
    if (!found) return;
    this.card.replaceChildren(...found.said);
    const { clientWidth, clientHeight } = this.stage;
    this.card.style.left = `${Math.max(4, Math.min(x + 14, clientWidth - this.card.offsetWidth - 4))}px`;
    this.card.style.top = `${Math.max(4, Math.min(y + 14, clientHeight - this.card.offsetHeight - 4))}px`;
  }
  nearest(x, y) {
    let least = REACH * REACH, found = null;
    for (const trace of this.points)
      for (let i = 0; i < trace.x.length; i++) {
        const dx = this.to.x(trace.x[i]) - x, dy = this.to.y(trace.y[i]) - y, away = dx * dx + dy * dy;
        if (away < least) { least = away; found = { trace, x: trace.x[i], y: trace.y[i] }; }
      }
    if (!found) return null;
    const { xaxis, yaxis } = this.layout;
    found.said = [make("b", {}, found.trace.name), make("span", {}, `${xaxis.title.text}: ${number(found.x)}`), make("span", {}, `${yaxis.title.text}: ${number(found.y)}`)];
    return found;
  }
  column(x) {
    const times = this.areas[0].x;
    if (!times.length || x < this.at.left || x > this.at.right) return null;
    const at = this.to.backX(x);
    let best = 0;
    for (let i = 1; i < times.length; i++) if (Math.abs(times[i] - at) < Math.abs(times[best] - at)) best = i;
    const said = [make("b", {}, `${this.layout.xaxis.title.text}: ${number(times[best])}`)];
    for (const area of this.areas) {
      const line = make("span", {}, `${area.name}: ${number(area.high[best] - area.low[best])}`);
      line.prepend(make("i", { style: `background:${area.fillcolor}` }));
      said.push(line);
    }
    return { x: times[best], said };
  }
  leave() {
    if (!this.near) return;
    this.near = null;
    this.card.hidden = true;
    this.soon();
  }
}

// Each area stands on the ones before it.
function stacked(traces) {
  let below = null;
  return traces.map((trace) => {
    const x = values(trace.x), own = values(trace.y);
    const low = below ?? new Float64Array(x.length);
    const high = Float64Array.from(own, (value, i) => value + low[i]);
    below = high;
    return { ...trace, x, low, high };
  });
}
function key(trace) {
  const entry = make("span", { class: "key" });
  if (trace.mode === "lines" && !trace.stackgroup) {
    const line = trace.line;
    const space = "http://www.w3.org/2000/svg";
    const picture = document.createElementNS(space, "svg");
    const stroke = document.createElementNS(space, "path");
    for (const [name, value] of Object.entries({ d: "M0 4H26", stroke: line.color, "stroke-width": line.width, "stroke-dasharray": dashes(line).join(" ") }))
      stroke.setAttribute(name, value);
    picture.append(stroke);
    entry.append(picture);
  } else entry.append(make("i", { style: `background:${trace.fillcolor ?? trace.marker?.color}` }));
  entry.append(trace.name);
  return entry;
}

export default function ({ data, parentElement, setTriggerValue }) {
  const root = parentElement.querySelector(".velovi-chart");
  root.chart ??= new Chart(root);
  root.chart.send = (name, value) => setTriggerValue(name, value);
  if (data) root.chart.update(data);
  return () => {
    root.chart?.free();
    root.chart = null;
  };
}
