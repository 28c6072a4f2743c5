/** Pictures and tags of people and servers. */

import { h, icon } from "./dom.js";

const HUES = [268, 210, 160, 24, 335, 45, 190, 295];

function hue(user) {
  const sum = [...(user?.username ?? "")].reduce((total, one) => total * 31 + one.codePointAt(0), 7);
  return HUES[sum % HUES.length];
}

/** Make the round picture of a user: the initial, or the bolt of the bot. */
export function avatar(user, size = "") {
  const node = h("span", { class: `avatar ${size}`, "aria-hidden": "true" });
  node.style.setProperty("--hue", hue(user));
  if (user?.bot) {
    node.classList.add("bot");
    node.append(icon("bolt", size === "small" ? 11 : 20));
  } else {
    node.append([...(user?.global_name ?? user?.username ?? "?")][0].toUpperCase());
  }
  return node;
}

/** Make the tag beside an application's name. */
export function appTag(user) {
  return user?.bot ? h("span", { class: "app-tag" }, "APP") : null;
}

/** Return a server's initials. */
export function initials(name) {
  return name.split(/\s+/).slice(0, 3).map((word) => [...word][0] ?? "").join("");
}
