/** The right side: the wire and the world, one at a time. */

import { byId, fill, h, iconButton } from "./dom.js";
import { wireView } from "./wire.js";
import { worldView } from "./world-view.js";

const TABS = [["wire", "Wire"], ["world", "World"]];

/** Make the panel; returns {toggle}, which opens, switches or closes it. */
export function panel(store) {
  const root = byId("panel");
  const views = { wire: wireView(store), world: worldView(store) };
  let open = null;
  const body = h("div", { class: "panel-body", role: "tabpanel", id: "panel-body" });
  const tabs = TABS.map(([key, label]) => h("button", { type: "button", role: "tab", id: `tab-${key}`,
    "aria-controls": "panel-body", onclick: () => show(key) }, label));
  const bar = h("div", { class: "tabs", role: "tablist", "aria-label": "Behind the scenes" }, tabs);
  bar.addEventListener("keydown", (event) => {
    if (event.key !== "ArrowLeft" && event.key !== "ArrowRight") return;
    const next = TABS[(TABS.findIndex(([key]) => key === open) + 1) % TABS.length][0];
    show(next);
    byId(`tab-${next}`).focus();
  });
  fill(root, h("header", {}, bar, iconButton("close", "Close this side", () => show(null))), body);

  function show(key) {
    open = key;
    root.hidden = !key;
    byId("app").classList.toggle("with-panel", Boolean(key));
    sessionStorage.setItem("sandbox.panel", key ?? "");
    for (const one of document.querySelectorAll("[data-panel]")) {
      one.setAttribute("aria-expanded", String(one.dataset.panel === key));
    }
    if (!key) return;
    TABS.forEach(([name], index) => {
      tabs[index].setAttribute("aria-selected", String(name === key));
      tabs[index].tabIndex = name === key ? 0 : -1;
    });
    body.setAttribute("aria-labelledby", `tab-${key}`);
    fill(body, views[key].node);
    views[key].open();
  }

  root.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || event.target.closest("input")) return;
    show(null);
    document.querySelector("[data-panel]")?.focus();
  });
  return { restore: () => show(sessionStorage.getItem("sandbox.panel") || null),
    toggle: (key) => show(open === key ? null : key) };
}
