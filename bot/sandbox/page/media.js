/** Pictures and files: galleries, spoilers, file cards, and the view that enlarges. */

import { bytes, h, icon, iconButton } from "./dom.js";

const OWN_PATHS = /^\/(media\/)?(ephemeral-)?attachments\//;
const kept = new Map();

/**
 * Return an attachment's address on this very server, or null for one elsewhere.
 *
 * Every telling of a message signs its addresses anew; the first one is kept while it is good,
 * so that an edit of the text does not load the picture again.
 */
export function ownAddress(item) {
  let url;
  try {
    url = new URL(item.url, location.origin);
  } catch {
    return null; // a bot may put anything there
  }
  if (!OWN_PATHS.test(url.pathname)) return null;
  const expires = (address) => Number.parseInt(new URLSearchParams(address.split("?")[1]).get("ex"), 16);
  const known = kept.get(url.pathname);
  if (known && expires(known) * 1000 > Date.now() + 60_000) return known;
  kept.set(url.pathname, url.pathname + url.search);
  return kept.get(url.pathname);
}

/** Say whether a file is shown as a picture. */
export function isPicture(item) {
  return Boolean(item.content_type?.startsWith("image/") && item.width && item.height);
}

/** Make the attachments of a message: pictures together, other files as cards. */
export function attachments(files) {
  const pictures = files.filter(isPicture);
  const others = files.filter((one) => !isPicture(one));
  return [
    pictures.length ? gallery(pictures.map((one) => ({ ...one,
      spoiler: one.filename?.startsWith("SPOILER_") }))) : null,
    ...others.map((one) => fileCard(one)),
  ];
}

/** Make a gallery; each item has url, width, height, description and spoiler. */
export function gallery(items) {
  const shown = items.map((item) => ({ ...item, address: ownAddress(item) }));
  const node = h("div", { class: "gallery", "data-count": Math.min(items.length, 10), role: "group",
    "aria-label": items.length > 1 ? `${items.length} pictures` : "Picture" });
  node.append(...shown.map((item, index) => tile(item, () => lightbox(shown, index),
    items.length === 1)));
  return node;
}

function tile(item, open, alone) {
  if (!item.address) {
    return h("a", { class: "elsewhere", href: item.url, target: "_blank",
      rel: "noopener noreferrer nofollow" }, icon("tab", 16), " A picture elsewhere: ", item.url);
  }
  const words = item.description || item.filename || "Picture without a description";
  const ratio = item.width && item.height ? item.width / item.height : 1;
  const style = alone ? { "--ratio": String(ratio), "--width": `${item.width ?? 512}px` } : {};
  const image = h("img", { src: item.address, alt: words, decoding: "async", draggable: "false",
    width: item.width ?? null, height: item.height ?? null });
  const node = h("button", { type: "button", class: "tile", style, title: words,
    "aria-label": `Enlarge: ${words}`, onclick: open }, image);
  image.addEventListener("error", () => node.classList.add("broken"));
  image.addEventListener("load", () => {
    // A phone's photo may lie on its side in the file; the browser has turned it by now.
    const turned = image.naturalHeight && (image.naturalWidth > image.naturalHeight) !== (item.width > item.height);
    if (!turned || item.width === item.height) return;
    node.style.setProperty("--ratio", String(image.naturalWidth / image.naturalHeight));
    node.style.setProperty("--width", `${image.naturalWidth}px`);
  });
  if (item.spoiler) cover(node, words, open);
  return node;
}

function cover(node, words, open) {
  node.classList.add("covered");
  node.setAttribute("aria-label", "Spoiler: press to show the picture");
  node.append(h("span", { class: "cover-word", "aria-hidden": "true" }, "Spoiler"));
  node.removeEventListener("click", open);
  node.addEventListener("click", () => {
    node.classList.remove("covered");
    node.setAttribute("aria-label", `Enlarge: ${words}`);
    node.addEventListener("click", open);
  }, { once: true });
}

/** Make the card of a file that is not shown as a picture. */
export function fileCard(item) {
  const address = ownAddress(item);
  const name = item.title || item.filename || item.name || "file";
  return h("div", { class: "file-card" }, icon("file", 26),
    h("div", { class: "file-words" },
      address ? h("a", { href: address, download: item.filename ?? "" }, name) : h("span", {}, name),
      h("small", {}, [item.size ? bytes(item.size) : null, item.content_type].filter(Boolean).join(" · "))));
}

/** Show pictures one at a time over the page. */
export function lightbox(items, first) {
  const pictures = items.filter((one) => one.address);
  let index = Math.max(0, pictures.indexOf(items[first]));
  const image = h("img", { class: "lightbox-picture" });
  const words = h("p", { class: "lightbox-words" });
  const original = h("a", { target: "_blank", rel: "noopener" }, "Open the original");
  const show = (step) => {
    index = (index + step + pictures.length) % pictures.length;
    const item = pictures[index];
    image.src = item.address;
    image.alt = item.description || item.filename || "Picture without a description";
    original.href = item.address;
    tell();
  };
  const tell = () => {
    const size = image.naturalWidth ? `${image.naturalWidth}×${image.naturalHeight}` : null;
    words.textContent = [pictures[index].description, size,
      pictures.length > 1 ? `${index + 1} of ${pictures.length}` : null].filter(Boolean).join(" · ");
  };
  image.addEventListener("load", tell);
  const many = pictures.length > 1;
  const box = h("dialog", { class: "lightbox", "aria-label": "Enlarged picture" },
    iconButton("close", "Close", () => box.close(), { class: "icon-button lightbox-close" }),
    many ? iconButton("left", "Previous picture", () => show(-1)) : null,
    h("figure", {}, image, h("figcaption", {}, words, original)),
    many ? iconButton("right", "Next picture", () => show(1)) : null);
  box.addEventListener("click", (event) => {
    if (event.target === box || event.target.tagName === "FIGURE") box.close();
  });
  box.addEventListener("keydown", (event) => {
    if (many && event.key === "ArrowLeft") show(-1);
    if (many && event.key === "ArrowRight") show(1);
  });
  box.addEventListener("close", () => box.remove());
  document.body.append(box);
  show(0);
  box.showModal();
}
