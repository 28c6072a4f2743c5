/** The wire: every gateway event, REST call and CDN fetch, with bodies and rules broken. */

import * as api from "./api.js";
import { bytes, fill, h, icon, iconButton, toast } from "./dom.js";
import { write } from "./time.js";

const MOST_ROWS = 400;
const FILTERS = [["rest", "REST"], ["gateway", "Gateway"], ["cdn", "CDN"], ["broken", "Rules broken"]];

/** Make the wire's view for the panel. */
export function wireView(store) {
  const shown = new Set(["rest", "gateway"]);
  let words = "";
  const list = h("ol", { class: "wire-list", "aria-label": "Traffic", tabindex: 0 });
  const count = h("small", { class: "muted", role: "status" });
  const fits = (entry) => {
    if (shown.has("broken") && !entry.rule && !entry.fault) return false;
    const kinds = [...shown].filter((one) => one !== "broken");
    if (kinds.length && !kinds.includes(entry.kind)) return false;
    return !words || titleOf(entry).toLowerCase().includes(words)
      || JSON.stringify(entry.body ?? "").toLowerCase().includes(words);
  };
  const redraw = () => {
    const entries = store.traffic.filter(fits).slice(-MOST_ROWS);
    fill(list, entries.map(row));
    tell();
    list.scrollTop = list.scrollHeight;
  };
  const tell = () => {
    const broken = store.traffic.filter((one) => one.rule).length;
    count.textContent = `${list.childElementCount} shown · ${broken} broke a rule`;
  };
  const toggles = FILTERS.map(([key, label]) => h("button", { type: "button", class: "chip toggle",
    "aria-pressed": String(shown.has(key)), onclick: (event) => {
      if (shown.has(key)) shown.delete(key);
      else shown.add(key);
      event.currentTarget.setAttribute("aria-pressed", String(shown.has(key)));
      redraw();
    } }, label));
  const search = h("input", { type: "search", placeholder: "Find in names and bodies", "aria-label": "Find in traffic" });
  search.addEventListener("input", () => {
    words = search.value.trim().toLowerCase();
    redraw();
  });
  const clear = iconButton("trash", "Clear the log", async () => {
    await api.clearTraffic();
    store.traffic = [];
    redraw();
  });
  store.on("traffic", (entry) => {
    if (!list.isConnected || !fits(entry)) return;
    const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 60;
    list.append(row(entry));
    while (list.childElementCount > MOST_ROWS) list.firstElementChild.remove();
    if (atEnd) list.scrollTop = list.scrollHeight;
    tell();
  });
  const node = h("div", { class: "wire" }, h("div", { class: "wire-tools" }, h("div", { class: "chips", role: "group",
    "aria-label": "Kinds shown" }, toggles), h("div", { class: "wire-search" }, search, clear), count), list);
  return { node, open: async () => {
    try {
      await catchUp(store);
    } catch (error) {
      toast(error.message);
    }
    redraw();
  } };
}

/** Fetch what crossed the wire before this tab was there. */
async function catchUp(store) {
  const known = new Set(store.traffic.map((one) => one.id));
  const earlier = await api.traffic();
  store.traffic = [...earlier.filter((one) => !known.has(one.id)), ...store.traffic]
    .sort((one, other) => one.id - other.id).slice(-1000);
}

function titleOf(entry) {
  return entry.kind === "rest" ? `${entry.method} ${entry.path}` : entry.name;
}

function row(entry) {
  const bad = entry.rule || entry.fault || (entry.status ?? 200) >= 400;
  const summary = h("summary", {},
    h("span", { class: `way ${entry.direction}`, title: entry.direction === "in" ? "from the bot" : "to the bot" },
      entry.direction === "in" ? "→" : "←"),
    h("span", { class: `wire-kind ${entry.kind}` }, entry.kind === "rest" ? entry.method : entry.kind.toUpperCase()),
    h("span", { class: "wire-name" }, entry.kind === "rest" ? shortPath(entry) : entry.name),
    entry.status ? h("span", { class: `status ${bad ? "bad" : "good"}` }, entry.status) : null,
    entry.ms !== null && entry.ms !== undefined ? h("span", { class: "wire-ms" }, `${entry.ms < 10 ? entry.ms.toFixed(1) : Math.round(entry.ms)} ms`) : null);
  const details = h("details", { class: bad ? "broken" : "" }, summary,
    entry.rule ? h("p", { class: "wire-rule" }, icon("warning", 14), entry.rule) : null);
  details.addEventListener("toggle", () => {
    if (!details.open) return;
    if (!details.querySelector(".wire-body")) details.append(bodyOf(entry));
    details.scrollIntoView({ block: "nearest" });
  });
  return h("li", {}, details);
}

function shortPath(entry) {
  return (entry.path || entry.name).replace(/^\/api\/v\d+/, "").replace(/\d{17,20}/g, (id) => `…${id.slice(-4)}`);
}

function bodyOf(entry) {
  const facts = [["Time", write(new Date(entry.time * 1000), "S")], ["Path", entry.kind === "rest" ? entry.path : null],
    ["Query", Object.keys(entry.query ?? {}).length ? JSON.stringify(entry.query) : null],
    ["Shard", entry.shard], ["Fault", entry.fault]];
  const parts = entry.parts?.length ? h("table", {}, h("caption", {}, "Files"), h("tbody", {}, entry.parts.map((one) =>
    h("tr", {}, h("th", { scope: "row" }, one.name), h("td", {}, one.filename), h("td", { class: "wire-ms" }, bytes(one.size)))))) : null;
  return h("div", { class: "wire-body" },
    h("dl", {}, facts.filter(([, value]) => value !== null && value !== undefined && value !== "").flatMap(([key, value]) =>
      [h("dt", {}, key), h("dd", {}, String(value))])),
    parts, code("Body", entry.body), code("Response", entry.response));
}

function code(label, value) {
  if (value === null || value === undefined) return null;
  return h("figure", {}, h("figcaption", {}, label),
    h("pre", { tabindex: 0, "aria-label": label }, JSON.stringify(value, null, 2)));
}
