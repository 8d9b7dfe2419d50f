// The timeline of a profiled chunk, drawn from the record's bins, so that a part fills the width.
"use strict";

(() => {
  const SPACE = "http://www.w3.org/2000/svg";
  const WIDTH = 1000; // of the drawing, in its own units
  const LANES = { Stage: [0, 26], GPU: [34, 70], Host: [112, 110] }; // top and height
  const HEIGHT = 246;
  const TICKS = 8;
  const STEP = 1.6;
  const LEAST_BINS = 8; // that can be told apart when zoomed in

  function element(name, attributes, parent) {
    const made = document.createElementNS(SPACE, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    parent?.append(made);
    return made;
  }

  // Bands on top of each other: one path a series, a step each bin.
  function areas(series, bin, top, height, toX, parent) {
    const base = series[0].shares.map(() => 0);
    for (const one of series) {
      const path = one.shares.map((share, i) => {
        const low = top + height * (1 - base[i]);
        base[i] = Math.min(1, base[i] + share);
        const high = top + height * (1 - base[i]);
        if (low === high) return "";
        const [x0, x1] = [toX(i * bin), toX((i + 1) * bin)];
        return `M${x0} ${low}V${high}H${x1}V${low}Z`;
      });
      element("path", { d: path.join(""), fill: one.colour }, parent);
    }
  }

  function text(parent, x, y, words, attributes = {}) {
    element("text", { x, y, ...attributes }, parent).textContent = words;
  }

  function niceStep(length) {
    const raw = length / TICKS;
    const power = 10 ** Math.floor(Math.log10(raw));
    return power * [1, 2, 5, 10].find((one) => one * power >= raw);
  }

  class View {
    constructor(told, drawing, words) {
      Object.assign(this, { told, drawing, words });
      this.bins = told.lanes[0].series[0].shares.length;
      this.length = this.bins * told.bin_ms;
      this.show(0, this.length);
    }

    // Milliseconds from..to fill the width; both stay inside the chunk.
    show(from, to) {
      const least = LEAST_BINS * this.told.bin_ms;
      const span = Math.min(Math.max(to - from, least), this.length);
      this.from = Math.min(Math.max(from, 0), this.length - span);
      this.to = this.from + span;
      this.at = undefined;
      this.draw();
      this.say((this.from + this.to) / 2);
    }

    zoom(factor, around = (this.from + this.to) / 2) {
      const from = around - (around - this.from) / factor;
      this.show(from, from + (this.to - this.from) / factor);
    }

    move(share) {
      const by = share * (this.to - this.from);
      this.show(this.from + by, this.to + by);
    }

    draw() {
      const toX = (ms) => ((ms - this.from) / (this.to - this.from)) * WIDTH;
      const layer = element("g", {});
      for (const { label, series } of this.told.lanes) {
        const [top, height] = LANES[label];
        element("rect", { x: 0, y: top, width: WIDTH, height, class: "idle" }, layer);
        areas(series, this.told.bin_ms, top, height, toX, layer);
      }
      this.drawStages(toX, layer);
      this.drawTicks(toX, layer);
      this.cursor = element("line", { y1: 0, y2: HEIGHT - 22, class: "cursor" }, layer);
      this.toX = toX;
      this.drawing.replaceChildren(layer);
    }

    drawStages(toX, layer) {
      const [top, height] = LANES.Stage;
      for (const { label, colour, start_ms, end_ms } of this.told.stages) {
        const [x0, x1] = [Math.max(toX(start_ms), 0), Math.min(toX(end_ms), WIDTH)];
        if (x1 <= x0) continue;
        const shape = { x: x0, y: top, width: x1 - x0, height, fill: colour, class: "stage" };
        element("title", {}, element("rect", shape, layer)).textContent = label;
      }
    }

    drawTicks(toX, layer) {
      const step = niceStep(this.to - this.from);
      for (let i = Math.ceil(this.from / step); i * step <= this.to; i += 1) {
        const x = toX(i * step);
        element("line", { x1: x, x2: x, y1: LANES.GPU[0], y2: HEIGHT - 22, class: "tick" }, layer);
        const anchor = x < 30 ? "start" : x > WIDTH - 30 ? "end" : "middle";
        const words = `${Number((i * step).toPrecision(6))} ms`;
        text(layer, x, HEIGHT - 6, words, { "text-anchor": anchor });
      }
    }

    // The bin at this time, in words.
    say(ms) {
      const bin = Math.min(Math.max(Math.floor(ms / this.told.bin_ms), 0), this.bins - 1);
      const stage = this.told.stages.find((one) => one.start_ms <= ms && ms < one.end_ms);
      const shares = this.told.lanes.flatMap(({ series }) => series)
        .filter((one) => one.shares[bin] >= 0.005)
        .map((one) => `${one.label} ${(100 * one.shares[bin]).toFixed(0)} %`);
      const place = `${ms.toFixed(1)} ms`;
      this.words.textContent = [place, stage?.label ?? "between stages", ...shares].join(" · ");
      this.cursor.setAttribute("x1", this.toX(ms));
      this.cursor.setAttribute("x2", this.toX(ms));
      this.at = ms;
    }
  }

  function legend(told) {
    const list = document.createElement("p");
    list.className = "legend";
    for (const { label, series } of told.lanes) {
      list.append(Object.assign(document.createElement("b"), { textContent: label }));
      for (const one of series) {
        const item = document.createElement("span");
        const box = element("svg", { viewBox: "0 0 10 10", "aria-hidden": "true" }, item);
        element("rect", { width: 10, height: 10, fill: one.colour }, box);
        item.append(` ${one.label}`);
        list.append(item);
      }
    }
    return list;
  }

  function steer(view, drawing) {
    const timeAt = (event) => {
      const place = drawing.getBoundingClientRect();
      return view.from + ((event.clientX - place.left) / place.width) * (view.to - view.from);
    };
    const step = () => (view.to - view.from) / 100;
    const keys = {
      "+": () => view.zoom(STEP, view.at), "=": () => view.zoom(STEP, view.at),
      "-": () => view.zoom(1 / STEP, view.at), 0: () => view.show(0, view.length),
      ArrowLeft: () => view.say(Math.max(view.at - step(), view.from)),
      ArrowRight: () => view.say(Math.min(view.at + step(), view.to)),
      PageUp: () => view.move(-0.5), PageDown: () => view.move(0.5),
      Home: () => view.move(-view.length), End: () => view.move(view.length),
    };
    drawing.addEventListener("keydown", (event) => {
      if (!keys[event.key] || event.ctrlKey || event.metaKey) return;
      event.preventDefault();
      keys[event.key]();
    });
    drawing.addEventListener("wheel", (event) => {
      if (!event.ctrlKey) return; // a plain wheel scrolls the page
      event.preventDefault();
      view.zoom(STEP ** (-event.deltaY / 120), timeAt(event));
    }, { passive: false });
    let held;
    drawing.addEventListener("pointerdown", (event) => {
      held = { x: event.clientX, from: view.from, to: view.to };
      drawing.setPointerCapture(event.pointerId);
    });
    drawing.addEventListener("pointerup", () => { held = undefined; });
    drawing.addEventListener("pointermove", (event) => {
      if (held) {
        const width = drawing.getBoundingClientRect().width;
        const by = ((held.x - event.clientX) / width) * (held.to - held.from);
        view.show(held.from + by, held.to + by);
      }
      view.say(timeAt(event));
    });
  }

  function prepare(figure, told) {
    const label = figure.querySelector("svg").getAttribute("aria-label");
    const drawing = element("svg", {
      viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "application", tabindex: 0,
      "aria-label": `${label}. Plus and minus zoom, arrow keys move the cursor, page keys the view.`,
    });
    const words = document.createElement("p");
    words.className = "words";
    words.setAttribute("aria-live", "polite");
    const view = new View(told, drawing, words);
    const tools = document.createElement("div");
    tools.className = "tools";
    for (const [sign, name, action] of [
      ["−", "Zoom out", () => view.zoom(1 / STEP, view.at)],
      ["+", "Zoom in", () => view.zoom(STEP, view.at)],
      ["←", "Earlier", () => view.move(-0.5)],
      ["→", "Later", () => view.move(0.5)],
      ["Whole chunk", "Whole chunk", () => view.show(0, view.length)],
    ]) {
      const button = document.createElement("button");
      Object.assign(button, { type: "button", textContent: sign, ariaLabel: name });
      button.addEventListener("click", action);
      tools.append(button);
    }
    steer(view, drawing);
    const box = document.createElement("div");
    box.className = "lanes";
    box.append(drawing);
    figure.className = "timeline";
    figure.replaceChildren(tools, legend(told), box, words);
  }

  for (const block of document.querySelectorAll('figure script[type="application/json"]')) {
    prepare(block.closest("figure"), JSON.parse(block.textContent));
  }
})();
