// How a map's message says where cells are and which colour they have
// (velovi/plotting/cell_codes.py).
// Part of veloVI Explorer, BSD-3-Clause.

export const MISSING = 255; // code of a cell without a value
export const MISSING_COORDINATE = -32768; // coordinate of a cell without a place
export const COORD_MAX = 32767; // the longer half of a map in whole-number coordinates

export function hexToRgb(text) {
  const value = parseInt(text.slice(1, 7), 16);
  return [value >> 16, (value >> 8) & 255, value & 255];
}
