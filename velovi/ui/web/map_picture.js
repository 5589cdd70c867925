// What the maps of a page show, as a picture to keep: finer than a screen, with titles and keys
// where the page has them.
// Part of veloVI Explorer, BSD-3-Clause.

import { make } from "./elements.js";

const FINE = 3; // pixels of a saved picture for one of the page's
const LARGEST = 8192; // pixels of its longer side at most
const MARGIN = 12; // the page's pixels around it
const WORDS = "strong, .ends span, .entry[aria-pressed=true] :is(span, small), .unknown";
const MARKS = ".entry[aria-pressed=true] i, .unknown i";

// Words of the page, written at the same places.
function copyWords(ink, elements) {
  ink.textBaseline = "middle";
  for (const element of elements) {
    const words = document.createRange();
    words.selectNodeContents(element.lastChild ?? element);
    const { left, top, width, height } = words.getBoundingClientRect();
    const room = Math.min(width, element.getBoundingClientRect().width);
    const { fontWeight, fontSize, fontFamily, color } = getComputedStyle(element);
    ink.font = `${fontWeight} ${fontSize} ${fontFamily}`;
    ink.fillStyle = color;
    ink.fillText(words.toString(), left, top + height / 2, room + 1);
  }
}

// Colours of the key of one map, at the same places.
function copyKey(ink, { legend, map }) {
  for (const mark of legend.querySelectorAll(MARKS)) {
    const { left, top, width } = mark.getBoundingClientRect();
    ink.fillStyle = getComputedStyle(mark).backgroundColor;
    ink.beginPath();
    ink.arc(left + width / 2, top + width / 2, width / 2, 0, 2 * Math.PI);
    ink.fill();
  }
  for (const ramp of legend.querySelectorAll(".colours")) {
    const { left, right, top, width, height } = ramp.getBoundingClientRect();
    ink.fillStyle = ink.createLinearGradient(left, 0, right, 0);
    for (const [c, hex] of map.palette.entries())
      ink.fillStyle.addColorStop(c / (map.palette.length - 1), hex);
    ink.fillRect(left, top, width, height);
  }
}

// A file name of the titles of the maps.
export const pictureName = (titles) =>
  `${
    titles
      .join(" and ")
      .replace(/[^\p{L}\p{N}.-]+/gu, "_")
      .slice(0, 80) || "map"
  }.png`;

// Draw the maps of scatter larger, put them on one sheet and hand it over as a file.
export function savePicture(scatter) {
  const {
    root,
    panels,
    header: { theme, maps },
  } = scatter;
  root.classList.add("whole"); // keys are laid out without the part that one would scroll to
  const frame = root.querySelector(".maps").getBoundingClientRect();
  const [width, height] = [frame.width + 2 * MARGIN, frame.height + 2 * MARGIN];
  const fine = Math.min(FINE, LARGEST / Math.max(width, height));
  const sheet = new OffscreenCanvas(Math.round(width * fine), Math.round(height * fine));
  const ink = sheet.getContext("2d");
  ink.scale(fine, fine);
  ink.fillStyle = theme.paper;
  ink.fillRect(0, 0, width, height);
  ink.translate(MARGIN - frame.left, MARGIN - frame.top);
  try {
    scatter.drawFine(fine);
    for (const panel of panels) {
      const at = panel.stage.getBoundingClientRect();
      ink.drawImage(panel.above, at.left, at.top, at.width, at.height);
      copyWords(ink, panel.box.querySelectorAll(WORDS));
      copyKey(ink, panel);
    }
  } finally {
    root.classList.remove("whole");
    scatter.layOut();
  }
  sheet.convertToBlob().then((blob) => {
    const link = make("a", {
      href: URL.createObjectURL(blob),
      download: pictureName(maps.map((map) => map.title)),
    });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  });
}
