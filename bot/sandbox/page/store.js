/** What this tab knows: the world as its member sees it, messages, and acts still unanswered. */

import * as api from "./api.js";
import { setLocale } from "./time.js";

const MANAGE_MESSAGES = 1n << 13n;

/** The tab's state; listens to the stream and tells of changes as events named by topic. */
export class Store extends EventTarget {
  world = null;
  channelId = null;
  connected = false;
  messages = new Map();
  interactions = new Map();
  unread = new Map();
  traffic = [];
  #typing = new Map();
  #stop = null;
  #loaded = new Set();
  #loads = new Set();
  #acts = new Set();
  #mine = new Set();

  /** Do something the bot must answer, as the tab's member here; return the interaction's id. */
  async act(body, files) {
    const asked = api.interact({ user: this.user.id, channel: this.channelId, ...body }, files);
    this.#acts.add(asked);
    try {
      const { id } = await asked;
      this.#mine.add(id);
      return id;
    } finally {
      this.#acts.delete(asked);
    }
  }

  /** Tell listeners of a topic: world, messages, typing, interactions, traffic, modal, connection. */
  emit(topic, detail = null) {
    this.dispatchEvent(new CustomEvent(topic, { detail }));
  }

  /** Call a function whenever one of the topics changes. */
  on(topics, listener) {
    for (const topic of topics.split(" ")) {
      this.addEventListener(topic, (event) => listener(event.detail));
    }
  }

