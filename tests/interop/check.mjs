/**
 * Plays one step against real nodes, and says line by line what came of it:
 *
 *     node check.mjs STEP ARGUMENT...
 *
 * tests/interop/test_javascript.py knows what each must say.
 */

import { Router } from "zeromq";

import { Client, joinTokens, readToken, tokenBehind } from "./client.mjs";

/** Waiting ends when what is waited for comes; only a broken node takes so long. */
const PATIENT = { waitMs: 30_000 };

const clients = [];

function client(address, options = {}) {
  clients.push(new Client(address, { ...PATIENT, ...options }));
  return clients.at(-1);
}

// ---- What is said

function show(value) {
  if (typeof value === "bigint") return `${value}n`;
  if (value instanceof Uint8Array) return `<${Buffer.from(value).toString("hex")}>`;
  if (Array.isArray(value)) return `[${value.map(show).join(", ")}]`;
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  return `{${Object.entries(value).map(([name, it]) => `${name}: ${show(it)}`).join(", ")}}`;
}

function say(...parts) {
  console.log(parts.map((part) => (typeof part === "string" ? part : show(part))).join(" "));
}

const text = (key) => Buffer.from(key).toString();
const nodeOf = ([origin]) => origin.split("~")[0];

/** An entry of a scan. */
const shown = ([key, { value }]) => `${text(key)}=${show(value)}`;

function told({ key, dot, value }) {
  return value === undefined
    ? `${nodeOf(dot)} deleted ${text(key)}`
    : `${nodeOf(dot)} put ${text(key)}=${show(value)}`;
}

/** What an operation fails with. */
async function failure(operation) {
  try {
    await operation;
  } catch (error) {
    if (error.maybe === undefined) throw error;
    return error;
  }
  throw new Error("it should have failed");
}

const sayFailure = ({ code, maybe }) =>
  say(`${code}: it`, maybe ? "may have happened" : "surely did not happen");

// ---- Links

/** Put aside, or let through, all that comes to a node from these peers. */
async function links(node, peers, action) {
  for (const peer of peers) {
    for (const channel of ["gossip", "repair"]) {
      const { results } = await node.ask(null, 0, ["fault", peer, channel, action]);
      if (results[0][0] !== "ok") throw new Error(show(results));
    }
  }
}

// ---- Watchers

/** Watch from a token until there are so many events; with them the token after them. */
async function events(node, prefix, token, count) {
  const all = [];
  while (all.length < count) {
    const answer = await node.watch(prefix, token);
    all.push(...answer.events);
    token = answer.token;
  }
  return { token, events: all };
}

// ---- The steps

