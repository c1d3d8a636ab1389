"""Fingerprint of the code that computes an experiment's results: stored runs of older code show as stale.

The fingerprint is a hash over the normalised syntax trees of everything that an experiment's `run` function
(and its Spec classes) can reach by name: functions, classes and constants of the experiment's own module and,
through imports, of the other modules of this package, transitively. Normalised means: comments, docstrings,
annotations, help texts of options and the messages of `raise` do not count, and neither do formatting or
the Python version. Nor does it count in which module a definition stands and under which alias it is used: a
reference reads as the definition's own name. Which of two definitions of one name is meant does count.

Not part of a result, and therefore never followed: parameters, folders, store, sweep, claims, figures,
glue and book. So editing a figure, a measure, a preset or prose, and moving code to another file, leaves stored
runs fresh; editing the trainer, or a formula it uses, makes them stale; adding a function beside it does not.

A name that cannot be resolved counts as the whole module it was looked up in. Statements that bind nothing
(calls at module level) and functions decorated by something of this package (registries) always count once
their module is reached. Code reached only through strings (`getattr`, `importlib`) is not seen.
"""

import ast
import functools
import hashlib
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

PACKAGE = "implicit_rank"
FOLDER = Path(__file__).resolve().parent.parent
NOT_FOLLOWED = {"parameters", "folders", "store", "sweep", "claims", "figures", "glue", "book", "__main__"}
_IGNORED_FIELDS = {"annotation", "returns", "type_comment", "type_params", "kind", "ctx"}


@functools.cache
def fingerprint(module: str) -> str | None:
    """The 16 hex digits that stand for the code behind `module`'s results, as this process first found it.

    None where there is no source to read (an interactive session, a module that has gone).
    """
    parts = _parts(module)
    return None if parts is None else _hash(*sorted(set(_refined(parts).values())))[:16]


def fingerprint_parts(module: str) -> dict[str, str] | None:
    """What counts: "module:name" -> normalised source, for tests and for finding out why a run is stale.

    Of the keys only the name enters the fingerprint.
    """
    parts = _parts(module)
    return None if parts is None else {key: part.text for key, part in parts.items()}


@dataclass
class _Part:
    """A definition: its name, its normalised source and the keys of the definitions it refers to, in order."""

    name: str
    text: str
    refers: list[str]


def _parts(module: str) -> dict[str, _Part] | None:
    start = _read(module)
    if start is None:
        return None
    walk = _Walk()
    specs = [name for name, nodes in start.defs.items() if any(_is_spec(node) for node in nodes)]
    has_run = "run" in start.defs or "run" in start.imports
    for name in ["run", *specs] if has_run else list(start.defs):
        walk.resolve(start, [name])
    return walk.parts


def _refined(parts: dict[str, _Part]) -> dict[str, str]:
    """A hash of every part that tells apart parts of one name and text which refer to different parts."""
    hashes, kinds = {key: _hash(part.name, part.text) for key, part in parts.items()}, 0
    while kinds != (kinds := len(set(hashes.values()))):
        hashes = {key: _hash(hashes[key], *map(hashes.get, part.refers)) for key, part in parts.items()}
    return hashes


def _hash(*texts: str) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()


class _Module:
    """The top-level bindings, imports and side effects of one module's source."""

    def __init__(self, name: str, source: str, is_package: bool):
        self.name, self.defs, self.imports, self.effects = name, {}, {}, []
        tree = ast.parse(source)
        for node in ast.walk(tree):  # imports inside functions count like those at the top
            for local, target in _imported(node, name, is_package):
                self.imports.setdefault(local, set()).add(target)
        for node in tree.body:
            bound = set(_bound_names(node))
            for local in bound:
                self.defs.setdefault(local, []).append(node)
            is_text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
            if not bound and not is_text and not _only_imports(node):
                self.effects.append(node)
        self.registered = [name for name, nodes in self.defs.items() if any(map(self._is_registered, nodes))]

    def _is_registered(self, node: ast.AST) -> bool:
        roots = [next(_paths(decorator), [""])[0] for decorator in getattr(node, "decorator_list", [])]
        return any(
            root in self.defs
            or any(target[:1] == (PACKAGE,) and target[1:2] != ("parameters",) for target in self.imports.get(root, ()))
            for root in roots
        )


class _Walk:
    """Collects every reachable definition; `parts` is keyed by "module:name"."""

    def __init__(self):
        self.parts: dict[str, _Part] = {}

    def resolve(self, module: _Module, path: list[str]) -> tuple[list[str], set[str]]:
        """What a reference such as [a, b, c] means: the keys of definitions, and how it reads without modules."""
        keys, readings = [], set()
        if path[0] in module.defs:
            keys += self._reach(module, path[0])
            readings.add(".".join(path))
        for target in sorted(module.imports.get(path[0], ())):
            found, reading = self._resolve_absolute([*target, *path[1:]])
            keys += found
            readings |= reading
        return keys, readings

    def _resolve_absolute(self, path: list[str]) -> tuple[list[str], set[str]]:
        if path[0] != PACKAGE:
            return [], {".".join(path)}
        length = next(size for size in range(len(path), 0, -1) if _read(".".join(path[:size])) is not None)
        module, rest = _read(".".join(path[:length])), path[length:]
        if path[1:2] and path[1] in NOT_FOLLOWED:
            return [], {".".join(rest)}
        if rest and (rest[0] in module.defs or rest[0] in module.imports):
            return self.resolve(module, rest)
        keys = []
        if length > 1 or rest:  # a module used as a value, or a name it does not bind: all of it
            keys = [key for name in sorted(module.defs) for key in self._reach(module, name)]
        return keys, {".".join(["<module>", *rest])}

    def _reach(self, module: _Module, name: str) -> list[str]:
        self._take(module, "", module.effects)
        for other in [name, *module.registered]:
            self._take(module, other, module.defs[other])
        return [f"{module.name}:{name}"]

    def _take(self, module: _Module, name: str, nodes: list[ast.AST]) -> None:
        key = f"{module.name}:{name}"
        if not nodes or key in self.parts:
            return
        part = self.parts[key] = _Part(name, "", [])

        def read(path: list[str]) -> str:
            keys, readings = self.resolve(module, path)
            part.refers += keys
            return "|".join(sorted(readings)) or ".".join(path)

        part.text = "".join(_normalised(node, read) for node in nodes)


