/** The message box while a command is being filled in: one field for each option. */

import * as api from "./api.js";
import { KIND, fault, fitting, split } from "./commands.js";
import { h, icon, iconButton } from "./dom.js";
import { FilePicker } from "./files.js";
import { currentLocale } from "./time.js";

const PICKED = new Set([KIND.BOOLEAN, KIND.USER, KIND.CHANNEL, KIND.ROLE, KIND.MENTIONABLE]);

/** A command with its options; `onSend(options, files)` and `onLeave(text)` end it. */
export class CommandForm {
  constructor(leaf, { store, suggestions, onSend, onLeave }) {
    Object.assign(this, { leaf, store, suggestions, onSend, onLeave });
    this.fields = new Map();
    this.more = h("div", { class: "more-options", role: "group", "aria-label": "More options" });
    this.help = h("p", { class: "option-help", id: "option-help", role: "status" });
    this.row = h("div", { class: "command-row" }, h("span", { class: "command-name" }, `/${leaf.shown}`));
    this.drops = h("div", { class: "command-files" });
    this.root = h("div", { class: "command-form" }, this.drops, this.row,
      h("div", { class: "command-foot" }, this.help, this.more));
    for (const option of leaf.options) if (option.required) this.add(option.name);
    this.#offer();
  }

  option(name) {
    return this.leaf.options.find((one) => one.name === name);
  }

  /** Show the field of an option and return it. */
  add(name) {
    if (this.fields.has(name)) return this.fields.get(name);
    const option = this.option(name);
    const field = option.type === KIND.ATTACHMENT ? this.#fileField(option) : this.#textField(option);
    this.fields.set(name, field);
    (option.type === KIND.ATTACHMENT ? this.drops : this.row).append(field.root);
    this.#offer();
    return field;
  }

  drop(name) {
    if (this.option(name).required) return;
    this.fields.get(name)?.root.remove();
    this.fields.delete(name);
    this.#offer();
    this.#last()?.focus();
  }

