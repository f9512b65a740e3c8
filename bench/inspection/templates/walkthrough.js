"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const all = (what, within = document) => [...within.querySelectorAll(what)];
const one = (what, within = document) => within.querySelector(what);
const state = { image: 0, x: 0.5, y: 0.5, models: data.models.map(() => ({ layer: 0, head: 0, channel: 0, token: null })) };

// Pictures of the page as their pixels, red, green, blue and opacity; each is decoded once.
const decoded = new Map();
function pixels(uri) {
  if (!decoded.has(uri)) {
    decoded.set(uri, (async () => {
      const image = new Image();
      image.src = uri;
      await image.decode();
      const canvas = new OffscreenCanvas(image.width, image.height);
      const context = canvas.getContext("2d", { willReadFrequently: true });
      context.drawImage(image, 0, 0);
      return context.getImageData(0, 0, image.width, image.height);
    })());
  }
  return decoded.get(uri);
}

// A picture in grey, to draw heat over.
const greys = new Map();
async function grey(uri) {
  if (!greys.has(uri)) {
    const { width, height, data: values } = await pixels(uri);
    const made = new ImageData(width, height);
    for (let at = 0; at < values.length; at += 4) {
      const light = 0.3 * values[at] + 0.59 * values[at + 1] + 0.11 * values[at + 2];
      made.data.fill(14 + 0.62 * light, at, at + 3);
      made.data[at + 3] = 255;
    }
    greys.set(uri, surface(made));
  }
  return greys.get(uri);
}

function surface(image) {
  const canvas = new OffscreenCanvas(image.width, image.height);
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}

// Values 0..1 (rows x columns) as colours, the more opaque the higher; `least` is the opacity of 0.
function heat(values, rows, columns, least = 0) {
  const made = new ImageData(columns, rows);
  values.forEach((value, k) => {
    const colour = data.heat[Math.round(value * (data.heat.length - 1))];
    made.data.set(colour, 4 * k);
    made.data[4 * k + 3] = 255 * Math.min(1, least + (1 - least) * Math.max(0, 1.2 * value - 0.1));
  });
  return surface(made);
}

// Rows `from` to `to` of a picture of values, as numbers 0..1.
async function values(uri, from = 0, to = Infinity) {
  const { width, height, data: raw } = await pixels(uri);
  const stop = Math.min(to, height) * width;
  return Float32Array.from({ length: stop - from * width }, (_, k) => raw[4 * (k + from * width)] / 255);
}

function frame(context, x, y, width, height, dashed = false) {
  context.setLineDash(dashed ? [6, 4] : []);
  for (const [colour, wide] of [["#000a", 5], [dashed ? "#8fd0ff" : "#ff9a3d", 2.5]]) {
    context.strokeStyle = colour;
    context.lineWidth = wide;
    context.strokeRect(x, y, width, height);
  }
  context.setLineDash([]);
}

// How many squares of patches lie between the edges of the image; the last ones may hang over.
const squares = ({ cut, factor }) => cut.map((side) => side / factor);
const placed = (model) => squares(model.tokens).map((count, k) => Math.floor([state.y, state.x][k] * count));

async function attention(model, own, context, side) {
  const { tokens } = model, [rows, columns] = tokens.grid, prefix = tokens.names.length;
  const [row, column] = placed(model), [down, across] = squares(tokens).map((count) => side / count);
  const query = own.token === null ? prefix + row * columns + column : own.token;
  const length = prefix + rows * columns, { rows: uri, peaks } = model.images[state.image].attention[own.layer];
  const peak = (line) => atob(peaks).charCodeAt(line * length + query);
  const heads = own.head ? [own.head - 1] : [...Array(tokens.heads).keys()];
  const sum = new Float32Array(rows * columns);
  for (const head of heads) {
    const some = await values(uri, head * length + query, head * length + query + 1);
    some.forEach((value, k) => (sum[k] += (value * peak(head)) ** 2));
  }
  const most = Math.max(...sum), shown = sum.map((value) => Math.sqrt(value / most));
  context.imageSmoothingEnabled = false;
  context.drawImage(heat(shown, rows, columns), 0, 0, columns * across, rows * down);
  if (own.token === null) frame(context, column * across, row * down, across, down);
  const unit = tokens.factor > 1 ? "Square" : "Patch";
  const best = peak(tokens.heads + own.head), from = own.token === null ? `${unit} ${row + 1},${column + 1}` : `The ${tokens.names[own.token]}`;
  const which = own.head ? `head ${own.head}` : "mean of the heads";
  return `${from}, block ${tokens.blocks[own.layer]}, ${which}: looks most at ${unit.toLowerCase()} ${Math.floor(best / columns) + 1},${(best % columns) + 1}.`;
}

