/** Puts the page together: who and where this tab is stands in the address. */

import { Composer } from "./composer.js";
import { byId, h, icon, iconButton, refill, toast } from "./dom.js";
import { MessageList } from "./message-list.js";
import { openModal } from "./modal.js";
import { panel } from "./panel.js";
import { sidebar } from "./sidebar.js";
import { Store } from "./store.js";

const store = new Store();
const drawer = byId("places");

/** Read "#ada/123" from the address: the member, and the channel. */
function place() {
  const [user, channelId] = decodeURIComponent(location.hash.slice(1)).split("/");
  return { user: user || null, channelId: channelId || null };
}

function remember() {
  const address = `#${store.user.username}/${store.channelId ?? ""}`;
  if (location.hash !== address) history.replaceState(null, "", address);
  const where = store.channel?.name ? `#${store.channel.name}` : "Direct message";
  document.title = `${where} · ${store.guild?.name ?? store.user.username}`;
}

const go = {
  channel: async (channelId) => {
    closeDrawer();
    await store.show(channelId);
    byId("composer-text")?.focus({ preventScroll: true });
  },
  member: (user) => store.become(user, store.channelId),
  tab: (user) => open(`/#${store.find(user)?.username ?? user}/${store.channelId ?? ""}`, "_blank", "noopener"),
};

function closeDrawer() {
  byId("app").classList.remove("drawer-open");
}

function head(side) {
  const { channel, guild } = store;
  if (!channel) return;
  const name = channel.name || channel.recipients?.map((one) => one.global_name ?? one.username).join(", ");
  const button = (key, glyph, label) => h("button", { type: "button", class: "head-button", "data-panel": key,
    "aria-controls": "panel", "aria-expanded": String(byId(`tab-${key}`)?.getAttribute("aria-selected") === "true"
      && !byId("panel").hidden), onclick: () => side.toggle(key) }, icon(glyph, 18), h("span", {}, label));
  refill(byId("channel-head"),
    iconButton("menu", "Servers and channels", () => byId("app").classList.toggle("drawer-open"),
      { class: "icon-button drawer-button" }),
    h("h1", {}, icon(guild ? "hash" : "at", 22), name),
    channel.topic ? h("p", { class: "topic" }, channel.topic) : null,
    channel.nsfw ? h("small", { class: "tag" }, "Age-restricted") : null,
    h("div", { class: "head-buttons" }, button("wire", "pulse", "Wire"), button("world", "gear", "World")));
}

async function start() {
  const composer = new Composer(byId("composer"), store, byId("main"));
  new MessageList(byId("messages"), store, composer);
  sidebar(store, go);
  const side = panel(store);
  store.on("world", () => {
    head(side);
    remember();
  });
  store.on("modal", (detail) => openModal(detail, store));
  store.on("connection", (connected) => {
    const notice = byId("notice");
    byId("main").setAttribute("aria-busy", String(!connected));
    notice.hidden = connected;
    notice.textContent = connected ? "" : "The sandbox is away. Trying again…";
  });
  drawer.addEventListener("keydown", (event) => { if (event.key === "Escape") closeDrawer(); });
  byId("main").addEventListener("pointerdown", (event) => {
    if (!event.target.closest(".drawer-button")) closeDrawer();
  });
  addEventListener("hashchange", async () => {
    const { user, channelId } = place();
    if (user && user !== store.user.username) await store.become(user, channelId);
    else if (channelId && channelId !== store.channelId) await store.show(channelId);
  });
  addEventListener("unhandledrejection", (event) => toast(event.reason?.message ?? "Something went wrong."));
  const { user, channelId } = place();
  try {
    await store.become(user, channelId);
  } catch {
    await store.become(null, null); // the address names someone who is not here any more
  }
  side.restore();
  byId("composer-text")?.focus();
}

start().catch((error) => {
  byId("notice").hidden = false;
  byId("notice").textContent = `The page could not start: ${error.message}`;
  throw error;
});
