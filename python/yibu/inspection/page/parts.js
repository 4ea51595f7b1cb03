// What the page shows beside the tasks: loops, locks and queues, blockages, coroutines, connections, executors.

import { KEPT, age, bytes, chart, duration, element, frameText, keyed, node, number, percent, setText, table } from "./show.js";

const LINES = new Map();
const BEFORE = new Map();

export function showParts(tree, seconds, jump) {
  showLoops(tree);
  showResources(tree, jump);
  showBlockages(tree);
  showFunctions(tree, jump);
  showConnections(tree, seconds, jump);
  showExecutors(tree);
}

// The busy part of the time since the last look; where a loop counts nothing, the processor time of its thread.
function utilisation(loop) {
  const now = loop.metrics, before = BEFORE.get(loop.id);
  BEFORE.set(loop.id, now);
  if (!now || now.running_seconds === null) return loop.busy ?? 0;
  const ran = now.running_seconds - (before?.running_seconds ?? 0), idle = now.idle_seconds - (before?.idle_seconds ?? 0);
  return ran > 0 ? Math.min(Math.max(1 - idle / ran, 0), 1) : 0;
}

function showLoops(tree) {
  for (const loop of tree.loops) {
    const lines = LINES.get(loop.id) ?? { busy: [], lag: [] };
    lines.busy = [...lines.busy, utilisation(loop)].slice(-KEPT);
    if (loop.lag !== null) lines.lag = [...lines.lag, loop.lag].slice(-KEPT);
    LINES.set(loop.id, lines);
  }
  const make = () => {
    const item = node("article");
    item.busy = chart("Busy");
    item.late = chart("Late");
    item.append(node("h3"), node("p"), item.busy, item.late, node("code"));
    return item;
  };
  keyed(element("loops"), tree.loops.map((loop) => [String(loop.id), loop]), make, (item, loop) => {
    const { busy, lag } = LINES.get(loop.id), metrics = loop.metrics;
    setText(item.querySelector("h3"), `${loop.kind} ${loop.thread ? `in thread ${loop.thread_name || loop.thread}` : "(not running)"}`);
    const facts = [`${number(loop.tasks)} tasks`];
    if (loop.busy !== null) facts.push(`${percent(loop.busy)} of a processor`);
    if (metrics) {
      facts.push(`${number(metrics.ready)} ready`, `${number(metrics.timers)} timers`, `${number(metrics.steps)} steps`);
      if (metrics.received_bytes !== null) facts.push(`${bytes(metrics.received_bytes)} in, ${bytes(metrics.sent_bytes)} out`);
      if (metrics.lag) facts.push(`lag ${duration(metrics.lag.p50)} (half), ${duration(metrics.lag.p99)} (99 %)`);
    }
    setText(item.querySelector("p"), facts.join(" · "));
    item.busy.draw(busy, 1, `${percent(busy.at(-1))} of the time, at most ${percent(Math.max(...busy))}`);
    const most = Math.max(...lag, 0);
    item.late.draw(lag, Math.max(most, 0.01), lag.length ? `by ${duration(lag.at(-1))}, at most ${duration(most)}` : "not known of this loop");
    setText(item.querySelector("code"), loop.stack.length ? `now at ${frameText(loop.stack.at(-1))}` : "");
  });
}

const plural = (count, word) => `${number(count)} ${word}${count === 1 ? "" : "s"}`;

function shownTasks(ids, total) {
  return { text: total > 3 ? `${number(total)}: ` : "", tasks: ids.slice(0, 3) };
}

const RESOURCES = [
  { name: "What", value: (row) => row.name, show: (row) => row.name },
  { name: "Waiting", value: (row) => row.waiting, show: (row) => row.waiting ? plural(row.waiting, row.wanted.length === 1 ? row.wanted[0] : "task") : "nobody" },
  { name: "Waiting tasks", value: (row) => row.waiting, show: (row) => shownTasks(row.waiters, row.waiting) },
  { name: "Held by", value: (row) => row.holders.length, show: (row) => ({ ...shownTasks(row.holders, row.holders.length), text: row.kind === "lock" && !row.holders.length ? "not known" : "" }) },
  { name: "For", number: true, value: (row) => row.held, show: (row) => age(row.held) },
  { name: "Items", number: true, value: (row) => row.items, show: (row) => row.items === null ? "" : `${number(row.items)}${row.limit === null ? "" : ` of ${number(row.limit)}`}` },
  { name: "Growth", number: true, value: (row) => row.growth, show: (row) => ({ text: row.growth ? `${row.growth > 0 ? "+" : "−"}${number(Math.abs(row.growth))}` : "", bad: row.growth > 0 && row.items > 100 }) },
  { name: "Used by", value: (row) => row.users.length, show: (row) => shownTasks(row.users, row.users.length) },
];

