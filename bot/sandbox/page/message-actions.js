/** What a member can do with a message: reply, apps, edit, delete, forward, copy. */

import * as api from "./api.js";
import { announce, h, icon, toast } from "./dom.js";
import { menu } from "./float.js";

/** Return the actions of one message in a list. */
export function actionsFor(message, list) {
  const { store, composer } = list;
  const guarded = (action) => async () => {
    try {
      await action();
    } catch (error) {
      toast(error.message);
    }
  };
  const apps = () => store.world.commands.filter((one) => one.type === 3 && !message.ephemeral_for);
  const run = (command) => guarded(() =>
    store.act({ kind: "context_menu", name: command.name, message: message.id }));
  const appEntries = () => apps().map((one) => ({ label: localName(one, store), action: run(one),
    icon: icon("apps", 16) }));
  const userEntries = () => store.world.commands.filter((one) => one.type === 2).map((one) => ({
    label: localName(one, store), icon: icon("apps", 16), action: guarded(() =>
      store.act({ kind: "context_menu", name: one.name, target_user: message.author.id })) }));
  return {
    hasApps: apps().length > 0,
    reply: () => composer.replyTo(message),
    act: (component, values) => guarded(() => store.act({ kind: component.type === 2 ? "button" : "select",
      message: message.id, custom_id: component.custom_id, values }))(),
    dismiss: guarded(() => api.dismiss(message.id, store.user.id)),
    jump: (id) => list.jump(id),
    openApps: (button) => menu(appEntries(), button, { label: "Apps" }),
    openMenu: (from) => {
      const isEvent = from instanceof Event;
      const point = isEvent && from.clientX ? new DOMRect(from.clientX, from.clientY, 0, 0) : undefined;
      const anchor = isEvent ? from.currentTarget ?? from.target : from;
      menu(entries(message, list, { guarded, appEntries: appEntries(), userEntries: userEntries() }), anchor,
        { at: point, label: "Message actions" });
    },
  };
}

function localName(command, store) {
  return command.name_localizations?.[store.user.locale] ?? command.name;
}

function entries(message, list, { guarded, appEntries, userEntries }) {
  const { store, composer } = list;
  const own = message.author.id === store.user.id;
  const ephemeral = Boolean(message.ephemeral_for);
  const copy = (text, what) => guarded(async () => {
    await navigator.clipboard.writeText(text);
    announce(`${what} copied`);
    toast(`${what} copied`, "note");
  });
  const all = [
    ephemeral ? null : { label: "Reply", icon: icon("reply", 16), action: () => composer.replyTo(message) },
    ephemeral ? null : { label: "Forward…", icon: icon("forward", 16), action: () => forward(message, list, guarded) },
    appEntries.length ? { label: "Apps", icon: icon("right", 16), entries: appEntries } : null,
    userEntries.length ? { label: `Apps on ${store.nameOf(message.author.id)}`, icon: icon("right", 16),
      entries: userEntries } : null,
    own ? { label: "Edit", icon: icon("edit", 16), action: () => composer.edit(message) } : null,
    message.content ? { label: "Copy text", icon: icon("copy", 16), action: copy(message.content, "Text") } : null,
    { label: "Copy message ID", icon: icon("copy", 16), action: copy(message.id, "Message ID") },
    !ephemeral && (own || store.mayManageMessages) ? { label: "Delete message", icon: icon("trash", 16),
      danger: true, action: guarded(() => api.remove(message.id, store.user.id)) } : null,
    ephemeral ? { label: "Dismiss message", icon: icon("close", 16),
      action: guarded(() => api.dismiss(message.id, store.user.id)) } : null,
  ];
  return all.filter(Boolean);
}

function forward(message, list, guarded) {
  const { store } = list;
  const dialog = h("dialog", { class: "dialog small", "aria-labelledby": "forward-title" },
    h("h2", { id: "forward-title" }, "Forward to"),
    h("div", { class: "forward-list" }, store.channels.map((channel) => h("button", { type: "button",
      onclick: () => {
        dialog.close();
        guarded(() => api.send({ user: store.user.id, channel: channel.id, forward: message.id }))();
      } }, icon(channel.guild_id ? "hash" : "at", 16),
    channel.name || channel.recipients?.map((one) => one.username).join(", ")))),
    h("footer", {}, h("button", { type: "button", class: "button secondary", onclick: () => dialog.close() }, "Cancel")));
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}
