/** The message box: plain messages with files, replies and edits, and the way into commands. */

import * as api from "./api.js";
import { CommandForm } from "./command-form.js";
import { commandIn, leaves, search } from "./commands.js";
import { fill, h, icon, iconButton, toast } from "./dom.js";
import { catchDrops, fileChip } from "./files.js";
import { excerpt } from "./message.js";
import { avatar } from "./people.js";
import { Suggestions } from "./suggestions.js";

const MOST_FILES = 10;
const TYPING_EVERY_MS = 8000;
const SEND_MESSAGES = 1n << 11n;

/** The composer in `root`, a form; `dropZone` is where files may be dropped. */
export class Composer {
  constructor(root, store, dropZone) {
    Object.assign(this, { root, store });
    this.files = [];
    this.drafts = new Map();
    this.suggestions = new Suggestions(root);
    this.above = h("div", { class: "composer-above" });
    this.tray = h("div", { class: "tray", role: "group", "aria-label": "Files to send", hidden: true });
    this.text = h("textarea", { id: "composer-text", rows: 1, maxlength: 2000, "aria-label": "Message" });
    this.picker = h("input", { type: "file", multiple: true, class: "visually-hidden", tabindex: -1,
      "aria-label": "Files to send" });
    this.box = h("div", { class: "box" });
    this.foot = h("div", { class: "composer-foot" });
    root.append(this.above, this.box, this.foot);
    this.#listen(dropZone);
    this.#plain();
    store.on("world", () => this.#refresh());
    store.on("typing", () => this.#whoTypes());
  }

  #listen(dropZone) {
    this.root.addEventListener("submit", (event) => {
      event.preventDefault();
      this.submit();
    });
    this.text.addEventListener("input", () => this.#typed());
    this.text.addEventListener("keydown", (event) => this.#key(event));
    this.text.addEventListener("blur", () => this.suggestions.hide());
    this.root.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && this.form && !event.defaultPrevented) this.#start("");
    });
    this.root.addEventListener("paste", (event) => {
      const files = [...(event.clipboardData?.files ?? [])];
      if (!files.length) return;
      event.preventDefault();
      this.take(files);
    });
    this.picker.addEventListener("change", () => {
      this.take([...this.picker.files]);
      this.picker.value = "";
    });
    catchDrops(dropZone, (files) => this.take(files));
  }

  /** All commands that can be typed here. */
  get commands() {
    const { world, channel, guild, user } = this.store;
    const withBot = channel?.recipients?.some((one) => one.id === world.bot.id);
    const context = channel?.guild_id ? 0 : withBot && channel.type === 1 ? 1 : 2;
    return leaves(world.commands, { guildId: guild?.id, context, locale: user.locale });
  }

  #plain() {
    this.form = null;
    const attach = iconButton("plus", "Add files", () => this.picker.click(), { class: "icon-button attach" });
    const slash = iconButton("slash", "Commands", () => this.#start("/"), { class: "icon-button" });
    const send = h("button", { type: "submit", class: "icon-button send", "aria-label": "Send", title: "Send" },
      icon("send"));
    fill(this.box, this.tray, h("div", { class: "line" }, attach, this.picker,
      h("span", { class: "grow" }, this.text), slash, send));
    this.#refresh();
  }

