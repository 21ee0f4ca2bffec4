"use strict";
// The page's figures can be read without this. It shows one page at a time, sorts and filters
// tables, and lays out each policy's evidence when its page is opened. Untrusted text is
// only ever set as text.
(() => {
  const make = (tag, name, ...inside) => {
    const node = document.createElement(tag);
    if (name) node.className = name;
    node.append(...inside);
    return node;
  };
  const foreign = (text) => make("bdi", "", text);
  const svgSpace = Object.assign(make("template"), { innerHTML: "<svg></svg>" }).content.firstChild.namespaceURI;
  const draw = (tag, values, ...inside) => {
    const node = document.createElementNS(svgSpace, tag);
    for (const [name, value] of Object.entries(values)) node.setAttribute(name, value);
    node.append(...inside);
    return node;
  };

  // ---- tables: sort, filter, the first rows
  const cellAt = (row, column) => {
    let at = 0;
    for (const cell of row.cells) {
      at += cell.colSpan;
      if (at > column) return cell;
    }
    return null;
  };

  // Suppressed figures have no number; they come last in either order.
  const numberOf = (cell) => {
    if (!cell || cell.classList.contains("unsaid")) return null;
    const found = cell.textContent.replaceAll(",", "").match(/^[^\d-]*(-?\d+(\.\d+)?)/);
    return found ? Number(found[1]) : null;
  };

  const compare = (kind, column, sign) => (a, b) => {
    const [one, two] = [cellAt(a, column), cellAt(b, column)];
    if (kind === "text") return sign * one.textContent.localeCompare(two.textContent, "en", { numeric: true });
    const [x, y] = [numberOf(one), numberOf(two)];
    if (x === null || y === null) return (x === null) - (y === null);
    return sign * (x - y);
  };

  const tools = (place, rows, shown) => {
    const box = make("div", "tools");
    const input = make("input");
    const status = make("span");
    const more = make("button");
    input.type = "search";
    input.autocomplete = "off";
    more.type = "button";
    status.setAttribute("role", "status");
    box.append(make("label", "", "Find in this table ", input));
    let all = rows().length <= shown;
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
      more.addEventListener("click", () => { all = !all; show(); });
      box.append(more);
    }
    box.append(status);
    input.addEventListener("input", show);
    place.before(box);
    show();
    return show;
  };

  const sortable = (table, shown) => {
    const body = table.tBodies[0];
    const rows = () => [...body.rows];
    const heads = [...table.tHead.rows[0].cells];
    const show = rows().length > 5 ? tools(table.parentElement, rows, shown) : () => {};
    for (const head of heads) {
      if (!head.dataset.sort) continue;
      const button = make("button", "", ...head.childNodes);
      button.type = "button";
      head.append(button);
      button.addEventListener("click", () => {
        const first = head.dataset.sort === "number" ? "descending" : "ascending";
        const other = first === "ascending" ? "descending" : "ascending";
        const next = head.getAttribute("aria-sort") === first ? other : first;
        for (const each of heads) each.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", next);
        const sign = next === "ascending" ? 1 : -1;
        body.append(...rows().sort(compare(head.dataset.sort, head.cellIndex, sign)));
        show();
      });
    }
  };

  // ---- phones: each row becomes a short text, with its columns' words before the figures; fewer rows at first
  const phone = matchMedia("screen and (max-width: 40rem)").matches;
  const fewer = (shown) => (phone ? Math.min(shown, 5) : shown);
  const stack = (table) => {
    const words = [...table.tHead.rows[0].cells].flatMap((head) => {
      const word = head.classList.contains("plot") ? "" : head.textContent.trim();
      return Array(head.colSpan).fill(word);
    });
    for (const row of table.tBodies[0].rows) {
      let at = 0;
      for (const cell of row.cells) {
        if (words[at] && cell.tagName === "TD") cell.dataset.label = words[at];
        at += cell.colSpan;
      }
    }
    table.classList.add("stack");
  };
  for (const table of document.querySelectorAll("main table:not(.heat, .cases)")) stack(table);

  for (const table of document.querySelectorAll("table[data-shown]")) {
    const rest = table.closest("section").querySelector("details.rest");
    if (rest) {
      table.tBodies[0].append(...rest.querySelectorAll("tbody tr"));
      rest.remove();
    }
    sortable(table, fewer(Number(table.dataset.shown)));
  }

  // ---- the evidence on a policy's page
  let [evidence, captions] = [null, 0];
  const strip = ([at, low, high, reference, cut]) => {
    const svg = draw("svg", { class: "strip", "aria-hidden": "true" });
    if (reference !== null) svg.append(draw("line", { class: "ref", x1: `${reference}%`, x2: `${reference}%`, y2: "100%" }));
    if (low !== null) {
      svg.append(draw("line", { class: "ci", x1: `${low}%`, x2: `${high}%`, y1: "50%", y2: "50%" }));
      svg.append(draw("circle", { cx: `${at}%`, cy: "50%", r: 4.5 }));
    }
    if (cut) svg.append(draw("svg", { x: "100%", y: "50%", overflow: "visible" }, draw("path", { class: "cut", d: "M-5-5L0 0l-5 5" })));
    return svg;
  };

  const scale = (ticks) => {
    const line = make("span", "scale");
    line.setAttribute("aria-hidden", "true");
    for (const [text, at] of ticks) {
      const tick = make("span", "", text);
      tick.style.left = `${at}%`;
      line.append(tick);
    }
    return line;
  };

  const head = (column) => {
    const cell = make("th", column.a ? "plot" : column.k === "number" ? "n" : "");
    cell.scope = "col";
    if (column.k) cell.dataset.sort = column.k;
    if (column.a) cell.append(make("span", "hush", column.x), scale(column.a));
    else cell.append(column.x);
    return cell;
  };

  const cell = (value, column, first) => {
    const node = make(first ? "th" : "td", column.a ? "plot" : column.k === "number" ? "n" : "");
    if (first) node.scope = "row";
    if (typeof value === "string") node.append(foreign(value));
    else if (value.s) node.append(strip(value.s));
    else {
      node.append(foreign(value.x));
      if (value.u) node.classList.add("unsaid");
      if (value.q) node.append(" ", make("span", "under", foreign(value.q)));
    }
    return node;
  };

  const bar = (width, ends) => {
    const [line, filled] = [make("span", "bar"), make("span")];
    line.setAttribute("aria-hidden", "true");
    filled.style.width = `${width}%`;
    line.append(filled);
    if (ends.length) {
      const limits = make("i", "limits");
      limits.style.left = `${ends[0]}%`;
      limits.style.width = `${Math.max(ends[1] - ends[0], 0.3)}%`;
      line.append(limits);
    }
    return line;
  };

  const mark = (chart, name, [at, text], words, dy) => {
    chart.append(draw("line", { class: name, x1: `${at}%`, x2: `${at}%`, y1: "0%", y2: "100%" }));
    const side = at < 50 ? { "text-anchor": "start", dx: 4 } : { "text-anchor": "end", dx: -4 };
    chart.append(draw("text", { class: name, x: `${at}%`, y: "0%", dy, ...side }, `${words} ${text}`));
  };

  // Runs of points that reviewed decisions support; between them nothing is drawn but a grey field.
  const runs = (points) => {
    const found = [];
    for (const point of points) {
      if (point.length < 2) found.push([]);
      else if (found.length) found.at(-1).push(point);
      else found.push([point]);
    }
    return found.filter((run) => run.length);
  };

  const curve = (block) => {
    const id = `f-${(captions += 1)}`;
    const caption = make("figcaption", "", make("b", "", foreign(block.x)), " Lower is better. The band is the 95 % interval; where it is grey, too few decisions were reviewed.");
    caption.id = id;
    const chart = draw("svg", { role: "img", "aria-labelledby": id });
    const ends = [0, ...runs(block.p).flatMap((run) => [run[0][0], run.at(-1)[0]]), 100];
    for (let i = 0; i < ends.length; i += 2) {
      const width = ends[i + 1] - ends[i];
      if (width > 0) chart.append(draw("rect", { class: "unsupported", x: `${ends[i]}%`, width: `${width}%`, height: "100%" }));
    }
    for (const [text, at] of block.y) {
      chart.append(draw("line", { class: "rule", x2: "100%", y1: `${at}%`, y2: `${at}%` }));
      chart.append(draw("text", { x: -8, y: `${at}%`, dy: ".32em", "text-anchor": "end" }, text));
    }
    for (const [text, at] of block.a) {
      chart.append(draw("text", { x: `${at}%`, y: "100%", dy: 20, "text-anchor": "middle" }, text));
    }
    const inner = draw("svg", { viewBox: "0 0 100 100", preserveAspectRatio: "none", width: "100%", height: "100%", class: "area" });
    for (const run of runs(block.p)) {
      const band = [...run.map((p) => `${p[0]},${p[2]}`), ...run.toReversed().map((p) => `${p[0]},${p[3]}`)];
      inner.append(draw("polygon", { class: "band", points: band.join(" ") }));
      inner.append(draw("polyline", { class: "line model", points: run.map((p) => `${p[0]},${p[1]}`).join(" ") }));
    }
    chart.append(inner);
    if (block.n) mark(chart, "today", block.n, "today", -6);
    if (block.g) mark(chart, "best", block.g, "recommended", block.n ? -20 : -6);
    return make("figure", "whatif", caption, make("div", "chart short", chart));
  };

  const reasons = (found) => make("ul", "reasons", ...found.map(([text, up]) => make(
    "li", up ? "up" : "down",
    make("span", "hush", up ? "Raises the probability of error: " : "Lowers it: "), foreign(text),
  )));

  const excerpt = (text) => (text ? [make("blockquote", "excerpt", foreign(text))] : []);

  const oneCase = (found) => {
    const facts = [foreign(found.k), ...found.f.map(foreign)].flatMap((f, i) => (i ? [" · ", f] : [f]));
    const wrong = make("div", "", make("h4", "", foreign(found.p)), make("p", "under", ...facts, " · ", make("bdi", "id", found.i)), ...excerpt(found.x));
    if (found.r.length) wrong.append(reasons(found.r));
    if (found.s) return make("li", "", wrong);
    const right = make("div", "contrast");
    if (found.o) {
      right.append(make("h4", "", "A similar correct decision"), make("p", "under", make("bdi", "id", found.o.i)), ...excerpt(found.o.x));
      if (found.o.d) right.append(make("p", "", foreign(found.o.d)));
    } else right.append(make("p", "quiet", foreign(found.w || "No similar decision was found correct so far.")));
    return make("li", "", wrong, right);
  };

  const kinds = {
    h: (b) => make("h3", "", b.x),
    p: (b) => make("p", "", foreign(b.x)),
    q: (b) => make("p", "quiet", foreign(b.x)),
    a: (b) => make("div", "absent", make("p", "", make("strong", "", foreign(b.x)), " ", foreign(b.y))),
    d: (b) => make("details", "more", make("summary", "", foreign(b.x)), make("pre", "brief", foreign(b.y))),
    b: (b) => make("div", "", make("p", "quiet", "The reason’s share of the model’s push towards “this is wrong” in this policy. The thin line is its 95 % interval."), make("ol", "bars", ...b.r.map(([text, width, ends, value, beside, examples]) => make(
      "li", "", make("span", "bar-text", foreign(text)), bar(width, ends),
      make("span", "bar-value", make("b", "", value), ` ${beside.join("; ")}`,
        ...(examples.length ? ["; for example ", ...examples.flatMap((e, i) => (i ? [", ", make("bdi", "id", e)] : [make("bdi", "id", e)]))] : [])),
    )))),
    t: (b) => {
      const id = `t-${(captions += 1)}`;
      const caption = make("caption", "", make("span", "", foreign(b.x)));
      caption.id = id;
      const table = make("table", "groups", caption,
        make("thead", "", make("tr", "", ...evidence.columns[b.c].map(head))),
        make("tbody", "", ...b.r.map((row) => make("tr", "", ...row.map((v, i) => cell(v, evidence.columns[b.c][i], i === 0))))));
      const box = make("div", "scroll", table);
      box.setAttribute("role", "region");
      box.setAttribute("aria-labelledby", id);
      box.tabIndex = 0;
      return box;
    },
    m: curve,
    c: (b) => make("ol", "pairs", ...b.r.map(oneCase)),
  };

  const fill = (view) => {
    const place = view.querySelector(".evidence:empty");
    if (!place) return;
    evidence ??= JSON.parse(document.getElementById("evidence").textContent);
    place.append(...evidence.pages[Number(place.dataset.page)].map((block) => kinds[block.t](block)));
    for (const table of place.querySelectorAll("table")) {
      stack(table);
      sortable(table, fewer(15));
    }
    if (phone) foldParts(place);
  };

  // ---- phones: all but a page's first answer folds under its heading
  const fold = (box, heading) => {
    const button = make("button", "fold", make("span", "", ...heading.childNodes));
    button.type = "button";
    const turn = (open) => {
      box.classList.toggle("folded", !open);
      button.setAttribute("aria-expanded", String(open));
    };
    button.addEventListener("click", () => turn(box.classList.contains("folded")));
    box.addEventListener("unfold", () => turn(true));
    heading.append(button);
    turn(false);
  };
  const foldParts = (place) => {
    let part = null;
    for (const node of [...place.children]) {
      if (node.tagName === "H3") node.before((part = make("div", "block")));
      if (part) part.append(node);
    }
    for (const each of place.querySelectorAll(":scope > .block")) fold(each, each.firstElementChild);
  };
  if (phone) {
    for (const box of document.querySelectorAll("main > .view > section:not(:first-child), .folds, .view:not(.policy) .block")) {
      const heading = box.querySelector(":scope > h2, :scope > h3");
      if (heading) fold(box, heading);
    }
  }

  // ---- one page at a time; the address says which, so links, back and forward work
  const views = [...document.querySelectorAll("main > .view")];
  const main = document.getElementById("main");
  const title = document.title;
  const places = new Map();
  let [here, followed, first] = [null, true, true];

  const go = () => {
    const id = location.hash.slice(1);
    if (id === "main" && here) return;
    const target = id ? document.getElementById(id) : null;
    const view = (target && target.closest(".view")) || views[0];
    if (view !== here) {
      for (const each of views) each.hidden = each !== view;
      main.classList.add("ready");
      fill(view);
      for (const link of document.querySelectorAll(".contents a")) {
        if (link.dataset.nav === view.dataset.nav) link.setAttribute("aria-current", "page");
        else link.removeAttribute("aria-current");
      }
      const name = view.querySelector("h2");
      document.title = view === views[0] || !name ? title : `${name.textContent} – ${title}`;
      here = view;
      if (!first) main.focus({ preventScroll: true });
    }
    for (let box = target; box; box = box.parentElement) box.dispatchEvent(new Event("unfold"));
    if (!followed) scrollTo({ top: places.get(id) ?? 0, behavior: "instant" });
    else if (target && target !== view && target !== view.firstElementChild) target.scrollIntoView();
    else if (!first || target) scrollTo({ top: 0, behavior: "instant" });
    [followed, first] = [false, false];
  };

  history.scrollRestoration = "manual";
  addEventListener("scroll", () => places.set(location.hash.slice(1), scrollY), { passive: true });
  addEventListener("click", (event) => { if (event.target.closest("a[href^='#']")) followed = true; }, true);
  addEventListener("hashchange", go);
  go();

  // ---- on paper: the page that is open with every row, unfolded; the overview as one sheet; or every page
  let opened = [];
  const everything = document.getElementById("print-all");
  everything.hidden = false;
  everything.addEventListener("click", () => { main.classList.add("all"); print(); });
  addEventListener("beforeprint", () => {
    const all = main.classList.contains("all");
    main.classList.toggle("overview", !all && here === views[0]);
    if (all) views.forEach(fill);
    opened = main.classList.contains("overview") ? [] : [...(all ? document : here).querySelectorAll("details:not([open])")];
    for (const each of opened) each.open = true;
  });
  addEventListener("afterprint", () => {
    main.classList.remove("all", "overview");
    for (const each of opened) each.open = false;
  });
})();
