// Round numbers along an axis.
// Part of veloVI Explorer, BSD-3-Clause.

const MOST_TICKS = 8;

// Pairs of number and text between two ends, about as many as room says.
export function axisTicks([low, high], room) {
  const rough = (high - low) / Math.max(2, Math.min(MOST_TICKS, room));
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((factor) => factor * power >= rough * 0.999);
  const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  const found = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + 1e-9 * step; k++)
    found.push([k * step, digits > 4 ? (k * step).toExponential(1) : (k * step).toFixed(digits)]);
  // one number says nothing about a scale
  return found.length < 2 && room < 64 ? axisTicks([low, high], 2 * Math.max(2, room)) : found;
}
