// What the colours of a map mean, and which groups are shown.
// Part of veloVI Explorer, BSD-3-Clause.

import { make } from "./elements.js";

const DOUBLE_CLICK = 220; // milliseconds in which a second click may follow
const STEPS = 14; // of the palette between two stops of the colour ramp
const HINT = "Click: hide or show. Double-click: show only this. Ctrl-click: select its cells.";

// Hide a group or show it again.
export function toggleGroup(hidden, name) {
  if (!hidden.delete(name)) hidden.add(name);
}
// Show one group only, or all when it is alone already.
export function isolateGroup(hidden, labels, name) {
  const alone = labels.every((label) => label === name || hidden.has(label));
  hidden.clear();
  if (!alone) for (const label of labels) if (label !== name) hidden.add(label);
}

// Entries of groups; changed is told when others are hidden, choose of a group to select.
export function groupLegend(map, hidden, changed, choose) {
  const entries = map.labels.flatMap((name, code) => {
    if (!map.counts[code]) return [];
    const button = make("button", {
      type: "button",
      class: "entry",
      "aria-pressed": String(!hidden.has(name)),
      title: HINT,
    });
    button.append(
      make("i", { style: `background:${map.palette[code]}` }),
      make("span", {}, name),
      make("small", {}, map.counts[code].toLocaleString("en")),
    );
    const toggle = () => {
      toggleGroup(hidden, name);
      changed();
    };
    const isolate = () => {
      isolateGroup(hidden, map.labels, name);
      changed();
    };
    let waiting;
    button.onclick = (event) => {
      clearTimeout(waiting);
      if (event.ctrlKey || event.metaKey) return choose(code, event.shiftKey);
      if (event.detail > 1) return isolate();
      if (event.detail === 0) return toggle(); // from the keyboard
      waiting = setTimeout(toggle, DOUBLE_CLICK);
    };
    button.onkeydown = (event) => {
      if (event.key === "o") isolate();
    };
    return [button];
  });
  if (hidden.size) {
    const all = make("button", { type: "button", class: "entry all" }, "Show all groups");
    all.onclick = () => {
      hidden.clear();
      changed();
    };
    entries.push(all);
  }
  return entries;
}

// The ramp of a number's colours, its ends, and how many cells have no value.
export function valueLegend(map) {
  const stops = map.palette.filter((_, c) => c % STEPS === 0 || c === map.palette.length - 1);
  const ramp = make("div", { class: "ramp" });
  ramp.append(
    make("div", {
      class: "colours",
      style: `background:linear-gradient(to right,${stops.join(",")})`,
    }),
  );
  const ends = make("div", { class: "ends" });
  const middle = map.symmetric ? [make("span", {}, "0")] : [];
  ends.append(make("span", {}, map.lowText), ...middle, make("span", {}, map.highText));
  ramp.append(ends);
  if (!map.unknown) return [ramp];
  const entry = make("div", { class: "unknown" });
  entry.append(
    make("i", { style: `background:${map.missing}` }),
    `no value: ${map.unknown.toLocaleString("en")}`,
  );
  return [ramp, entry];
}
