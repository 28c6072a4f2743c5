/** The forms a bot opens. */

import * as api from "./api.js";
import { FilePicker } from "./files.js";
import { h, icon, iconButton } from "./dom.js";
import { markdown } from "./markdown.js";
import { avatar } from "./people.js";
import { optionsOf, selectBox } from "./select.js";

let serial = 0;

/** Show the modal that answers an interaction; returns when it is submitted or closed. */
export function openModal({ interaction, modal }, store) {
  const { bot } = store.world;
  const fields = [];
  const error = h("p", { class: "modal-error", role: "alert", hidden: true });
  const body = h("div", { class: "modal-body" }, (modal.components ?? []).map((one) => part(one, fields, store)));
  const submit = h("button", { type: "submit", class: "button primary" }, "Submit");
  const form = h("form", { novalidate: true },
    h("header", {}, avatar(bot), h("h2", { id: "modal-title" }, modal.title),
      iconButton("close", "Close the form", () => dialog.close())),
    body, error,
    h("footer", {}, h("p", { class: "muted" }, `This form goes to ${bot.username}. Do not share passwords.`),
      h("button", { type: "button", class: "button secondary", onclick: () => dialog.close() }, "Cancel"), submit));
  const dialog = h("dialog", { class: "dialog modal", "aria-labelledby": "modal-title" }, form);
  let sent = false;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const wrong = fields.map((one) => one.check()).find(Boolean);
    if (wrong) {
      wrong.focus();
      return;
    }
    submit.disabled = true;
    try {
      const values = {};
      const files = [];
      for (const one of fields) one.read(values, files);
      await store.act({ kind: "modal", interaction: interaction.id, values }, files);
      sent = true;
      dialog.close();
    } catch (problem) {
      error.replaceChildren(icon("warning", 16), problem.message);
      error.hidden = false;
      submit.disabled = false;
    }
  });
  dialog.addEventListener("close", () => {
    dialog.remove();
    if (!sent) api.closeModal(interaction.id).catch(() => {}); // the bot is never told of it
  });
  document.body.append(dialog);
  dialog.showModal();
  body.querySelector("textarea, input, button")?.focus();
}

function part(one, fields, store) {
  if (one.type === 10) return h("div", { class: "markdown" }, markdown(one.content, store.names));
  if (one.type === 1) return field({ label: one.components[0].label, component: one.components[0] }, fields, store);
  if (one.type === 18) return field(one, fields, store);
  return h("p", { class: "unknown-component" }, `A component of type ${one.type}, which this page does not know.`);
}

function field(label, fields, store) {
  const { component } = label;
  const id = `field-${(serial += 1)}`;
  const made = (MAKERS[component.type] ?? select)(component, { id, label, store });
  const fault = h("small", { class: "field-fault", id: `${id}-fault` });
  const required = component.required ?? true;
  fields.push({
    check: () => {
      const wrong = made.check?.(required) ?? null;
      fault.textContent = wrong ?? "";
      made.control.setAttribute("aria-invalid", String(Boolean(wrong)));
      return wrong ? made.control : null;
    },
    read: made.read,
  });
  const star = required && component.type !== 23 ? h("span", { class: "star", "aria-hidden": "true" }, " *") : null;
  const head = made.inline ? null : h(made.group ? "span" : "label", { class: "field-label", id: `${id}-label`,
    for: made.group ? null : id }, label.label, star);
  return h("div", { class: "field" }, head,
    label.description && !made.inline ? h("small", { class: "muted", id: `${id}-told` }, label.description) : null,
    made.node ?? made.control, fault);
}

const MAKERS = { 4: textInput, 19: fileUpload, 21: radioGroup, 22: checkboxGroup, 23: checkbox };

function described(id, label) {
  return [label.description ? `${id}-told` : "", `${id}-fault`].filter(Boolean).join(" ");
}

function textInput(one, { id, label }) {
  const long = one.style === 2;
  const control = h(long ? "textarea" : "input", { id, rows: long ? 4 : null, type: long ? null : "text",
    value: one.value ?? "", placeholder: one.placeholder ?? null, maxlength: one.max_length ?? 4000,
    "aria-required": String(one.required ?? true), "aria-describedby": described(id, label) });
  const left = h("small", { class: "left-over", "aria-hidden": "true" });
  const count = () => { left.textContent = String((one.max_length ?? 4000) - control.value.length); };
  control.addEventListener("input", count);
  count();
  return {
    control,
    node: h("div", { class: "input-wrap" }, control, left),
    check: (required) => {
      const { length } = control.value;
      if (!length) return required ? "Please fill this in." : null;
      return length < (one.min_length ?? 0) ? `At least ${one.min_length} characters, please.` : null;
    },
    read: (values) => { values[one.custom_id] = control.value; },
  };
}

function select(one, { id, label, store }) {
  const control = selectBox(one, optionsOf(one, { guild: store.guild, users: store.world.users }));
  control.id = id;
  control.setAttribute("aria-describedby", described(id, label));
  return {
    control,
    check: (required) => (required && !control.values.length ? "Please choose." : null),
    read: (values) => { values[one.custom_id] = control.values; },
  };
}

function fileUpload(one, { label }) {
  const most = one.max_values ?? 1;
  const picker = new FilePicker({ most, label: label.label, hint: most > 1 ? `Up to ${most} files` : "" });
  const least = one.min_values ?? 1;
  return {
    control: picker.input,
    node: picker.root,
    group: true,
    check: (required) => (required && picker.files.length < least
      ? `At least ${least} ${least > 1 ? "files" : "file"}, please.` : null),
    read: (values, files) => {
      for (const file of picker.files) files.push([one.custom_id, file]);
    },
  };
}

function choices(one, { id, label }, type) {
  const inputs = (one.options ?? []).map((option) => h("input", { type, name: id, value: option.value,
    checked: Boolean(option.default) }));
  const node = h("div", { class: "choices", role: type === "radio" ? "radiogroup" : "group",
    "aria-labelledby": `${id}-label`, "aria-describedby": described(id, label) },
  inputs.map((input, index) => h("label", { class: "choice" }, input, h("span", {}, one.options[index].label,
    one.options[index].description ? h("small", {}, one.options[index].description) : null))));
  const chosen = () => inputs.filter((input) => input.checked).map((input) => input.value);
  return { control: inputs[0], node, chosen, group: true };
}

function radioGroup(one, context) {
  const made = choices(one, context, "radio");
  return { ...made,
    check: (required) => (required && !made.chosen().length ? "Please choose one." : null),
    read: (values) => { if (made.chosen().length) [values[one.custom_id]] = made.chosen(); } };
}

function checkboxGroup(one, context) {
  const made = choices(one, context, "checkbox");
  const least = one.min_values ?? 1;
  const most = one.max_values ?? (one.options ?? []).length;
  return { ...made,
    check: (required) => {
      const count = made.chosen().length;
      if (required && count < least) return `Choose at least ${least}, please.`;
      return count > most ? `Choose at most ${most}, please.` : null;
    },
    read: (values) => { values[one.custom_id] = made.chosen(); } };
}

function checkbox(one, { id, label }) {
  const control = h("input", { type: "checkbox", id, checked: Boolean(one.default) });
  return {
    control,
    inline: true,
    node: h("label", { class: "choice" }, control, h("span", {}, label.label,
      label.description ? h("small", {}, label.description) : null)),
    read: (values) => { values[one.custom_id] = control.checked; },
  };
}
