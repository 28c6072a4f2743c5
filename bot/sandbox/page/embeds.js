/** Rich embeds as DOM. */

import { h } from "./dom.js";
import { markdown } from "./markdown.js";
import { gallery } from "./media.js";
import { safeAddress } from "./components.js";
import { timestamp } from "./time.js";

/** Make one embed. */
export function embed(data, names) {
  const node = h("article", { class: "embed", "aria-label": data.title ?? "Embed" });
  if (data.color) node.style.setProperty("--accent", `#${data.color.toString(16).padStart(6, "0")}`);
  const linked = (text, url, tag, props) => h(tag, props, safeAddress(url)
    ? h("a", { href: safeAddress(url), target: "_blank", rel: "noopener noreferrer nofollow" }, text) : text);
  const words = h("div", { class: "embed-words" },
    data.author ? linked(data.author.name, data.author.url, "p", { class: "embed-author" }) : null,
    data.title ? linked(data.title, data.url, "p", { class: "embed-title" }) : null,
    data.description ? h("div", { class: "markdown" }, markdown(data.description, names)) : null,
    data.fields?.length ? h("dl", { class: "embed-fields" }, data.fields.map((one) =>
      h("div", { class: one.inline ? "inline" : "" }, h("dt", {}, one.name),
        h("dd", { class: "markdown" }, markdown(one.value, names))))) : null);
  const picture = (one, kind) => (one?.url ? h("div", { class: `embed-${kind}` },
    gallery([{ ...one, description: data.title ?? kind }])) : null);
  const foot = [data.footer?.text, data.timestamp ? timestamp(new Date(data.timestamp), "s") : null].filter(Boolean);
  node.append(h("div", { class: "embed-top" }, words, picture(data.thumbnail, "thumbnail") ?? ""),
    picture(data.image, "image") ?? "",
    foot.length ? h("footer", {}, foot.flatMap((one, index) => (index ? [" · ", one] : [one]))) : "");
  return node;
}
