/* The list of runs, kept up to date by the server's events. Everything from a file is put in as text, never as markup. */
"use strict";
const table = document.querySelector("#runs tbody"), filter = document.querySelector("#filter"), compare = document.querySelector("#compare");
const live = document.querySelector("#live"), going = document.querySelector("#going"), main = document.querySelector("main");
const marks = { holds: "✓", violated: "✕", unknown: "?", running: "●" };
const chosen = new Set();
let lines = [];

const made = (name, properties = {}, ...inside) => {
  const element = Object.assign(document.createElement(name), properties);
  element.append(...inside);
  return element;
};
const verdict = (word) => {
  const span = made("span", { className: `verdict ${word}`, textContent: word });
  span.dataset.mark = marks[word] || "·";
  return span;
};
const address = (name) => `/runs/${encodeURIComponent(name)}`;

const row = (line) => {
  const box = made("input", { type: "checkbox", checked: chosen.has(line.run), ariaLabel: `compare ${line.run}`, disabled: line.kind !== "run" || line.verdict === "running" });
  box.addEventListener("change", () => { box.checked ? chosen.add(line.run) : chosen.delete(line.run); choose(); });
  const cell = (...inside) => made("td", {}, ...inside);
  return made("tr", {}, cell(box), cell(made("a", { href: address(line.run), textContent: line.run })), cell(verdict(line.verdict)),
    cell(line.protocol ?? "-"), cell(line.scenario ?? "-"), made("td", { className: "n" }, String(line.seed ?? "-")), cell(line.kind));
};
const choose = () => { compare.disabled = chosen.size !== 2; };

const facts = (now) => {
  const list = made("dl", { className: "facts" });
  const say = (name, value, kind = "") => list.append(made("dt", { textContent: name }), made("dd", { textContent: value, className: kind }));
  say("phase", `${now.phase}, ${now.lasted_s.toFixed(0)} s`);
  say("checkouts", `${now.checkouts.ok} acknowledged, ${now.checkouts.fail} rejected, ${now.checkouts.unknown} unknown`);
  if (now.p50_ms !== null) say("now", `${now.rate_per_s.toFixed(0)} a second, median ${now.p50_ms.toFixed(0)} ms, 99th percentile ${now.p99_ms.toFixed(0)} ms`);
  say("faults on", now.faults.join(", ") || "none", now.faults.length ? "fault-now" : "");
  if (now.down.length) say("not running", now.down.join(", "));
  return list;
};

const show = () => {
  const on = lines.filter((line) => line.live && (!main.dataset.run || main.dataset.run === line.run));
  if (live) live.replaceChildren(...on.map((line) => made("div", { className: "live" },
    made("b", {}, made("a", { href: address(line.run), textContent: line.run })), ` ${line.live.what}`, facts(line.live))));
  if (main.dataset.run) {
    if (lines.length && !on.length) location.reload();
    return;
  }
  going.hidden = !on.length;
  const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
  const fitting = lines.filter((line) => words.every((word) => JSON.stringify([line.run, line.verdict, line.protocol, line.scenario, line.kind]).toLowerCase().includes(word)));
  const held = document.activeElement?.ariaLabel;
  table.replaceChildren(...fitting.map(row));
  if (held) [...table.querySelectorAll("input")].find((box) => box.ariaLabel === held)?.focus();
  document.querySelector("#shown").textContent = `${fitting.length} of ${lines.length}`;
  document.querySelector("#empty").hidden = lines.length > 0;
};

if (filter) {
  filter.addEventListener("input", show);
  document.querySelector("#choose").addEventListener("submit", (event) => event.preventDefault());
  compare.addEventListener("click", () => {
    const [a, b] = lines.map((line) => line.run).filter((name) => chosen.has(name)).sort();
    location.href = `/compare?a=${encodeURIComponent(a)}&b=${encodeURIComponent(b)}`;
  });
}
if (live) new EventSource("/events").addEventListener("message", (event) => { lines = JSON.parse(event.data); show(); });
