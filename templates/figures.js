// Figures grow and shrink inside their box, which scrolls by touch, wheel and arrow keys.
"use strict";

(() => {
  const STEP = 1.5;
  const MOST = 12;

  function prepare(figure) {
    const box = figure.querySelector(".wide");
    const drawing = box.querySelector("svg");
    let zoom = 1;

    // What lies at (x, y) of the box, in pixels, stays there.
    function show(next, x = box.clientWidth / 2, y = box.clientHeight / 2) {
      next = Math.min(Math.max(next, 1), MOST);
      const factor = next / zoom;
      const left = (box.scrollLeft + x) * factor - x;
      const top = (box.scrollTop + y) * factor - y;
      zoom = next;
      drawing.style.setProperty("--zoom", zoom);
      box.scrollTo(left, top);
      less.disabled = zoom === 1;
      more.disabled = zoom === MOST;
    }

    function button(text, label, action) {
      const made = document.createElement("button");
      made.type = "button";
      made.textContent = text;
      made.ariaLabel = label;
      made.addEventListener("click", action);
      return made;
    }

    const less = button("−", "Smaller", () => show(zoom / STEP));
    const more = button("+", "Larger", () => show(zoom * STEP));
    const whole = button("Whole figure", "Whole figure", () => show(1));
    const tools = document.createElement("div");
    tools.className = "tools";
    tools.append(less, more, whole);
    figure.prepend(tools);

    box.addEventListener("keydown", (event) => {
      const action = { "+": zoom * STEP, "=": zoom * STEP, "-": zoom / STEP, 0: 1 }[event.key];
      if (action === undefined || event.ctrlKey || event.metaKey) return;
      event.preventDefault();
      show(action);
    });
    box.addEventListener("wheel", (event) => {
      if (!event.ctrlKey) return; // a plain wheel scrolls the page
      event.preventDefault();
      const place = box.getBoundingClientRect();
      const factor = STEP ** (-event.deltaY / 120);
      show(zoom * factor, event.clientX - place.left, event.clientY - place.top);
    }, { passive: false });
    show(1);
  }

  for (const figure of document.querySelectorAll("figure.figure")) prepare(figure);
})();