@functools.cache
def _read(name: str) -> _Module | None:
    path = None
    if name == PACKAGE or name.startswith(PACKAGE + "."):
        base = FOLDER.joinpath(*name.split(".")[1:])
        path = next((p for p in (base / "__init__.py", base.with_suffix(".py")) if p.is_file()), None)
    elif name != "__main__" and getattr(sys.modules.get(name), "__file__", None):
        path = Path(sys.modules[name].__file__)
    if path is None or path.suffix != ".py":
        return None
    return _Module(name, path.read_text(encoding="utf-8"), path.name == "__init__.py")


def _imported(node: ast.AST, module: str, is_package: bool) -> Iterator[tuple[str, tuple[str, ...]]]:
    if isinstance(node, ast.Import):
        for alias in node.names:
            parts = tuple(alias.name.split("."))
            yield (alias.asname, parts) if alias.asname else (parts[0], parts[:1])
    elif isinstance(node, ast.ImportFrom):
        base = tuple(node.module.split(".")) if node.module else ()
        if node.level:
            package = module.split(".") if is_package else module.split(".")[:-1]
            base = (*package[: len(package) - node.level + 1], *base)
        for alias in node.names:
            yield alias.asname or alias.name, (*base, alias.name) if alias.name != "*" else base


def _bound_names(node: ast.AST) -> Iterator[str]:
    """Names a top-level statement binds or changes in place (`X[key] = value` changes X)."""
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        yield node.name
    elif isinstance(node, (ast.Assign, ast.AugAssign, ast.AnnAssign)):
        for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
            yield from (path[0] for path in _paths(target))
    else:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.stmt):
                yield from _bound_names(child)


def _paths(node: ast.AST) -> Iterator[list[str]]:
    """Every name used below `node`, with the attributes that follow it: `a.b.c` -> [a, b, c]."""
    path = _path(node)
    if path:
        yield path
        return
    for child in ast.iter_child_nodes(node):
        yield from _paths(child)


def _path(node: ast.AST) -> list[str]:
    chain = []
    while isinstance(node, ast.Attribute):
        chain.insert(0, node.attr)
        node = node.value
    return [node.id, *chain] if isinstance(node, ast.Name) else []


def _only_imports(node: ast.AST) -> bool:
    """An import, or an `if` around imports alone."""
    inner = [*node.body, *node.orelse] if isinstance(node, ast.If) else []
    return isinstance(node, (ast.Import, ast.ImportFrom)) or (bool(inner) and all(map(_only_imports, inner)))


def _normalised(node: object, read: Callable[[list[str]], str]) -> str:
    """The text of a syntax tree; `read` turns every reference [a, b, c] in it into words."""
    if isinstance(node, list):
        counted = [item for item in node if not _is_option(item) and not isinstance(item, (ast.Import, ast.ImportFrom))]
        return "[" + ",".join(_normalised(item, read) for item in counted) + "]"
    if not isinstance(node, ast.AST):
        return f"{type(node).__name__}:{node!r}"
    if isinstance(node, ast.Raise):
        return "Raise"
    if path := _path(node):
        return f"Reference({read(path)})"
    body = getattr(node, "body", None)
    documented = isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))
    if documented and ast.get_docstring(node, clean=False) is not None:
        body = node.body[1:]
    fields = []
    for field, value in ast.iter_fields(node):
        value = body if field == "body" else value
        # Empty fields are left out: newer Pythons add some, and the fingerprint must not depend on that.
        if field not in _IGNORED_FIELDS and value is not None and value != []:
            fields.append(f"{field}={_normalised(value, read)}")
    return f"{type(node).__name__}({','.join(fields)})"


def _is_option(node: object) -> bool:
    """A field declared by `option(...)`: its value is in the stored spec, its help text is prose."""
    return (
        isinstance(node, ast.AnnAssign)
        and isinstance(node.value, ast.Call)
        and next(_paths(node.value.func), [""])[-1] == "option"
    )


def _is_spec(node: ast.AST) -> bool:
    targets = [
        target
        for item in getattr(node, "body", [])
        if isinstance(item, (ast.Assign, ast.AnnAssign))
        for target in (item.targets if isinstance(item, ast.Assign) else [item.target])
    ]
    names = [getattr(target, "id", "") for target in targets]
    return isinstance(node, ast.ClassDef) and "experiment" in names
