// Messages as Python packs them (velovi/plotting/message.py): the length of a header, the header as
// JSON, and arrays of numbers.
// Part of veloVI Explorer, BSD-3-Clause.

const ARRAYS = { i2: Int16Array, u1: Uint8Array, f4: Float32Array, u4: Uint32Array };

// Header and arrays, by name, of one message.
export function unpack(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const length = view.getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(4, 4 + length)));
  const start = 4 + length;
  const parts = {};
  for (const [name, kind, offset, count] of header.parts) {
    const size = ARRAYS[kind].BYTES_PER_ELEMENT * count;
    const at = bytes.byteOffset + start + offset;
    // a copy is aligned whatever stands before it
    parts[name] = new ARRAYS[kind](bytes.buffer.slice(at, at + size));
  }
  return { header, parts };
}
