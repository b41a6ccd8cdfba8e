"use strict";

// Tables sort by a click on a heading: upwards, downwards, as they were.
const NEXT = { none: "ascending", ascending: "descending", descending: "none" };
const WORDS = new Intl.Collator("en", { numeric: true });

function key(row, k) {
  const cell = row.cells[k];
  if (cell.dataset.value !== undefined) return Number(cell.dataset.value);
  return cell.querySelector(".text").textContent;
}

function compare(a, b) {
  const numbers = typeof a === "number" && typeof b === "number";
  if (numbers) return a < b ? -1 : a > b ? 1 : 0;
  return typeof a === typeof b ? WORDS.compare(a, b) : 0;
}

// Numbers, then words, then what is empty, in either direction.
function rank(value) {
  return typeof value === "number" ? 0 : value === "" ? 2 : 1;
}

function sort(table, k, direction, rows) {
  const sign = direction === "descending" ? -1 : 1;
  const keyed = rows.map((row) => [key(row, k), row]);
  if (direction !== "none") {
    keyed.sort(([a], [b]) => rank(a) - rank(b) || sign * compare(a, b));
  }
  table.tBodies[0].append(...keyed.map(([, row]) => row));
}

for (const table of document.querySelectorAll("table")) {
  const rows = [...table.tBodies[0].rows];
  const headings = [...table.tHead.rows[0].cells];
  headings.forEach((heading, k) => {
    heading.querySelector("button").addEventListener("click", () => {
      const direction = NEXT[heading.getAttribute("aria-sort") ?? "none"];
      for (const each of headings) each.removeAttribute("aria-sort");
      if (direction !== "none") heading.setAttribute("aria-sort", direction);
      sort(table, k, direction, rows);
    });
  });
}

// Light or dark; remembered where the browser lets a file remember.
const root = document.documentElement;
const scheme = document.getElementById("scheme");

function remembered() {
  try {
    return localStorage.getItem("scheme");
  } catch {
    return null;
  }
}

function remember(value) {
  try {
    localStorage.setItem("scheme", value);
  } catch {
    // A browser may forbid it; the choice then lasts as long as the page is open.
  }
}

