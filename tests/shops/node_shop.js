// A shop of Node's standard library in one process, with its state in memory and in a journal.
//
//     node tests/shops/node_shop.js --port 0 --data DIR [--faults NAME,...]
//
// Each journal line is one atomic commit: a list of [table, id, new value]. A faultless operation plans and commits within one turn of
// the event loop, so nothing can come between. Every answer waits until the journal is on the disk.
"use strict";
const fs = require("node:fs");
const http = require("node:http");
const path = require("node:path");
const { setTimeout: pause } = require("node:timers/promises");
const { parseArgs } = require("node:util");

const LIMIT = 2 ** 53;
const LARGEST_BATCH = 1_000_000;
const GAP_MS = 20;
const DIRTY_MS = 50;
const LOCK_WAIT_MS = 300;
const KNOWN = [
  "lost-update", "oversell", "charge-without-paid", "paid-without-charge", "not-idempotent", "error-as-success",
  "lock-outlives-holder", "lost-compensation", "rejected-but-happened", "dirty-read", "wrong-answer", "never-retried",
  "no-persistence", "negative-balance", "ids-reused", "in-doubt-leak",
];

const { values: options } = parseArgs({
  options: { port: { type: "string", default: "0" }, data: { type: "string" }, faults: { type: "string", default: "" } },
});
const faults = new Set(options.faults.split(",").filter(Boolean));
for (const name of faults) if (!KNOWN.includes(name)) throw new Error(`no such fault in this shop: ${name}`);

const calls = new Map();
function strikes(name, every = 5) {
  if (!faults.has(name)) return false;
  calls.set(name, (calls.get(name) ?? 0) + 1);
  return calls.get(name) % every === 0;
}

class Failure extends Error {
  constructor(status, text) {
    super(text);
    this.status = status;
  }
}
const rejected = (text, status = 400) => new Failure(status, text);

// -------- state

const tables = { users: new Map(), items: new Map(), orders: new Map(), locks: new Map(), ids: new Map() };
fs.mkdirSync(options.data, { recursive: true });
const file = path.join(options.data, "journal.ndjson");
if (faults.has("no-persistence")) fs.rmSync(file, { force: true });

function apply(changes) {
  for (const [table, id, value] of changes) {
    if (value === null) tables[table].delete(id);
    else tables[table].set(id, value);
  }
}

function replay() {
  const text = fs.existsSync(file) ? fs.readFileSync(file, "utf8") : "";
  const whole = text.slice(0, text.lastIndexOf("\n") + 1); // a kill may have cut off the last line
  for (const line of whole.split("\n")) if (line) apply(JSON.parse(line));
  if (whole !== text) fs.truncateSync(file, Buffer.byteLength(whole));
}
replay();
if (faults.has("ids-reused")) tables.ids.clear();
const journal = fs.openSync(file, "a");

function commit(...changes) {
  fs.writeSync(journal, JSON.stringify(changes) + "\n");
  apply(changes);
}

let syncing = null; // the next fsync, which everybody waits for who wrote before it began
function synced() {
  syncing ??= new Promise((resolve, reject) => {
    setImmediate(() => {
      syncing = null;
      fs.fsync(journal, (error) => (error ? reject(error) : resolve()));
    });
  });
  return syncing;
}

// -------- stock and credit

function number(text, most = LIMIT) {
  if (!/^[0-9]{1,20}$/.test(text) || BigInt(text) > BigInt(most)) {
    throw rejected(`${JSON.stringify(text.slice(0, 30))} is no whole number from 0 to ${most}`);
  }
  return Number(text);
}

function row(table, id) {
  const found = tables[table].get(id);
  if (found === undefined) throw rejected(`no ${table.slice(0, -1)} ${JSON.stringify(id)}`, 404);
  return found;
}

function planned(table, id, delta, checked = !faults.has("negative-balance")) {
  const column = table === "items" ? "stock" : "credit";
  const value = row(table, id);
  if (delta < 0 && value[column] < -delta && checked) {
    throw rejected(`${table.slice(0, -1)} ${id} has ${column} ${value[column]}, and ${-delta} is needed`);
  }
  if (delta > 0 && value[column] > LIMIT - delta) throw rejected(`the ${column} of ${id} would be above ${LIMIT}`);
  return [table, id, { ...value, [column]: value[column] + delta }];
}

