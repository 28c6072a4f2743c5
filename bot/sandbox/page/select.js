/** Select menus of messages and modals: strings, users, roles, channels; one or several. */

import { h, icon } from "./dom.js";
import { float } from "./float.js";

const NOUN = { 5: "a user", 6: "a role", 7: "somebody", 8: "a channel" };
let serial = 0;

/** Return the options of a select, those of users, roles and channels taken from the world. */
export function optionsOf(component, world) {
  if (component.type === 3) return component.options ?? [];
  const guild = world.guild;
  const chosen = new Set((component.default_values ?? []).map((one) => one.id));
  const entry = (id, label, description) => ({ value: id, label, description, default: chosen.has(id) });
  const users = (guild?.members ?? world.users).map((one) =>
    entry(one.id, one.nick ?? one.global_name ?? one.username, `@${one.username}`));
  const roles = (guild?.roles ?? []).map((one) => entry(one.id, one.name.startsWith("@") ? one.name : `@${one.name}`));
  const channels = (guild?.channels ?? []).map((one) => entry(one.id, `#${one.name}`));
  return { 5: users, 6: roles, 7: [...users, ...roles], 8: channels }[component.type] ?? [];
}

/**
 * Make a select. `onchange(values)` is called when a choice is finished; the element's `values`
 * holds what is chosen now.
 */
export function selectBox(component, options, { disabled = false, onchange, labelledby } = {}) {
  const most = component.max_values ?? 1;
  const least = component.min_values ?? 1;
  const id = `select-${(serial += 1)}`;
  let values = options.filter((one) => one.default).map((one) => one.value);
  const text = h("span", { class: "select-text" });
  const button = h("button", { type: "button", class: "select", id, role: "combobox",
    "aria-haspopup": "listbox", "aria-expanded": "false", disabled: disabled || component.disabled,
    "data-focus": component.custom_id ?? null }, text, icon("down", 16));
  const show = () => {
    const picked = options.filter((one) => values.includes(one.value));
    const hint = component.placeholder || `Choose ${NOUN[component.type] ?? "an option"}`;
    text.replaceChildren(...(picked.length
      ? picked.flatMap((one, index) => [index ? ", " : "", emojiOf(one) ?? "", one.label]) : [hint]));
    text.classList.toggle("hint", !picked.length);
    const said = picked.map((one) => one.label).join(", ") || "nothing chosen";
    button.setAttribute("aria-label", `${component.placeholder ?? component.label ?? "Choose"}: ${said}`);
    if (labelledby) button.setAttribute("aria-describedby", labelledby);
    button.values = values;
  };
  const open = () => openList({ button, options, values, most, least, done: (next) => {
    const changed = next.length !== values.length || next.some((one) => !values.includes(one));
    const fits = next.length >= least && next.length <= most;
    if (!fits) return;
    values = next;
    show();
    if (changed) onchange?.(values);
  } });
  button.addEventListener("click", open);
  button.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      open();
    }
  });
  show();
  return button;
}

function openList({ button, options, values, most, least, done }) {
  const several = most > 1 || least === 0;
  const picked = new Set(values);
  const list = h("div", { class: "listbox", role: "listbox", id: `${button.id}-list`, tabindex: -1, "aria-label": "Options",
    "aria-multiselectable": most > 1 ? "true" : null });
  const rows = options.map((option) => {
    const row = h("div", { class: "option", role: "option", tabindex: -1,
      "aria-selected": String(picked.has(option.value)) }, emojiOf(option),
    h("span", { class: "option-words" }, h("span", {}, option.label),
      option.description ? h("small", {}, option.description) : null), icon("check", 16));
    row.addEventListener("click", () => choose(option, row));
    return row;
  });
  list.append(...rows);
  const close = float(list, button, { matchWidth: true, onclose: () => {
    button.setAttribute("aria-expanded", "false");
    button.removeAttribute("aria-controls");
    if (several) done([...picked]);
    if (document.activeElement === document.body || !document.activeElement) button.focus();
  } });
  function choose(option, row) {
    if (!several) {
      close();
      button.focus();
      done([option.value]);
      return;
    }
    if (picked.has(option.value)) picked.delete(option.value);
    else if (picked.size < most) picked.add(option.value);
    else if (most === 1) {
      picked.clear();
      picked.add(option.value);
      for (const one of rows) one.setAttribute("aria-selected", "false");
    }
    row.setAttribute("aria-selected", String(picked.has(option.value)));
  }
  button.setAttribute("aria-expanded", "true");
  button.setAttribute("aria-controls", list.id);
  (rows.find((row) => row.getAttribute("aria-selected") === "true") ?? rows[0])?.focus();
  let typed = "";
  let forget;
  list.addEventListener("keydown", (event) => {
    const at = rows.indexOf(document.activeElement);
    const target = { ArrowDown: rows[at + 1], ArrowUp: rows[at - 1], Home: rows[0], End: rows.at(-1) };
    if (event.key in target) target[event.key]?.focus();
    else if (event.key === "Enter" || event.key === " ") choose(options[at], rows[at]);
    else if (event.key === "Tab") close();
    else if (event.key.length === 1 && !event.ctrlKey && !event.metaKey) {
      clearTimeout(forget);
      forget = setTimeout(() => { typed = ""; }, 700);
      typed += event.key.toLowerCase();
      rows[options.findIndex((one) => one.label.toLowerCase().startsWith(typed))]?.focus();
    } else return;
    event.preventDefault();
  });
}

/** Make an option's or a button's emoji; one of a server's own is written by name. */
export function emojiOf(holder) {
  const emoji = holder.emoji;
  if (!emoji) return null;
  return h("span", { class: "emoji", "aria-hidden": "true" }, emoji.id ? `:${emoji.name}:` : emoji.name);
}
