/**
 * A small client of kvnode in JavaScript, written from docs/PROTOCOL.md alone.
 *
 * It is a model for authors of clients: one connection to one node, a session that can be carried
 * to another, and errors that say whether the operation may have happened. Keys are strings or
 * bytes, values whatever msgpack takes.
 */

import { decode, encode } from "@msgpack/msgpack";
import { Dealer } from "zeromq";

const VERSION = 1;

/** How long the node may wait until it has what the session has seen. */
const WAIT_MS = 5_000;

/** What an answer may take beyond that, before the request counts as unanswered. */
const PATIENCE_MS = 30_000;

// ---- Integers

// An integer that msgpack has in 64 bits is a BigInt here, both ways: a plain number would be
// rounded from 2^53 on, and packed as a float from 2^32 on. Both kinds can be compared.
const CODEC = { useBigInt64: true };

export const pack = (object) => encode(object, CODEC);
export const unpack = (bytes) => decode(bytes, CODEC);

// ---- Errors

/** What came instead of a result; `maybe` says whether the operation may have happened. */
export class KvnodeError extends Error {
  constructor(code, message, maybe, details = {}) {
    super(message);
    this.code = code;
    this.maybe = maybe;
    Object.assign(this, details);
  }
}

/** The error that a result stands for, or null if it stands for none. */
function errorOf([kind, ...rest]) {
  switch (kind) {
    case "ok":
    case "absent":
      return null;
    case "error":
      return new KvnodeError(...rest);
    case "delayed": {
      const [reason, incoming, local, missing] = rest;
      return new KvnodeError(kind, reason, false, { incoming, local, missing });
    }
    case "lost": {
      const [missing, left] = rest;
      return new KvnodeError(kind, "nobody has it any more", false, { missing, left });
    }
    case "conflict":
      return new KvnodeError(kind, "a condition does not hold", false, { found: rest[0] });
    case "compacted":
      return new KvnodeError(kind, "the log starts later", false, { floor: rest[0] });
    case "unreplicated": {
      const [reason, dot, wanted, names] = rest;
      return new KvnodeError(kind, reason, true, { dot, wanted, names });
    }
    default:
      return new KvnodeError(kind, "a result of a kind that this client does not know", true);
  }
}

// ---- Tokens

/** What a token says: the cluster, and the vector of what was seen. */
export function readToken(token) {
  const [cluster, vector] = unpack(token);
  return { cluster, vector };
}

/** A token of all that either has seen. Each may be null. */
export function joinTokens(one, other) {
  if (one === null || other === null) return one ?? other;
  return advanced(one, Object.entries(readToken(other).vector));
}

/** The token of a watcher that goes on after these events, the first of an answer to `token`. */
export function tokenBehind(token, events) {
  return advanced(token, events.map(({ dot }) => dot));
}

function advanced(token, dots) {
  const { cluster, vector } = readToken(token);
  for (const [origin, seq] of dots) {
    if (!(vector[origin] >= seq)) vector[origin] = seq;
  }
  return pack([cluster, vector]);
}

// ---- The connection

/** Requests to one node, and answers to them in any order. */
class Connection {
  #socket = new Dealer({ linger: 0 });
  #waiting = new Map();
  #lastId = 0;
  #patienceMs;
  #sending = Promise.resolve();

  constructor(address, patienceMs) {
    this.#patienceMs = patienceMs;
    this.#socket.connect(address);
    this.#receive();
  }

  /** The answer's token and results. Throws if there is no answer in time. */
  ask(token, deadlineMs, operations) {
    this.#lastId = (this.#lastId + 1) % 2 ** 32;
    const id = this.#lastId;
    const request = pack([VERSION, id, token, deadlineMs, ...operations]);
    const answer = new Promise((resolve, reject) => {
      const giveUp = () => {
        this.#waiting.delete(id);
        reject(new KvnodeError("unanswered", "no answer from the node in time", true));
      };
      const timer = setTimeout(giveUp, deadlineMs + this.#patienceMs);
      this.#waiting.set(id, { resolve, reject, timer });
    });
    // The socket takes one message at a time.
    this.#sending = this.#sending.then(() => this.#socket.send(request)).catch(() => {});
    return answer;
  }

  close() {
    this.#socket.close();
    for (const { reject, timer } of this.#waiting.values()) {
      clearTimeout(timer);
      reject(new KvnodeError("unanswered", "the client was closed before the answer came", true));
    }
    this.#waiting.clear();
  }

  async #receive() {
    for await (const [frame] of this.#socket) {
      const [id, token, results] = unpack(frame);
      const asked = this.#waiting.get(id);
      if (asked === undefined) continue; // It was given up meanwhile.
      this.#waiting.delete(id);
      clearTimeout(asked.timer);
      asked.resolve({ token, results });
    }
  }
}

