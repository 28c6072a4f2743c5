/** The list of messages: kept in step with the store, scrolled, and walked by keyboard. */

import { fill, h, icon, iconButton } from "./dom.js";
import { messageNode, thinking } from "./message.js";
import { actionsFor } from "./message-actions.js";
import { avatar, appTag } from "./people.js";
import { write } from "./time.js";

const TOGETHER_MS = 7 * 60 * 1000;
const NEAR_PX = 120;
const DRAW_AFTER_MS = 12;

/** Show the store's open channel in `root`; `composer` takes replies and edits. */
export class MessageList {
  constructor(root, store, composer) {
    this.root = root;
    this.store = store;
    this.composer = composer;
    this.nodes = new Map();
    this.list = h("ol", { class: "message-list" });
    this.latest = h("button", { type: "button", class: "to-latest", hidden: true,
      onclick: () => this.toEnd(true) }, "New messages ", icon("down", 16));
    this.empty = h("div", { class: "welcome" });
    root.append(h("div", { class: "filler" }), this.empty, this.list);
    root.after(this.latest);
    root.addEventListener("scroll", () => { if (this.isAtEnd()) this.latest.hidden = true; });
    root.addEventListener("load", () => { if (this.stick) this.toEnd(); }, true);
    root.addEventListener("keydown", (event) => this.walk(event));
    store.on("messages", (detail) => this.update(detail ?? {}));
    store.on("world", () => this.update({}));
    new ResizeObserver(() => { if (this.stick) this.toEnd(); }).observe(root);
  }

  get stick() {
    return this.wasAtEnd !== false;
  }

  isAtEnd() {
    const { scrollTop, scrollHeight, clientHeight } = this.root;
    this.wasAtEnd = scrollHeight - scrollTop - clientHeight < NEAR_PX;
    return this.wasAtEnd;
  }

  toEnd(smooth = false) {
    this.root.scrollTo({ top: this.root.scrollHeight, behavior: smooth ? "smooth" : "instant" });
    this.latest.hidden = true;
    this.wasAtEnd = true;
  }

  /** Take note of a change; the list is drawn once for all that come together. */
  update({ channelId, fresh, isNew, message } = {}) {
    if (channelId && channelId !== this.store.channelId) return;
    if (fresh) this.wasAtEnd = true;
    const own = isNew && message?.author.id === this.store.user.id;
    this.follow ||= this.stick || own;
    this.hasNew ||= isNew;
    this.drawing ??= setTimeout(() => this.#draw(), DRAW_AFTER_MS);
  }

  #draw() {
    const { follow, hasNew } = this;
    Object.assign(this, { drawing: null, follow: false, hasNew: false });
    this.#render();
    if (follow) this.toEnd();
    else if (hasNew) this.latest.hidden = false;
  }

  #render() {
    const messages = this.store.shown;
    const rows = [];
    let before = null;
    for (const message of messages) {
      const day = new Date(message.timestamp).toDateString();
      if (!before || new Date(before.timestamp).toDateString() !== day) rows.push(this.#divider(message, day));
      rows.push(this.#row(message, before && follows(before, message)));
      before = message;
    }
    for (const one of this.store.pending) rows.push(this.#pendingRow(one));
    const wanted = new Map(rows.map((row) => [row.key, row]));
    for (const [key, row] of this.nodes) if (!wanted.has(key)) row.node.remove();
    this.nodes = wanted;
    this.#order(rows);
    this.#welcome(messages.length);
    this.#rove();
  }

  /** Put the rows in order, moving only those out of place, so that focus and scroll stay. */
  #order(rows) {
    let place = this.list.firstElementChild;
    for (const { node } of rows) {
      if (node === place) place = place.nextElementSibling;
      else this.list.insertBefore(node, place);
    }
  }

  #divider(message, day) {
    const key = `day ${day}`;
    return this.nodes.get(key) ?? { key, node: h("li", { class: "day" },
      h("span", {}, write(new Date(message.timestamp), "D"))) };
  }