async function field(model, own, context, side) {
  const one = model.fields[own.layer], cells = one.positions, scale = side / model.size;
  const at = (share) => Math.min(cells - 1, Math.floor(share * cells));
  const [y, x] = [state.y, state.x].map((share, k) => (one.middle[k] + (at(share) - Math.floor(cells / 2)) * (model.size / cells)) * scale);
  const { width, height } = await pixels(one.map);
  context.imageSmoothingEnabled = true;
  if (one.cells) {
    const [row, column] = [state.y, state.x].map((share) => Math.floor(((at(share) + 0.5) / cells) * one.cells));
    const from = (row * one.cells + column) * width;
    context.drawImage(heat(await values(one.map, from, from + width), width, width), 0, 0, side, side);
  } else {
    const half = one.half_within * scale;
    context.drawImage(heat(await values(one.map), height, width), x - side, y - side, 2 * side, 2 * side);
    frame(context, x - half / 2, y - half / 2, half, half, true);
  }
  frame(context, (at(state.x) * side) / cells, (at(state.y) * side) / cells, side / cells, side / cells);
  return `A unit here, ${model.layers[own.layer].name}, one of ${cells} x ${cells}: half of what moves it lies within ${one.half_within} of ${model.size} px${one.cells ? "" : " (dashed)"}.`;
}

async function drawPlace(canvas) {
  const k = Number(canvas.dataset.model), model = data.models[k], own = state.models[k];
  const context = canvas.getContext("2d"), side = canvas.width, wanted = JSON.stringify(state);
  const buffer = new OffscreenCanvas(side, side), drawn = buffer.getContext("2d");
  drawn.drawImage(await grey(model.images[state.image].shown), 0, 0, side, side);
  const text = await (model.tokens ? attention : field)(model, own, drawn, side);
  if (wanted !== JSON.stringify(state)) return; // another place was chosen meanwhile
  context.drawImage(buffer, 0, 0);
  document.getElementById(`status-${k}`).textContent = text;
}

async function drawChannel(canvas) {
  const k = Number(canvas.dataset.model), model = data.models[k], own = state.models[k];
  const layer = model.tokens ? model.tokens.blocks[own.layer] - 1 : own.layer, map = model.images[state.image].maps[layer];
  const { width, height } = await pixels(map.picture), rows = height / map.channels.length;
  const some = await values(map.picture, own.channel * rows, (own.channel + 1) * rows), context = canvas.getContext("2d");
  context.imageSmoothingEnabled = false;
  context.drawImage(heat(some, rows, width, 1), 0, 0, canvas.width, canvas.height);
}

async function drawPositions(canvas) {
  const model = data.models[Number(canvas.dataset.model)], [rows, columns] = model.tokens.grid, [row, column] = placed(model);
  const query = row * columns + column, some = await values(model.tokens.positions, query, query + 1), context = canvas.getContext("2d");
  const least = Math.min(...some), most = Math.max(...some), side = canvas.width;
  context.imageSmoothingEnabled = false;
  context.drawImage(heat(some.map((value) => (value - least) / (most - least || 1)), rows, columns, 1), 0, 0, side, side);
  frame(context, (column * side) / columns, (row * side) / rows, side / columns, side / rows);
}

