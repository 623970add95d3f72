"use strict";
(() => {
  const all = (what, within = document) => [...within.querySelectorAll(what)];
  document.documentElement.classList.add("live");

  // ---------------------------------------------------------------- tables: sorting
  const cellValue = (cell) => {
    const given = cell.dataset.v;
    if (given !== undefined) return Number(given);
    const words = cell.textContent.trim();
    const number = Number(words.replaceAll(",", ""));
    return words !== "" && !Number.isNaN(number) ? number : words.toLowerCase();
  };
  const compare = (a, b) => {
    if (typeof a === "number" && typeof b === "number") return a - b;
    if (a === "" || b === "") return (a === "") - (b === "");
    if (typeof a !== typeof b) return typeof a === "number" ? -1 : 1;
    return a < b ? -1 : a > b ? 1 : 0;
  };
  const sortBy = (table, head, column) => {
    const falling = head.getAttribute("aria-sort") === "ascending";
    all("th", table.tHead).forEach((other) => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", falling ? "descending" : "ascending");
    const body = table.tBodies[0];
    const keyed = [...body.rows].map((row) => [cellValue(row.cells[column]), row]);
    const empty = (key) => key === "";
    keyed.sort(([a], [b]) => (empty(a) || empty(b) ? empty(a) - empty(b) : falling ? compare(b, a) : compare(a, b)));
    keyed.forEach(([, row]) => body.append(row));
  };
  for (const table of all("table.sortable")) {
    [...table.tHead.rows[0].cells].forEach((head, column) => {
      if (head.textContent.trim() === "") return;
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => sortBy(table, head, column));
    });
  }

  // ---------------------------------------------------------------- tables: filters
  const TERM = /^([^<>=]+)(<=|>=|<|>|=)(.+)$/;
  const HOLDS = {
    "<": (a, b) => a < b, "<=": (a, b) => a <= b, ">": (a, b) => a > b, ">=": (a, b) => a >= b, "=": (a, b) => a === b,
  };
  const columnOf = (table, key) => {
    const heads = [...table.tHead.rows[0].cells].map((head) => (head.dataset.key ?? head.textContent).trim().toLowerCase());
    const exact = heads.indexOf(key);
    return exact >= 0 ? exact : heads.findIndex((head) => head.includes(key));
  };
  // A term is a word that the row holds, or a column compared with a number; all terms must hold.
  const accepts = (table, term) => {
    const found = TERM.exec(term);
    const column = found ? columnOf(table, found[1]) : -1;
    if (column < 0) return (row) => row.textContent.toLowerCase().includes(term);
    const limit = Number(found[3].replaceAll(",", ""));
    if (Number.isNaN(limit)) return (row) => found[2] === "=" && row.cells[column].textContent.trim().toLowerCase() === found[3];
    return (row) => {
      const value = cellValue(row.cells[column]);
      return typeof value === "number" && HOLDS[found[2]](value, limit);
    };
  };
  const filters = new Map();
  const applyFilters = (table) => {
    const tests = filters.get(table) ?? [];
    const rows = [...table.tBodies[0].rows];
    for (const row of rows) row.hidden = !tests.every((test) => test(row));
    const shown = rows.filter((row) => !row.hidden).length;
    for (const count of all(`[data-count="${table.id}"]`)) {
      count.textContent = shown === rows.length ? "" : `${shown} of ${rows.length} rows`;
    }
    table.dispatchEvent(new CustomEvent("filtered"));
  };
  const readFilters = (table) => {
    const tests = [];
    for (const field of all(`input[data-filter="${table.id}"]`)) {
      const terms = field.value.toLowerCase().replace(/\s*(<=|>=|<|>|=)\s*/g, "$1").split(/\s+/);
      tests.push(...terms.filter(Boolean).map((term) => accepts(table, term)));
    }
    for (const choice of all(`select[data-states="${table.id}"]`)) {
      const wanted = choice.value.split(" ").filter(Boolean);
      if (wanted.length) tests.push((row) => wanted.includes(row.dataset.state));
    }
    filters.set(table, tests);
    applyFilters(table);
  };
  for (const field of all("[data-filter], [data-states]")) {
    const table = document.getElementById(field.dataset.filter ?? field.dataset.states);
    field.addEventListener("input", () => readFilters(table));
  }

  // ---------------------------------------------------------------- what a mark means
  const tip = document.getElementById("tip");
  let pointed = null;
  const placeTip = () => {
    if (!pointed) return;
    const box = pointed.getBoundingClientRect();
    const room = document.documentElement.clientWidth - tip.offsetWidth - 8;
    const above = box.top - tip.offsetHeight - 10;
    tip.style.left = `${Math.max(8, Math.min(room, box.left + box.width / 2 - tip.offsetWidth / 2))}px`;
    tip.style.top = `${above < 4 ? box.bottom + 10 : above}px`;
  };
  const hideTip = () => { pointed = null; tip.hidden = true; };
  const showTip = (mark, lines) => {
    tip.replaceChildren(...lines.map((words, line) => {
      const part = document.createElement(line ? "div" : "strong");
      part.textContent = words;
      return part;
    }));
    pointed = mark;
    tip.hidden = false;
    placeTip();
  };
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") hideTip(); });
  addEventListener("scroll", placeTip, { passive: true, capture: true });

  // ---------------------------------------------------------------- designs over two figures
  const plot = document.getElementById("plot");
  if (!plot) return;
  const data = JSON.parse(document.getElementById("plot-data").textContent);
  const { left, right, top, bottom } = data.frame;
  const marks = all("g.point", plot);
  const table = document.getElementById("designs");
  const rows = new Map([...table.tBodies[0].rows].map((row) => [Number(row.dataset.design), row]));
  const [xChoice, yChoice] = [document.getElementById("x-axis"), document.getElementById("y-axis")];
  let chosen = null;

  const share = (axis, value) => {
    const of = axis.log ? Math.log10 : (number) => number;
    return (of(value) - of(axis.low)) / (of(axis.high) - of(axis.low));
  };
  const holds = (axis, value) => value !== null && axis.low <= value && value <= axis.high;
  const across = (axis, value) => left + share(axis, value) * (right - left);
  const up = (axis, value) => bottom - share(axis, value) * (bottom - top);
  const shape = (tag, attributes, words) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    if (words !== undefined) made.textContent = words;
    return made;
  };
  const grid = (x, y) => [
    ...x.ticks.flatMap(([value, words]) => [
      shape("line", { x1: across(x, value), y1: top, x2: across(x, value), y2: bottom, class: "rule" }),
      shape("text", { x: across(x, value), y: bottom + 18, "text-anchor": "middle", class: "tick" }, words),
    ]),
    ...y.ticks.flatMap(([value, words]) => [
      shape("line", { x1: left, y1: up(y, value), x2: right, y2: up(y, value), class: "rule" }),
      shape("text", { x: left - 8, y: up(y, value) + 4, "text-anchor": "end", class: "tick" }, words),
    ]),
    shape("text", { x: (left + right) / 2, y: bottom + 42, "text-anchor": "middle", class: "caption" }, x.caption),
    shape("text", { x: left, y: top - 12, class: "caption" }, y.caption),
  ];
  // Designs that no other one is at least as good as in both figures, by the first one.
  const best = (points, x, y) => {
    const ordered = [...points].sort((a, b) => x.toward * (b.x - a.x) || y.toward * (b.y - a.y));
    const kept = [];
    for (const point of ordered) if (!kept.length || y.toward * (point.y - kept.at(-1).y) > 0) kept.push(point);
    return kept;
  };
  const stairs = (points, x, y) => points.map((point, number) => {
    const place = [across(x, point.x), up(y, point.y)];
    return number ? `H${place[0].toFixed(2)}V${place[1].toFixed(2)}` : `M${place[0].toFixed(2)} ${place[1].toFixed(2)}`;
  }).join("");

  const draw = () => {
    const [xAt, yAt] = [Number(xChoice.value), Number(yChoice.value)];
    const [x, y] = [data.axes[xAt], data.axes[yAt]];
    plot.querySelector(".grid").replaceChildren(...grid(x, y));
    const candidates = [];
    for (const mark of marks) {
      const at = Number(mark.dataset.design);
      const [a, b] = [data.designs[at].values[xAt], data.designs[at].values[yAt]];
      const there = holds(x, a) && holds(y, b);
      mark.classList.toggle("absent", !there);
      if (!there) continue;
      mark.setAttribute("transform", `translate(${across(x, a).toFixed(2)} ${up(y, b).toFixed(2)})`);
      if (data.designs[at].weighed) candidates.push({ at, x: a, y: b });
    }
    const line = x.toward && y.toward ? best(candidates, x, y) : [];
    plot.querySelector(".stairs").setAttribute("d", stairs(line, x, y));
    const members = new Set(line.map((point) => point.at));
    for (const mark of marks) mark.classList.toggle("best", members.has(Number(mark.dataset.design)));
    follow();
    nameMarks();
  };
  const place = (mark) => mark.getAttribute("transform").match(/-?[\d.]+/g).map(Number);
  // Names of the front keep clear of one another.
  const nameMarks = () => {
    const front = shownMarks().filter((mark) => mark.classList.contains("front"));
    const kept = [];
    for (const mark of front) {
      const [a, b] = place(mark);
      const clear = front.length <= data.names.most &&
        kept.every(([c, d]) => Math.abs(a - c) >= data.names.width || Math.abs(b - d) >= data.names.height);
      mark.querySelector("text").classList.toggle("crowded", !clear);
      if (clear) kept.push([a, b]);
    }
  };
  const shownMarks = () => {
    return marks.filter((mark) => !mark.classList.contains("absent") && !mark.classList.contains("out"))
      .sort((a, b) => place(a)[0] - place(b)[0] || place(a)[1] - place(b)[1]);
  };
  // Marks follow the table's filter; one of them is in the order of the tab key, arrow keys lead to the others.
  const follow = () => {
    for (const mark of marks) mark.classList.toggle("out", rows.get(Number(mark.dataset.design))?.hidden ?? false);
    const shown = shownMarks();
    const stop = shown.includes(chosen) ? chosen : shown[0];
    for (const mark of marks) mark.tabIndex = mark === stop ? 0 : -1;
  };
  const point = (mark) => {
    const at = Number(mark.dataset.design);
    showTip(mark, data.designs[at].tip);
    for (const [number, row] of rows) row.classList.toggle("pointed", number === at);
  };
  const leave = () => { hideTip(); for (const row of rows.values()) row.classList.remove("pointed"); };
  const open = (mark) => {
    const row = rows.get(Number(mark.dataset.design));
    hideTip();
    row.scrollIntoView({ block: "center" });
    row.classList.add("pointed");
  };
  for (const mark of marks) {
    mark.querySelector("title")?.remove();
    mark.addEventListener("pointerenter", () => point(mark));
    mark.addEventListener("pointerleave", leave);
    mark.addEventListener("focus", () => { chosen = mark; point(mark); });
    mark.addEventListener("blur", leave);
    mark.addEventListener("click", () => open(mark));
    mark.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 }[event.key];
      if (event.key === "Enter") open(mark);
      if (!step) return;
      event.preventDefault();
      const shown = shownMarks();
      const next = shown[shown.indexOf(mark) + step];
      if (!next) return;
      [mark.tabIndex, next.tabIndex] = [-1, 0];
      next.focus({ preventScroll: true });
    });
  }
  for (const [number, row] of rows) {
    const mark = marks.find((one) => Number(one.dataset.design) === number);
    row.addEventListener("pointerenter", () => mark?.classList.add("pointed"));
    row.addEventListener("pointerleave", () => mark?.classList.remove("pointed"));
  }
  xChoice.addEventListener("change", draw);
  yChoice.addEventListener("change", draw);
  table.addEventListener("filtered", follow);
  follow();
})();
