"""The cells of a chapter: its own code, and the parameters that it declares."""

from __future__ import annotations

import ast
import json

import nbformat

from implicit_rank.book.layout import BookError
from implicit_rank.parameters import unknown_name


def code_cells(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    """The chapter's own code cells; papermill's injected one is left out."""
    return [
        c for c in notebook.cells if c.cell_type == "code" and "injected-parameters" not in c.metadata.get("tags", [])
    ]


def parameter_defaults(notebook: nbformat.NotebookNode) -> dict:
    """The values assigned in the cell tagged `parameters`, by name and in the order written; None for no literal."""
    values = {}
    for cell in code_cells(notebook):
        if "parameters" not in cell.metadata.get("tags", []):
            continue
        for node in ast.parse(cell.source).body:
            targets = [node.target] if isinstance(node, ast.AnnAssign) else getattr(node, "targets", [])
            for target in targets:
                if isinstance(target, ast.Name):
                    values[target.id] = literal(getattr(node, "value", None))
    return values


def literal(node: ast.AST | None):
    """The value of an expression without names or calls, None for another."""
    try:
        return None if node is None else ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        return None


def parameter_names(notebook: nbformat.NotebookNode) -> list[str]:
    """The names assigned in the cell tagged `parameters`, in the order written."""
    return list(parameter_defaults(notebook))


def parse_value(text: str):
    """A parameter from the command line: a JSON value or Python literal where it reads as one, else text."""
    for read in (json.loads, ast.literal_eval):
        try:
            return read(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError):  # the last two: thousands of brackets
            continue
    return text


def check_parameters(given: dict, notebooks: dict[str, nbformat.NotebookNode]) -> None:
    """Refuse a name that no selected chapter declares, naming the closest and the allowed ones."""
    allowed = list(dict.fromkeys(n for nb in notebooks.values() for n in parameter_names(nb)))
    for name in given:
        if name in allowed:
            continue
        where = ", ".join(notebooks) if len(notebooks) < 4 else "the selected chapters"
        raise BookError(f"{where}: {unknown_name('parameter', name, allowed)}")
