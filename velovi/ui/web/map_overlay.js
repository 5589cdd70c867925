// What lies over the cells of a map: the lines of the velocity field and the names of the groups.
// at gives the pixel of a place in the world.
// Part of veloVI Explorer, BSD-3-Clause.

const HALF_ARROW = 0.55,
  WIDE_ARROW = 0.62; // of an arrowhead's length
const NAME_SHIFTS = [0, -15, 15, -30, 30, -45, 45]; // pixels up or down, where names would meet
const NAME_HEIGHT = 15;
const FEW = 5; // cells of a group that a name would cover
const ABOVE = 14; // pixels, where the name of such a group stands

// strengths holds how strongly each line, and after them each head, is drawn, from 0 to 1.
export function drawField(ink, { starts, path, heads, strengths }, field, theme, at) {
  const lines = starts.length - 1;
  ink.lineWidth = field.width;
  ink.lineJoin = "round";
  ink.strokeStyle = theme.stream;
  ink.fillStyle = theme.stream_head;
  for (const strength of new Set(strengths)) {
    ink.globalAlpha = strength;
    ink.beginPath();
    for (let l = 0; l < lines; l++)
      if (strengths[l] === strength)
        for (let k = starts[l]; k < starts[l + 1]; k++)
          ink[k === starts[l] ? "moveTo" : "lineTo"](...at(path[2 * k], path[2 * k + 1]));
    ink.stroke();
    ink.beginPath();
    for (let k = 0; 4 * k < heads.length; k++)
      if (strengths[lines + k] === strength)
        drawHead(ink, heads.subarray(4 * k, 4 * k + 4), field.head, at);
    ink.fill();
  }
  ink.globalAlpha = 1;
}

function drawHead(ink, [px, py, rx, ry], long, at) {
  const [x, y] = at(px, py);
  const [dx, dy] = [rx, -ry];
  const [half, wide] = [HALF_ARROW * long, WIDE_ARROW * long];
  ink.moveTo(x + dx * long, y + dy * long);
  ink.lineTo(x - dx * half - dy * wide, y - dy * half + dx * wide);
  ink.lineTo(x - dx * half + dy * wide, y - dy * half - dx * wide);
  ink.closePath();
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
