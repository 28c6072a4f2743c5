/** Message components, of the old rows and of Components V2, as DOM. */

import { h, icon } from "./dom.js";
import { markdown } from "./markdown.js";
import { fileCard, gallery } from "./media.js";
import { emojiOf, optionsOf, selectBox } from "./select.js";

const STYLE = { 1: "primary", 2: "secondary", 3: "success", 4: "danger", 5: "link", 6: "premium" };

/**
 * Make a message's components.
 *
 * `context`: `act(component, values)` presses a button (no values) or chooses in a select; `busy`
 * and `failed` are the custom_ids that wait or that nobody answered; `names` and `world` resolve
 * mentions and choices; `files` are the message's attachments.
 */
export function components(list, context) {
  return (list ?? []).map((one) => MAKERS[one.type]?.(one, context) ?? unknown(one));
}

const MAKERS = {
  1: row,
  9: section,
  10: (one, context) => h("div", { class: "markdown" }, markdown(one.content, context.names)),
  11: (one) => h("div", { class: "thumbnail" }, gallery([mediaOf(one)])),
  12: (one) => gallery((one.items ?? []).map(mediaOf)),
  13: fileOf,
  14: (one) => h("hr", { class: `separator spacing-${one.spacing ?? 1}${one.divider === false ? " plain" : ""}`,
    role: "presentation" }),
  17: container,
};

function mediaOf(item) {
  return { ...item.media, description: item.description, spoiler: item.spoiler };
}

function fileOf(one, { files = [] }) {
  const id = one.file?.attachment_id;
  return fileCard({ ...files.find((file) => file.id === id), ...one.file, name: one.name });
}

function unknown(one) {
  return h("p", { class: "unknown-component" }, `A component of type ${one.type}, which this page does not know.`);
}

function container(one, context) {
  const node = h("div", { class: "container" }, components(one.components, context));
  if (one.accent_color !== null && one.accent_color !== undefined) {
    node.style.setProperty("--accent", `#${one.accent_color.toString(16).padStart(6, "0")}`);
    node.classList.add("accented");
  }
  if (one.spoiler) veil(node);
  return node;
}

function veil(node) {
  const button = h("button", { type: "button", class: "veil" }, "Spoiler: press to show");
  const content = h("div", { class: "veiled", inert: true });
  content.append(...node.childNodes);
  button.addEventListener("click", () => {
    node.replaceChildren(...content.childNodes);
  });
  node.append(content, button);
}

function section(one, context) {
  return h("div", { class: "section" }, h("div", { class: "section-text" }, components(one.components, context)),
    h("div", { class: "accessory" }, one.accessory?.type === 2
      ? button(one.accessory, context) : components([one.accessory].filter(Boolean), context)));
}

function row(one, context) {
  return h("div", { class: "action-row" }, (one.components ?? []).map((child) =>
    child.type === 2 ? button(child, context) : select(child, context)));
}

function button(one, context) {
  const words = [emojiOf(one), one.label ? h("span", {}, one.label) : null];
  if (one.style === 5) {
    return h("a", { class: "button link", href: safeAddress(one.url), target: "_blank",
      rel: "noopener noreferrer nofollow" }, words, icon("tab", 14));
  }
  const busy = context.busy?.has(one.custom_id);
  const node = h("button", { type: "button", class: `button ${STYLE[one.style] ?? "secondary"}${busy ? " busy" : ""}`,
    disabled: one.disabled || context.frozen, "data-focus": one.custom_id ?? null, "aria-busy": busy ? "true" : null,
    "aria-label": one.label ? null : one.emoji?.name ?? "button" }, words);
  node.addEventListener("click", () => {
    if (!context.busy?.has(one.custom_id)) context.act(one);
  });
  return failed(node, one, context);
}

function select(one, context) {
  const node = selectBox(one, optionsOf(one, context.world), {
    disabled: context.busy?.has(one.custom_id) || context.frozen,
    onchange: (values) => context.act(one, values),
  });
  return failed(node, one, context);
}

function failed(node, one, context) {
  if (!context.failed?.has(one.custom_id)) return node;
  return h("span", { class: "failed" }, node, h("small", { role: "status" }, icon("warning", 14),
    "This interaction failed"));
}

/** Return an address a link may have: http and https only. */
export function safeAddress(address) {
  return /^(https?|discord):\/\//.test(address ?? "") ? address : null;
}
