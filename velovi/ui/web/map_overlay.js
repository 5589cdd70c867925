// What lies over the cells of a map: the lines of the velocity field and the names of the groups.
// at gives the pixel of a place in the world.
// Part of veloVI Explorer, BSD-3-Clause.

const HALF_ARROW = 0.55,
  WIDE_ARROW = 0.62; // of an arrowhead's length
const NAME_SHIFTS = [0, -15, 15, -30, 30, -45, 45]; // pixels up or down, where names would meet
const NAME_HEIGHT = 15;
const FEW = 5; // cells of a group that a name would cover
const ABOVE = 14; // pixels, where the name of such a group stands

export function drawField(ink, { starts, path, heads }, field, theme, at) {
  ink.lineWidth = field.width;
  ink.lineJoin = "round";
  ink.strokeStyle = theme.stream;
  ink.beginPath();
  for (let l = 0; l + 1 < starts.length; l++)
    for (let k = starts[l]; k < starts[l + 1]; k++)
      ink[k === starts[l] ? "moveTo" : "lineTo"](...at(path[2 * k], path[2 * k + 1]));
  ink.stroke();
  ink.fillStyle = theme.stream_head;
  ink.beginPath();
  const long = field.head,
    [half, wide] = [HALF_ARROW * long, WIDE_ARROW * long];
  for (let k = 0; k < heads.length; k += 4) {
    const [x, y] = at(heads[k], heads[k + 1]);
    const [dx, dy] = [heads[k + 2], -heads[k + 3]];
    ink.moveTo(x + dx * long, y + dy * long);
    ink.lineTo(x - dx * half - dy * wide, y - dy * half + dx * wide);
    ink.lineTo(x - dx * half + dy * wide, y - dy * half - dx * wide);
    ink.closePath();
  }
  ink.fill();
}

// Where a name stands: within the panel, and beside those that stand already ([x, y, half width]).
export function placeName(taken, x, y, half, width) {
  const px = Math.max(half, Math.min(width - half, x));
  const clash = (top) =>
    taken.some(([cx, cy, h]) => Math.abs(cx - px) < h + half && Math.abs(cy - top) < NAME_HEIGHT);
  const py = y + (NAME_SHIFTS.find((shift) => !clash(y + shift)) ?? 0);
  taken.push([px, py, half]);
  return [px, py];
}

export function drawNames(ink, map, hidden, { theme, font }, width, at) {
  const taken = [];
  ink.font = `600 12.5px ${font}`;
  ink.textAlign = "center";
  ink.textBaseline = "middle";
  ink.lineJoin = "round";
  for (const [code, x, y] of map.places) {
    const name = map.labels[code];
    if (hidden?.has(name)) continue;
    const [px, py] = at(x, y);
    if (px < 0 || px > width) continue; // the group's middle is out of sight
    const top = map.counts[code] <= FEW ? py - ABOVE : py;
    const place = placeName(taken, px, top, ink.measureText(name).width / 2 + 3, width);
    ink.lineWidth = 4;
    ink.strokeStyle = theme.halo;
    ink.strokeText(name, ...place);
    ink.fillStyle = theme.ink;
    ink.fillText(name, ...place);
  }
}
