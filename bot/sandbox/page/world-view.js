/** The settings of this little world: member, server, channel, portal, faults. */

import * as api from "./api.js";
import { h, refill, toast } from "./dom.js";

const LOCALES = [["en-US", "English (US)"], ["en-GB", "English (UK)"], ["de", "Deutsch"], ["fr", "Français"],
  ["es-ES", "Español"], ["pt-BR", "Português (Brasil)"], ["it", "Italiano"], ["nl", "Nederlands"], ["pl", "Polski"],
  ["sv-SE", "Svenska"], ["tr", "Türkçe"], ["ru", "Русский"], ["uk", "Українська"], ["hi", "हिन्दी"], ["th", "ไทย"],
  ["ja", "日本語"], ["ko", "한국어"], ["zh-CN", "简体中文"], ["zh-TW", "繁體中文"]];
const PERMISSIONS = [["View channels", 10n], ["Send messages", 11n], ["Attach files", 15n],
  ["Read message history", 16n], ["Use application commands", 31n], ["Use external apps", 50n],
  ["Mention everyone", 17n], ["Manage messages", 13n], ["Manage channels", 4n], ["Manage server", 5n],
  ["Administrator", 3n]];
const BOT_PERMISSIONS = PERMISSIONS.slice(0, 4);
const INTENTS = [["Message content", 15], ["Server members", 1], ["Presences", 8]];
const TIERS = ["No boost: 10 MiB", "Tier 1: 10 MiB", "Tier 2: 50 MiB", "Tier 3: 100 MiB"];
const BLOWS = [["Drop the gateway", () => api.gatewayFault({ kind: "drop" })],
  ["Ask to reconnect", () => api.gatewayFault({ kind: "reconnect" })],
  ["Invalidate the session", () => api.gatewayFault({ kind: "invalidate" })],
  ["Next REST call: 429", () => api.fault({ target: "rest", kind: "rate_limit", times: 1 })],
  ["Next REST call: 500", () => api.fault({ target: "rest", kind: "error", times: 1 })],
  ["Next REST call: cut", () => api.fault({ target: "rest", kind: "reset", times: 1 })],
  ["Clear all faults", () => api.clearFaults()]];

/** Make the world's view for the panel. */
export function worldView(store) {
  const node = h("div", { class: "world" });
  const redraw = () => {
    if (!node.isConnected) return;
    const opened = new Set([...node.querySelectorAll("details[open]")].map((one) => one.dataset.name));
    refill(node, member(store), server(store), channel(store), portal(store), faults());
    for (const one of node.querySelectorAll("details")) if (opened.has(one.dataset.name)) one.open = true;
  };
  store.on("world", redraw);
  return { node, open: redraw };
}

function change(store, action, { again = false } = {}) {
  return async (event) => {
    const control = event.currentTarget;
    try {
      await action(control.type === "checkbox" ? control.checked : control.value);
      if (again) await store.become(store.user.id, store.channelId);
      else store.refresh();
    } catch (error) {
      toast(error.message);
      store.refresh();
    }
  };
}

function section(title, ...children) {
  return h("section", { class: "world-section" }, h("h3", {}, title), children);
}

function dropdown(label, options, value, onchange) {
  return h("label", { class: "setting" }, h("span", {}, label), h("select", { onchange, "data-focus": label },
    options.map(([key, text]) => h("option", { value: key, selected: String(key) === String(value) }, text))));
}

function toggle(label, checked, onchange, { hint, disabled, key = label } = {}) {
  return h("label", { class: "setting" }, h("span", {}, label, hint ? h("small", {}, hint) : null),
    h("input", { type: "checkbox", role: "switch", checked: Boolean(checked), disabled, onchange, "data-focus": key }));
}

function member(store) {
  const { user, guild } = store;
  const locales = LOCALES.some(([key]) => key === user.locale) ? LOCALES : [[user.locale, user.locale], ...LOCALES];
  return section(`You: ${store.nameOf(user.id)}`,
    dropdown("Language", locales, user.locale, change(store, (locale) => api.changeUser(user.id, { locale }))),
    toggle("App on your account", user.has_installed,
      change(store, (on) => api.changeUser(user.id, { has_installed: on })), { hint: "Its commands follow you anywhere" }),
    guild ? permissions(store) : null);
}

function permissions(store) {
  const { user, guild } = store;
  const owner = guild.owner_id === user.id;
  const bits = BigInt(guild.members.find((one) => one.id === user.id)?.permissions ?? 0);
  return h("details", { "data-name": "permissions" }, h("summary", {}, `Your permissions in ${guild.name}`),
    owner ? h("p", { class: "muted" }, "You own this server, so you may do everything. Switch to another member to take rights away.") : null,
    PERMISSIONS.map(([label, bit]) => toggle(label, (bits >> bit) & 1n, change(store, (on) =>
      api.changeMember(guild.id, user.id, { permissions: String(on ? bits | (1n << bit) : bits & ~(1n << bit)) })),
    { disabled: owner, key: `permission ${bit}` })));
}

function server(store) {
  const { guild } = store;
  if (!guild) return null;
  const locales = LOCALES.some(([key]) => key === guild.locale) ? LOCALES : [[guild.locale, guild.locale], ...LOCALES];
  return section(`Server: ${guild.name}`,
    dropdown("Boost tier", TIERS.map((text, index) => [index, text]), guild.premium_tier,
      change(store, (tier) => api.changeGuild(guild.id, { premium_tier: Number(tier) }))),
    dropdown("Server language", locales, guild.locale, change(store, (locale) => api.changeGuild(guild.id, { locale }))),
    toggle("The bot is here", guild.has_bot, change(store, (bot) => api.changeGuild(guild.id, { bot }))));
}

function channel(store) {
  const { channel: here, world } = store;
  if (!here?.guild_id) return null;
  const bits = BigInt(here.bot_permissions ?? 0);
  const own = (here.permission_overwrites ?? []).find((one) => one.id === world.bot.id);
  const deny = BigInt(own?.deny ?? 0);
  const allow = BigInt(own?.allow ?? 0);
  return section(`Channel: #${here.name}`,
    toggle("Age-restricted", here.nsfw, change(store, (nsfw) => api.changeChannel(here.id, { nsfw }))),
    h("details", { "data-name": "bot permissions" }, h("summary", {}, "What the bot may do here"),
      BOT_PERMISSIONS.map(([label, bit]) => toggle(label, (bits >> bit) & 1n, change(store, (on) => {
        const mask = 1n << bit;
        return api.setOverwrite(here.id, world.bot.id, { allow: String(on ? allow | mask : allow & ~mask),
          deny: String(on ? deny & ~mask : deny | mask) });
      }), { key: `bot permission ${bit}` }))));
}

function portal(store) {
  const intents = store.world.privileged_intents;
  return section("Developer portal", INTENTS.map(([label, bit]) => toggle(`${label} intent`, (intents >> bit) & 1,
    change(store, (on) => api.settings({ privileged_intents: on ? intents | (1 << bit) : intents & ~(1 << bit) })),
    { hint: bit === 15 ? "Counts from the bot's next connection" : null })));
}

function faults() {
  const press = (label, blow) => async () => {
    try {
      await blow();
      toast(`${label}: done`, "note");
    } catch (error) {
      toast(error.message);
    }
  };
  return section("Trouble", h("p", { class: "muted" }, "See how the bot bears what Discord sometimes does."),
    h("div", { class: "chips" }, BLOWS.map(([label, blow]) =>
      h("button", { type: "button", class: "chip", onclick: press(label, blow) }, label))));
}
