(() => {
  // The chooser: what was measured at the sizes around the number that is asked for.

  const form = document.getElementById("chooser");
  if (!form) return;
  const data = JSON.parse(form.querySelector("script").textContent);
  const output = form.querySelector(".answer");
  const ofTraining = ["top1", "gmacs", "params"];
  const leads = {
    top1: "has the highest mean accuracy",
    gmacs: "needs the fewest operations",
    params: "has the fewest parameters",
    throughput: "has the highest throughput",
    memory: "takes the least memory",
    energy: "takes the least energy",
  };
  const larger = ["top1", "throughput"];

  const make = (name, text, parent) => {
    const element = document.createElement(name);
    if (text) element.textContent = text;
    if (parent) parent.append(element);
    return element;
  };
  const link = (parent, table, text) => {
    const anchor = make("a", text, parent);
    anchor.href = `#table-${table}`;
  };

  // The number that matters of a row, with its text; null where it was not measured, and where the accuracy
  // is that of a network that was not trained.
  const valueOf = (row, matters, measured) => {
    if (measured) return measured.rows[row.contestant] || null;
    if (row[matters] === null || (matters === "top1" && row.untrained)) return null;
    return { value: row[matters], text: matters === "top1" ? "" : row[`${matters}_text`] };
  };
  const sentence = (row, own) => `${own && own.text ? `${own.text}; accuracy ` : ""}${row.text}. `;

  const atSize = (comparison, size, matters, platform) => {
    const measured = platform ? platform.measured[matters] : null;
    const rows = comparison.rows.filter((row) => row.size === size);
    const known = rows.map((row) => [row, valueOf(row, matters, measured)]).filter(([, own]) => own);
    const text = make("p", "", output);
    const where = platform ? ` on the ${platform.name}` : "";
    if (!known.length) {
      const why = rows.every((row) => row.untrained) ? "no model was trained, so nothing follows" : "not measured";
      text.textContent = `With ${rows[0].size_name}${where}: ${why}.`;
      return;
    }
    const sign = larger.includes(matters) ? -1 : 1;
    known.sort(([a, x], [b, y]) => sign * (x.value - y.value) || b.top1 - a.top1);
    const [[best, its], second] = known;
    text.textContent = `With ${best.size_name}${where}, ${best.title} ${leads[matters]}: ${sentence(best, its)}`;
    const between = (row, other) => comparison.contrasts.find((c) =>
      c.size === size && [c.a, c.b].includes(row.contestant) && [c.a, c.b].includes(other.contestant));
    const equal = known.slice(1).filter(([, other]) => other.value === its.value).map(([row]) => row.title);
    if (equal.length) text.append(`Equal to it: ${equal.join(", ")}. `);
    if (measured && second && its.low !== null && second[1].low !== null &&
        its.low <= second[1].high && second[1].low <= its.high) {
      text.append(`Its interval and that of ${second[0].title} overlap, so their order is not certain. `);
    }
    if (matters === "top1" && second) {
      const contrast = between(best, second[0]);
      if (!contrast || contrast.better !== best.contestant) {
        text.append(`No primary contrast says that it is better than ${second[0].title}, which is next. `);
      }
    }
    text.append("Rows used: ");
    link(text, comparison.accuracy_table, `accuracy with ${best.size_name}`);
    if (measured) {
      text.append(" and ");
      link(text, measured.table, measured.where);
    }
    text.append(".");
    const list = make("ul", "", output);
    const unknown = rows.filter((row) => !valueOf(row, matters, measured)).map((row) => [row, null]);
    [...known.slice(1), ...unknown].forEach(([row, other]) => {
      const contrast = between(best, row);
      const lead = other || (matters === "top1" && row.untrained) ? "" : "not measured; accuracy ";
      const item = make("li", `${row.title}: ${lead}${sentence(row, other)}` +
        (contrast ? `${contrast.text}. ` : "This pair is not a declared contrast, so there is no verdict. "), list);
      if (contrast) link(item, comparison.contrasts_table, "the contrast");
    });
    Object.entries(comparison.titles).filter(([key]) => !rows.some((row) => row.contestant === key)).forEach(
      ([, title]) => make("li", `${title}: not measured at this size.`, list));
  };

  const answer = () => {
    output.replaceChildren();
    const fields = form.elements;
    const comparison = data.comparisons[fields.comparison.value];
    const wanted = parseFloat(fields.images.value);
    const matters = fields.matters.value;
    const device = fields.device.value;
    const sizes = [...new Set(comparison.rows.map((row) => row.size))].sort((a, b) => a - b);
    const platforms = ofTraining.includes(matters) ? [null] : comparison.platforms.filter(
      (platform) => platform.kind === device && platform.measured[matters] &&
        Object.keys(platform.measured[matters].rows).length);
    if (!sizes.length) {
      make("p", "Not measured.", output);
      return;
    }
    if (!(wanted >= sizes[0] && wanted <= sizes[sizes.length - 1])) {
      const last = sizes[sizes.length - 1];
      const range = sizes[0] === last ? `Only ${last} images per class were measured`
        : `Outside what was measured, ${sizes[0]} to ${last} images per class`;
      make("p", `${range}: no answer.`, output);
      return;
    }
    if (!platforms.length) {
      const label = fields.matters.selectedOptions[0].textContent.toLowerCase();
      make("p", `Not measured: the ${label} of these models on a ${device} at the input size of this comparison.`, output);
      return;
    }
    const below = sizes.filter((size) => size <= wanted).pop();
    const above = sizes.find((size) => size >= wanted);
    if (below !== above) make("p", `${wanted} was not measured; these are the sizes next to it.`, output);
    platforms.forEach((platform) =>
      [...new Set([below, above])].forEach((size) => atSize(comparison, size, matters, platform)));
    if (platforms[0] === null) make("p", "Accuracy, operations and parameters do not depend on the device.", output);
  };
  form.addEventListener("input", answer);
  form.addEventListener("submit", (event) => event.preventDefault());
  answer();
})();
