"use strict";
const make = (name, text, parent) => {
  const element = document.createElement(name);
  element.textContent = text;
  if (parent) parent.append(element);
  return element;
};

(() => {
  // --- tables: sort by a click or key on a heading, filter by a word

  const key = (cell, number) => {
    const own = cell.cloneNode(true);
    own.querySelectorAll(".beneath, .note").forEach((part) => part.remove());
    const text = own.textContent.trim();
    if (!number) return text.toLowerCase();
    const value = parseFloat(text.replace(/\u2212/g, "-").replace(/\u202f/g, "").replace(/^(all \(|< |at least )/, ""));
    return Number.isNaN(value) ? null : value;
  };
  const compare = (a, b) => (a === b ? 0 : a === null ? 1 : b === null ? -1 : a < b ? -1 : 1);

  document.querySelectorAll(".table").forEach((block) => {
    const body = block.querySelector("tbody");
    const rows = [...body.rows];
    if (rows.length < 2) return;
    const grouped = rows.map((row) => row.classList.contains("group"));
    block.querySelectorAll("th").forEach((head, column) => {
      const number = head.classList.contains("number");
      const button = make("button", head.textContent);
      button.type = "button";
      head.replaceChildren(button);
      button.addEventListener("click", () => {
        const was = head.getAttribute("aria-sort");
        const now = { null: number ? "descending" : "ascending" }[was] ||
          ((was === "descending") === number ? (number ? "ascending" : "descending") : null);
        block.querySelectorAll("th").forEach((other) => other.removeAttribute("aria-sort"));
        if (now) head.setAttribute("aria-sort", now);
        const keyed = rows.map((row) => [key(row.cells[column], number), row]);
        if (now) {
          const sign = now === "ascending" ? 1 : -1;
          keyed.sort(([a], [b]) => (a === null || b === null ? compare(a, b) : sign * compare(a, b)));
        }
        rows.forEach((row, index) => row.classList.toggle("group", !now && grouped[index]));
        body.append(...keyed.map(([, row]) => row));
      });
    });
    if (rows.length < 10) return;
    const tools = make("p", "");
    tools.className = "tools";
    const label = make("label", "Filter rows", tools);
    const input = make("input", "", label);
    input.type = "search";
    const count = make("span", "", tools);
    count.setAttribute("role", "status");
    input.addEventListener("input", () => {
      const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
      let shown = 0;
      rows.forEach((row) => {
        const text = row.textContent.toLowerCase();
        row.hidden = !words.every((word) => text.includes(word));
        shown += !row.hidden;
      });
      count.textContent = words.length ? `${shown} of ${rows.length} rows` : "";
    });
    block.querySelector(".scroll").before(tools);
  });
})();
