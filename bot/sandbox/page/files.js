/** Choosing files: by dialog, by drop, by paste; shown as cards that can be taken away. */

import { bytes, fill, h, icon, iconButton } from "./dom.js";

let serial = 0;

/** A place that takes files; `files` holds them. */
export class FilePicker {
  constructor({ most = 10, label, hint = "", required = false, onchange, onremove, compact = false }) {
    Object.assign(this, { most, label, onchange });
    this.files = [];
    const id = `files-${(serial += 1)}`;
    this.input = h("input", { type: "file", id, multiple: most > 1, class: "visually-hidden", "aria-label": label,
      "aria-required": String(required) });
    this.input.addEventListener("change", () => {
      this.add([...this.input.files]);
      this.input.value = "";
    });
    this.cards = h("div", { class: "file-cards" });
    const prompt = h("label", { for: id, class: "drop-words" }, icon("file", 22), h("span", {},
      h("strong", {}, label), h("small", {}, hint || "Drop, paste or choose a file")));
    this.root = h("div", { class: `drop${compact ? " compact" : ""}`, role: "group", "aria-label": label },
      this.input, this.cards, prompt,
      onremove ? iconButton("close", `Remove ${label}`, onremove) : null);
    catchDrops(this.root, (files) => this.add(files));
  }

  focus() {
    this.input.focus();
  }

  /** Take files, as many as there is room for. */
  add(files) {
    this.files = this.most === 1 ? files.slice(0, 1) : [...this.files, ...files].slice(0, this.most);
    this.#show();
    this.onchange?.(this.files);
  }

  #show() {
    this.root.classList.toggle("full", this.files.length >= this.most);
    fill(this.cards, this.files.map((file) => fileChip(file, () => {
      this.files = this.files.filter((one) => one !== file);
      this.#show();
      this.onchange?.(this.files);
      this.input.focus();
    })));
  }
}

/** Make a card of a file about to be sent. */
export function fileChip(file, onremove) {
  let picture = icon("file", 30);
  if (file.type.startsWith("image/")) {
    const address = URL.createObjectURL(file);
    picture = h("img", { src: address, alt: "" });
    picture.addEventListener("load", () => URL.revokeObjectURL(address));
    picture.addEventListener("error", () => picture.replaceWith(icon("file", 30)));
  }
  return h("div", { class: "file-chip" }, h("div", { class: "file-chip-picture" }, picture),
    h("div", { class: "file-words" }, h("span", {}, file.name), h("small", {}, bytes(file.size))),
    iconButton("trash", `Remove ${file.name}`, onremove));
}

/** Let an element take dropped files. */
export function catchDrops(node, take) {
  let depth = 0;
  const hasFiles = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
  const mark = () => node.classList.toggle("dropping", depth > 0);
  node.addEventListener("dragenter", (event) => {
    if (!hasFiles(event)) return;
    depth += 1;
    mark();
  });
  node.addEventListener("dragleave", () => {
    depth = Math.max(0, depth - 1);
    mark();
  });
  node.addEventListener("dragover", (event) => {
    if (hasFiles(event)) event.preventDefault();
  });
  node.addEventListener("drop", (event) => {
    depth = 0;
    mark();
    if (!hasFiles(event)) return;
    event.preventDefault();
    event.stopPropagation();
    take([...event.dataTransfer.files]);
  });
}
