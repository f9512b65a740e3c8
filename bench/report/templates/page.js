"use strict";
(() => {
  const make = (name, text, parent) => {
    const element = document.createElement(name);
    if (text) element.textContent = text;
    if (parent) parent.append(element);
    return element;
  };

  // --- tables: sort by a click or key on a heading, filter by a word

  const key = (cell, number) => {
    const own = cell.cloneNode(true);
    own.querySelectorAll(".beneath, .note").forEach((part) => part.remove());
    const text = own.textContent.trim();
    if (!number) return text.toLowerCase();
    const value = parseFloat(text.replace(/\u2212/g, "-").replace(/\u202f/g, "").replace(/^all \((.*)\)/, "$1"));
    return Number.isNaN(value) ? null : value;
  };
  const compare = (a, b) => (a === b ? 0 : a === null ? 1 : b === null ? -1 : a < b ? -1 : 1);

  document.querySelectorAll(".table").forEach((block) => {
    const body = block.querySelector("tbody");
    const rows = [...body.rows];
    if (rows.length < 2) return;
    const grouped = rows.map((row) => row.classList.contains("group"));
    block.querySelectorAll("th").forEach((head, place) => {
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
        const keyed = rows.map((row) => [key(row.cells[place], number), row]);
        if (now) {
          const sign = now === "ascending" ? 1 : -1;
          keyed.sort(([a], [b]) => (a === null || b === null ? compare(a, b) : sign * compare(a, b)));
        }
        rows.forEach((row, index) => row.classList.toggle("group", !now && grouped[index]));
        body.append(...keyed.map(([, row]) => row));
      });
    });
    if (rows.length < 6) return;
    const tools = make("p");
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

  // --- the chooser: what was measured at the sizes around the number that is asked for

  const form = document.getElementById("chooser");
  if (!form) return;
  const data = JSON.parse(form.querySelector("script").textContent);
  const said = form.querySelector(".said");
  const link = (parent, name) => {
    const anchor = make("a", "the rows used", parent);
    anchor.href = `#table-${name}`;
  };

  const atSize = (comparison, size, matters) => {
    const rows = comparison.rows.filter((row) => row.size === size);
    const known = rows.filter((row) => matters === "top1" || row[matters] !== null);
    const text = make("p", "", said);
    if (!known.length) {
      text.textContent = `At ${rows[0].size_name} images per class: not measured.`;
      return;
    }
    const order = (a, b) => (matters === "top1" ? b.top1 - a.top1 : a[matters] - b[matters] || b.top1 - a.top1);
    const [best] = [...known].sort(order);
    const why = matters === "top1" ? "has the highest mean accuracy" : `costs least (${best[`${matters}_words`]})`;
    text.textContent = `At ${best.size_name} images per class, ${best.title} ${why}: ${best.words}. `;
    link(text, comparison.accuracy_table);
    const list = make("ul", "", said);
    rows.filter((row) => row !== best).forEach((row) => {
      const found = comparison.contrasts.find(
        (c) => c.size === size && [c.a, c.b].includes(row.contestant) && [c.a, c.b].includes(best.contestant));
      const item = make("li", `${row.title}: ${row.words}. ` +
        (found ? `${found.words}. ` : "This pair is not a declared contrast, so there is no verdict. "), list);
      if (found) link(item, comparison.contrasts_table);
    });
  };

  const answer = () => {
    said.replaceChildren();
    const fields = form.elements;
    const comparison = data.comparisons[fields.comparison.value];
    const wanted = parseFloat(fields.images.value);
    const matters = fields.matters.value;
    const sizes = [...new Set(comparison.rows.map((row) => row.size))].sort((a, b) => a - b);
    if (!["top1", "gmacs", "params"].includes(matters)) {
      const words = fields.matters.selectedOptions[0].textContent.toLowerCase();
      make("p", `Not measured: the ${words} of these models on a ${fields.device.value}.`, said);
    } else if (!sizes.length) {
      make("p", "Not measured.", said);
    } else if (!(wanted >= sizes[0] && wanted <= sizes[sizes.length - 1])) {
      const range = `${sizes[0]} to ${sizes[sizes.length - 1]}`;
      make("p", `Outside the measured range of ${range} images per class: no answer.`, said);
    } else {
      const below = sizes.filter((size) => size <= wanted).pop();
      const above = sizes.find((size) => size >= wanted);
      if (below !== above) {
        make("p", `${wanted} was not measured; these are the sizes next to it.`, said);
      }
      [...new Set([below, above])].forEach((size) => atSize(comparison, size, matters));
      make("p", "Accuracy and cost do not depend on the device.", said);
    }
  };
  form.addEventListener("input", answer);
  form.addEventListener("submit", (event) => event.preventDefault());
  answer();
})();
