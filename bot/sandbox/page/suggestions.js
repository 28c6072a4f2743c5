/** The list above the message box: commands, choices, people. Focus stays in the box. */

import { fill, h } from "./dom.js";

let serial = 0;

/** A listbox driven from a text field, which is its combobox while the list is open. */
export class Suggestions {
  constructor(host) {
    this.id = `suggestions-${(serial += 1)}`;
    this.title = h("p", { class: "suggestions-title" });
    this.list = h("div", { role: "listbox", id: this.id, "aria-label": "Suggestions" });
    this.root = h("div", { class: "suggestions", hidden: true }, this.title, this.list);
    this.root.addEventListener("mousedown", (event) => event.preventDefault()); // focus stays
    host.append(this.root);
    this.items = [];
    this.field = null;
  }

  get open() {
    return !this.root.hidden;
  }

  get active() {
    return this.open ? this.items[this.at] ?? null : null;
  }

  /** Show items {label, detail, lead, trail, value}; `onPick(item)` hears of the choice. */
  show(field, items, { title, onPick, empty = "", keep = false }) {
    if (!items.length && !empty) {
      this.hide();
      return;
    }
    if (this.field !== field) this.hide();
    this.field = field;
    this.onPick = onPick;
    const before = keep ? this.active?.value : undefined;
    this.items = items;
    this.at = Math.max(0, items.findIndex((one) => one.value === before && before !== undefined));
    this.title.textContent = title ?? "";
    this.title.hidden = !title;
    fill(this.list, items.length ? items.map((item, index) => this.#row(item, index))
      : h("p", { class: "suggestions-empty" }, empty));
    this.root.hidden = false;
    for (const [name, value] of [["role", "combobox"], ["aria-autocomplete", "list"],
      ["aria-expanded", "true"], ["aria-controls", this.id]]) field.setAttribute(name, value);
    this.#mark();
  }

  #row(item, index) {
    const row = h("div", { class: "suggestion", role: "option", id: `${this.id}-${index}`,
      "aria-selected": "false" }, item.lead ?? null,
    h("span", { class: "suggestion-words" }, h("span", { class: "suggestion-label" }, item.label,
      item.hint ? h("span", { class: "suggestion-hint" }, ` ${item.hint}`) : null),
    item.detail ? h("small", {}, item.detail) : null),
    item.trail ? h("small", { class: "suggestion-trail" }, item.trail) : null);
    row.addEventListener("mousemove", () => {
      if (this.at === index) return;
      this.at = index;
      this.#mark({ scroll: false });
    });
    row.addEventListener("click", () => {
      this.at = index;
      this.pick();
    });
    return row;
  }

  #mark({ scroll = true } = {}) {
    const rows = [...this.list.querySelectorAll("[role=option]")];
    rows.forEach((row, index) => row.setAttribute("aria-selected", String(index === this.at)));
    const row = rows[this.at];
    if (!row) {
      this.field.removeAttribute("aria-activedescendant");
      return;
    }
    if (scroll) row.scrollIntoView({ block: "nearest" });
    this.field.setAttribute("aria-activedescendant", row.id);
  }

  /** Move the mark up or down, around the ends. */
  move(step) {
    if (!this.items.length) return;
    this.at = (this.at + step + this.items.length) % this.items.length;
    this.#mark();
  }

  /** Choose the marked item; return whether there was one. */
  pick() {
    const item = this.active;
    if (!item) return false;
    const { onPick } = this;
    this.hide();
    onPick(item);
    return true;
  }

  /** Put the list away. */
  hide() {
    this.root.hidden = true;
    this.items = [];
    if (!this.field) return;
    for (const name of ["aria-expanded", "aria-controls", "aria-activedescendant", "aria-autocomplete", "role"]) {
      this.field.removeAttribute(name);
    }
    this.field = null;
  }

  /** Take the keys that drive the list; return whether one was taken. */
  key(event) {
    if (!this.open) return false;
    if (event.key === "ArrowDown") this.move(1);
    else if (event.key === "ArrowUp") this.move(-1);
    else if (event.key === "Escape") this.hide();
    else return false;
    event.preventDefault();
    return true;
  }
}