const steps = {
  async values(x) {
    const alice = client(x);
    say("from Python:", (await alice.get("from python")).value);
    const value = {
      text: "žluťoučký",
      bytes: Uint8Array.of(0, 255),
      small: -7,
      large: 2n ** 53n + 1n,
      float: 1.5,
      list: [true, false, null],
    };
    const { dot, stamp } = await alice.put("from javascript", value);
    const winner = await alice.get("from javascript");
    const isIt = show([dot, stamp]) === show([winner.dot, winner.stamp]);
    say("read back:", winner.value, `with ${winner.siblings} siblings`);
    say("with the dot and stamp that the put told:", isIt);
  },

  async deletes(x) {
    const alice = client(x);
    await alice.put("short", "lived");
    await alice.delete("short");
    say("deleted:", await alice.get("short"));
    say("never there:", await alice.read("never"));
    const { stamp, expires } = await alice.put("lease", "held", { ttlMs: 3_600_000 });
    const isInAnHour = Math.abs(Number(expires - stamp) - 3.6e9) < 6e7;
    say("expires an hour after its stamp, to a minute:", isInAnHour);
    say("the same is read:", (await alice.get("lease")).expires === expires);
  },

  async siblings(x, y) {
    const [alice, bob] = [client(x), client(y)];
    await links(bob, ["X", "Z"], "hold");
    await alice.put("both", "by alice");
    await bob.put("both", "by bob");
    await links(bob, ["X", "Z"], "pass");

    const carol = client(x, { token: joinTokens(alice.token, bob.token) });
    const versions = await carol.read("both");
    say("siblings:", versions.map(({ value }) => value).sort());
    const { value, siblings } = await carol.get("both");
    say("get shows the first of them:", value === versions[0].value, `and counts ${siblings} more`);
    await carol.put("both", "settled");
    say("left:", (await carol.read("both")).map((version) => version.value));
  },

  async conditions(x) {
    const alice = client(x);
    const conditions = [["balance/a", []], ["balance/b", []]];
    const first = await alice.write(conditions, [["balance/a", 100], ["balance/b", 0]]);
    say("one dot for both:", show((await alice.get("balance/b")).dot) === show(first.dot));

    const seen = [["balance/a", [first.dot]], ["balance/b", [first.dot]]];
    await alice.write(seen, [["balance/a", 60], ["balance/b", 40]]);
    const conflict = await failure(alice.write(seen, [["balance/a", 0], ["balance/b"]]));
    sayFailure(conflict);
    const found = conflict.found.map(([key, [[, seq]]]) => [text(key), seq - first.dot[1]]);
    say("found, in writes later:", found);
    say("left:", (await alice.get("balance/a")).value, (await alice.get("balance/b")).value);
  },

  async scans(x, y) {
    const alice = client(x);
    const names = ["ada", "bob", "cyd", "dan", "eve"];
    for (const name of names) await alice.put(`user/${name}`, name.length);
    await alice.put("user0", "after the range");

    const pages = alice.scan("user/", "user0", { page: 2 });
    say("page:", ...(await pages.next()).value.map(shown));
    await alice.delete("user/cyd");
    await alice.put("user/dan", "changed");
    await alice.put("user/deb", "new");
    for await (const page of pages) say("page:", ...page.map(shown));

    const backwards = [];
    const options = { reverse: true, limit: 4, page: 3, shows: "keys" };
    for await (const page of alice.scan("user/", "user0", options)) backwards.push(page.map(text));
    say("now, backwards:", backwards);
    say("count:", await alice.count("user/", "user0"));

    const [cut] = await alice.run(["scan", null, "user/", "user0", null, 1, false, "keys"]);
    const bob = client(y, { token: alice.token });
    const next = ["scan", cut, "user/bob", "user0", null, 1, false, "keys"];
    sayFailure(await failure(bob.run(next)));
  },

  async watches(x, y, z) {
    const [alice, bob, carol] = [client(x), client(y), client(z)];
    await alice.put("feed/0", "before");
    const now = await alice.watch("feed/", alice.token, { isNow: true });
    say("now:", now.events);

    const pending = alice.watch("feed/", now.token);
    await alice.put("feed/1", 1);
    say("as soon as it comes:", (await pending).events.map(told));

    await alice.delete("feed/0");
    await alice.put("elsewhere", "not told");
    carol.token = alice.token;
    await carol.write([], [["feed/2", 2], ["feed/3", 3]]);

    // All from now on, at X; and the rest at Y, from the middle of what X answered.
    const all = await events(alice, "feed/", now.token, 4);
    all.events.forEach((event) => say("X:", told(event)));
    const rest = await events(bob, "feed/", tokenBehind(now.token, all.events.slice(0, 2)), 2);
    rest.events.forEach((event) => say("Y, from the middle:", told(event)));

    await carol.put("feed/4", 4);
    const resumed = await events(bob, "feed/", all.token, 1);
    resumed.events.forEach((event) => say("Y, resumed:", told(event)));
    const nothing = await bob.watch("feed/", resumed.token, { waitMs: 0 });
    say("then:", nothing.events);
  },

  async progress(x, y, z) {
    const [alice, bob, carol] = [client(x), client(y), client(z)];
    const { token } = await alice.watch("quiet/", null, { isNow: true });
    let last;
    for (let i = 0; i < 3; i += 1) last = await alice.put("noise", i);

    const quiet = await alice.watch("quiet/", token, { waitMs: 0 });
    const [origin, seq] = last.dot;
    say("events:", quiet.events);
    say("the token covers the noise:", readToken(quiet.token).vector[origin] >= seq);

    carol.token = alice.token;
    await carol.put("quiet/1", "at last");
    const resumed = await events(bob, "quiet/", quiet.token, 1);
    resumed.events.forEach((event) => say("Y, resumed:", told(event)));
  },

  async compacted(x, token) {
    const alice = client(x);
    sayFailure(await failure(alice.watch("mirror/", Buffer.from(token, "hex"))));
    sayFailure(await failure(alice.watch("mirror/", null)));

    // A new watch from now, then the state anew.
    const now = await alice.watch("mirror/", null, { isNow: true });
    alice.token = joinTokens(alice.token, now.token);
    for await (const page of alice.scan("mirror/", "mirror0")) say("state:", ...page.map(shown));

    // A log as short as this node's drops a write at once: so the watch is there before it.
    const pending = alice.watch("mirror/", now.token);
    await alice.put("mirror/1", 3);
    say("then:", (await pending).events.map(told));
  },

  async carried(x, y) {
    const alice = client(x);
    const hasty = client(y, { waitMs: 0 });
    await links(hasty, ["X", "Z"], "hold");
    const { dot } = await alice.put("diary", "seen at X");

    hasty.token = alice.token;
    const delayed = await failure(hasty.get("diary"));
    sayFailure(delayed);
    const [origin, seq] = dot;
    say("just the write is missing:", show(delayed.missing) === show([[origin, seq, seq]]));
    say("the session is as it was:", hasty.token === alice.token);

    const waits = client(y, { token: alice.token }).get("diary");
    await links(hasty, ["X", "Z"], "pass");
    say("Y waited:", (await waits).value);
  },

  async "go on"(address, token) {
    const alice = client(address, { token: Buffer.from(token, "hex") });
    say("read:", (await alice.get("relay")).value);
    await alice.put("relay", "javascript");
    say(Buffer.from(alice.token).toString("hex"));
  },

  async errors(x) {
    const alice = client(x);
    await alice.put("k", "v");
    const seen = alice.token;
    sayFailure(await failure(alice.run(["incr", "k"])));
    sayFailure(await failure(alice.run(["put", "k", "a string is no value"])));
    sayFailure(await failure(alice.run(["put", "k", Uint8Array.of(1), 2 ** 32])));
    sayFailure(await failure(alice.put("k".repeat(4097), "v")));
    sayFailure(await failure(alice.put("k", new Uint8Array(8_388_608))));
    const stranger = client(x, { token: Buffer.from([0x92, 0xa1, 0x3f, 0x80]) });
    sayFailure(await failure(stranger.get("k")));
    say("the session is as it was:", alice.token === seen);
    say("and goes on:", (await alice.get("k")).value);

    const mute = new Router({ linger: 0 });
    await mute.bind("tcp://127.0.0.1:*");
    const lost = client(mute.lastEndpoint, { waitMs: 0, patienceMs: 50 });
    sayFailure(await failure(lost.put("k", "w")));
    mute.close();
  },
};

const [step, ...addresses] = process.argv.slice(2);
try {
  await steps[step](...addresses);
} finally {
  clients.forEach((one) => one.close());
}
