// Pure functions of the drawings in the browser, against values worked out by hand or slowly.
import assert from "node:assert/strict";
import { test } from "node:test";
import { axisTicks } from "../../velovi/ui/web/axis_ticks.js";
import {
  bitsToText,
  combineBits,
  countBits,
  invertBits,
  isSet,
  noBits,
  sameBits,
  setBit,
} from "../../velovi/ui/web/bits.js";
import { Camera, unitPixels } from "../../velovi/ui/web/camera.js";
import { COORD_MAX, hexToRgb, MISSING_COORDINATE } from "../../velovi/ui/web/cell_codes.js";
import { CellFinder } from "../../velovi/ui/web/cell_finder.js";
import { makeScales, nearestIndex, stackLayers } from "../../velovi/ui/web/chart.js";
import { coprime, covers, drawingOrder, uncovered } from "../../velovi/ui/web/draw_order.js";
import { formatNumber } from "../../velovi/ui/web/elements.js";
import { isolateGroup, toggleGroup } from "../../velovi/ui/web/legend.js";
import { drawField, placeName } from "../../velovi/ui/web/map_overlay.js";
import { pictureName } from "../../velovi/ui/web/map_picture.js";
import { unpack } from "../../velovi/ui/web/message.js";
import { outlineBounds } from "../../velovi/ui/web/outline.js";
import { rowAfterKey, rowsInSight } from "../../velovi/ui/web/table.js";

