// In which order cells are drawn, and which of them cannot be seen and need not be.
// Part of veloVI Explorer, BSD-3-Clause.

import { isSet } from "./bits.js";
import { COORD_MAX, MISSING, MISSING_COORDINATE } from "./cell_codes.js";

export const UNSELECTED = 0.14; // share of their opacity that cells keep while others are selected
const OPAQUE = 255;
const LEAST_DEEP = 4; // cells in one pixel that are drawn, however well the uppermost covers it
const EDGE = 40; // pixels beyond the picture's edge into which a point may reach
const ROUNDED = 0.07; // pixels by which a point's place may be off

// Which cell is drawn when: groups mixed, high values above low ones, selected cells on top.
export function drawingOrder(codes, bits, map, count) {
  const n = codes.length;
  const step = coprime(n);
  const levels = new Uint8Array(256);
  for (let c = 0; c < 256; c++)
    levels[c] =
      map.kind === "labels"
        ? 1
        : c === MISSING
          ? 0
          : map.symmetric
            ? 1 + Math.abs(c - 127)
            : 1 + Math.min(c, 253);
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
export function uncovered(order, places, codes, bits, cover, [zoomX, zoomY, atX, atY], wide, tall) {
  const [sx, sy] = [(zoomX * wide) / (2 * COORD_MAX), (zoomY * tall) / (2 * COORD_MAX)];
  const [ox, oy] = [((atX + 1) * wide) / 2, ((atY + 1) * tall) / 2];
  const hidden = new Uint8Array(wide * tall);
  const found = new Uint32Array(order.length);
  let at = order.length;
  for (let k = order.length - 1; k >= 0; k--) {
    const i = order[k],
      own = cover[codes[i] + (bits && isSet(bits, i) ? 256 : 0)];
    if (!own || places[2 * i] === MISSING_COORDINATE) continue;
    const x = places[2 * i] * sx + ox,
      y = places[2 * i + 1] * sy + oy;
    const left = Math.floor(x),
      low = Math.floor(y);
    if (left < 1 || low < 1 || left >= wide - 1 || low >= tall - 1) {
      // part of a point at the edge may still be in sight
      if (x > -EDGE && y > -EDGE && x < wide + EDGE && y < tall + EDGE) found[--at] = i;
      continue;
    }
    const pixel = low * wide + left;
    // graphics cards round to sixteenths of a pixel: what is near its edge may be in the next one
    const besideX = Math.floor(x + ROUNDED) > left ? 1 : Math.floor(x - ROUNDED) < left ? -1 : 0;
    const besideY =
      Math.floor(y + ROUNDED) > low ? wide : Math.floor(y - ROUNDED) < low ? -wide : 0;
    if (
      hidden[pixel] === OPAQUE &&
      hidden[pixel + besideX] === OPAQUE &&
      hidden[pixel + besideY] === OPAQUE
    )
      continue;
    hidden[pixel] = Math.min(OPAQUE, hidden[pixel] + own);
    found[--at] = i;
  }
  return found.subarray(at);
}
// What a cell of each code hides of those below it, of OPAQUE, unselected and then selected: after
// OPAQUE, a screen's 256 steps show nothing of what is below.
export function covers(opacity, selecting, shown) {
  const hides = (cellOpacity) => {
    const share = -Math.log(1 - Math.min(cellOpacity, 0.9999)) / Math.log(256);
    return Math.max(1, Math.min(Math.ceil(OPAQUE / LEAST_DEEP), Math.floor(OPAQUE * share)));
  };
  const [others, chosen] = [hides(opacity * (selecting ? UNSELECTED : 1)), hides(opacity + 0.2)];
  return Uint8Array.from({ length: 512 }, (_, c) => shown[c % 256] && (c < 256 ? others : chosen));
}
export function coprime(n) {
  if (n < 3) return 1;
  const gcd = (a, b) => (b ? gcd(b, a % b) : a);
  let step = Math.max(1, Math.round(n * 0.6180339887));
  while (gcd(step, n) !== 1) step++;
  return step;
}