function showResources(tree, jump) {
  const rows = tree.resources.map((row) => ({ ...row, key: String(row.id) }));
  const more = table(element("resources"), RESOURCES, rows, { jump, sort: "-1" });
  setText(element("resources-note"), rows.length ? more : "No task waits for a lock, an event or a queue, and no queue has items.");
}

const CAUSES = {
  computes: "it computes", "system call": "it waits in a system call", lock: "it waits for a lock of threads",
  interpreter: "another thread keeps the interpreter", processor: "it gets the processor late", unknown: "cause not known",
};

function showBlockages(tree) {
  const limit = tree.watch_threshold;
  setText(element("blockages-note"), limit === null
    ? "Nobody watches the loops of this process: yibu.watch()."
    : `${tree.blockages.length ? "" : "None so far. "}The last ten steps of ${duration(limit)} and longer are listed.`);
  const make = (one) => {
    const item = node("details");
    item.append(node("summary"), node("p"), node("ol"));
    const open = JSON.stringify(one.stack);
    item.dataset.stack = open;
    fillStack(item.querySelector("ol"), one.stack);
    return item;
  };
  keyed(element("blockages"), tree.blockages.slice(0, 10).map((one) => [`${one.loop} ${one.number}`, one]), make, (item, one) => {
    const frame = one.stack.at(-1);
    const time = new Date(1000 * one.when).toLocaleTimeString();
    setText(item.querySelector("summary"), `${time}: ${one.over ? "" : "for "}${duration(one.seconds)}${one.over ? "" : " so far"}${frame ? ` at ${frameText(frame)}` : ""}, ${CAUSES[one.cause] ?? one.cause}`);
    item.classList.toggle("bad", !one.over);
    setText(item.querySelector("p"), `${one.task === null ? "In a callback" : `In task ${one.task}`}, in thread ${one.thread}. From the outermost call inwards:`);
    const sign = JSON.stringify(one.stack);
    if (item.dataset.stack !== sign) {
      item.dataset.stack = sign;
      fillStack(item.querySelector("ol"), one.stack);
    }
  });
}

export function fillStack(list, stack) {
  list.replaceChildren(...stack.map((frame) => {
    const item = node("li");
    item.append(node("code", `${frame.function} (${frame.file}:${frame.line})`));
    return item;
  }));
}

const FUNCTIONS = [
  { name: "Function", value: (row) => row.name, show: (row) => row.file ? frameText({ function: row.name, file: row.file, line: row.line }) : row.name },
  { name: "Busy", number: true, value: (row) => row.busy, show: (row) => duration(row.busy) },
  { name: "A step", number: true, value: (row) => row.busy / Math.max(row.polls, 1), show: (row) => row.polls ? duration(row.busy / row.polls) : "" },
  { name: "Slow steps", number: true, value: (row) => row.slow_polls, show: (row) => ({ text: number(row.slow_polls), bad: row.slow_polls > 0 }) },
  { name: "Steps", number: true, minor: true, value: (row) => row.polls, show: (row) => number(row.polls) },
  { name: "Tasks", number: true, minor: true, value: (row) => row.count, show: (row) => number(row.count) },
  { name: "Ready, not run", number: true, value: (row) => row.scheduled, show: (row) => duration(row.scheduled) },
];

