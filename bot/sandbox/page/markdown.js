/** Discord's markdown as DOM. Blocks are read line by line, then spans inside each. */

import { h } from "./dom.js";
import { timestamp } from "./time.js";

/**
 * Make nodes for a text. `names` resolves mentions: user(id), role(id), channel(id), command(id)
 * return a name or undefined.
 */
export function markdown(text, names = {}) {
  return blocks(String(text ?? ""), { names, depth: 0 });
}

function blocks(text, context) {
  const nodes = [];
  const lines = text.split("\n");
  let paragraph = [];
  const flush = () => {
    if (paragraph.length) nodes.push(h("p", {}, inline(paragraph.join("\n"), context)));
    paragraph = [];
  };
  for (let index = 0; index < lines.length; index += 1) {
    const line = lines[index];
    const fence = /^\s*```/.test(line) && fenced(lines, index);
    if (fence) {
      flush();
      nodes.push(fence.node);
      index = fence.last;
      continue;
    }
    const block = quoteBlock(lines, index, context) ?? listBlock(lines, index, context)
      ?? headingBlock(line, context);
    if (!block) {
      paragraph.push(line);
      continue;
    }
    flush();
    nodes.push(block.node);
    index = block.last ?? index;
  }
  flush();
  return nodes;
}

function fenced(lines, first) {
  const opening = lines[first].trimStart();
  const oneLine = /^```(.+?)```\s*$/.exec(opening);
  if (oneLine) return { node: h("pre", {}, h("code", {}, oneLine[1])), last: first };
  const end = lines.findIndex((line, index) => index > first && line.trimEnd().endsWith("```"));
  if (end === -1) return null;
  const head = opening.slice(3);
  const isLanguage = /^[\w+-]*$/.test(head);
  const tail = lines[end].trimEnd().slice(0, -3);
  const body = [...(isLanguage ? [] : [head]), ...lines.slice(first + 1, end), ...(tail ? [tail] : [])];
  const code = h("code", isLanguage && head ? { "data-language": head } : {}, body.join("\n"));
  return { node: h("pre", { tabindex: 0 }, code), last: end };
}

function quoteBlock(lines, first, context) {
  if (lines[first].startsWith(">>> ")) {
    const rest = [lines[first].slice(4), ...lines.slice(first + 1)].join("\n");
    return { node: h("blockquote", {}, blocks(rest, deeper(context))), last: lines.length };
  }
  if (!lines[first].startsWith("> ") || context.depth > 3) return null;
  let last = first;
  while (lines[last + 1]?.startsWith("> ")) last += 1;
  const rest = lines.slice(first, last + 1).map((line) => line.slice(2)).join("\n");
  return { node: h("blockquote", {}, blocks(rest, deeper(context))), last };
}

const ITEM = /^(\s*)([-*]|\d{1,9}\.)\s+(\S.*)$/;

function listBlock(lines, first, context) {
  const start = ITEM.exec(lines[first]);
  if (!start) return null;
  const ordered = /\d/.test(start[2]);
  const indent = start[1].length;
  const items = [];
  let last = first;
  for (; last < lines.length; last += 1) {
    const item = ITEM.exec(lines[last]);
    if (!item || item[1].length < indent) break;
    if (item[1].length > indent && items.length) {
      const nested = listBlock(lines, last, context);
      items.at(-1).append(nested.node);
      last = nested.last;
    } else if (/\d/.test(item[2]) === ordered) {
      items.push(h("li", {}, inline(item[3], context)));
    } else break;
  }
  const node = ordered ? h("ol", { start: Number.parseInt(start[2], 10) }, items) : h("ul", {}, items);
  return { node, last: last - 1 };
}

function headingBlock(line, context) {
  const heading = /^(#{1,3})\s+(\S.*)$/.exec(line);
  // The page has its own headings above; a message's begin below them.
  if (heading) return { node: h(`h${heading[1].length + 3}`, {}, inline(heading[2], context)) };
  const small = /^-#\s+(\S.*)$/.exec(line);
  return small ? { node: h("p", { class: "subtext" }, inline(small[1], context)) } : null;
}

function deeper(context) {
  return { ...context, depth: context.depth + 1 };
}

/** Each rule: where it can begin, and what it makes of the match. The first that fits wins. */
const RULES = [
  [/^\\([^A-Za-z0-9\s])/, (match) => match[1]],
  [/^``(.+?)``(?!`)/s, (match) => h("code", {}, match[1].trim())],
  [/^`([^`]+)`/, (match) => h("code", {}, match[1])],
  [/^<t:(-?\d{1,13})(?::([tTdDfFsSR]))?>/, (match) => stamp(match)],
  [/^<@!?(\d+)>/, (match, { names }) => mention(`@${names.user?.(match[1]) ?? "unknown-user"}`)],
  [/^<@&(\d+)>/, (match, { names }) => mention(`@${names.role?.(match[1]) ?? "unknown-role"}`)],
  [/^<#(\d+)>/, (match, { names }) => mention(`#${names.channel?.(match[1]) ?? "unknown"}`)],
  [/^<\/([^:>]{1,100}):(\d+)>/, (match) => mention(`/${match[1]}`)],
  [/^<a?:(\w{2,32}):\d+>/, (match) => h("span", { class: "emoji-name" }, `:${match[1]}:`)],
  [/^@(?:everyone|here)\b/, (match) => mention(match[0])],
  [/^\[([^\]\n]+)\]\(<?(https?:\/\/[^\s)>]+)>?(?:\s+"[^"\n]*")?\)/,
    (match, context) => link(match[2], inline(match[1], { ...context, linked: true }))],
  [/^<(https?:\/\/[^\s>]+)>/, (match) => link(match[1], match[1])],
  [/^https?:\/\/[^\s<]*[^\s<.,:;"')\]]/, (match) => link(match[0], match[0])],
  [/^\|\|(.+?)\|\|/s, (match, context) => spoiler(inline(match[1], deeper(context)))],
  [/^\*\*\*(.+?)\*\*\*(?!\*)/s,
    (match, context) => h("strong", {}, h("em", {}, inline(match[1], deeper(context))))],
  [/^\*\*(.+?)\*\*(?!\*)/s, (match, context) => h("strong", {}, inline(match[1], deeper(context)))],
  [/^__(.+?)__(?!_)/s, (match, context) => h("u", {}, inline(match[1], deeper(context)))],
  [/^~~(.+?)~~/s, (match, context) => h("s", {}, inline(match[1], deeper(context)))],
  [/^\*(?=\S)(.+?)(?<=\S)\*(?!\*)/s, (match, context) => h("em", {}, inline(match[1], deeper(context)))],
  [/^_(?=\S)(.+?)(?<=\S)_(?![\w_])/s,
    (match, context) => h("em", {}, inline(match[1], deeper(context))), /\w$/],
];

const MARKS = /[\\`<@[*_~|h\n]/;

function inline(text, context) {
  if (context.depth > 12) return [text];
  const nodes = [];
  let plain = "";
  let rest = text;
  const flush = () => {
    if (plain) nodes.push(plain);
    plain = "";
  };
  while (rest) {
    const found = MARKS.test(rest[0]) ? firstRule(rest, plain, context) : null;
    if (found) {
      if (typeof found.node === "string") plain += found.node;
      else {
        flush();
        nodes.push(found.node);
      }
      rest = rest.slice(found.length);
    } else if (rest[0] === "\n") {
      flush();
      nodes.push(h("br"));
      rest = rest.slice(1);
    } else {
      const next = rest.slice(1).search(MARKS);
      const length = next === -1 ? rest.length : next + 1;
      plain += rest.slice(0, length);
      rest = rest.slice(length);
    }
  }
  flush();
  return nodes;
}

function firstRule(rest, before, context) {
  for (const [pattern, make, notAfter] of RULES) {
    const match = pattern.exec(rest);
    if (!match || notAfter?.test(before)) continue;
    return { node: make(match, context), length: match[0].length };
  }
  return null;
}

function stamp(match) {
  const date = new Date(Number(match[1]) * 1000);
  return Number.isNaN(date.getTime()) ? match[0] : timestamp(date, match[2] ?? "f");
}

function mention(text) {
  return h("span", { class: "mention" }, text);
}

function link(address, content) {
  return h("a", { href: address, target: "_blank", rel: "noopener noreferrer nofollow" }, content);
}

/** Make a text that stays covered until it is pressed. */
function spoiler(content) {
  const node = h("span", { class: "spoiler", role: "button", tabindex: 0, "aria-expanded": "false",
    "aria-label": "Spoiler, press to show" });
  const cover = h("span", { class: "spoiler-text", "aria-hidden": "true" }, content);
  const reveal = (event) => {
    if (event.type === "keydown" && event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    node.classList.add("open");
    for (const name of ["role", "tabindex", "aria-label", "aria-expanded"]) node.removeAttribute(name);
    cover.removeAttribute("aria-hidden");
  };
  node.addEventListener("click", reveal);
  node.addEventListener("keydown", reveal);
  node.append(cover);
  return node;
}
