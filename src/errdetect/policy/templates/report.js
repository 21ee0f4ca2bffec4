"use strict";
// The page reads fully without this: it sorts and filters what already stands there.
(() => {
  const make = (tag, text) => Object.assign(document.createElement(tag), { textContent: text });

  const cellAt = (row, column) => {
    let at = 0;
    for (const cell of row.cells) {
      at += cell.colSpan;
      if (at > column) return cell;
    }
    return null;
  };

  // What cannot be said has no number, and stands last whichever way the table is sorted.
  const numberOf = (cell) => {
    if (cell.classList.contains("unsaid")) return null;
    const found = cell.textContent.replaceAll(",", "").match(/^[<>\s]*(\d+(\.\d+)?)/);
    return found ? Number(found[1]) : null;
  };

  const compare = (kind, column, sign) => (a, b) => {
    const [one, two] = [cellAt(a, column), cellAt(b, column)];
    if (kind === "text") return sign * one.textContent.localeCompare(two.textContent, "en", { numeric: true });
    const [x, y] = [numberOf(one), numberOf(two)];
    if (x === null || y === null) return (x === null) - (y === null);
    return sign * (x - y);
  };

  const tools = (place, label, rows, shown) => {
    const box = make("div", "");
    const input = make("input", "");
    const status = make("span", "");
    const name = make("label", label + " ");
    box.className = "tools";
    input.type = "search";
    input.autocomplete = "off";
    status.setAttribute("role", "status");
    name.append(input);
    box.append(name);
    let all = rows().length <= shown;
    const more = make("button", "");
    const show = () => {
      const words = input.value.trim().toLowerCase();
      let seen = 0;
      for (const row of rows()) {
        const fits = !words || row.textContent.toLowerCase().includes(words);
        row.hidden = !fits || (!words && !all && seen >= shown);
        seen += !row.hidden;
      }
      status.textContent = `${seen} of ${rows().length} shown`;
      more.textContent = all ? `Show the first ${shown}` : `Show all ${rows().length}`;
      more.setAttribute("aria-expanded", String(all));
    };
    if (!all) {
      more.type = "button";
      more.addEventListener("click", () => { all = !all; show(); });
      box.append(more);
    }
    box.append(status);
    input.addEventListener("input", show);
    place.before(box);
    show();
    return show;
  };

  for (const table of document.querySelectorAll("table[data-shown]")) {
    const body = table.tBodies[0];
    const rest = table.closest("section").querySelector("details.rest");
    if (rest) {
      body.append(...rest.querySelectorAll("tbody tr"));
      rest.remove();
    }
    const rows = () => [...body.rows];
    const show = rows().length > 5
      ? tools(table.parentElement, "Find in this table", rows, Number(table.dataset.shown))
      : () => {};
    for (const head of table.tHead.rows[0].cells) {
      if (!head.dataset.sort) continue;
      const button = make("button", "");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const first = head.dataset.sort === "number" ? "descending" : "ascending";
        const other = first === "ascending" ? "descending" : "ascending";
        const next = head.getAttribute("aria-sort") === first ? other : first;
        for (const each of table.tHead.rows[0].cells) each.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", next);
        const sign = next === "ascending" ? 1 : -1;
        body.append(...rows().sort(compare(head.dataset.sort, head.cellIndex, sign)));
        show();
      });
    }
  }

  const policies = [...document.querySelectorAll("details.policy")];
  const intro = document.querySelector("[data-filter=policies]");
  if (intro && policies.length > 5) tools(policies[0], "Find a policy", () => policies, 25);

  const open = () => {
    const target = location.hash.length > 1 && document.getElementById(location.hash.slice(1));
    if (!target || target.tagName !== "DETAILS") return;
    target.hidden = false;
    target.open = true;
    target.scrollIntoView();
  };
  addEventListener("hashchange", open);
  open();

  let opened = [];
  addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll("details:not([open])")];
    for (const each of opened) each.open = true;
  });
  addEventListener("afterprint", () => {
    for (const each of opened) each.open = false;
  });
})();
