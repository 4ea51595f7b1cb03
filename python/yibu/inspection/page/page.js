// Asks for the tasks every second and shows them. Only the rows that are in view exist, so ten thousand tasks
// cost no more than thirty. Everything that comes from the process is set as text, never as markup.

import { fillStack, showParts } from "./parts.js";
import { age, element, node, shortened } from "./show.js";

const EVERY = 1000;
const token = location.hash.slice(1);
const state = { tree: null, byId: new Map(), shown: [], chosen: null, paused: false, failed: null, asked: 0 };

async function ask() {
  if (!state.paused && !document.hidden) {
    try {
      const answer = await fetch("tree", { headers: { Authorization: `Bearer ${token}` } });
      if (!answer.ok) throw new Error(await answer.text());
      take(await answer.json());
      state.failed = null;
    } catch (error) {
      state.failed = error.message;
    }
    summarize();
  }
  setTimeout(ask, EVERY);
}

function take(tree) {
  state.tree = tree;
  state.byId = new Map(tree.tasks.map((task) => [task.id, task]));
  for (const task of tree.tasks) {
    task.text = `${task.name}\n${task.waits_for}\n${task.stack.map((frame) => `${frame.function} ${frame.file}`).join("\n")}`.toLowerCase();
  }
  const now = performance.now();
  showProblems();
  showParts(tree, state.asked ? (now - state.asked) / 1000 : 0, jump);
  state.asked = now;
  arrange();
  showDetails();
}

function summarize() {
  const tree = state.tree;
  if (state.failed) {
    element("summary").textContent = state.failed;
  } else if (tree) {
    element("pid").textContent = tree.pid;
    document.title = `yibu: process ${tree.pid}`;
    const counts = {};
    for (const task of tree.tasks) counts[task.state] = (counts[task.state] ?? 0) + 1;
    const parts = Object.entries(counts).map(([name, number]) => `${number} ${name}`);
    element("summary").textContent = `${tree.tasks.length} tasks: ${parts.join(", ")}${state.paused ? " (paused)" : ""}`;
  }
}

function showProblems() {
  const items = state.tree.problems.map((problem) => {
    const item = node("li");
    item.append(node("span", problem.kind + (problem.certain ? "" : " (probably)"), "kind"), `: ${problem.words} `);
    for (const id of problem.tasks.slice(0, 5)) if (state.byId.has(id)) item.append(jump(id));
    return item;
  });
  const text = JSON.stringify(state.tree.problems);
  if (text !== element("problems").dataset.shown) {
    // A screen reader says what changes, so nothing is put there again that is there.
    element("problems").dataset.shown = text;
    element("problems").replaceChildren(...(items.length ? items : [node("li", "Nothing that this page would see.", "none")]));
  }
}

function jump(id) {
  const button = node("button", shortened(state.byId.get(id)?.name ?? "a task that is gone"), "jump");
  button.type = "button";
  button.addEventListener("click", () => choose(id, true));
  return button;
}

const COMPARE = {
  name: (a, b) => a.name.localeCompare(b.name, undefined, { numeric: true }),
  age: (a, b) => (b.age ?? -1) - (a.age ?? -1),
  cpu_time: (a, b) => (b.cpu_time ?? -1) - (a.cpu_time ?? -1),
  waits_for: (a, b) => a.waits_for.localeCompare(b.waits_for),
};

function arrange() {
  const words = element("filter").value.toLowerCase().trim();
  const wanted = element("state").value;
  const order = element("order").value;
  const fits = (task) => (!wanted || (wanted === "lost" ? task.lost : task.state === wanted)) && (!words || task.text.includes(words));
  let rows = state.tree ? state.tree.tasks.filter(fits) : [];
  if (order === "tree" && !words && !wanted) rows = nested(rows);
  else rows = rows.sort(COMPARE[order] ?? COMPARE.name).map((task) => ({ task, depth: 0 }));
  state.shown = rows;
  element("count").textContent = state.tree && rows.length !== state.tree.tasks.length ? `${rows.length} of ${state.tree.tasks.length} shown` : "";
  draw();
}

function nested(tasks) {
  // Each task below the first of those that wait for it; no recursion, because they may be thousands deep.
  const below = new Map();
  for (const task of tasks) for (const waiter of task.awaited_by) {
    if (!below.has(waiter)) below.set(waiter, []);
    below.get(waiter).push(task);
  }
  const rows = [], seen = new Set();
  for (const root of [...tasks.filter((task) => !task.awaited_by.length), ...tasks]) {
    const todo = [[root, 0]];
    while (todo.length) {
      const [task, depth] = todo.pop();
      if (seen.has(task.id)) continue;
      seen.add(task.id);
      rows.push({ task, depth });
      for (const child of (below.get(task.id) ?? []).toReversed()) todo.push([child, depth + 1]);
    }
  }
  return rows;
}

