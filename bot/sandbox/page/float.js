/** Things that float over the page beside what they belong to: lists and menus. */

import { h } from "./dom.js";

/** Put a floating box under or over an anchor, whichever has room, inside the window. */
export function place(box, anchor, { matchWidth = false, prefer = "below" } = {}) {
  const rect = anchor instanceof DOMRect ? anchor : anchor.getBoundingClientRect();
  if (matchWidth) box.style.setProperty("min-width", `${rect.width}px`);
  const { offsetWidth: width, offsetHeight: height } = box;
  const below = innerHeight - rect.bottom - 8;
  const above = rect.top - 8;
  const up = prefer === "above" ? above >= height || above > below : below < height && above > below;
  const top = up ? Math.max(8, rect.top - height - 4) : Math.min(rect.bottom + 4, innerHeight - height - 8);
  box.style.setProperty("left", `${Math.max(8, Math.min(rect.left, innerWidth - width - 8))}px`);
  box.style.setProperty("top", `${Math.max(8, top)}px`);
}

/** Show a box in the top layer until it is left or Escape is pressed; `onclose` hears of it. */
export function float(box, anchor, options = {}) {
  box.setAttribute("popover", "auto");
  (options.parent ?? anchor.closest?.("dialog") ?? document.body).append(box);
  box.showPopover();
  place(box, options.at ?? anchor, options);
  const close = () => {
    if (box.isConnected && box.matches(":popover-open")) box.hidePopover();
  };
  box.addEventListener("toggle", (event) => {
    if (event.newState !== "closed") return;
    box.remove();
    options.onclose?.();
  });
  return close;
}

/**
 * Show a menu at a point or beside a button. Entries: {label, icon, action, danger, disabled},
 * {label, entries} for a submenu, or null for a line between.
 */
export function menu(entries, anchor, { at, label = "Menu" } = {}) {
  const before = document.activeElement;
  const list = h("div", { class: "menu", role: "menu", "aria-label": label, tabindex: -1 });
  const opener = anchor.tagName === "BUTTON" ? anchor : null;
  opener?.setAttribute("aria-expanded", "true");
  const close = float(list, anchor, { at, onclose: () => {
    if (document.activeElement === document.body) before?.focus();
    opener?.removeAttribute("aria-expanded");
  } });
  const done = (action) => {
    close();
    action?.();
  };
  list.append(...entries.map((entry) => menuEntry(entry, done)));
  place(list, at ?? anchor);
  list.addEventListener("keydown", (event) => onMenuKey(event, list, close));
  list.querySelector("[role=menuitem]:not(:disabled)")?.focus();
  return close;
}

function menuEntry(entry, done) {
  if (entry === null) return h("hr", { role: "separator" });
  const row = h("button", { type: "button", role: "menuitem", tabindex: -1, disabled: entry.disabled,
    class: entry.danger ? "danger" : "" }, h("span", {}, entry.label), entry.icon ?? null);
  if (!entry.entries) {
    row.addEventListener("click", () => done(entry.action));
    return row;
  }
  row.setAttribute("aria-haspopup", "menu");
  row.setAttribute("aria-expanded", "false");
  const sub = h("div", { class: "submenu", role: "menu", "aria-label": entry.label, hidden: true },
    entry.entries.map((one) => menuEntry(one, done)));
  const open = (isOpen) => {
    sub.hidden = !isOpen;
    row.setAttribute("aria-expanded", String(isOpen));
  };
  row.addEventListener("click", () => open(sub.hidden));
  row.addEventListener("keydown", (event) => {
    if (event.key === "ArrowRight") {
      open(true);
      sub.querySelector("[role=menuitem]")?.focus();
      event.stopPropagation();
    }
  });
  sub.addEventListener("keydown", (event) => {
    if (event.key !== "ArrowLeft") return;
    open(false);
    row.focus();
    event.stopPropagation();
  });
  return h("div", { role: "none" }, row, sub);
}

function onMenuKey(event, list, close) {
  const rows = [...list.querySelectorAll("[role=menuitem]:not(:disabled)")]
    .filter((row) => row.offsetParent !== null);
  const at = rows.indexOf(document.activeElement);
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (step) rows[(at + step + rows.length) % rows.length]?.focus();
  else if (event.key === "Home") rows[0]?.focus();
  else if (event.key === "End") rows.at(-1)?.focus();
  else if (event.key === "Tab") close();
  else return;
  event.preventDefault();
}
