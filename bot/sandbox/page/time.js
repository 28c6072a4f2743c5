/** Times as the chosen member reads them. */

import { h } from "./dom.js";

let locale = "en-US";

/** Write times in this locale from now on. */
export function setLocale(next) {
  try {
    locale = Intl.DateTimeFormat.supportedLocalesOf(next)[0] ?? "en-US";
  } catch {
    locale = "en-US"; // a tag that is no language tag; Discord has none, a test may
  }
}

/** Return the locale times are written in. */
export function currentLocale() {
  return locale;
}

const STYLES = {
  t: { timeStyle: "short" },
  T: { timeStyle: "medium" },
  d: { dateStyle: "short" },
  D: { dateStyle: "long" },
  f: { dateStyle: "long", timeStyle: "short" },
  F: { dateStyle: "full", timeStyle: "short" },
  s: { dateStyle: "short", timeStyle: "short" },
  S: { dateStyle: "short", timeStyle: "medium" },
};

/** Write a time in one of Discord's timestamp styles. */
export function write(date, style = "f") {
  if (style === "R") return relative(date);
  return new Intl.DateTimeFormat(locale, STYLES[style] ?? STYLES.f).format(date);
}

const UNITS = [["year", 31536000], ["month", 2592000], ["day", 86400], ["hour", 3600], ["minute", 60]];

/** Write a time as "in 5 seconds" or "2 minutes ago". */
export function relative(date, now = Date.now()) {
  const seconds = Math.round((date.getTime() - now) / 1000);
  const words = new Intl.RelativeTimeFormat(locale, { numeric: "always" });
  for (const [unit, size] of UNITS) {
    if (Math.abs(seconds) >= size) return words.format(Math.trunc(seconds / size), unit);
  }
  return words.format(seconds, "second");
}

/** Write the time of a message: today's by the clock alone. */
export function short(date) {
  const today = new Date().toDateString() === date.toDateString();
  return write(date, today ? "t" : "s");
}

/** Make a <time> that keeps itself right. */
export function timestamp(date, style) {
  const node = h("time", { datetime: date.toISOString(), title: write(date, "F"), class: "timestamp" },
    write(date, style));
  if (style === "R") node.dataset.relative = String(date.getTime());
  return node;
}

setInterval(() => {
  for (const node of document.querySelectorAll("time[data-relative]")) {
    const text = relative(new Date(Number(node.dataset.relative)));
    if (node.textContent !== text) node.textContent = text;
  }
}, 1000);