// ---- The client

/** A session at one node. Handed its `token`, a client of another node goes on with it. */
export class Client {
  #connection;

  constructor(address, { token = null, waitMs = WAIT_MS, patienceMs = PATIENCE_MS } = {}) {
    this.#connection = new Connection(address, patienceMs);
    this.token = token;
    this.waitMs = waitMs;
  }

  close() {
    this.#connection.close();
  }

  /** The dot and stamp of the write: `{ dot: [origin, seq], stamp, expires }`. */
  async put(key, value, { ttlMs = null } = {}) {
    const ttl = ttlMs === null ? [] : [BigInt(ttlMs)];
    return written(await this.run(["put", key, pack(value), ...ttl]));
  }

  async delete(key) {
    return written(await this.run(["delete", key]));
  }

  /** Make changes, `[key, value]` or `[key]`, as one if all conditions, `[key, dots]`, hold. */
  async write(conditions, changes) {
    const packed = changes.map(([key, ...value]) => [key, ...value.map(pack)]);
    return written(await this.run(["write", conditions, packed]));
  }

  /** The winner, or null if the key is not there: `{ value, dot, stamp, expires, siblings }`. */
  async get(key) {
    const [versions, more] = await this.run(["get", key]);
    return winner(versions, more);
  }

  /** All versions, the winner first. */
  async read(key) {
    const found = [];
    for (;;) {
      const [versions, more] = await this.run(["read", key, found.length]);
      found.push(...versions.map(version));
      if (more === 0) return found;
    }
  }

  /** The pages of a scan on one cut: arrays of `[key, version]`, of keys, or numbers. */
  async *scan(start, end, { limit = null, page = 1000, reverse = false, shows = "entries" } = {}) {
    let cut = null;
    let next = null;
    do {
      const operation = ["scan", cut, start, end, limit, page, reverse, shows];
      let records;
      [cut, records, next] = await this.run(operation);
      const length = shows === "count" ? records : records.length;
      if (limit !== null) limit -= length;
      if (reverse) end = next;
      else start = next;
      if (shows === "entries") yield records.map(([key, them, more]) => [key, winner(them, more)]);
      else yield records;
    } while (next !== null);
  }

  /** How many keys there are. */
  async count(start, end) {
    let sum = 0;
    for await (const found of this.scan(start, end, { page: 2048, shows: "count" })) sum += found;
    return sum;
  }

  /**
   * The next events after a watcher's token, and the token after them: `{ token, events }`. There
   * are none if nothing came in `waitMs`. The watcher's token is its own, and not the session's.
   */
  async watch(prefix, token, { isNow = false, waitMs = this.waitMs } = {}) {
    const answer = await this.ask(token, waitMs, ["watch", prefix, isNow]);
    const [events] = valueOf(answer.results[0]);
    return { token: answer.token, events: events.map(event) };
  }

  /** One operation, in the session: what stands after "ok" in its result. */
  async run(operation) {
    const sent = this.token;
    const answer = await this.ask(sent, this.waitMs, operation);
    if (answer.token !== null) {
      this.token = this.token === sent ? answer.token : joinTokens(this.token, answer.token);
    }
    return valueOf(answer.results[0]);
  }

  /** A request with this very token, not the session's: the answer's token and results. */
  ask(token, waitMs, ...operations) {
    return this.#connection.ask(token, waitMs, operations);
  }
}

function valueOf(result) {
  const error = errorOf(result);
  if (error !== null) throw error;
  return result.slice(1);
}

function written([origin, seq, stamp, expires]) {
  return { dot: [origin, seq], stamp, expires };
}

function version([stamp, origin, seq, value, expires]) {
  return { value: unpack(value), dot: [origin, seq], stamp, expires };
}

function winner(versions, more) {
  return versions.length === 0 ? null : { ...version(versions[0]), siblings: more };
}

/** A put has a `value`, a delete has none. */
function event([origin, seq, stamp, key, ...put]) {
  const told = { dot: [origin, seq], stamp, key };
  if (put.length === 0) return told;
  const [value, expires = null] = put;
  return { ...told, value: unpack(value), expires };
}
