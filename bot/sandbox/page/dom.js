/** Small tools for building the page. Text always goes in as text, never as markup. */

const PROPERTIES = new Set(["value", "checked", "disabled", "selected", "hidden", "multiple"]);
const SVG = "http://www.w3.org/2000/svg";

/** Make an element; `on…` are listeners, `style` and `dataset` are mappings. */
export function h(tag, props, ...children) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(props ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (key === "class") node.className = value;
    else if (key === "style") setStyle(node, value);
    else if (key === "dataset") Object.assign(node.dataset, value);
    else if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (PROPERTIES.has(key)) node[key] = value;
    else node.setAttribute(key, value === true ? "" : String(value));
  }
  node.append(...flat(children));
  return node;
}

function setStyle(node, rules) {
  for (const [name, value] of Object.entries(rules)) node.style.setProperty(name, value);
}

function flat(children) {
  return children.flat(Infinity).filter((one) => one !== null && one !== undefined && one !== false);
}

/** Put new children in place of the old ones. */
export function fill(node, ...children) {
  node.replaceChildren(...flat(children));
  return node;
}

/** The same, and whoever had the focus gets it back: known by data-focus, its label or its words. */
export function refill(node, ...children) {
  const focused = node.contains(document.activeElement) ? nameOf(document.activeElement) : null;
  fill(node, ...children);
  if (focused === null) return node;
  const again = [...node.querySelectorAll("button, a, input, select, summary")].find((one) => nameOf(one) === focused);
  again?.focus({ preventScroll: true });
  return node;
}

function nameOf(node) {
  return node.dataset.focus ?? node.getAttribute("aria-label") ?? node.textContent;
}

/** Return the element with an id. */
export function byId(id) {
  return document.getElementById(id);
}

const PATHS = {
  hash: "M9 3 7 21M17 3l-2 18M4 8.5h17M3 15.5h17",
  lock: "M6 11V8a6 6 0 0 1 12 0v3M5 11h14v10H5z",
  at: "M16 12a4 4 0 1 1-8 0 4 4 0 0 1 8 0zm0 0v1.5a2.5 2.5 0 0 0 5 0V12a9 9 0 1 0-4 7.5",
  reply: "M10 6 4 12l6 6M4 12h9a7 7 0 0 1 7 7",
  more: "M5 12h.01M12 12h.01M19 12h.01",
  close: "M6 6l12 12M18 6 6 18",
  plus: "M12 5v14M5 12h14",
  send: "M4 12 20 4l-5 17-4-7zM11 14l4-5",
  menu: "M4 6h16M4 12h16M4 18h16",
  eye: "M2 12s4-7 10-7 10 7 10 7-4 7-10 7S2 12 2 12zm13 0a3 3 0 1 1-6 0 3 3 0 0 1 6 0z",
  trash: "M4 7h16M9 7V4h6v3M6 7l1 13h10l1-13M10 11v6M14 11v6",
  edit: "M4 20h4L20 8l-4-4L4 16zM14 6l4 4",
  copy: "M9 9h11v12H9zM5 15H4V3h11v2",
  apps: "M4 4h6v6H4zM14 4h6v6h-6zM4 14h6v6H4zM17 14v6M14 17h6",
  pulse: "M2 12h4l3-8 5 16 3-8h5",
  sun: "M12 8a4 4 0 1 1 0 8 4 4 0 0 1 0-8zM12 2v2M12 20v2M4.9 4.9l1.4 1.4M17.7 17.7l1.4 1.4M2 12h2M20 12h2M4.9 19.1l1.4-1.4M17.7 6.3l1.4-1.4",
  moon: "M20 14.5A8.5 8.5 0 1 1 9.5 4a7 7 0 0 0 10.500 10.500z",
  down: "M6 9l6 6 6-6",
  left: "M15 5l-7 7 7 7",
  right: "M9 5l7 7-7 7",
  file: "M6 2h8l5 5v15H6zM14 2v5h5",
  forward: "M14 6l6 6-6 6M20 12h-9a7 7 0 0 0-7 7",
  warning: "M12 3 2 21h20zM12 10v5M12 18h.01",
  check: "M4 12l5 5L20 6",
  slash: "M5 3h14a2 2 0 0 1 2 2v14a2 2 0 0 1-2 2H5a2 2 0 0 1-2-2V5a2 2 0 0 1 2-2zM15 7 9 17",
  bolt: "M13 2 4 14h7l-1 8 9-12h-7z",
  tab: "M14 4h6v6M20 4l-9 9M10 6H4v14h14v-6",
  gear: "M4 7h10M18 7h2M4 17h2M10 17h10M16 5v4M8 15v4",
};

/** Make a decorative icon by name. */
export function icon(name, size = 20) {
  const svg = document.createElementNS(SVG, "svg");
  const attributes = {
    viewBox: "0 0 24 24", width: size, height: size, fill: "none", stroke: "currentColor",
    "stroke-width": name === "more" ? 3 : 1.8, "stroke-linecap": "round",
    "stroke-linejoin": "round", "aria-hidden": "true", class: "icon",
  };
  for (const [key, value] of Object.entries(attributes)) svg.setAttribute(key, value);
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", PATHS[name]);
  svg.append(path);
  return svg;
}

/** Make a button that shows only an icon; its label is spoken and shown on hover. */
export function iconButton(name, label, onclick, props = {}) {
  return h("button", { type: "button", class: "icon-button", "aria-label": label, title: label,
    onclick, ...props }, icon(name));
}

/** Show a sentence for a few seconds, read out by screen readers. */
export function toast(text, kind = "error") {
  const note = h("div", { class: `toast ${kind}` }, icon(kind === "error" ? "warning" : "check"), text);
  note.append(iconButton("close", "Close this note", () => note.remove()));
  byId("toasts").append(note);
  setTimeout(() => note.remove(), 7000);
}

/** Tell screen readers something that is shown some other way. */
export function announce(text) {
  byId("announcer").textContent = text;
}

/** Write a number of bytes for people. */
export function bytes(count) {
  if (count < 1024) return `${count} B`;
  const units = ["KiB", "MiB", "GiB"];
  let value = count;
  let unit = -1;
  while (value >= 1024 && unit < units.length - 1) { value /= 1024; unit += 1; }
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
}
