"""Where the functions of the package stand, for links from equations to code.

In a chapter, a paragraph right after a labelled equation or theorem names its code:

    Code: {impl}`theory.effective.coefficients`, {impl}`chain.LinearChain.effective_matrix`.

In the package, the docstring of each of these has a line naming the label:

    Book: eq-mu, eq-log-mean

A test walks both ways.
"""

import ast
import functools
from pathlib import Path


@functools.lru_cache
def _definitions_in(path: Path, prefix: str, changed: int):
    found = {}

    def walk(node, inside):
        for child in node.body:
            if isinstance(child, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef):
                name = f"{inside}.{child.name}"
                found[name] = (path, child.lineno, ast.get_docstring(child) or "")
                if isinstance(child, ast.ClassDef):
                    walk(child, name)

    walk(ast.parse(path.read_text(encoding="utf-8")), prefix)
    return found


def definitions(package: Path, only: str | None = None) -> dict[str, tuple[Path, int, str]]:
    """Dotted name below the package -> (file, line, docstring), for every function, class and method.

    With `only`, a dotted name, no other file is looked at than those that can define it.
    """
    found = {}
    for path in sorted(package.rglob("[!.]*.py")):
        parts = path.relative_to(package).with_suffix("").parts
        parts = parts[:-1] if parts[-1] == "__init__" else parts
        name = ".".join(parts)
        if name and (only is None or only.startswith(f"{name}.")):
            found |= _definitions_in(path, name, path.stat().st_mtime_ns)
    return found
