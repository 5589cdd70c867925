// Selections: one bit for each cell, the first cell in the lowest bit of the first byte.
// Part of veloVI Explorer, BSD-3-Clause.

export const isSet = (bits, i) => (bits[i >> 3] >> (i & 7)) & 1;
export function setBit(bits, i) {
  bits[i >> 3] |= 1 << (i & 7);
}
// Room for so many cells, none of them selected.
export const noBits = (count) => new Uint8Array((count + 7) >> 3);
export function countBits(bits) {
  let total = 0;
  for (let b of bits) for (; b; b &= b - 1) total++;
  return total;
}
export function sameBits(a, b) {
  if (!a || !b) return a === b;
  return a.length === b.length && a.every((value, i) => value === b[i]);
}
// A selection after an outline around the cells of inside; how is replace, add or subtract.
export function combineBits(bits, inside, how) {
  const combined = inside.slice();
  if (how === "replace") return combined;
  if (!bits) return how === "subtract" ? combined.fill(0) : combined;
  for (let b = 0; b < combined.length; b++)
    combined[b] = how === "add" ? bits[b] | inside[b] : bits[b] & ~inside[b];
  return combined;
}
// The cells that are not selected, of count.
export function invertBits(bits, count) {
  const inverted = bits.map((b) => ~b & 255);
  const spare = 8 * inverted.length - count;
  if (spare) inverted[inverted.length - 1] &= 255 >> spare;
  return inverted;
}
export function bitsToText(bits) {
  let text = "";
  for (let i = 0; i < bits.length; i += 0x8000)
    text += String.fromCharCode(...bits.subarray(i, i + 0x8000));
  return btoa(text);
}
