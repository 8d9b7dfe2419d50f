// Tables sort by a click or by Enter on a column's head: upwards, downwards, as they were.
"use strict";

(() => {
  const UNITS = {
    "%": 1, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30,
    "µs": 1e-3, us: 1e-3, ms: 1, s: 1e3, min: 6e4,
  };
  const NUMBER = /^(?:about |under )?([-−+]?\d[\d,]*(?:\.\d+)?)(?: ?([%A-Za-zµ]+))?/;
  const NEXT = { none: "ascending", ascending: "descending", descending: "none" };

  // What a cell is sorted by: a number in its base unit, else its text; nothing comes last.
  function keyOf(row, column) {
    const text = row.cells[column].textContent.trim();
    if (text === "" || text === "–") return { rank: 2, value: "" };
    const found = NUMBER.exec(text);
    if (!found) return { rank: 1, value: text.toLowerCase() };
    const value = Number(found[1].replaceAll(",", "").replace("−", "-"));
    return { rank: 0, value: value * (UNITS[found[2]] ?? 1) };
  }

  function compare(a, b, sign) {
    if (a.rank !== b.rank) return a.rank - b.rank;
    if (a.value === b.value) return 0;
    return a.value < b.value ? -sign : sign;
  }

  function sort(table, column, order) {
    const body = table.tBodies[0];
    const sign = order === "descending" ? -1 : 1;
    const rows = [...body.rows].sort((a, b) => a.dataset.place - b.dataset.place);
    if (order !== "none") {
      const keys = new Map(rows.map((row) => [row, keyOf(row, column)]));
      rows.sort((a, b) => compare(keys.get(a), keys.get(b), sign));
    }
    body.append(...rows);
  }

  function prepare(table) {
    [...table.tBodies[0].rows].forEach((row, place) => { row.dataset.place = place; });
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      if (!button.textContent.trim()) button.ariaLabel = "First column";
      button.title = "Sort by this column";
      head.append(button);
      head.ariaSort = "none";
      button.addEventListener("click", () => {
        const order = NEXT[head.ariaSort];
        for (const other of heads) other.ariaSort = "none";
        head.ariaSort = order;
        sort(table, column, order);
      });
    });
  }

  for (const table of document.querySelectorAll("main table")) {
    if (table.tBodies[0]?.rows.length > 1) prepare(table);
  }
})();
