/** Servers, channels, and who this tab is. */

import * as api from "./api.js";
import { byId, h, icon, iconButton, refill, toast } from "./dom.js";
import { menu } from "./float.js";
import { avatar, initials } from "./people.js";

/** Keep the left side in step with the store; `go` opens places and members. */
export function sidebar(store, go) {
  const show = () => {
    guilds(store, go);
    channels(store, go);
    you(store, go);
  };
  store.on("world", show);
  store.on("connection", () => you(store, go));
}

function guilds(store, go) {
  const { world, guild } = store;
  const home = h("button", { type: "button", class: "guild home", "aria-label": "Direct messages", title: "Direct messages",
    "aria-current": guild ? null : "true", onclick: async () => {
      try {
        const channel = world.private_channels[0] ?? await api.dm(store.user.id, [world.bot.id]);
        await go.channel(channel.id);
      } catch (error) {
        toast(error.message);
      }
    } }, icon("bolt", 24));
  refill(byId("guilds"), home, h("hr", { role: "presentation" }), world.guilds.map((one) => {
    const pings = one.channels.reduce((sum, each) => sum + (store.unread.get(each.id) ?? 0), 0);
    return h("button", { type: "button", class: "guild", title: one.name, "aria-label": one.name,
      "aria-current": one.id === guild?.id ? "true" : null, onclick: () => go.channel(one.channels[0]?.id ?? null) },
    h("span", { "aria-hidden": "true" }, initials(one.name)), pings ? badge(pings) : null);
  }), iconButton("plus", "Add a server", (event) => newGuild(event.currentTarget, store, go), { class: "guild add" }));
}

function badge(count) {
  return h("span", { class: "badge", "aria-label": `${count} mentions` }, count);
}

async function newGuild(button, store, go) {
  ask({ title: "Add a server", label: "Its name", value: "Second Town" }, async (name) => {
    const guild = await api.createGuild({ name, owner: store.user.id, channels: ["general"],
      members: store.world.users.filter((one) => !one.bot).map((one) => one.id) });
    await go.channel(guild.channels[0].id);
  });
}

/** Ask for one line of text in a dialog; `done` gets it and may throw a sentence. */
export function ask({ title, label, value = "" }, done) {
  const input = h("input", { type: "text", id: "ask-input", value, maxlength: 100 });
  const fault = h("small", { class: "field-fault", role: "alert" });
  const form = h("form", {}, h("h2", { id: "ask-title" }, title),
    h("div", { class: "field" }, h("label", { class: "field-label", for: "ask-input" }, label), input, fault),
    h("footer", {}, h("button", { type: "button", class: "button secondary", onclick: () => dialog.close() }, "Cancel"),
      h("button", { type: "submit", class: "button primary" }, "Create")));
  const dialog = h("dialog", { class: "dialog small", "aria-labelledby": "ask-title" }, form);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      await done(input.value.trim());
      dialog.close();
    } catch (error) {
      fault.textContent = error.message;
    }
  });
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  input.select();
}

function channels(store, go) {
  const { guild, world } = store;
  byId("guild-name").textContent = guild?.name ?? "Direct messages";
  const list = guild ? guild.channels : world.private_channels;
  const add = guild ? iconButton("plus", "Add a channel", () =>
    ask({ title: "Add a channel", label: "Its name", value: "" }, async (name) => {
      const channel = await api.createChannel({ guild: guild.id, name: name.toLowerCase().replace(/\s+/g, "-") });
      await go.channel(channel.id);
    })) : null;
  const rows = list.map((one) => channelRow(one, store, go));
  const people = guild ? [] : world.users.filter((user) => user.id !== store.user.id
    && !list.some((one) => one.recipients?.length === 1 && one.recipients[0].id === user.id));
  refill(byId("channels"),
    h("div", { class: "list-head" }, h("h3", {}, guild ? "Text channels" : "Conversations"), add),
    h("ul", {}, rows),
    people.length ? [h("div", { class: "list-head" }, h("h3", {}, "Start one")), h("ul", {}, people.map((user) =>
      h("li", {}, h("button", { type: "button", class: "channel", onclick: async () => {
        const channel = await api.dm(store.user.id, [user.id]);
        await go.channel(channel.id);
      } }, avatar(user, "small"), h("span", {}, user.global_name ?? user.username)))))] : null);
}

function channelRow(one, store, go) {
  const unread = store.unread.get(one.id);
  const other = one.guild_id ? null : one.recipients?.[0];
  const here = one.id === store.channelId;
  return h("li", {}, h("button", { type: "button", class: `channel${unread !== undefined ? " unread" : ""}`,
    "data-focus": one.id, "aria-current": here ? "page" : null, onclick: () => go.channel(one.id) },
  other ? avatar(store.find(other.id) ?? other, "small") : icon(one.nsfw ? "warning" : "hash", 18),
  h("span", {}, one.name || one.recipients?.map((each) => each.global_name ?? each.username).join(", ")),
  one.nsfw ? h("small", { class: "tag" }, "18+") : null, unread ? badge(unread) : null));
}

function you(store, go) {
  const { user, world, connected } = store;
  const switchTo = h("button", { type: "button", class: "you-button", "aria-haspopup": "menu",
    "aria-label": `You are ${user.global_name ?? user.username}. Switch member`,
    onclick: (event) => menu([
      ...world.users.filter((one) => !one.bot).map((one) => ({ label: `Be ${one.global_name ?? one.username}`,
        icon: one.id === user.id ? icon("check", 16) : null, action: () => go.member(one.id) })),
      null,
      ...world.users.filter((one) => !one.bot && one.id !== user.id).map((one) => ({
        label: `Open a tab as ${one.global_name ?? one.username}`, icon: icon("tab", 16), action: () => go.tab(one.id) })),
      null,
      { label: "Somebody new…", icon: icon("plus", 16), action: () =>
        ask({ title: "Somebody new", label: "Name, in small letters" }, async (name) => {
          const created = await api.createUser(name);
          for (const guild of world.guilds) await api.changeMember(guild.id, created.id, { present: true });
          await go.member(created.id);
        }) },
    ], event.currentTarget, { label: "Members" }) },
  avatar(user), h("span", { class: "you-words" }, h("strong", {}, user.global_name ?? user.username),
    h("small", {}, connected ? roleOf(store) : "Reconnecting…")));
  switchTo.querySelector(".avatar").classList.add(connected ? "online" : "offline");
  refill(byId("you"), switchTo, iconButton(isDark() ? "sun" : "moon", "Switch between light and dark", () => {
    document.documentElement.dataset.theme = isDark() ? "light" : "dark";
    localStorage.setItem("sandbox.theme", document.documentElement.dataset.theme);
    you(store, go);
  }));
}

function isDark() {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

function roleOf({ guild, user }) {
  if (!guild) return `@${user.username}`;
  if (guild.owner_id === user.id) return "Owner";
  const mine = new Set(guild.members.find((one) => one.id === user.id)?.roles ?? []);
  return guild.roles.filter((one) => mine.has(one.id)).map((one) => one.name).join(", ") || "Member";
}
