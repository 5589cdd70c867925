// Elements and strokes that the drawings in the browser share.
// Part of veloVI Explorer, BSD-3-Clause.

export function make(tag, attributes = {}, text) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text !== undefined) element.textContent = text;
  return element;
}
export function icon(path) {
  const space = "http://www.w3.org/2000/svg";
  const picture = document.createElementNS(space, "svg");
  picture.setAttribute("viewBox", "0 0 16 16");
  const line = document.createElementNS(space, "path");
  line.setAttribute("d", path);
  picture.append(line);
  return picture;
}
export function formatNumber(value) {
  const size = Math.abs(value);
  return size && (size < 0.01 || size >= 1e5)
    ? value.toExponential(2)
    : String(Number(value.toPrecision(3)));
}

// Where in an element the pointer is, in pixels.
export function pointAt(element, event) {
  const box = element.getBoundingClientRect();
  return [event.clientX - box.left, event.clientY - box.top];
}
// Begin a closed path through points [x, y].
export function tracePath(ink, path) {
  ink.beginPath();
  for (const [k, [x, y]] of path.entries()) ink[k ? "lineTo" : "moveTo"](x, y);
  ink.closePath();
}
// An outline that the reader draws around cells, through points in pixels.
export function drawOutline(ink, path, theme) {
  tracePath(ink, path);
  ink.fillStyle = theme.veil;
  ink.fill();
  ink.lineWidth = 1.5;
  ink.strokeStyle = theme.accent;
  ink.stroke();
}

// Buttons of which one is pressed: names maps each to its icon or word and its explanation.
export function radioButtons(label, names, get, set) {
  const box = make("div", { class: "group", role: "radiogroup", "aria-label": label });
  for (const [name, [sign, explained]] of Object.entries(names)) {
    const button = make("button", {
      type: "button",
      title: explained,
      role: "radio",
      "aria-label": explained,
    });
    button.append(sign);
    button.onclick = () => set(name);
    button.update = () => button.setAttribute("aria-checked", String(get() === name));
    button.update();
    box.append(button);
  }
  return box;
}
export const PEN_ICONS = {
  pan: "M8 1v14M1 8h14M8 1 6 3.4M8 1l2 2.4M8 15l-2-2.4M8 15l2-2.4M1 8l2.4-2M1 8l2.4 2M15 8l-2.4-2M15 8l-2.4 2",
  lasso:
    "M8 2.2c3.6 0 6.3 1.8 6.3 4.2S11.6 10.6 8 10.6 1.7 8.8 1.7 6.4 4.4 2.2 8 2.2M5 10.3c-1.5.9-1.3 2.9.4 2.9 1.3 0 1.5-1.5.3-2.1M5.6 13.2c.2.9 0 1.6-.7 2.1",
  box: "M2 3.5h12v9H2z",
};
export function hint(text) {
  return make("span", { class: "hint", tabindex: "0", title: text, "aria-label": text }, "?");
}

// Answer whoever asks which part is visible; part gives it, or null when another one is meant.
// The function that is returned ends it.
export function answerPartQueries(part) {
  const heard = ({ detail: target }) => {
    const found = part(target);
    if (found)
      window.dispatchEvent(new CustomEvent("velovi-part", { detail: { target, part: found } }));
  };
  window.addEventListener("velovi-part-query", heard);
  return () => window.removeEventListener("velovi-part-query", heard);
}
