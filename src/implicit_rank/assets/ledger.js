// Sorting and filtering of the scoreboard; without it the table is complete, only fixed.
(() => {
  // accents, capitals and hyphens make no difference: "CIFAR-10" finds cifar10
  const plain = (text) => text.normalize("NFKD").replace(/[\p{M}\p{Pd}]/gu, "").toLowerCase();
  const whole = (text) => new RegExp(`(?<![\\p{L}\\d])${text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")}(?![\\p{L}\\d])`, "u");
  const ready = (board) => {
    board.dataset.ready = "yes";
    const body = board.querySelector("tbody");
    const rows = [...body.rows];
    const status = board.querySelector("[role=status]");
    const text = board.querySelector("input");
    const choices = ["verdict", "paper", "question", "mark"].map((name) => [name, board.querySelector(`select.by-${name}`)]);
    const filter = () => {
      const asked = plain(text.value).trim().replace(/\s+/g, " ");
      const words = asked.split(" ").filter(Boolean);
      const contents = rows.map((row) => plain(`${row.textContent} ${row.dataset.more}`).replace(/\s+/g, " "));
      // "chapter 7" means these words together where they stand together anywhere, and else each of them somewhere
      const phrase = words.length > 1 && contents.some((content) => whole(asked).test(content)) ? whole(asked) : null;
      let shown = 0;
      for (const [number, row] of rows.entries()) {
        const content = contents[number];
        const keep = (phrase ? phrase.test(content) : words.every((word) => content.includes(word)))
          && choices.every(([name, field]) => !field.value || row.dataset[name] === field.value);
        row.hidden = !keep;
        shown += keep;
      }
      status.textContent = `${shown} of ${rows.length} claims shown`;
    };
    for (const field of [text, ...choices.map(([, field]) => field)]) field.addEventListener("input", filter);
    const heads = [...board.querySelectorAll("thead th")];
    const order = board.querySelector("select.by-order");    // for narrow screens, where the heads are hidden
    const sort = (column, down) => {
      heads.forEach((head, number) => {
        if (number === column) head.setAttribute("aria-sort", down ? "descending" : "ascending");
        else head.removeAttribute("aria-sort");
      });
      order.value = String(column);
      const key = (row) => row.cells[column].dataset.sort ?? row.cells[column].textContent.trim();
      const numeric = rows.every((row) => row.cells[column].dataset.sort !== undefined);
      const compare = (one, other) => {
        if (!numeric) return key(one).localeCompare(key(other), "en", { numeric: true }) * (down ? -1 : 1);
        const [a, b] = [one, other].map((row) => (key(row) === "" ? NaN : Number(key(row))));
        if (isNaN(a) || isNaN(b)) return isNaN(a) - isNaN(b);    // what has no number stands last both ways
        return (a === b ? 0 : a < b ? -1 : 1) * (down ? -1 : 1);
      };
      body.append(...[...rows].sort(compare));
    };
    heads.forEach((head, column) => {
      order.append(new Option(`by ${head.textContent.toLowerCase()}`, column));
      const button = document.createElement("button");
      button.type = "button";
      button.title = "Sort by this column";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => sort(column, head.getAttribute("aria-sort") === "ascending"));
    });
    order.options[0].text = "as listed";
    order.addEventListener("input", () => sort(Number(order.value), false));
    board.querySelector(".ledger-filters").hidden = false;
    filter();
  };
  for (const board of document.querySelectorAll(".ledger-board:not([data-ready])")) ready(board);
})();
