// Which cell is where: cells sorted into the squares of a grid, so that the nearest one is found
// among few.
// Part of veloVI Explorer, BSD-3-Clause.

import { COORD_MAX, MISSING_COORDINATE } from "./cell_codes.js";

export class CellFinder {
  constructor(points) {
    const n = points.length / 2;
    this.points = points;
    this.side = Math.max(1, Math.min(512, Math.round(Math.sqrt(n / 4))));
    const squares = this.side * this.side;
    this.starts = new Uint32Array(squares + 1);
    const square = new Int32Array(n);
    for (let i = 0; i < n; i++) {
      square[i] =
        points[2 * i] === MISSING_COORDINATE
          ? -1
          : this.row(points[2 * i + 1]) * this.side + this.row(points[2 * i]);
      if (square[i] >= 0) this.starts[square[i] + 1]++;
    }
    for (let s = 0; s < squares; s++) this.starts[s + 1] += this.starts[s];
    const next = this.starts.slice();
    this.cells = new Uint32Array(this.starts[squares]);
    for (let i = 0; i < n; i++) if (square[i] >= 0) this.cells[next[square[i]]++] = i;
  }
  row(value) {
    return Math.max(
      0,
      Math.min(this.side - 1, Math.floor(((value / COORD_MAX + 1) / 2) * this.side)),
    );
  }
  nearest(x, y, within, visible) {
    const [a, b] = [this.row((x - within) * COORD_MAX), this.row((x + within) * COORD_MAX)];
    const [c, d] = [this.row((y - within) * COORD_MAX), this.row((y + within) * COORD_MAX)];
    let best = -1,
      least = within * within;
    for (let r = c; r <= d; r++)
      for (let k = this.starts[r * this.side + a]; k < this.starts[r * this.side + b + 1]; k++) {
        const i = this.cells[k];
        const dx = this.points[2 * i] / COORD_MAX - x,
          dy = this.points[2 * i + 1] / COORD_MAX - y;
        const away = dx * dx + dy * dy;
        if (away <= least && visible(i)) {
          best = i;
          least = away;
        }
      }
    return best;
  }
}
