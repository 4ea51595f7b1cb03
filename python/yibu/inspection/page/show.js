// How things are put on the page. What is there already and has not changed stays as it is, so that the keyboard's
// focus and a screen reader are not disturbed every second. Everything is set as text, never as markup.

export const KEPT = 120;

export const element = (id) => document.getElementById(id);

export function node(tag, text, className) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

export function setText(target, text) {
  if (target.textContent !== text) target.textContent = text;
}

// A name in a list or a button; one of thousands of characters would fill the page.
export function shortened(name) {
  const characters = Array.from(name);
  return characters.length > 200 ? `${characters.slice(0, 200).join("")}...` : name;
}

export function age(seconds) {
  if (seconds === null || seconds === undefined) return "";
  for (const [limit, divisor, unit] of [[1, 0.001, "ms"], [120, 1, "s"], [7200, 60, "min"], [172800, 3600, "h"]]) {
    if (seconds < limit) return `${Math.round(seconds / divisor)} ${unit}`;
  }
  return `${Math.round(seconds / 86400)} d`;
}

export function duration(seconds) {
  return seconds < 0.01 ? `${(1000 * seconds).toFixed(1)} ms` : seconds < 1 ? `${Math.round(1000 * seconds)} ms` : `${seconds.toFixed(seconds < 100 ? 2 : 0)} s`;
}

export function bytes(count) {
  if (count === null || count === undefined) return "";
  let unit = 0;
  while (count >= 1000 && unit < 4) { count /= 1000; unit++; }
  return `${unit && count < 10 ? count.toFixed(1) : Math.round(count)} ${["B", "kB", "MB", "GB", "TB"][unit]}`;
}

export const percent = (part) => `${Math.round(100 * part)} %`;

export function number(count) {
  return count === null || count === undefined ? "" : count.toLocaleString("en");
}

export function frameText(frame) {
  return frame ? `${frame.function} (${frame.file.split("/").at(-1)}:${frame.line})` : "";
}

// The children of a container by a key each; `make` builds what is not there, `update` is called for all.
export function keyed(container, items, make, update) {
  const focused = document.activeElement;
  const known = new Map([...container.children].map((child) => [child.dataset.key, child]));
  items.forEach(([key, item], index) => {
    let child = known.get(key);
    known.delete(key);
    if (!child) {
      child = make(item);
      child.dataset.key = key;
    }
    update(child, item);
    if (container.children[index] !== child) container.insertBefore(child, container.children[index] ?? null);
  });
  for (const child of known.values()) child.remove();
  if (focused !== document.activeElement && focused?.isConnected) focused.focus({ preventScroll: true });
}

const classes = (column) => `${column.number ? "number" : ""} ${column.minor ? "minor" : ""}`.trim();

// A table that is sorted by the column whose heading is pressed. A column has a name, `value` to sort by, and `show`,
// which gives a text, or {text, tasks, bad}; `jump` makes a button of a task.
export function table(target, columns, rows, { jump, sort, limit = 200 }) {
  if (!target.tHead) {
    target.dataset.sort = sort;
    const line = target.createTHead().insertRow();
    target.createTBody();
    columns.forEach((column, index) => {
      const heading = node("th", undefined, classes(column));
      heading.scope = "col";
      const button = node("button", column.name);
      button.type = "button";
      button.addEventListener("click", () => {
        const down = target.dataset.sort === String(index);
        target.dataset.sort = down ? `-${index}` : String(index);
        target.again();
      });
      heading.append(button);
      line.append(heading);
    });
  }
  target.again = () => table(target, columns, rows, { jump, sort, limit });
  const reverse = target.dataset.sort.startsWith("-");
  const by = Math.abs(Number(target.dataset.sort));
  [...target.tHead.rows[0].cells].forEach((heading, index) => {
    if (index === by) heading.setAttribute("aria-sort", (reverse ? "descending" : "ascending"));
    else heading.removeAttribute("aria-sort");
  });
  const { value } = columns[by];
  const compare = (a, b) => typeof a === "string" ? a.localeCompare(b, undefined, { numeric: true }) : (a ?? -1) - (b ?? -1);
  const sorted = rows.toSorted((a, b) => (reverse ? -1 : 1) * compare(value(a), value(b)) || (a.key < b.key ? -1 : 1));
  target.hidden = !rows.length;
  keyed(target.tBodies[0], sorted.slice(0, limit).map((row) => [row.key, row]), () => node("tr"), (line, row) => {
    columns.forEach((column, index) => {
      const cell = line.cells[index] ?? line.appendChild(node("td", undefined, classes(column)));
      const shown = column.show(row);
      const sign = JSON.stringify(shown);
      if (cell.dataset.sign === sign) return;
      cell.dataset.sign = sign;
      cell.classList.toggle("bad", Boolean(shown?.bad));
      cell.replaceChildren(shown?.text ?? shown ?? "", ...(shown?.tasks ?? []).map(jump));
    });
  });
  return sorted.length > limit ? `${limit} of ${number(sorted.length)} shown.` : "";
}

// A line of values from 0 to `top`; the last one is on the right.
export function chart(name) {
  const figure = node("figure");
  const caption = node("figcaption", name);
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", `0 0 ${KEPT} 100`);
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("role", "img");
  const area = document.createElementNS("http://www.w3.org/2000/svg", "polygon");
  const line = document.createElementNS("http://www.w3.org/2000/svg", "polyline");
  svg.append(area, line);
  figure.append(caption, svg);
  figure.draw = (values, top, words) => {
    const start = KEPT - values.length;
    const points = values.map((value, index) => `${start + index},${(98 - 96 * Math.min(value / top, 1)).toFixed(1)}`);
    line.setAttribute("points", points.join(" "));
    area.setAttribute("points", points.length ? [`${start},100`, ...points, `${KEPT - 1},100`].join(" ") : "");
    svg.setAttribute("aria-label", `${name}: ${words}`);
    setText(caption, `${name}: ${words}`);
  };
  return figure;
}