  /** Look through a member's eyes from now on; `channelId` is where they look first. */
  async become(user, channelId = null) {
    this.#stop?.();
    const world = await api.world(user);
    this.#forgetAll();
    this.channelId = channelId;
    this.#setWorld(world);
    await this.show(this.channelId);
    // By name: when the sandbox is started again, its people have other ids.
    this.#stop = api.follow(world.user.username, {
      onEvent: (event) => this.#take(event),
      onState: (connected) => {
        this.connected = connected;
        this.emit("connection", connected);
      },
    });
  }

  #forgetAll() {
    for (const one of [this.messages, this.interactions, this.unread, this.#loaded, this.#typing]) one.clear();
    this.traffic = [];
    this.channelId = null;
  }

  get user() {
    return this.world.user;
  }

  get guild() {
    const home = this.channel?.guild_id;
    return this.world.guilds.find((one) => one.id === home) ?? null;
  }

  get channels() {
    return [...this.world.guilds.flatMap((one) => one.channels), ...this.world.private_channels];
  }

  get channel() {
    return this.channels.find((one) => one.id === this.channelId) ?? null;
  }

  /** The messages of the open channel, oldest first. */
  get shown() {
    const all = [...(this.messages.get(this.channelId)?.values() ?? [])];
    return all.sort((one, other) => (BigInt(one.id) < BigInt(other.id) ? -1 : 1));
  }

  /** Who is typing in the open channel. */
  get typing() {
    const now = Date.now();
    return [...(this.#typing.get(this.channelId) ?? new Map())]
      .filter(([id, until]) => until > now && id !== this.user.id).map(([id]) => this.nameOf(id));
  }

  /** Return a user by id. */
  find(id) {
    return this.world.users.find((one) => one.id === id) ?? null;
  }

  /** Return the name a user goes by in the open guild. */
  nameOf(id) {
    const member = this.guild?.members.find((one) => one.id === id);
    const user = member ?? this.find(id);
    return user ? member?.nick ?? user.global_name ?? user.username : "unknown-user";
  }

  /** Say whether the tab's member has a permission in the open channel. */
  may(bit) {
    return (BigInt(this.channel?.permissions ?? 0) & bit) !== 0n;
  }

  get mayManageMessages() {
    return this.may(MANAGE_MESSAGES);
  }

  /** Names for the markdown of messages. */
  names = {
    user: (id) => (this.find(id) ? this.nameOf(id) : undefined),
    role: (id) => this.guild?.roles.find((one) => one.id === id)?.name,
    channel: (id) => this.channels.find((one) => one.id === id)?.name,
  };

  /** Open a channel and load what was said in it. */
  async show(channelId) {
    this.channelId = channelId;
    if (channelId && !this.channel) this.#setWorld(await api.world(this.user.id)); // made just now
    this.unread.delete(channelId);
    this.emit("world");
    this.emit("messages", { fresh: true });
    if (channelId && !this.#loaded.has(channelId)) {
      this.#loaded.add(channelId);
      await this.#load(channelId);
    }
  }

  async #load(channelId) {
    const load = { channelId, news: new Map() };
    this.#loads.add(load);
    let list;
    try {
      list = await api.messages(this.user.id, channelId);
    } finally {
      this.#loads.delete(load);
    }
    // What the stream told meanwhile is newer than the list, which may have been made before.
    const all = new Map([...list.map((one) => [one.id, one]), ...load.news]);
    this.messages.set(channelId, new Map([...all].filter(([, message]) => message)));
    if (channelId === this.channelId) this.emit("messages", { fresh: true });
  }

  #setWorld(world) {
    this.world = world;
    setLocale(world.user.locale);
    if (!this.channel) this.channelId = world.guilds[0]?.channels[0]?.id ?? null;
    this.emit("world");
  }

  #reload = debounced(async () => {
    const before = this.channelId;
    this.#setWorld(await api.world(this.user.id));
    if (this.channelId !== before) await this.show(this.channelId);
  }, 60);

  /** Ask for the world again, after something in it was changed. */
  refresh() {
    this.#reload();
  }

  #take(event) {
    const handler = this.#handlers[event.type];
    if (handler) handler(event);
    else this.#reload(); // everything else is a change of the world
  }

  #handlers = {
    hello: async ({ world }) => {
      const restarted = world.application_id !== this.world.application_id;
      if (restarted) this.#forgetAll();
      this.#setWorld(world);
      if (restarted) await this.show(this.channelId);
      else for (const channelId of this.#loaded) await this.#load(channelId);
    },
    message_create: ({ message }) => this.#put(message, true),
    message_update: ({ message }) => this.#put(message, false),
    message_delete: ({ id, channel_id: channelId }) => {
      this.#note(channelId, id, null);
      if (this.messages.get(channelId)?.delete(id)) this.emit("messages", { channelId });
    },
    typing: ({ channel_id: channelId, user_id: userId }) => {
      const here = this.#typing.get(channelId) ?? new Map();
      this.#typing.set(channelId, here.set(userId, Date.now() + 9000));
      this.emit("typing");
      setTimeout(() => this.emit("typing"), 9100);
    },
    interaction: ({ interaction }) => this.track(interaction),
    modal: async ({ interaction, modal }) => {
      // A member may have several tabs open: the form belongs to the one that asked.
      await Promise.allSettled(this.#acts);
      if (this.#mine.has(interaction.id)) this.emit("modal", { interaction, modal });
    },
    traffic: ({ entry }) => {
      this.traffic.push(entry);
      if (this.traffic.length > 1000) this.traffic.splice(0, 200);
      this.emit("traffic", entry);
    },
  };

  /** Note what became of a message, null where it is gone, for lists that are on their way. */
  #note(channelId, id, message) {
    for (const load of this.#loads) if (load.channelId === channelId) load.news.set(id, message);
  }

  #put(message, isNew) {
    const channelId = message.channel_id;
    this.#note(channelId, message.id, message);
    if (!this.messages.has(channelId)) this.messages.set(channelId, new Map());
    this.messages.get(channelId).set(message.id, message);
    this.#typing.get(channelId)?.delete(message.author.id);
    this.emit("typing");
    if (isNew && channelId !== this.channelId && message.author.id !== this.user.id) {
      const pings = this.unread.get(channelId) ?? 0;
      this.unread.set(channelId, pings + (message.pinged ? 1 : 0));
      this.emit("world");
    }
    this.emit("messages", { channelId, message, isNew });
  }

  /** Remember how one of the member's own interactions stands. */
  track(record) {
    const known = this.interactions.get(record.id);
    if (known?.version > record.version) return;
    this.interactions.set(record.id, { ...known, ...record });
    if (this.interactions.size > 500) this.interactions.delete(this.interactions.keys().next().value);
    this.emit("interactions", record);
    if (record.channel_id === this.channelId) this.emit("messages", { channelId: record.channel_id });
  }

  /** The custom_ids on a message that wait for the bot, and those nobody answered. */
  pressesOn(messageId) {
    const busy = new Set();
    const failed = new Set();
    for (const one of this.interactions.values()) {
      if (one.type !== 3 || one.message_id !== messageId) continue;
      const customId = one.data?.custom_id;
      failed.delete(customId); // a later press of the same control counts alone
      if (one.state === "waiting") busy.add(customId);
      if (one.state === "failed") failed.add(customId);
    }
    return { busy, failed };
  }

  /** The member's own commands in the open channel that show no message of the bot yet. */
  get pending() {
    return [...this.interactions.values()].filter((one) => (one.type === 2 || one.type === 5)
      && one.channel_id === this.channelId && !one.dismissed
      && (one.state === "waiting" || one.state === "failed"));
  }

  /** Put a failed command's note away. */
  forget(interactionId) {
    const found = this.interactions.get(interactionId);
    if (found) found.dismissed = true;
    this.emit("messages", { channelId: this.channelId });
  }
}

function debounced(action, ms) {
  let timer;
  return () => {
    clearTimeout(timer);
    timer = setTimeout(action, ms);
  };
}