async function change(table, id, delta) {
  const planning = planned(table, id, delta);
  if (faults.has("lost-update")) await pause(GAP_MS);
  commit(planning);
  return `${table.slice(0, -1)} ${id} changed by ${delta}`;
}

// -------- orders

function create(table, value) {
  const last = (tables.ids.get(table) ?? 0) + 1;
  const id = `${table[0]}${last}`;
  commit(["ids", table, last], [table, id, value]);
  return id;
}

let previousOrder = null;
function createOrder(user_id) {
  const order_id = create("orders", { user_id, items: [], total: 0, state: "open" });
  const answer = strikes("wrong-answer") && previousOrder ? previousOrder : order_id;
  previousOrder = order_id;
  return { order_id: answer };
}

const previousReads = new Map();
function read(kind, answer) {
  const previous = previousReads.get(kind) ?? answer;
  previousReads.set(kind, answer);
  return strikes("wrong-answer") ? previous : answer;
}

function findOrder(order_id) {
  const { user_id, items, total, state } = row("orders", order_id);
  return read("order", { order_id, paid: state === "paid", items, user_id, total_cost: total });
}

function addItem(id, item, quantity) {
  const order = row("orders", id);
  if (order.state === "paid" || order.state === "checkout" || running.has(id)) throw rejected(`order ${id} is paid or in checkout`);
  const { price } = row("items", item);
  if (quantity > 0 && price > (LIMIT - order.total) / quantity) throw rejected(`the total of order ${id} would be above ${LIMIT}`);
  commit(["orders", id, { ...order, items: [...order.items, [item, quantity]], total: order.total + price * quantity }]);
  return `item ${item} added to order ${id}`;
}

function init(table, n, value) {
  const changes = [];
  for (let i = 0; i < n; i++) changes.push([table, String(i), value()]);
  if (n > 0) commit(...changes);
  return { msg: `${n} ${table} created` };
}

function initOrders(n, items, users, price) {
  if (n > 0 && !(items && users && price <= LIMIT / 2)) throw rejected(`${n} orders need items, users and a price`);
  const any = (count) => String(Math.floor(Math.random() * count));
  const value = () => ({ user_id: any(users), items: [[any(items), 1], [any(items), 1]], total: 2 * price, state: "open" });
  return init("orders", n, value);
}

// -------- checkout

const running = new Map(); // by order: the promise of its checkout, which a second request waits for as well
let errors = 0;

function checkout(id) {
  if (!running.has(id)) running.set(id, attempt(id).finally(() => running.delete(id)));
  return running.get(id);
}

async function attempt(id) {
  const order = row("orders", id);
  if (order.state === "paid" && !faults.has("not-idempotent")) return `order ${id} is paid`;
  if (order.state === "failed") throw rejected(`order ${id} has failed`);
  if (order.state === "checkout") throw new Failure(202, `the checkout of order ${id} goes on`);
  const turn = faults.has("error-as-success") ? ++errors % 5 : -1;
  if (turn === 0) return "payment answered 502";
  await lockUser(order.user_id);
  try {
    await take(id, order);
  } catch (failure) {
    unlockUser(order.user_id, true);
    if (faults.has("never-retried") && failure.status < 500) commit(["orders", id, { ...order, state: "failed" }]);
    throw failure;
  }
  unlockUser(order.user_id, false);
  if (turn === 3) throw new Failure(502, "payment answered 502");
  if (strikes("rejected-but-happened")) throw rejected("the checkout failed");
  return `order ${id} is paid`;
}

