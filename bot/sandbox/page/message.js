/** One message as DOM. */

import { components } from "./components.js";
import { h, icon, iconButton } from "./dom.js";
import { embed } from "./embeds.js";
import { markdown } from "./markdown.js";
import { attachments } from "./media.js";
import { appTag, avatar } from "./people.js";
import { short, timestamp, write } from "./time.js";

/**
 * Make a message. `actions`: reply, openMenu(event or button), act(component, values), dismiss,
 * jump(message id). `grouped` leaves author and time to the message before.
 */
export function messageNode(message, store, actions, { grouped = false } = {}) {
  const author = message.author;
  const used = usedLine(message, store);
  const reply = replyLine(message, store, actions);
  const lean = grouped && !used && !reply;
  const when = new Date(message.timestamp);
  const classes = ["message", lean ? "grouped" : "", message.pinged ? "pinged" : "",
    message.ephemeral_for ? "ephemeral" : ""].filter(Boolean).join(" ");
  const name = store.nameOf(author.id);
  const node = h("article", { class: classes, tabindex: -1, "data-id": message.id,
    "aria-label": `${name}, ${write(when, "t")}` });
  node.append(...[
    reply ?? used,
    h("div", { class: "gutter" }, lean ? h("time", { class: "lean-time", datetime: message.timestamp },
      write(when, "t")) : avatar(author)),
    h("div", { class: "body" },
      lean ? null : h("header", {}, h("h3", { class: "author" }, name), appTag(author),
        h("time", { datetime: message.timestamp, title: write(when, "F") }, short(when))),
      content(message, store, actions)),
    message.loading ? null : toolbar(actions),
  ].filter(Boolean));
  node.addEventListener("contextmenu", (event) => {
    if (event.target.closest("a, textarea, input") || String(getSelection())) return;
    event.preventDefault();
    actions.openMenu(event);
  });
  return node;
}

function content(message, store, actions) {
  if (message.loading) return [thinking(store.nameOf(message.author.id)), ephemeralLine(message, actions)];
  const { busy, failed } = store.pressesOn(message.id);
  const context = { act: actions.act, busy, failed, names: store.names, files: message.files,
    world: { guild: store.guild, users: store.world.users } };
  const edited = message.edited_timestamp
    ? h("small", { class: "edited", title: write(new Date(message.edited_timestamp), "F") }, "(edited)") : null;
  const text = message.content ? h("div", { class: "markdown text" }, markdown(message.content, store.names)) : null;
  if (text && edited) text.lastElementChild?.append(" ", edited);
  return [
    ...(message.message_snapshots ?? []).map(({ message: one }) => forwarded(one, store)),
    text,
    ...attachments(message.attachments ?? []),
    ...(message.embeds ?? []).map((one) => embed(one, store.names)),
    ...components(message.components, context),
    !text && edited ? h("p", { class: "edited-line" }, edited) : null,
    ephemeralLine(message, actions),
  ];
}

/** Make the moving dots of a bot at work. */
export function thinking(name) {
  return h("p", { class: "thinking" }, h("span", { class: "dots", "aria-hidden": "true" }, h("i"), h("i"), h("i")),
    `${name} is thinking…`);
}

function ephemeralLine(message, actions) {
  if (!message.ephemeral_for) return null;
  return h("p", { class: "only-you" }, icon("eye", 14), "Only you can see this",
    h("span", { "aria-hidden": "true" }, "·"),
    h("button", { type: "button", class: "text-button", onclick: actions.dismiss }, "Dismiss message"));
}

function usedLine(message, store) {
  const meta = message.interaction_metadata;
  if (!meta || meta.type !== 2 || !meta.name) return null;
  const slash = (meta.command_type ?? 1) === 1 ? "/" : "";
  return h("p", { class: "above" }, avatar(store.find(meta.user.id), "small"),
    h("strong", {}, store.nameOf(meta.user.id)), " used ",
    h("span", { class: "mention" }, `${slash}${meta.name}`));
}

function replyLine(message, store, actions) {
  if (message.message_reference?.type === 1 || message.type !== 19) return null;
  const target = message.referenced_message;
  if (!target) return h("p", { class: "above" }, icon("reply", 14), h("em", {}, "The message was deleted"));
  return h("p", { class: "above" }, avatar(target.author, "small"),
    h("strong", {}, `@${store.nameOf(target.author.id)}`),
    h("button", { type: "button", class: "text-button excerpt", onclick: () => actions.jump(target.id),
      "aria-label": `Go to the message replied to: ${excerpt(target, store.names)}` }, excerpt(target, store.names)));
}

/** Return a message's gist in one line of plain text. */
export function excerpt(message, names = {}) {
  const walk = (list) => (list ?? []).flatMap((one) =>
    (one.type === 10 ? [one.content] : walk(one.components)));
  const text = message.content || walk(message.components).join(" ")
    || message.embeds?.[0]?.title || message.embeds?.[0]?.description;
  const plain = (text ?? "").replace(/\\([^\w\s])/g, "$1").replace(/(^|\s)-# /g, "$1")
    .replace(/<@!?(\d+)>/g, (_, id) => `@${names.user?.(id) ?? "…"}`).replace(/[*_~`|]{1,3}/g, "").replace(/\s+/g, " ").trim();
  return plain.slice(0, 140) || (message.attachments?.length ? "Press to see the attachment" : "Press to see");
}

function forwarded(one, store) {
  return h("blockquote", { class: "forwarded" },
    h("p", { class: "subtext" }, icon("forward", 14), " Forwarded"),
    one.content ? h("div", { class: "markdown" }, markdown(one.content, store.names)) : null,
    attachments(one.attachments ?? []), (one.embeds ?? []).map((each) => embed(each, store.names)),
    components(one.components, { act: () => {}, frozen: true, names: store.names, files: [],
      world: { guild: store.guild, users: store.world.users } }),
    h("p", { class: "subtext" }, timestamp(new Date(one.timestamp), "s")));
}

function toolbar(actions) {
  return h("div", { class: "toolbar", role: "group", "aria-label": "Message actions" },
    iconButton("reply", "Reply", actions.reply),
    actions.hasApps ? iconButton("apps", "Apps", (event) => actions.openApps(event.currentTarget)) : null,
    iconButton("more", "More", (event) => actions.openMenu(event.currentTarget),
      { "aria-haspopup": "menu" }));
}
