// Where the reader looks: how near, and how far the map is moved. World coordinates go from -1 to 1
// along the map's longer side, screen coordinates are pixels from the top left.
// Part of veloVI Explorer, BSD-3-Clause.

const NEAREST = 400,
  FARTHEST = 0.5,
  ROOM = 0.95;

// Pixels of one unit of the world at zoom 1: a map of this extent fills most of the panel.
export const unitPixels = ({ width, height }, [halfWidth, halfHeight]) =>
  ROOM * Math.min(width / (2 * halfWidth), height / (2 * halfHeight));

export class Camera {
  constructor() {
    this.home();
  }
  home() {
    Object.assign(this, { zoom: 1, x: 0, y: 0 });
  }
  get isHome() {
    return this.zoom === 1 && !this.x && !this.y;
  }
  toScreen({ width, height }, unit, x, y) {
    return [
      width / 2 + (x * this.zoom + this.x) * unit,
      height / 2 - (y * this.zoom + this.y) * unit,
    ];
  }
  toWorld({ width, height }, unit, px, py) {
    return [
      ((px - width / 2) / unit - this.x) / this.zoom,
      (-(py - height / 2) / unit - this.y) / this.zoom,
    ];
  }
  // Move by so many pixels.
  move(unit, dx, dy) {
    this.x += dx / unit;
    this.y -= dy / unit;
  }
  // Come nearer; what is at this pixel stays there.
  zoomAt(panel, unit, px, py, factor) {
    const [x, y] = this.toWorld(panel, unit, px, py);
    this.zoom = Math.max(FARTHEST, Math.min(NEAREST, this.zoom * factor));
    const [qx, qy] = this.toScreen(panel, unit, x, y);
    this.move(unit, px - qx, py - qy);
  }
  // Scale and shift from world to WebGL's own coordinates.
  clip({ width, height }, unit) {
    const [sx, sy] = [(2 * unit) / width, (2 * unit) / height];
    return [this.zoom * sx, this.zoom * sy, this.x * sx, this.y * sy];
  }
}