async function take(id, order) {
  const wanted = new Map();
  for (const [item, quantity] of order.items) wanted.set(item, (wanted.get(item) ?? 0) + quantity);
  const all = (sign, checked) => [...wanted].map(([item, quantity]) => planned("items", item, sign * quantity, checked));
  const charge = (checked) => planned("users", order.user_id, -order.total, checked);
  const paid = ["orders", id, { ...order, state: "paid" }];
  let stock = all(-1);
  if (faults.has("dirty-read")) {
    commit(...stock);
    await pause(DIRTY_MS);
  }
  let credit;
  try {
    credit = charge();
  } catch (failure) {
    if (faults.has("dirty-read")) commit(...all(1));
    if (strikes("lost-compensation", 2)) commit(...stock);
    throw failure;
  }
  if (strikes("in-doubt-leak")) {
    commit(...stock, ["orders", id, { ...order, state: "checkout" }]);
    throw new Failure(202, `the checkout of order ${id} goes on`);
  }
  if (faults.has("lost-update") || faults.has("oversell")) await pause(GAP_MS);
  if (faults.has("oversell")) [stock, credit] = [all(-1, false), charge(false)];
  if (faults.has("dirty-read")) stock = [];
  const changes = strikes("paid-without-charge") ? [...stock, paid] : [...stock, credit, paid];
  commit(...(strikes("charge-without-paid") ? changes.slice(0, -1) : changes));
}

async function lockUser(user) {
  if (!faults.has("lock-outlives-holder")) return;
  const deadline = Date.now() + LOCK_WAIT_MS;
  while (tables.locks.has(user)) {
    if (Date.now() > deadline) throw new Failure(503, `user ${user} stays locked`);
    await pause(5);
  }
  commit(["locks", user, true]);
  await pause(GAP_MS);
}

function unlockUser(user, failed) {
  if (!faults.has("lock-outlives-holder")) return;
  if (!(failed && strikes("lock-outlives-holder", 2))) commit(["locks", user, null]);
}

// -------- HTTP

const ROUTES = [
  ["POST", "/orders/create/:id", createOrder],
  ["GET", "/orders/find/:id", findOrder],
  ["POST", "/orders/addItem/:id/:id/:number", addItem],
  ["POST", "/orders/checkout/:id", checkout],
  ["POST", "/orders/batch_init/:count/:number/:number/:number", initOrders],
  ["POST", "/stock/item/create/:number", (price) => ({ item_id: create("items", { stock: 0, price }) })],
  ["GET", "/stock/find/:id", (id) => read("item", row("items", id))],
  ["POST", "/stock/add/:id/:number", (id, amount) => change("items", id, amount)],
  ["POST", "/stock/subtract/:id/:number", (id, amount) => change("items", id, -amount)],
  ["POST", "/stock/batch_init/:count/:number/:number", (n, stock, price) => init("items", n, () => ({ stock, price }))],
  ["POST", "/payment/create_user", () => ({ user_id: create("users", { credit: 0 }) })],
  ["GET", "/payment/find_user/:id", (id) => read("user", { user_id: id, ...row("users", id) })],
  ["POST", "/payment/add_funds/:id/:number", (id, amount) => change("users", id, amount)],
  ["POST", "/payment/pay/:id/:number", (id, amount) => change("users", id, -amount)],
  ["POST", "/payment/batch_init/:count/:number", (n, credit) => init("users", n, () => ({ credit }))],
].map(([method, pattern, act]) => [method, pattern.split("/"), act]);
const PARSERS = { ":id": (text) => text, ":number": (text) => number(text), ":count": (text) => number(text, LARGEST_BATCH) };

async function answer(request) {
  const parts = request.url.split("?")[0].split("/");
  for (const [method, pattern, act] of ROUTES) {
    if (method !== request.method || pattern.length !== parts.length) continue;
    if (!pattern.every((part, i) => (part[0] === ":" ? parts[i] !== "" : part === parts[i]))) continue;
    const parsed = parts.map((part, i) => PARSERS[pattern[i]]?.(decodeURIComponent(part)));
    return act(...parsed.filter((_, i) => pattern[i][0] === ":"));
  }
  throw rejected(`no route ${request.method} ${request.url}`, 404);
}

async function serve(request, response) {
  let [status, body] = [200, null];
  try {
    body = await answer(request);
  } catch (failure) {
    status = failure.status ?? (failure instanceof URIError ? 400 : 500);
    body = { error: failure.message };
  }
  await synced();
  const text = typeof body === "string";
  response.writeHead(status, { "Content-Type": text ? "text/plain" : "application/json" });
  response.end(text ? body : JSON.stringify(body));
}

const server = http.createServer((request, response) => {
  request.resume();
  serve(request, response);
});
server.keepAliveTimeout = 0; // a connection closed here as its next request arrives would be an unknown outcome for nothing
server.listen(Number(options.port), "127.0.0.1", 4096, () => console.log(`listening on ${server.address().port}`));
