(() => {
  // The chooser: the advice of the report for one data set and size, and its networks in the order of a cost.

  const form = document.getElementById("chooser");
  if (!form) return;
  const { data } = JSON.parse(form.querySelector("script").textContent);
  const output = form.querySelector(".answer");
  const { data: which, size: sizes, matters } = form.elements;

  const offer = (select, labels, chosen) => {
    select.replaceChildren(...labels.map((label, index) => new Option(label, index)));
    select.value = Math.max(chosen, 0);
  };

  const start = () => {
    const own = data[which.value];
    const before = matters.selectedOptions[0]?.textContent;
    const names = own.criteria.map((one) => one.name);
    offer(sizes, own.sizes.map((size) => size.label), own.start);
    offer(matters, names, names.indexOf(before));
  };
  const answer = () => {
    const own = data[which.value];
    const size = own.sizes[sizes.value];
    const at = Number(matters.value);
    const { start: words, more } = own.criteria[at];
    const value = (row) => row.values[at];
    const known = size.rows.filter((row) => value(row) !== null);
    const rows = [...known.sort((a, b) => (more ? -1 : 1) * (value(a) - value(b))),
      ...size.rows.filter((row) => value(row) === null)];
    output.replaceChildren();
    make("p", size.advice, output);
    if (at && known.length) {
      const best = known.filter((row) => value(row) === value(known[0])).map((row) => row.name);
      make("p", `${words}: ${best.join(", ")} (${known[0].texts[at]}).`, output);
    }
    const list = make("ul", "", output);
    rows.forEach((row) => {
      const cost = at ? `${row.texts[at]}; accuracy ` : "";
      make("li", `${row.name}: ${cost}${row.accuracy}`, list);
    });
  };
  form.addEventListener("input", (event) => {
    if (event.target === which) start();
    answer();
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  start();
  answer();
})();