  #row(message, grouped) {
    const { busy, failed } = this.store.pressesOn(message.id);
    const world = [this.store.user.id, this.store.user.locale, this.store.nameOf(message.author.id),
      this.store.world.commands.length].join();
    const state = JSON.stringify([grouped, [...busy], [...failed], world]);
    const known = this.nodes.get(message.id);
    if (known?.message === message && known.state === state) return known;
    const print = state + JSON.stringify(unsigned(message));
    if (known?.print === print) return Object.assign(known, { message, state });
    const article = messageNode(message, this.store, actionsFor(message, this), { grouped });
    const row = { key: message.id, message, state, print };
    if (!known) return { ...row, node: h("li", {}, article) };
    replaceKeepingFocus(known.node, article);
    return { ...row, node: known.node };
  }

  #pendingRow(record) {
    const key = `pending ${record.id}`;
    const print = record.state;
    const known = this.nodes.get(key);
    if (known?.print === print) return known;
    const bot = this.store.world.bot;
    const failed = record.state === "failed";
    const node = h("li", {}, h("article", { class: "message pending", tabindex: -1 },
      h("p", { class: "above" }, avatar(this.store.user, "small"),
        h("strong", {}, this.store.nameOf(this.store.user.id)), " used ",
        h("span", { class: "mention" }, record.type === 2 ? commandName(record) : "a form")),
      h("div", { class: "gutter" }, avatar(bot)),
      h("div", { class: "body" }, h("header", {}, h("h3", { class: "author" }, this.store.nameOf(bot.id)), appTag(bot)),
        failed ? h("p", { class: "no-answer" }, icon("warning", 16), record.error ?? "The application did not respond",
          iconButton("close", "Put this note away", () => this.store.forget(record.id)))
          : thinking(this.store.nameOf(bot.id)))));
    known?.node.replaceWith(node);
    return { key, print, node };
  }

  #welcome(count) {
    const channel = this.store.channel;
    this.empty.hidden = count >= 200; // older ones may exist beyond those loaded
    if (!channel || this.welcomed === channel.id + channel.name) return;
    this.welcomed = channel.id + channel.name;
    const name = channel.name ? `#${channel.name}` : channel.recipients?.map((one) => one.global_name ?? one.username).join(", ");
    fill(this.empty, h("span", { class: "welcome-icon", "aria-hidden": "true" }, icon(channel.guild_id ? "hash" : "at", 34)),
      h("h2", {}, channel.guild_id ? `Welcome to ${name}` : name),
      h("p", {}, channel.guild_id ? "This is the start of the channel. " : "This is the start of your conversation. ",
        "Type ", h("kbd", {}, "/"), " to see what the bot can do."));
  }

  /** Keep exactly one message reachable by Tab. */
  #rove() {
    const articles = [...this.list.querySelectorAll("article")];
    const current = articles.find((one) => one.tabIndex === 0);
    if (!current) articles.at(-1)?.setAttribute("tabindex", "0");
  }

  walk(event) {
    const articles = [...this.list.querySelectorAll("article")];
    const at = articles.indexOf(event.target);
    if (at === -1) return;
    const target = { ArrowUp: articles[at - 1], ArrowDown: articles[at + 1], Home: articles[0],
      End: articles.at(-1) }[event.key];
    if (!target) return;
    event.preventDefault();
    event.target.setAttribute("tabindex", "-1");
    target.setAttribute("tabindex", "0");
    target.focus();
    target.scrollIntoView({ block: "nearest" });
  }

  /** Bring a message into view and let it glow. */
  jump(messageId) {
    const article = this.list.querySelector(`article[data-id="${CSS.escape(messageId)}"]`);
    if (!article) return;
    article.scrollIntoView({ block: "center", behavior: "smooth" });
    article.classList.add("glow");
    setTimeout(() => article.classList.remove("glow"), 1600);
    article.focus({ preventScroll: true });
  }
}

function commandName(record) {
  return (record.data?.type ?? 1) === 1 ? `/${record.name}` : record.name;
}

function follows(before, message) {
  return before.author.id === message.author.id && before.ephemeral_for === message.ephemeral_for
    && new Date(message.timestamp) - new Date(before.timestamp) < TOGETHER_MS;
}

/** Return a message without the signatures of its addresses, which differ at every telling. */
function unsigned(message) {
  return JSON.parse(JSON.stringify(message, (key, value) =>
    ((key === "url" || key === "proxy_url") && typeof value === "string" ? value.split("?")[0] : value)));
}

/** Put a message's new form in place; the control that had the focus has it again. */
function replaceKeepingFocus(row, article) {
  const focused = row.contains(document.activeElement) ? document.activeElement : null;
  const old = row.querySelector("article");
  if (old?.tabIndex === 0) article.setAttribute("tabindex", "0");
  const place = focused ? controls(old).indexOf(focused) : -1;
  row.replaceChildren(article);
  if (!focused) return;
  const now = controls(article);
  // A bot may give a control a new custom_id at each edit; then its name or its place tells it.
  const again = now.find((one) => one.dataset.focus && one.dataset.focus === focused.dataset.focus)
    ?? (sameName(now[place], focused) ? now[place] : now.find((one) => sameName(one, focused)))
    ?? (now[place]?.getAttribute("role") === focused.getAttribute("role") ? now[place] : null);
  (again && !again.disabled ? again : article).focus({ preventScroll: true });
}

function controls(article) {
  return [...article.querySelectorAll("button, a, summary")];
}

function sameName(one, other) {
  const name = (node) => node?.getAttribute("aria-label") ?? node?.textContent;
  return Boolean(one) && name(one) === name(other);
}