function showFunctions(tree, jump) {
  const observed = tree.loops.filter((loop) => loop.metrics?.functions);
  const rows = observed.flatMap((loop) => loop.metrics.functions.map((row) => ({ ...row, key: `${loop.id} ${row.name} ${row.file} ${row.line}` })));
  const more = table(element("functions"), FUNCTIONS, rows, { jump, sort: "-1", limit: 30 });
  setText(element("functions-note"), observed.length
    ? `Since somebody observes (${age(Math.max(...observed.map((loop) => loop.metrics.observed_seconds)))}). ${more}`
    : "Not counted. Call yibu.observe() in the program to have it counted from then on; it costs a few per cent of the processor time of programs that do nothing but step.");
}

const CONNECTIONS = [
  { name: "Peer", value: (row) => row.peer || row.local, show: (row) => row.peer || (row.local ? `at ${row.local}` : `descriptor ${row.descriptor}`) },
  { name: "Kind", value: (row) => row.kind, show: (row) => row.kind },
  { name: "In", number: true, value: (row) => row.received, show: (row) => bytes(row.received) },
  { name: "Out", number: true, value: (row) => row.sent, show: (row) => bytes(row.sent) },
  { name: "In a second", number: true, value: (row) => row.inRate, show: (row) => bytes(row.inRate) },
  { name: "Out a second", number: true, value: (row) => row.outRate, show: (row) => bytes(row.outRate) },
  { name: "Unsent", number: true, value: (row) => row.unsent, show: (row) => ({ text: bytes(row.unsent), bad: row.high_water !== null && row.unsent > row.high_water }) },
  { name: "Reads", value: (row) => String(row.reading), show: (row) => ({ text: row.reading ? "yes" : "paused", bad: !row.reading }) },
  { name: "Local", minor: true, value: (row) => row.local, show: (row) => row.local },
  { name: "Protocol", minor: true, value: (row) => row.protocol, show: (row) => row.protocol },
];
const MOVED = new Map();

function showConnections(tree, seconds, jump) {
  const rows = tree.connections.map((row) => {
    const key = `${row.loop} ${row.descriptor} ${row.peer} ${row.local}`;
    const before = MOVED.get(key), known = row.received !== null && before && seconds > 0;
    const rate = (now, then) => known && now >= then ? (now - then) / seconds : null;
    return { ...row, key, inRate: rate(row.received, before?.received), outRate: rate(row.sent, before?.sent) };
  });
  MOVED.clear();
  for (const row of rows) MOVED.set(row.key, row);
  const show = () => {
    const words = element("connections-filter").value.toLowerCase().trim();
    const wanted = words ? rows.filter((row) => `${row.peer} ${row.local} ${row.kind} ${row.protocol}`.toLowerCase().includes(words)) : rows;
    const more = table(element("connections"), CONNECTIONS, wanted, { jump, sort: "-2" });
    const paused = rows.filter((row) => !row.reading).length, unsent = rows.reduce((sum, row) => sum + row.unsent, 0);
    setText(element("connections-note"), rows.length
      ? `${plural(rows.length, "connection")}${paused ? `, ${number(paused)} not read from` : ""}, ${bytes(unsent)} unsent. The kernel counts the bytes of TCP only. ${more}`
      : "No transport of a loop has a socket.");
  };
  element("connections-filter").oninput = show;
  show();
}

function showExecutors(tree) {
  setText(element("executors-note"), tree.executors.length ? "" : "No loop has a default executor so far: nothing has called run_in_executor() or to_thread().");
  const make = () => {
    const item = node("article");
    item.append(node("p"), node("ul", undefined, "jobs"), node("ul", undefined, "workers"));
    return item;
  };
  keyed(element("executors"), tree.executors.map((one) => [String(one.loop), one]), make, (item, one) => {
    const known = one.threads !== null;
    setText(item.querySelector("p"), known ? `${one.kind}: ${plural(one.threads, "thread")}, ${plural(one.queued, "job")} waiting for one` : `${one.kind}, which yibu knows nothing about`);
    keyed(item.querySelector(".jobs"), one.jobs.map((job) => [job.function, job]), () => node("li"), (line, job) => {
      setText(line, `${job.function}: ${number(job.running)} running, ${number(job.queued)} waiting`);
    });
    keyed(item.querySelector(".workers"), one.workers.map((worker) => [worker.name, worker]), () => node("li"), (line, worker) => {
      setText(line, `${worker.name}: ${worker.frame ? frameText(worker.frame) : "no Python code"}`);
    });
  });
}
