/** Slash commands without the page: flattened, searched, read from text, and checked. */

export const KIND = { STRING: 3, INTEGER: 4, BOOLEAN: 5, USER: 6, CHANNEL: 7, ROLE: 8,
  MENTIONABLE: 9, NUMBER: 10, ATTACHMENT: 11 };

/** Return every command that can be typed, subcommands as commands of their own. */
export function leaves(commands, { guildId, context = 0, locale = "en-US" } = {}) {
  const here = commands.filter((one) => one.type === 1 && (!one.guild_id || one.guild_id === guildId)
    && (!one.contexts || one.contexts.includes(context)));
  return here.flatMap((command) => branch(command, command.options ?? [], [command], locale))
    .sort((one, other) => one.name.localeCompare(other.name));
}

function branch(command, options, path, locale) {
  const below = options.filter((one) => one.type === 1 || one.type === 2);
  if (below.length) return below.flatMap((one) => branch(command, one.options ?? [], [...path, one], locale));
  const last = path.at(-1);
  return [{
    command,
    name: path.map((one) => one.name).join(" "),
    shown: path.map((one) => local(one, "name", locale)).join(" "),
    description: local(last, "description", locale),
    options: options.map((one) => ({ ...one, shown: local(one, "name", locale),
      told: local(one, "description", locale) })),
  }];
}

/** Return a name or description as the member's language has it. */
export function local(thing, key, locale) {
  const own = thing[`${key}_localizations`] ?? {};
  return own[locale] ?? own[locale.split("-")[0]] ?? thing[key];
}

/** Return the commands whose name fits what was typed, best first. */
export function search(all, typed) {
  const wanted = typed.trim().toLowerCase();
  const rank = (one) => {
    const names = [one.shown.toLowerCase(), one.name];
    if (names.some((name) => name.startsWith(wanted))) return 0;
    if (names.some((name) => name.split(" ").some((word) => word.startsWith(wanted)))) return 1;
    return names.some((name) => name.includes(wanted)) ? 2 : 3;
  };
  return all.map((one) => [rank(one), one]).filter(([points]) => points < 3)
    .sort((one, other) => one[0] - other[0]).map(([, one]) => one);
}

/** Return the command a text begins with and the text after it, or null. */
export function commandIn(all, text) {
  const fits = all.filter((one) => [one.name, one.shown].some((name) =>
    text.toLowerCase().startsWith(`/${name} `)));
  const best = fits.sort((one, other) => other.name.length - one.name.length)[0];
  if (!best) return null;
  const name = text.toLowerCase().startsWith(`/${best.name} `) ? best.name : best.shown;
  return { leaf: best, rest: text.slice(name.length + 2) };
}

/**
 * Split a text at the option names in it: `a cat seed:7` gives [[null, "a cat"], ["seed", "7"]].
 * Only names the command has begin an option, so that a prompt may hold colons.
 */
export function split(text, names) {
  if (!names.length) return [[null, text]];
  const words = names.map((name) => name.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")).join("|");
  const pattern = new RegExp(`(^|\\s)(${words}):`, "g");
  const parts = [];
  let name = null;
  let begin = 0;
  for (const match of text.matchAll(pattern)) {
    parts.push([name, text.slice(begin, match.index)]);
    name = match[2];
    begin = match.index + match[0].length;
  }
  parts.push([name, text.slice(begin)]);
  return parts.map(([key, value]) => [key, value.trimStart()]);
}

/** Return the choices of an option that fit a text; all of them for none. */
export function fitting(choices, text, locale) {
  const wanted = text.trim().toLowerCase();
  const named = choices.map((one) => ({ ...one, label: String(local(one, "name", locale)) }));
  if (!wanted) return named;
  return named.filter((one) => one.label.toLowerCase().includes(wanted)
    || String(one.value).toLowerCase() === wanted);
}

/** Say what is wrong with an option's value, or return null. `value` is text, a file or a pick. */
export function fault(option, value) {
  const empty = value === null || value === undefined || value === "";
  if (empty) return option.required ? "This option is required." : null;
  if (option.type === KIND.INTEGER && !/^[+-]?\d+$/.test(String(value))) return "This takes a whole number.";
  if (option.type === KIND.NUMBER && !Number.isFinite(Number(value))) return "This takes a number.";
  if (option.type === KIND.INTEGER || option.type === KIND.NUMBER) {
    if (option.choices?.length) return null;
    const number = Number(value);
    const low = option.min_value ?? -(2 ** 53);
    const high = option.max_value ?? 2 ** 53;
    if (number < low || number > high) return `This goes from ${low} to ${high}.`;
  }
  if (option.type === KIND.STRING && !option.choices?.length) {
    const low = option.min_length ?? 0;
    const high = option.max_length ?? 6000;
    const { length } = String(value);
    if (length < low || length > high) return `This takes ${low} to ${high} characters, not ${length}.`;
  }
  return null;
}