  #start(text) {
    if (this.form) this.#plain();
    this.#set(text);
    this.text.focus();
    this.#typed();
  }

  #set(text) {
    this.text.value = text;
    this.text.parentElement.dataset.value = text;
  }

  #refresh() {
    if (!this.store.world) return;
    const { channel } = this.store;
    if (this.channelId !== channel?.id) this.#changeChannel(channel);
    const name = channel?.name ? `#${channel.name}`
      : channel?.recipients?.map((one) => `@${one.username}`).join(", ") ?? "…";
    const may = !channel?.guild_id || this.store.may(SEND_MESSAGES);
    this.text.placeholder = may ? `Message ${name}, or / for commands`
      : `You may not send messages in ${name}; commands still work`;
    this.text.setAttribute("aria-label", `Message ${name}`);
    this.#whoTypes();
  }

  #changeChannel(channel) {
    if (this.channelId) this.drafts.set(this.channelId, this.form ? "" : this.text.value);
    this.channelId = channel?.id;
    this.target = null;
    this.editing = null;
    this.files = [];
    this.#tray();
    if (this.form) this.#plain();
    this.#set(this.drafts.get(this.channelId) ?? "");
    this.#head();
  }

  #whoTypes() {
    const names = this.store.typing;
    const words = names.length > 3 ? "Several people are typing…"
      : `${names.join(", ")} ${names.length > 1 ? "are" : "is"} typing…`;
    fill(this.foot, names.length ? [h("span", { class: "dots", "aria-hidden": "true" }, h("i"), h("i"), h("i")), words] : " ");
  }

  /** Answer a message. */
  replyTo(message) {
    if (this.form) this.#plain();
    this.editing = null;
    this.target = message;
    this.ping = true;
    this.#head();
    this.text.focus();
  }

  /** Change one of the member's own messages. */
  edit(message) {
    if (this.form) this.#plain();
    this.target = null;
    this.editing = message;
    const named = message.content.replace(/<@!?(\d+)>/g, (whole, id) =>
      (this.store.find(id) ? `@${this.store.find(id).username}` : whole));
    this.#set(named);
    this.#head();
    this.text.focus();
  }

  #head() {
    const cancel = () => {
      if (this.editing) this.#set("");
      this.target = null;
      this.editing = null;
      this.#head();
      this.text.focus();
    };
    if (this.editing) {
      fill(this.above, h("div", { class: "composer-head" }, icon("edit", 16), h("span", {}, "Editing your message"),
        iconButton("close", "Stop editing", cancel)));
    } else if (this.target) {
      const ping = h("button", { type: "button", class: "text-button", "aria-pressed": String(this.ping),
        onclick: () => {
          this.ping = !this.ping;
          this.#head();
        } }, this.ping ? "@ ON" : "@ OFF");
      fill(this.above, h("div", { class: "composer-head" }, icon("reply", 16), h("span", {}, "Replying to ",
        h("strong", {}, this.store.nameOf(this.target.author.id)), " ",
        h("span", { class: "muted" }, excerpt(this.target, this.store.names))), ping, iconButton("close", "Do not reply", cancel)));
    } else fill(this.above);
  }

  /** Take files that were dropped, pasted or chosen. */
  take(files) {
    if (this.form?.takeFiles(files)) return;
    if (this.form) {
      toast("This command takes no more files.");
      return;
    }
    this.files = [...this.files, ...files].slice(0, MOST_FILES);
    this.#tray();
    this.text.focus();
  }

  #tray() {
    this.tray.hidden = !this.files.length;
    fill(this.tray, this.files.map((file) => fileChip(file, () => {
      this.files = this.files.filter((one) => one !== file);
      this.#tray();
      this.text.focus();
    })));
  }

  #typed() {
    const { value } = this.text;
    this.text.parentElement.dataset.value = value;
    if (value.startsWith("/") && !this.editing && !this.files.length) {
      const found = commandIn(this.commands, value);
      if (found) this.#enter(found.leaf, found.rest);
      else this.#pickCommand(value.slice(1));
    } else this.#pickMention();
    if (value && !value.startsWith("/")) this.#tellTyping();
  }

  #pickCommand(typed) {
    const { bot, commands } = this.store.world;
    const items = search(this.commands, typed).slice(0, 25).map((leaf) => ({ label: `/${leaf.shown}`,
      hint: leaf.options.filter((one) => one.required).map((one) => one.shown).join(" "),
      detail: leaf.description, trail: bot.username, lead: avatar(bot), value: leaf }));
    this.suggestions.show(this.text, items, { title: "Commands", onPick: ({ value }) => this.#enter(value, ""),
      empty: commands.length ? "No command begins like that." : "The bot has registered no commands yet." });
  }

  #pickMention() {
    const caret = this.text.selectionStart;
    const match = /(?:^|\s)@([\w.]*)$/.exec(this.text.value.slice(0, caret));
    if (!match) {
      this.suggestions.hide();
      return;
    }
    const people = (this.store.guild?.members ?? this.store.world.users)
      .filter((one) => one.username.startsWith(match[1].toLowerCase()));
    const items = people.slice(0, 10).map((one) => ({ label: this.store.nameOf(one.id), detail: `@${one.username}`,
      lead: avatar(one), value: one }));
    this.suggestions.show(this.text, items, { title: "People", onPick: ({ value }) => {
      const start = caret - match[1].length;
      this.text.setRangeText(`${value.username} `, start, caret, "end");
      this.text.parentElement.dataset.value = this.text.value;
    } });
  }

  #enter(leaf, rest) {
    this.suggestions.hide();
    this.#set("");
    this.target = null;
    this.#head();
    this.form = new CommandForm(leaf, { store: this.store, suggestions: this.suggestions,
      onSend: (...given) => this.#run(...given), onLeave: (text) => this.#start(text) });
    const send = h("button", { type: "submit", class: "icon-button send", "aria-label": "Send", title: "Send" },
      icon("send"));
    fill(this.box, h("div", { class: "line command" }, this.form.root, this.form.leaveButton(), send));
    this.form.take(rest);
    if (!this.form.fields.size) send.focus();
    else this.form.focus();
  }

  async #run(leaf, options, files) {
    if (this.sending) return;
    this.sending = true;
    this.root.setAttribute("aria-busy", "true");
    try {
      await this.store.act({ kind: "command", name: leaf.name, options }, files);
      this.#plain();
      this.text.focus();
    } catch (error) {
      toast(error.message);
    } finally {
      this.sending = false;
      this.root.removeAttribute("aria-busy");
    }
  }

  #key(event) {
    if (event.isComposing) return;
    if (this.suggestions.key(event)) return;
    const chooses = this.suggestions.active;
    const bare = chooses && event.key === "Enter" && this.text.value === chooses.label && chooses.value.options;
    if (bare && !bare.length && !event.shiftKey) {
      event.preventDefault();
      this.#enter(chooses.value, ""); // nothing to fill in: one Enter is enough
      this.form.send();
      return;
    }
    if ((event.key === "Tab" && !event.shiftKey && chooses) || (event.key === "Enter" && !event.shiftKey && chooses)) {
      event.preventDefault();
      this.suggestions.pick();
    } else if (event.key === "Enter" && !event.shiftKey) {
      event.preventDefault();
      this.submit();
    } else if (event.key === "Escape" && (this.target || this.editing)) {
      if (this.editing) this.#set("");
      this.target = null;
      this.editing = null;
      this.#head();
    } else if (event.key === "ArrowUp" && !this.text.value) {
      const own = this.store.shown.filter((one) => one.author.id === this.store.user.id && one.content).at(-1);
      if (!own) return;
      event.preventDefault();
      this.edit(own);
    }
  }

  #tellTyping() {
    const now = Date.now();
    if (now - (this.toldTyping ?? 0) < TYPING_EVERY_MS) return;
    this.toldTyping = now;
    api.typing(this.store.user.id, this.store.channelId).catch(() => {
      this.toldTyping = 0; // told again with the next key; nothing else depends on it
    });
  }

  /** Send what is in the box. */
  async submit() {
    if (this.form) {
      this.form.send();
      return;
    }
    const content = this.text.value.trim();
    if (this.sending || (!content && !this.files.length)) return;
    if (content.startsWith("/") && !this.editing && !this.files.length) {
      const exact = this.commands.find((one) => [one.name, one.shown].includes(content.slice(1)));
      if (exact) this.#enter(exact, "");
      else toast(`There is no command ${content.split(" ")[0]} here.`);
      return;
    }
    this.sending = true;
    try {
      if (this.editing) await api.edit(this.editing.id, this.store.user.id, content);
      else {
        await api.send({ user: this.store.user.id, channel: this.store.channelId, content,
          reply_to: this.target?.id ?? null, ping: this.ping ?? true },
        this.files.map((file, index) => [`files[${index}]`, file]));
      }
      this.#sent();
    } catch (error) {
      toast(error.message);
    } finally {
      this.sending = false;
    }
  }

  #sent() {
    this.#set("");
    this.files = [];
    this.target = null;
    this.editing = null;
    this.toldTyping = 0;
    this.#tray();
    this.#head();
    this.suggestions.hide();
  }
}
