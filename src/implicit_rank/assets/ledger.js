// Sorting and filtering of the scoreboard; without it the table is complete, only fixed.
(() => {
  const plain = (text) => text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
  const ready = (board) => {
    board.dataset.ready = "yes";
    const body = board.querySelector("tbody");
    const rows = [...body.rows];
    const status = board.querySelector("[role=status]");
    const [text, verdict, paper] = ["input", "select.by-verdict", "select.by-paper"].map((one) =>
      board.querySelector(one));
    const filter = () => {
      const words = plain(text.value).split(/\s+/).filter(Boolean);
      let shown = 0;
      for (const row of rows) {
        const content = plain(row.textContent);
        const keep = words.every((word) => content.includes(word))
          && (!verdict.value || row.dataset.verdict === verdict.value)
          && (!paper.value || row.dataset.paper === paper.value);
        row.hidden = !keep;
        shown += keep;
      }
      status.textContent = `${shown} of ${rows.length} claims shown`;
    };
    for (const field of [text, verdict, paper]) field.addEventListener("input", filter);
    const heads = [...board.querySelectorAll("thead th")];
    const order = board.querySelector("select.by-order");    // for narrow screens, where the heads are hidden
    const sort = (column, down) => {
      heads.forEach((head, number) => {
        if (number === column) head.setAttribute("aria-sort", down ? "descending" : "ascending");
        else head.removeAttribute("aria-sort");
      });
      order.value = String(column);
      const key = (row) => row.cells[column].dataset.sort ?? row.cells[column].textContent.trim();
      const compare = (one, other) => key(one).localeCompare(key(other), "en", { numeric: true });
      body.append(...[...rows].sort((one, other) => (down ? -compare(one, other) : compare(one, other))));
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