// numbers from 0 to 1 that are the same in every run
function random(seed) {
  let state = seed;
  return () => {
    state = (state * 1664525 + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}
const bitsOf = (...cells) => {
  const bits = noBits(20);
  for (const cell of cells) setBit(bits, cell);
  return bits;
};
const cellsOf = (bits) => [...Array(20).keys()].filter((i) => isSet(bits, i));

test("bits are counted, compared and combined", () => {
  const [some, more] = [bitsOf(0, 7, 8, 19), bitsOf(7, 9)];
  assert.equal(countBits(some), 4);
  assert.equal(noBits(20).length, 3);
  assert.ok(sameBits(some, bitsOf(19, 8, 7, 0)));
  assert.ok(!sameBits(some, more));
  assert.ok(sameBits(null, null));
  assert.ok(!sameBits(some, null));
  assert.deepEqual(cellsOf(combineBits(some, more, "replace")), [7, 9]);
  assert.deepEqual(cellsOf(combineBits(some, more, "add")), [0, 7, 8, 9, 19]);
  assert.deepEqual(cellsOf(combineBits(some, more, "subtract")), [0, 8, 19]);
  assert.deepEqual(cellsOf(combineBits(null, more, "add")), [7, 9]);
  assert.deepEqual(cellsOf(combineBits(null, more, "subtract")), []);
  assert.deepEqual(cellsOf(some), [0, 7, 8, 19]); // untouched
});

test("inverting selects no cell beyond the last", () => {
  const inverted = invertBits(bitsOf(...Array.from({ length: 18 }, (_, i) => i)), 20);
  assert.equal(countBits(inverted), 2);
  assert.deepEqual(cellsOf(inverted), [18, 19]);
});

test("bits travel as base64", () => {
  assert.equal(bitsToText(Uint8Array.of(1, 255)), Buffer.from([1, 255]).toString("base64"));
  const long = new Uint8Array(100_000).fill(7);
  assert.equal(bitsToText(long), Buffer.from(long).toString("base64"));
});

test("a message gives its header and its arrays, wherever it begins", () => {
  const header = JSON.stringify({
    n: 2,
    parts: [
      ["codes", "u1", 0, 3],
      ["path", "f4", 3, 2],
    ],
  });
  const text = new TextEncoder().encode(header);
  const bytes = new Uint8Array(1 + 4 + text.length + 3 + 8);
  const view = new DataView(bytes.buffer);
  view.setUint32(1, text.length, true);
  bytes.set(text, 5);
  bytes.set([9, 8, 7], 5 + text.length);
  view.setFloat32(8 + text.length, 1.5, true);
  view.setFloat32(12 + text.length, -2, true);
  const { header: said, parts } = unpack(bytes.subarray(1));
  assert.equal(said.n, 2);
  assert.deepEqual([...parts.codes], [9, 8, 7]);
  assert.deepEqual([...parts.path], [1.5, -2]);
});

test("the camera goes to the screen and back, and zooms about the pointer", () => {
  const panel = { width: 400, height: 300 };
  const unit = unitPixels(panel, [1, 0.5]);
  assert.equal(unit, 0.95 * 200);
  const camera = new Camera();
  assert.deepEqual(camera.toScreen(panel, unit, 0, 0), [200, 150]);
  camera.move(unit, 30, -20);
  camera.zoomAt(panel, unit, 310, 120, 3);
  const before = camera.toWorld(panel, unit, 310, 120);
  camera.zoomAt(panel, unit, 310, 120, 0.4);
  const after = camera.toWorld(panel, unit, 310, 120);
  for (const k of [0, 1]) assert.ok(Math.abs(before[k] - after[k]) < 1e-12);
  const [x, y] = camera.toScreen(panel, unit, ...camera.toWorld(panel, unit, 17, 230));
  assert.ok(Math.abs(x - 17) < 1e-9 && Math.abs(y - 230) < 1e-9);
  const [sx, sy, tx, ty] = camera.clip(panel, unit);
  const [px, py] = camera.toScreen(panel, unit, 0.3, -0.2);
  assert.ok(Math.abs((0.3 * sx + tx + 1) * 200 - px) < 1e-9);
  assert.ok(Math.abs((1 - (-0.2 * sy + ty)) * 150 - py) < 1e-9);
  for (let k = 0; k < 100; k++) camera.zoomAt(panel, unit, 0, 0, 2);
  assert.equal(camera.zoom, 400);
  assert.ok(!camera.isHome);
  camera.home();
  assert.ok(camera.isHome);
  assert.deepEqual({ ...camera }, { zoom: 1, x: 0, y: 0 });
});

test("the nearest cell is the one that a look at all of them finds", () => {
  const next = random(1);
  const n = 3000;
  const points = Int16Array.from({ length: 2 * n }, () => Math.round((2 * next() - 1) * COORD_MAX));
  points.fill(MISSING_COORDINATE, 0, 20);
  const finder = new CellFinder(points);
  const visible = (i) => i % 3 > 0;
  for (let trial = 0; trial < 300; trial++) {
    const [x, y, within] = [2.2 * next() - 1.1, 2.2 * next() - 1.1, 0.06];
    let [best, least] = [-1, within * within];
    for (let i = 0; i < n; i++) {
      if (points[2 * i] === MISSING_COORDINATE || !visible(i)) continue;
      const away = (points[2 * i] / COORD_MAX - x) ** 2 + (points[2 * i + 1] / COORD_MAX - y) ** 2;
      if (away <= least) [best, least] = [i, away];
    }
    assert.equal(finder.nearest(x, y, within, visible), best);
  }
});

test("every cell is drawn once; selected and high ones last", () => {
  const next = random(2);
  const codes = Uint8Array.from({ length: 997 }, () => Math.floor(256 * next()));
  const bits = new Uint8Array(125);
  for (let i = 0; i < 997; i += 5) setBit(bits, i);
  const level = (map, i) => {
    const code = codes[i];
    if (map.kind === "labels") return 1;
    if (code === 255) return 0;
    return map.symmetric ? 1 + Math.abs(code - 127) : 1 + Math.min(code, 253);
  };
  for (const map of [{ kind: "labels" }, { kind: "values" }, { kind: "values", symmetric: true }]) {
    const order = drawingOrder(codes, bits, map, 2000);
    assert.deepEqual(
      [...order].sort((a, b) => a - b),
      [...codes.keys()],
    );
    const heights = [...order].map((i) => level(map, i) + (isSet(bits, i) ? 256 : 0));
    assert.ok(heights.every((height, k) => !k || height >= heights[k - 1]));
  }
  assert.equal(drawingOrder(codes, null, { kind: "labels" }, 100).length, 100);
  for (const n of [1, 2, 3, 10, 1000, 999_983]) {
    const gcd = (a, b) => (b ? gcd(b, a % b) : a);
    assert.equal(gcd(coprime(n), n), 1);
  }
});

test("cells that nobody hides are all drawn, hidden groups never", () => {
  const n = 50;
  const places = Int16Array.from({ length: 2 * n }, (_, k) => Math.round(600 * (k >> 1) - 15_000));
  const codes = Uint8Array.from({ length: n }, (_, i) => i % 2);
  const order = Uint32Array.from({ length: n }, (_, i) => i);
  const shown = new Uint8Array(256).fill(255);
  const all = () =>
    uncovered(order, places, codes, null, covers(0.8, false, shown), [1, 1, 0, 0], 800, 800);
  assert.equal(all().length, n);
  shown[1] = 0;
  assert.deepEqual(
    [...all()],
    [...order].filter((i) => i % 2 === 0),
  );
});

test("ticks are round and few", () => {
  const texts = (...args) => axisTicks(...args).map(([, text]) => text);
  assert.deepEqual(texts([0, 1], 5), ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
  assert.deepEqual(texts([-0.4, 20.4], 5), ["0", "5", "10", "15", "20"]);
  for (const [low, high] of [
    [0, 3e-6],
    [1e5, 4e6],
    [0.4999, 0.5001],
    [-7, 12],
  ]) {
    const found = axisTicks([low, high], 6);
    assert.ok(found.length >= 2 && found.length <= 13, `${low} to ${high}: ${found.length}`);
    for (const [value] of found)
      assert.ok(value >= low - 1e-9 * high && value <= high + 1e-9 * high);
  }
});

test("layers of a stack add up", () => {
  const edges = stackLayers([Float32Array.of(0.25, 0.5), Float32Array.of(0.5, 0.25)]);
  assert.deepEqual([...edges[0].low], [0, 0]);
  assert.deepEqual([...edges[1].low], [0.25, 0.5]);
  assert.deepEqual([...edges[1].high], [0.75, 0.75]);
});

test("a chart's scales go there and back", () => {
  const scales = makeScales(
    { x: [0, 20], y: [-1, 1] },
    { left: 40, right: 440, top: 8, bottom: 208 },
  );
  assert.equal(scales.x(10), 240);
  assert.equal(scales.y(1), 8);
  assert.equal(scales.backX(scales.x(3.25)), 3.25);
  assert.ok(Math.abs(scales.backY(scales.y(0.3)) - 0.3) < 1e-12);
  assert.equal(nearestIndex([0, 2, 5], 3.4), 1);
});

test("a click is no outline", () => {
  assert.equal(
    outlineBounds([
      [5, 5],
      [6, 7],
    ]),
    null,
  );
  assert.deepEqual(
    outlineBounds([
      [5, 5],
      [9, 1],
      [7, 30],
    ]),
    { left: 5, right: 9, top: 1, bottom: 30 },
  );
});

test("groups are hidden, shown and isolated", () => {
  const hidden = new Set();
  const labels = ["a", "b", "c"];
  toggleGroup(hidden, "a");
  assert.deepEqual([...hidden], ["a"]);
  toggleGroup(hidden, "a");
  assert.equal(hidden.size, 0);
  isolateGroup(hidden, labels, "b");
  assert.deepEqual([...hidden], ["a", "c"]);
  isolateGroup(hidden, labels, "b");
  assert.equal(hidden.size, 0);
});

test("names do not lie on each other", () => {
  const taken = [];
  const [x, y] = placeName(taken, 100, 50, 30, 400);
  assert.deepEqual([x, y], [100, 50]);
  const [, beside] = placeName(taken, 105, 52, 30, 400);
  assert.ok(Math.abs(beside - 50) >= 15);
  assert.deepEqual(placeName(taken, 2, 200, 30, 400), [30, 200]); // inside the panel
});

test("rows in sight and the row that a key leads to", () => {
  assert.deepEqual(rowsInSight(0, 310, 1000), [0, 22]);
  assert.deepEqual(rowsInSight(31 * 500, 310, 1000), [494, 516]);
  assert.deepEqual(rowsInSight(0, 310, 4), [0, 4]);
  assert.equal(rowAfterKey("ArrowDown", 3, 10, 310), 4);
  assert.equal(rowAfterKey("ArrowUp", 0, 10, 310), 0);
  assert.equal(rowAfterKey("End", 0, 10, 310), 9);
  assert.equal(rowAfterKey("PageDown", 0, 100, 310), 8);
  assert.equal(rowAfterKey("a", 0, 100, 310), null);
});

test("small things", () => {
  assert.deepEqual(hexToRgb("#0f8b8d"), [15, 139, 141]);
  assert.equal(formatNumber(0.123456), "0.123");
  assert.equal(formatNumber(0.00123), "1.23e-3");
  assert.equal(formatNumber(1234567), "1.23e+6");
  assert.equal(formatNumber(0), "0");
  assert.equal(pictureName(["cell type", "Sst: velocity"]), "cell_type_and_Sst_velocity.png");
  assert.equal(pictureName(["***"]), "_.png");
});

test("lines and heads are drawn as strongly as they are supported", () => {
  const said = [];
  const ink = {
    set globalAlpha(value) {
      said.push(["alpha", value]);
    },
    beginPath() {},
    moveTo: (x, y) => said.push(["move", x, y]),
    lineTo() {},
    closePath() {},
    stroke() {},
    fill() {},
  };
  const field = {
    starts: Uint32Array.of(0, 2, 4),
    path: Float32Array.of(0, 0, 1, 0, 5, 0, 6, 0),
    heads: Float32Array.of(7, 0, 1, 0),
    strengths: Float32Array.of(1, 0.5, 0.5),
  };
  drawField(ink, field, { width: 1, head: 2 }, { stream: "", stream_head: "" }, (x, y) => [x, y]);
  assert.deepEqual(said, [
    ["alpha", 1],
    ["move", 0, 0],
    ["alpha", 0.5],
    ["move", 5, 0],
    ["move", 9, 0],
    ["alpha", 1],
  ]);
});