async function drawAnswer(article) {
  const image = data.models[Number(article.dataset.model)].images[state.image], canvas = one("canvas", article);
  one(".top", article).replaceChildren(...image.top.map(([name, share]) => {
    const item = document.createElement("li"), bar = document.createElement("i");
    for (const text of [name, `${(100 * share).toFixed(share < 0.1 ? 1 : 0)} %`]) {
      const span = document.createElement("span");
      span.textContent = text;
      item.append(span);
    }
    bar.style.width = `${Math.max(0.5, 100 * share)}%`;
    item.append(bar);
    return item;
  }));
  if (!canvas) return;
  const context = canvas.getContext("2d");
  one(".below", article).textContent = `What speaks for ${image.top[0][0]}: ${image.evidence.kind}.`;
  const { width, height } = await pixels(image.evidence.map);
  context.drawImage(await grey(image.shown), 0, 0, canvas.width, canvas.height);
  context.drawImage(heat(await values(image.evidence.map), height, width), 0, 0, canvas.width, canvas.height);
}

function label(article) {
  const k = Number(article.dataset.model), model = data.models[k], own = state.models[k], { tokens } = model;
  const map = model.images[state.image].maps[tokens ? tokens.blocks[own.layer] - 1 : own.layer];
  const say = (what, text) => {
    const input = one(`input.${what}`, article);
    if (input) one("output", input.parentElement).textContent = text;
  };
  say("layer", tokens ? `${tokens.blocks[own.layer]} of ${model.layers.length}` : model.layers[own.layer].name);
  say("head", own.head ? `${own.head} of ${tokens?.heads}` : "mean of all");
  say("number", `${map.channels[own.channel]} of ${map.of}, ${map.shape.join(" x ")}`);
  all("button.token", article).forEach((button) => button.setAttribute("aria-pressed", String(own.token === Number(button.value))));
  const layer = model.layers[tokens ? tokens.blocks[own.layer] - 1 : own.layer];
  const spans = !layer.input ? [] : [
    `${layer.input.join(" x ")} → ${layer.output.join(" x ")}`,
    `${layer.params.toLocaleString("en")} parameters`,
    `${(layer.flops / 1e6).toFixed(1)} MFLOPs (${((100 * layer.flops) / model.flops).toFixed(1)} %)`,
  ];
  one(".layer-cost", article).replaceChildren(...spans.map((text) => Object.assign(document.createElement("span"), { textContent: text })));
}

function draw() {
  all("article.layers").forEach(label);
  all("canvas.place").forEach(drawPlace);
  all("canvas.channel").forEach(drawChannel);
  all("canvas.positions").forEach(drawPositions);
}

function drawImage() {
  all("img.shown").forEach((image) => (image.src = data.models[Number(image.dataset.model)].images[state.image].shown));
  all("#answer article").forEach(drawAnswer);
  draw();
}

function move(x, y) {
  [state.x, state.y] = [x, y].map((share) => Math.min(0.999, Math.max(0, share)));
  state.models.forEach((own) => (own.token = null));
  draw();
}

all("canvas.place, canvas.positions").forEach((canvas) => {
  const point = (event) => {
    const box = canvas.getBoundingClientRect();
    move((event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height);
  };
  canvas.addEventListener("pointermove", point);
  canvas.addEventListener("pointerdown", point);
  canvas.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (!step) return;
    event.preventDefault();
    const model = data.models[Number(canvas.dataset.model)];
    const [rows, columns] = model.tokens ? squares(model.tokens) : Array(2).fill(model.fields[state.models[Number(canvas.dataset.model)].layer].positions);
    const fine = Math.min(rows, 28), wide = Math.min(columns, 28);
    move((Math.floor(state.x * wide) + step[0] + 0.5) / wide, (Math.floor(state.y * fine) + step[1] + 0.5) / fine);
  });
});
all("article.layers").forEach((article) => {
  const own = state.models[Number(article.dataset.model)];
  for (const [what, key] of [["layer", "layer"], ["head", "head"], ["number", "channel"]])
    one(`input.${what}`, article)?.addEventListener("input", (event) => {
      own[key] = Number(event.target.value);
      draw();
    });
  all("button.token", article).forEach((button) => button.addEventListener("click", () => {
    own.token = own.token === Number(button.value) ? null : Number(button.value);
    draw();
  }));
});
all("input[name=image]").forEach((input) => input.addEventListener("change", () => {
  state.image = Number(input.value);
  drawImage();
}));
drawImage();