function rowHeight() {
  return parseFloat(getComputedStyle(document.documentElement).getPropertyValue("--row")) * parseFloat(getComputedStyle(document.documentElement).fontSize);
}

function draw() {
  const list = element("list"), space = element("space"), height = rowHeight();
  space.style.height = `${state.shown.length * height}px`;
  const first = Math.max(0, Math.floor(list.scrollTop / height) - 5);
  const last = Math.min(state.shown.length, Math.ceil((list.scrollTop + list.clientHeight) / height) + 5);
  const rows = [];
  for (let index = first; index < last; index++) rows.push(row(index, height));
  space.replaceChildren(...rows);
  const active = state.shown.findIndex((shown) => shown.task.id === state.chosen);
  if (active >= first && active < last) list.setAttribute("aria-activedescendant", `row${state.chosen}`);
  else list.removeAttribute("aria-activedescendant");
}

function row(index, height) {
  const { task, depth } = state.shown[index];
  const made = node("div", undefined, "row");
  made.id = `row${task.id}`;
  made.setAttribute("role", "option");
  made.setAttribute("aria-selected", String(task.id === state.chosen));
  made.setAttribute("aria-posinset", index + 1);
  made.setAttribute("aria-setsize", state.shown.length);
  made.style.top = `${index * height}px`;
  const name = node("span", shortened(task.name), "name");
  name.style.paddingLeft = `${Math.min(depth, 20)}rem`;
  made.append(name, node("span", task.lost ? "lost?" : task.state, task.lost ? "lost" : "state"), node("span", age(element("order").value === "cpu_time" ? task.cpu_time : task.age), "age"), node("span", task.waits_for, "waits"), node("span", task.place, "place"));
  made.addEventListener("click", () => choose(task.id, false));
  return made;
}

function choose(id, bringIntoView) {
  state.chosen = id;
  if (bringIntoView && !state.shown.some((shown) => shown.task.id === id)) {
    element("filter").value = element("state").value = "";
    arrange();
  }
  const index = state.shown.findIndex((shown) => shown.task.id === id);
  const list = element("list"), height = rowHeight();
  if (index * height < list.scrollTop) list.scrollTop = index * height;
  else if ((index + 1) * height > list.scrollTop + list.clientHeight) list.scrollTop = (index + 1) * height - list.clientHeight;
  draw();
  showDetails();
}

function showDetails() {
  const task = state.byId.get(state.chosen);
  element("details").hidden = state.chosen === null;
  if (state.chosen === null) return;
  if (!task) {
    element("details-title").textContent = "This task has ended";
    return;
  }
  element("details-title").textContent = task.name;
  const facts = [["State", task.state + (task.lost ? ", lost?" : "")], ["Age", age(task.age) || "not noted"], ["Processor time", age(task.cpu_time) || "counted while yibu.observe() is on"], ["Waits for", task.waits_for || "nothing"]];
  const list = facts.flatMap(([name, value]) => [node("dt", name), node("dd", value)]);
  const waiters = node("dd");
  for (const id of task.awaited_by) if (state.byId.has(id)) waiters.append(jump(id));
  if (!waiters.childNodes.length) waiters.textContent = "nobody";
  element("facts").replaceChildren(...list, node("dt", "Awaited by"), waiters);
  fillStack(element("stack"), task.stack);
}

element("list").addEventListener("scroll", draw);
element("list").addEventListener("keydown", (event) => {
  const now = state.shown.findIndex((shown) => shown.task.id === state.chosen);
  const page = Math.max(1, Math.floor(element("list").clientHeight / rowHeight()) - 1);
  const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity };
  if (!(event.key in steps) || !state.shown.length) return;
  event.preventDefault();
  choose(state.shown[Math.min(state.shown.length - 1, Math.max(0, now + steps[event.key]))].task.id, false);
});
for (const id of ["filter", "state", "order"]) element(id).addEventListener("input", arrange);
element("controls").addEventListener("submit", (event) => event.preventDefault());
element("pause").addEventListener("click", () => {
  state.paused = !state.paused;
  element("pause").setAttribute("aria-pressed", String(state.paused));
  summarize();
});
for (const button of document.querySelectorAll("nav button")) {
  // Not links: the part of the address behind # is the token.
  button.addEventListener("click", () => {
    const heading = element(button.dataset.to);
    heading.scrollIntoView({ block: "start" });
    heading.focus({ preventScroll: true });
  });
}
addEventListener("resize", draw);
ask();