function isDark() {
  return (root.dataset.scheme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
}

if (["light", "dark"].includes(remembered())) root.dataset.scheme = remembered();
scheme.hidden = false;
scheme.addEventListener("click", () => {
  root.dataset.scheme = isDark() ? "light" : "dark";
  remember(root.dataset.scheme);
});

// The contents: folded again after a choice on a phone, the section in view marked at the side.
const folded = document.querySelector(".folded details");
folded?.addEventListener("click", (event) => {
  if (event.target.closest("a")) folded.open = false;
});

// What captions fold is on paper, too.
let unfolded = [];
addEventListener("beforeprint", () => {
  unfolded = [...document.querySelectorAll("figcaption details:not([open])")];
  for (const details of unfolded) details.open = true;
});
addEventListener("afterprint", () => {
  for (const details of unfolded) details.open = false;
});

const links = new Map(
  [...document.querySelectorAll(".side a")].map((link) => [link.getAttribute("href").slice(1), link]),
);
const watch = new IntersectionObserver(
  (entries) => {
    for (const { target, isIntersecting } of entries) {
      const link = links.get(target.getAttribute("aria-labelledby"));
      if (isIntersecting) link?.setAttribute("aria-current", "true");
      else link?.removeAttribute("aria-current");
    }
  },
  { rootMargin: "-15% 0px -80% 0px" },
);
for (const section of document.querySelectorAll("section")) watch.observe(section);

// What is wider than its frame says so.
const frames = new ResizeObserver((entries) => {
  for (const { target } of entries) {
    const hint = target.parentElement.querySelector(".hint");
    if (hint) hint.hidden = target.scrollWidth <= target.clientWidth + 1;
  }
});
for (const frame of document.querySelectorAll(".scroll, .canvas")) frames.observe(frame);

// Marks of figures: their values where the pointer is, or at the mark that the arrow keys have reached;
// a trial that is picked, by a click or by Enter, is marked everywhere.
const tip = document.getElementById("tip");
const picks = document.getElementById("picks");
const texts = new WeakMap();
const picked = new Map();

function textOf(mark) {
  const title = [...mark.children].find((child) => child.tagName === "title");
  if (title) {
    texts.set(mark, title.textContent);
    title.remove(); // the browser would show it a second time
  }
  return texts.get(mark);
}

function markAt(event) {
  for (let at = event.target; at?.closest?.(".marks"); at = at.parentElement) {
    if (textOf(at)) return at;
  }
  return null;
}

function place(x, y) {
  const { width, height } = tip.getBoundingClientRect();
  const left = Math.min(x + 14, innerWidth - width - 8);
  const above = y + 18 + height > innerHeight;
  tip.style.setProperty("--x", `${Math.max(8, left)}px`);
  tip.style.setProperty("--y", `${above ? y - height - 10 : y + 18}px`);
}

function show() {
  for (const mark of document.querySelectorAll("svg .picked")) mark.classList.remove("picked");
  for (const number of picked.keys()) {
    for (const mark of document.querySelectorAll(`svg [data-trial="${number}"]`)) mark.classList.add("picked");
  }
  document.body.classList.toggle("picking", picked.size > 0);
  picks.hidden = picked.size === 0;
  picks.querySelector("ul").replaceChildren(
    ...[...picked.values()].map((text) => {
      const item = document.createElement("li");
      item.textContent = text;
      return item;
    }),
  );
}

function clear() {
  picked.clear();
  show();
}

function say(mark, x, y) {
  tip.hidden = mark === null;
  tip.textContent = mark ? textOf(mark) : "";
  if (mark) place(x, y);
}

function pick(mark) {
  const number = mark?.closest("[data-trial]")?.dataset.trial;
  if (number === undefined) return;
  if (!picked.delete(number)) picked.set(number, textOf(mark));
  show();
}

const STEPS = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };

function withKeys(drawing, marks) {
  let reached = -1;
  const reach = (next) => {
    marks[reached]?.classList.remove("reached");
    reached = next;
    marks[reached]?.classList.add("reached");
  };
  drawing.setAttribute("tabindex", "0");
  drawing.addEventListener("blur", () => {
    reach(-1);
    say(null);
  });
  drawing.addEventListener("keydown", (event) => {
    const step = STEPS[event.key];
    if (step) {
      reach(reached < 0 && step < 0 ? marks.length - 1 : (reached + step + marks.length) % marks.length);
      const { x, y, width, height } = marks[reached].getBoundingClientRect();
      say(marks[reached], x + width / 2, y + height / 2);
    } else if (event.key === "Enter" || event.key === " ") pick(marks[reached]);
    else return;
    event.preventDefault();
  });
}

for (const drawing of document.querySelectorAll(".drawing svg")) {
  const marks = [...drawing.querySelectorAll(".marks, .marks *")].filter(textOf);
  if (marks.length) withKeys(drawing, marks);
  drawing.addEventListener("pointerover", (event) => say(markAt(event), event.clientX, event.clientY));
  drawing.addEventListener("pointermove", (event) => {
    if (!tip.hidden) place(event.clientX, event.clientY);
  });
  drawing.addEventListener("pointerleave", (event) => {
    if (event.pointerType !== "touch") say(null); // after a finger it stays until the next touch
  });
  drawing.addEventListener("click", (event) => {
    const mark = markAt(event);
    pick(mark);
    // On a phone the box would lie over the list, which says the same.
    if (event.pointerType === "touch" && mark?.closest("[data-trial]")) say(null);
  });
}
document.addEventListener("pointerdown", (event) => {
  if (!markAt(event)) say(null);
});
picks.querySelector(".clear").addEventListener("click", clear);
picks.querySelector(".hide").addEventListener("click", () => {
  picks.hidden = true; // until another trial is picked; the marks stay
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") clear();
});
