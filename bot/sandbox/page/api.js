/** The sandbox's control API, as `bot/sandbox/control.py` documents it. */

/** A refusal, in the server's own sentence. */
export class Refusal extends Error {}

async function call(method, path, { query, body, files } = {}) {
  const url = new URL(path, location.origin);
  for (const [key, value] of Object.entries(query ?? {})) {
    if (value !== undefined && value !== null) url.searchParams.set(key, value);
  }
  const options = { method };
  if (files?.length) {
    options.body = new FormData();
    options.body.set("payload_json", JSON.stringify(body ?? {}));
    for (const [field, file] of files) options.body.append(field, file, file.name);
  } else if (body !== undefined) {
    options.body = JSON.stringify(body);
    options.headers = { "Content-Type": "application/json" };
  }
  let response;
  try {
    response = await fetch(url, options);
  } catch {
    throw new Refusal("The sandbox does not answer. Is it still running?");
  }
  if (response.status === 204) return null;
  const text = await response.text();
  let data = null;
  try {
    data = JSON.parse(text);
  } catch {
    data = { message: text || `The sandbox answered ${response.status}.` };
  }
  if (!response.ok) throw new Refusal(data.message ?? `The sandbox answered ${response.status}.`);
  return data;
}

const id = encodeURIComponent;

export const world = (user) => call("GET", "/sandbox/world", { query: { user } });
export const about = () => call("GET", "/sandbox");
export const messages = (user, channel, limit = 200) =>
  call("GET", "/sandbox/messages", { query: { user, channel, limit } });
export const send = (body, files) => call("POST", "/sandbox/messages", { body, files });
export const edit = (message, user, content) =>
  call("PATCH", `/sandbox/messages/${id(message)}`, { body: { user, content } });
export const remove = (message, user) =>
  call("DELETE", `/sandbox/messages/${id(message)}`, { query: { user } });
export const dismiss = (message, user) =>
  call("POST", `/sandbox/messages/${id(message)}/dismiss`, { body: { user } });
export const typing = (user, channel) => call("POST", "/sandbox/typing", { body: { user, channel } });
export const dm = (user, others) => call("POST", "/sandbox/dms", { body: { user, with: others } });
export const interact = (body, files) => call("POST", "/sandbox/interactions", { body, files });
export const interaction = (one, wait = 0, until = "answer") =>
  call("GET", `/sandbox/interactions/${id(one)}`, { query: { wait, until } });
export const closeModal = (one) => call("POST", `/sandbox/interactions/${id(one)}/close_modal`, { body: {} });
export const createUser = (name) => call("POST", "/sandbox/users", { body: { name } });
export const changeUser = (user, body) => call("PATCH", `/sandbox/users/${id(user)}`, { body });
export const createGuild = (body) => call("POST", "/sandbox/guilds", { body });
export const changeGuild = (guild, body) => call("PATCH", `/sandbox/guilds/${id(guild)}`, { body });
export const changeMember = (guild, user, body) =>
  call("PATCH", `/sandbox/guilds/${id(guild)}/members/${id(user)}`, { body });
export const createChannel = (body) => call("POST", "/sandbox/channels", { body });
export const changeChannel = (channel, body) =>
  call("PATCH", `/sandbox/channels/${id(channel)}`, { body });
export const setOverwrite = (channel, target, body) =>
  call("PUT", `/sandbox/channels/${id(channel)}/overwrites/${id(target)}`, { body });
export const settings = (body) => call("PATCH", "/sandbox/settings", { body });
export const advance = (seconds) => call("POST", "/sandbox/clock", { body: { advance: seconds } });
export const traffic = (limit = 500) => call("GET", "/sandbox/traffic", { query: { limit } });
export const clearTraffic = () => call("DELETE", "/sandbox/traffic");
export const fault = (body) => call("POST", "/sandbox/faults", { body });
export const gatewayFault = (body) => call("POST", "/sandbox/faults/gateway", { body });
export const faults = () => call("GET", "/sandbox/faults");
export const clearFaults = () => call("DELETE", "/sandbox/faults");

/** Ask the bot for the choices of an option being typed; null where it does not answer in time. */
export async function autocomplete(body) {
  const { id: asked } = await interact({ ...body, kind: "autocomplete" });
  const record = await interaction(asked, 3.5, "ack");
  return record.choices;
}

/** Follow what a member sees; returns a function that stops. Reconnects by itself. */
export function follow(user, { onEvent, onState }) {
  let socket;
  let stopped = false;
  let delay = 250;
  let again;
  const open = () => {
    const address = new URL("/sandbox/events", location.origin);
    address.protocol = address.protocol.replace("http", "ws");
    address.search = new URLSearchParams({ user, traffic: "1" }).toString();
    socket = new WebSocket(address);
    socket.addEventListener("message", (event) => {
      delay = 250;
      onEvent(JSON.parse(event.data));
    });
    socket.addEventListener("open", () => onState(true));
    socket.addEventListener("close", () => {
      if (stopped) return;
      onState(false);
      again = setTimeout(open, delay);
      delay = Math.min(delay * 2, 5000);
    });
  };
  open();
  return () => {
    stopped = true;
    clearTimeout(again);
    socket.close();
  };
}
