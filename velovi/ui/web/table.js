// A table of which the reader opens one row: only the rows in sight exist, and a press is told at
// once (Streamlit's own table waits before it tells the server).
// Part of veloVI Explorer, BSD-3-Clause.

import { make } from "./elements.js";

const ROW = 31,
  SPARE = 6;
const PATIENCE = 2000; // longest wait for what was opened, before the next is asked for

// First and one after the last of the rows that are drawn.
export function rowsInSight(scrolled, height, count) {
  const first = Math.max(0, Math.floor(scrolled / ROW) - SPARE);
  return [first, Math.min(count, first + Math.ceil(height / ROW) + 2 * SPARE)];
}
// The row to which a key leads; null when it leads nowhere.
export function rowAfterKey(key, row, count, height) {
  const page = Math.max(1, Math.floor(height / ROW) - 2);
  const steps = {
    ArrowDown: 1,
    ArrowUp: -1,
    PageDown: page,
    PageUp: -page,
    Home: -Infinity,
    End: Infinity,
  };
  return key in steps ? Math.max(0, Math.min(count - 1, row + steps[key])) : null;
}

class Table {
  constructor(root) {
    this.root = root;
    this.sheet = root.querySelector(".sheet");
    this.head = root.querySelector(".head");
    this.body = root.querySelector(".body");
    this.sheet.addEventListener("scroll", () => this.soon(), { passive: true });
    this.sheet.addEventListener("keydown", (event) => this.pressed(event));
    this.resized = new ResizeObserver(() => this.draw());
    this.resized.observe(this.sheet);
    this.charted = (event) => {
      if (event.detail === this.asked) this.answered();
    };
    window.addEventListener("velovi-shown", this.charted);
  }
  free() {
    this.resized.disconnect();
    window.removeEventListener("velovi-shown", this.charted);
    clearTimeout(this.patience);
  }

  update({ name, columns, rows, current, order, opens, theme, height, alt, stamp }) {
    if (stamp === this.stamp) return;
    // while an answer is awaited, the server's word on the current row is old
    const moved = current !== this.current && !this.asked;
    Object.assign(this, { name, columns, rows, order, opens, stamp });
    if (moved) this.current = current;
    for (const [name, colour] of Object.entries(theme))
      this.root.style.setProperty(`--${name}`, colour);
    this.root.style.setProperty("--height", `${height}px`);
    this.root.classList.toggle("opens", opens);
    const [first, ...others] = columns.map((column) => column.width);
    this.root.style.setProperty(
      "--columns",
      `minmax(${first}px, 1fr) ${others.map((width) => `${width}px`).join(" ")}`,
    );
    this.root.style.setProperty("--wide", `${others.reduce((sum, width) => sum + width, first)}px`);
    this.sheet.setAttribute("aria-label", alt);
    this.sheet.setAttribute("aria-rowcount", rows.length + 1);
    this.fillHead();
    this.body.style.height = `${rows.length * ROW}px`;
    this.drawn = null;
    if (moved) this.reveal(true);
    this.draw();
  }
  fillHead() {
    this.head.replaceChildren(
      ...this.columns.map(({ name, label, note, text }) => {
        const ordered = this.order?.[0] === name,
          down = ordered && this.order[1];
        const cell = make("div", {
          role: "columnheader",
          "aria-sort": ordered ? (down ? "descending" : "ascending") : "none",
          title: note,
        });
        const button = make("button", { type: "button", tabindex: "-1" }, label);
        if (ordered) button.append(make("i", {}, down ? " ↓" : " ↑"));
        if (text) button.classList.add("words");
        button.onclick = () => this.send("ordered", name);
        cell.append(button);
        return cell;
      }),
    );
  }

  // ------------------------------------------------------------ rows in sight
  soon() {
    this.waiting ??= requestAnimationFrame(() => {
      this.waiting = null;
      this.draw();
    });
  }
  draw() {
    if (!this.rows) return;
    const [first, last] = rowsInSight(
      this.sheet.scrollTop,
      this.sheet.clientHeight,
      this.rows.length,
    );
    const drawn = `${first}-${last}`;
    if (this.drawn !== drawn) {
      this.drawn = drawn;
      this.body.replaceChildren(
        ...Array.from({ length: last - first }, (_, k) => this.row(first + k)),
      );
    }
    this.mark();
  }
  row(index) {
    const line = make("div", {
      role: "row",
      "aria-rowindex": index + 2,
      id: `row${index}`,
      style: `top:${index * ROW}px`,
    });
    line.append(
      ...this.rows[index].map((text, k) => {
        const { text: words, bar } = this.columns[k];
        const cell = make("div", { role: k ? "gridcell" : "rowheader" }, text);
        if (words) cell.title = text;
        else cell.classList.add("number");
        if (bar && text !== "–") {
          cell.classList.add("bar");
          cell.style.setProperty("--share", `${100 * Math.min(1, Math.max(0, Number(text)))}%`);
        }
        return cell;
      }),
    );
    line.onclick = () => this.open(index);
    return line;
  }
  mark() {
    let active = "";
    for (const line of this.body.children) {
      const here = line.firstChild.textContent === this.current;
      line.setAttribute("aria-selected", here);
      if (here) active = line.id;
    }
    if (active) this.sheet.setAttribute("aria-activedescendant", active);
    else this.sheet.removeAttribute("aria-activedescendant");
    this.root.dataset.current = this.current ?? "";
  }
  get place() {
    return this.rows.findIndex(([name]) => name === this.current);
  }
  // Scroll until the current row is in sight.
  reveal(middle = false) {
    const top = this.place * ROW,
      room = this.sheet.clientHeight - this.head.offsetHeight;
    if (top < 0) return;
    const { scrollTop } = this.sheet;
    if (top >= scrollTop && top + ROW <= scrollTop + room) return;
    this.sheet.scrollTop = middle ? top - room / 2 : top < scrollTop ? top : top + ROW - room;
  }

  // ------------------------------------------------------------ hands
  open(index) {
    if (!this.opens) return;
    const again = this.current === this.rows[index][0];
    this.current = this.rows[index][0];
    this.reveal();
    this.draw();
    // of what is drawn already no answer comes
    if (again) this.tell();
    else if (!this.asked) this.ask();
  }
  tell() {
    window.dispatchEvent(
      new CustomEvent("velovi-open", { detail: { table: this.name, row: this.current } }),
    );
  }
  // One at a time: who walks quickly sees as many as can be drawn, and the one where they stop.
  ask() {
    this.asked = this.current;
    this.tell();
    clearTimeout(this.patience);
    this.patience = setTimeout(() => this.answered(), PATIENCE);
  }
  answered() {
    clearTimeout(this.patience);
    const before = this.asked;
    this.asked = null;
    if (this.current !== before) this.ask();
  }
  pressed(event) {
    if (!this.opens || !this.rows.length) return;
    const wanted = rowAfterKey(event.key, this.place, this.rows.length, this.sheet.clientHeight);
    if (wanted === null) return;
    event.preventDefault();
    if (wanted !== this.place) this.open(wanted);
  }
}

export default function ({ data, parentElement, setTriggerValue }) {
  const root = parentElement.querySelector(".velovi-table");
  root.table ??= new Table(root);
  root.table.send = (name, value) => setTriggerValue(name, value);
  if (data) root.table.update(data);
  return () => {
    root.table?.free();
    root.table = null;
  };
}
