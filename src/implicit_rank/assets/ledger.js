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
    heads.forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.title = "Sort by this column";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const down = head.getAttribute("aria-sort") === "ascending";
        for (const other of heads) other.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        const key = (row) => row.cells[column].dataset.sort ?? row.cells[column].textContent.trim();
        const compare = (one, other) => key(one).localeCompare(key(other), "en", { numeric: true });
        const sorted = [...rows].sort((one, other) => (down ? -compare(one, other) : compare(one, other)));
        body.append(...sorted);
      });
    });
    board.querySelector(".ledger-filters").hidden = false;
    filter();
  };
  for (const board of document.querySelectorAll(".ledger-board:not([data-ready])")) ready(board);
})();