  #last() {
    return [...this.fields.values()].filter((one) => one.input).at(-1);
  }

  #offer() {
    const rest = this.leaf.options.filter((one) => !this.fields.has(one.name));
    this.more.replaceChildren(...rest.map((one) => h("button", { type: "button", class: "chip", title: one.told,
      onclick: () => this.add(one.name).focus() }, icon("plus", 12), one.shown)));
  }

  #textField(option) {
    const long = option.type === KIND.STRING && !option.choices?.length && !option.autocomplete;
    const input = h(long ? "textarea" : "input", { class: "option-input", rows: long ? 1 : null,
      type: long ? null : "text", size: long ? null : 8, cols: long ? 8 : null, "aria-label": option.shown, "aria-describedby": "option-help",
      "aria-required": String(Boolean(option.required)), spellcheck: "false", autocomplete: "off",
      inputmode: { [KIND.INTEGER]: "numeric", [KIND.NUMBER]: "decimal" }[option.type] ?? null,
      "data-option": option.name });
    const grow = h("span", { class: "grow" }, input);
    const field = { option, input, pick: null, root: h("span", { class: "option-field" },
      h("span", { class: "option-name", "aria-hidden": "true" }, option.shown), grow),
    focus: () => {
      input.focus();
      input.setSelectionRange(input.value.length, input.value.length);
    },
    get value() { return field.pick ? field.pick.value : input.value.trim(); },
    set: (text, pick = null) => {
      input.value = text;
      field.pick = pick;
      grow.dataset.value = text;
    } };
    field.root.addEventListener("mousedown", (event) => {
      if (event.target === input) return;
      event.preventDefault();
      field.focus();
    });
    input.addEventListener("focus", () => {
      this.current = field;
      this.#tell(field);
      this.#suggest(field);
    });
    input.addEventListener("blur", () => {
      if (this.suggestions.field === input) this.suggestions.hide();
      this.#mark(field);
    });
    input.addEventListener("input", () => this.#typed(field));
    input.addEventListener("keydown", (event) => this.#key(event, field));
    return field;
  }

  #fileField(option) {
    const picker = new FilePicker({ most: 1, label: option.shown, hint: option.told,
      required: option.required, onchange: () => this.#tell(field),
      onremove: option.required ? null : () => this.drop(option.name) });
    const field = { option, picker, root: picker.root, focus: () => picker.focus(),
      get value() { return picker.files[0] ?? null; } };
    return field;
  }

  /** Take files dropped or pasted; they fill the attachment options in order. */
  takeFiles(files) {
    const options = this.leaf.options.filter((one) => one.type === KIND.ATTACHMENT);
    for (const file of files) {
      const free = options.find((one) => !this.fields.get(one.name)?.value);
      if (!free) return false;
      this.add(free.name).picker.add([file]);
    }
    (this.#firstEmpty() ?? this.#last())?.focus();
    return true;
  }

  /** Put a typed or pasted text into the fields it names. */
  take(text) {
    const first = this.#firstText();
    if (!first || !text) return;
    first.set(text);
    this.current = first;
    this.#typed(first);
  }

  #firstText() {
    return [...this.fields.values()].find((one) => one.input);
  }

  #firstEmpty() {
    return [...this.fields.values()].find((one) => one.option.required && !one.value);
  }

  #typed(field) {
    field.pick = null;
    field.root.classList.remove("wrong");
    field.input.closest(".grow").dataset.value = field.input.value;
    const names = this.leaf.options.filter((one) => one.type !== KIND.ATTACHMENT)
      .flatMap((one) => [one.name, one.shown]);
    const parts = split(field.input.value, [...new Set(names)]);
    if (parts.length > 1) {
      const before = parts[0][1].trimEnd();
      field.set(before);
      let target = field;
      for (const [key, value] of parts.slice(1)) {
        const option = this.leaf.options.find((one) => one.name === key || one.shown === key);
        target = this.add(option.name);
        if (value || target !== field) target.set(value);
      }
      target.focus();
      if (document.activeElement === target.input) this.#suggest(target);
    }
    this.#tell(this.current ?? field);
    this.#suggest(this.current ?? field);
  }

  #tell(field) {
    const { option } = field;
    const optional = option.required ? "" : " (optional)";
    this.help.classList.remove("wrong");
    this.help.replaceChildren(h("strong", {}, option.shown), optional, " ", option.told ?? "");
  }

  #mark(field) {
    const wrong = field.input?.value ? fault(field.option, field.value) : null;
    field.root.classList.toggle("wrong", Boolean(wrong));
    field.input?.setAttribute("aria-invalid", String(Boolean(wrong)));
  }

  #suggest(field) {
    const { option, input } = field;
    const text = input.value;
    const title = option.shown;
    const pick = (item) => {
      field.set(item.label, { value: item.value });
      this.#next(field);
    };
    if (option.choices?.length) {
      const items = fitting(option.choices, field.pick ? "" : text, currentLocale());
      this.suggestions.show(input, items, { title, onPick: pick, empty: "No choice fits." });
    } else if (option.type === KIND.BOOLEAN) {
      const items = ["True", "False"].filter((one) => field.pick || one.toLowerCase().startsWith(text.toLowerCase()));
      this.suggestions.show(input, items.map((one) => ({ label: one, value: one === "True" })), { title, onPick: pick,
        empty: "True or false." });
    } else if (PICKED.has(option.type)) {
      this.suggestions.show(input, this.#people(option.type, field.pick ? "" : text), { title, onPick: pick,
        empty: "Nobody and nothing fits." });
    } else if (option.autocomplete) {
      this.#complete(field, pick);
    } else this.suggestions.hide();
  }

  #people(kind, text) {
    const { guild } = this.store;
    const users = (guild?.members ?? this.store.world.users).map((one) => ({ label: `@${one.username}`,
      detail: this.store.nameOf(one.id), value: one.id }));
    const roles = (guild?.roles ?? []).map((one) => ({ label: one.name, value: one.id }));
    const channels = (guild?.channels ?? []).map((one) => ({ label: `#${one.name}`, value: one.id }));
    const all = { [KIND.USER]: users, [KIND.ROLE]: roles, [KIND.CHANNEL]: channels,
      [KIND.MENTIONABLE]: [...users, ...roles] }[kind];
    return all.filter((one) => one.label.toLowerCase().includes(text.trim().toLowerCase()));
  }

  #complete(field, pick) {
    clearTimeout(this.asking);
    this.asking = setTimeout(async () => {
      const { option, input } = field;
      let choices;
      try {
        choices = await api.autocomplete({ user: this.store.user.id, channel: this.store.channelId,
          name: this.leaf.name, focused: option.name, options: this.values({ whole: false }).options });
      } catch {
        choices = null; // the list alone is lost; sending the command says what is wrong
      }
      if (document.activeElement !== input || field.pick) return;
      const items = (choices ?? []).map((one) => ({ label: String(one.name), value: one.value }));
      this.suggestions.show(input, items, { title: option.shown, onPick: pick,
        empty: choices ? "No suggestion fits." : "The bot did not answer with suggestions." });
    }, 120);
  }

  #next(field) {
    const empty = this.#firstEmpty();
    if (empty) empty.focus();
    else {
      field.focus();
      this.suggestions.hide();
    }
  }

  #key(event, field) {
    if (event.isComposing) return;
    if (event.key === "Escape" && !this.suggestions.open) {
      event.preventDefault();
      this.onLeave("");
      return;
    }
    if (this.suggestions.key(event)) return;
    const chooses = this.suggestions.active && !field.pick && (field.option.choices?.length
      || PICKED.has(field.option.type) || (field.option.autocomplete && field.input.value.trim()));
    if (event.key === "Enter" && !event.shiftKey) {
      event.preventDefault();
      if (chooses) this.suggestions.pick();
      else this.send();
    } else if (event.key === "Tab" && !event.shiftKey && this.suggestions.active && !field.pick) {
      event.preventDefault();
      this.suggestions.pick();
    } else if (event.key === "Backspace" && field.input.value === "") {
      event.preventDefault();
      if (!field.option.required) this.drop(field.option.name);
      else if ([...this.fields.values()].every((one) => !one.value)) this.onLeave(`/${this.leaf.shown}`);
    }
  }

  /** Return the options by name and the files by option, as far as they are filled in. */
  values({ whole = true } = {}) {
    const options = {};
    const files = [];
    for (const field of this.fields.values()) {
      const { option, value } = field;
      if (option.type === KIND.ATTACHMENT) {
        if (value && whole) files.push([option.name, value]);
      } else if (value !== "" && value !== null) {
        options[option.name] = value;
      }
    }
    return { options, files };
  }

  /** Send the command, or say what is missing. */
  send() {
    for (const field of this.fields.values()) {
      const wrong = fault(field.option, field.value);
      if (!wrong) continue;
      field.focus();
      this.suggestions.hide();
      field.root.classList.add("wrong");
      this.help.classList.add("wrong");
      this.help.replaceChildren(h("strong", {}, field.option.shown), " ", wrong);
      return;
    }
    const { options, files } = this.values();
    this.onSend(this.leaf, options, files);
  }

  /** Set the focus where typing goes on. */
  focus() {
    (this.#firstEmpty() ?? this.#last() ?? this.#firstText())?.focus();
  }

  /** Make the button that leaves the command. */
  leaveButton() {
    return iconButton("close", "Leave the command", () => this.onLeave(""));
  }
}
