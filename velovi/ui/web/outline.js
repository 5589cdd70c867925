// Cells inside an outline that the reader drew.
// Part of veloVI Explorer, BSD-3-Clause.

import { noBits, setBit } from "./bits.js";
import { COORD_MAX, MISSING_COORDINATE } from "./cell_codes.js";
import { tracePath } from "./elements.js";

const SMALLEST = 3; // pixels; a smaller outline was a click
const SHARP = 4,
  WIDEST = 2048; // pixels of the mask for one of the screen's, and of its longer side

// Left, right, top and bottom of an outline; null for a click.
export function outlineBounds(path, smallest = SMALLEST) {
  const xs = path.map(([x]) => x),
    ys = path.map(([, y]) => y);
  const bounds = {
    left: Math.min(...xs),
    right: Math.max(...xs),
    top: Math.min(...ys),
    bottom: Math.max(...ys),
  };
  return bounds.right - bounds.left < smallest && bounds.bottom - bounds.top < smallest
    ? null
    : bounds;
}

// Bits of the cells inside; the outline becomes a picture, and a cell is inside where its pixel is
// painted. places are int16 x, y, x, y, ...; visible says of a cell whether it is shown.
export function cellsInside(path, bounds, places, camera, panel, unit, visible) {
  const { left, right, top, bottom } = bounds;
  const fine = Math.min(SHARP, WIDEST / Math.max(right - left, bottom - top, 1));
  const [w, h] = [Math.ceil((right - left) * fine) + 2, Math.ceil((bottom - top) * fine) + 2];
  const sheet = new OffscreenCanvas(w, h).getContext("2d", { willReadFrequently: true });
  tracePath(
    sheet,
    path.map(([x, y]) => [(x - left) * fine + 1, (y - top) * fine + 1]),
  );
  sheet.fill("evenodd");
  const painted = sheet.getImageData(0, 0, w, h).data;
  const count = places.length / 2,
    inside = noBits(count);
  const { zoom, x: cx, y: cy } = camera;
  for (let k = 0; k < count; k++) {
    const a = places[2 * k];
    if (a === MISSING_COORDINATE) continue;
    const px = (panel.width / 2 + ((a / COORD_MAX) * zoom + cx) * unit - left) * fine + 1;
    if (px < 0 || px >= w) continue;
    const py =
      (panel.height / 2 - ((places[2 * k + 1] / COORD_MAX) * zoom + cy) * unit - top) * fine + 1;
    if (py < 0 || py >= h) continue;
    if (painted[4 * (Math.floor(py) * w + Math.floor(px)) + 3] > 127 && visible(k))
      setBit(inside, k);
  }
  return inside;
}
