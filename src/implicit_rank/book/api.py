"""The API page: every public function and class of some modules, read off the source and linked to it."""

import ast
import re
from pathlib import Path

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from implicit_rank.book.layout import Layout


def public_members(path: Path) -> list[tuple[str, str, str, int]]:
    """(name, signature, docstring, line) of every public function and class of a file, public methods included."""
    found = []

    def walk(body, prefix):
        for node in body:
            if not isinstance(node, ast.FunctionDef | ast.ClassDef) or node.name.startswith("_"):
                continue
            found.append((prefix + node.name, _signature(node), ast.get_docstring(node) or "", node.lineno))
            if isinstance(node, ast.ClassDef):
                walk(node.body, f"{prefix}{node.name}.")

    walk(ast.parse(path.read_text(encoding="utf-8")).body, "")
    return found


def _signature(node: ast.FunctionDef | ast.ClassDef) -> str:
    if isinstance(node, ast.ClassDef):
        inits = [child for child in node.body if isinstance(child, ast.FunctionDef) and child.name == "__init__"]
        return _signature(inits[0]) if inits else ""
    arguments = node.args
    plain = ast.arguments(
        arguments.posonlyargs,
        arguments.args,
        arguments.vararg,
        arguments.kwonlyargs,
        arguments.kw_defaults,
        arguments.kwarg,
        arguments.defaults,
    )
    for argument in (*plain.posonlyargs, *plain.args, *plain.kwonlyargs, plain.vararg, plain.kwarg):
        if argument is not None:
            argument.annotation = None
    if plain.args and plain.args[0].arg in ("self", "cls"):
        del plain.args[0]
    return f"({ast.unparse(plain)})"


def typeset(docstring: str) -> list[nodes.paragraph]:
    """The paragraphs of a docstring without its `Book:` lines; what stands in backticks is code."""
    lines = [line for line in docstring.splitlines() if not line.strip().startswith("Book:")]
    found = []
    for block in re.split(r"\n\s*\n", "\n".join(lines).strip()):
        paragraph = nodes.paragraph()
        for number, part in enumerate(re.split(r"`+([^`]+)`+", " ".join(block.split()))):
            if part:
                paragraph += nodes.literal(part, part) if number % 2 else nodes.Text(part)
        if paragraph.children:
            found.append(paragraph)
    return found


class Api(SphinxDirective):
    """A definition list of a module's public names: `{api} theory.effective`."""

    required_arguments = 1

    def run(self):
        package = Layout(Path(self.env.srcdir)).package
        module = self.arguments[0]
        path = package / (module.replace(".", "/") + ".py")
        if not path.exists():
            return [self.state.document.reporter.warning(f"the package has no module {module!r}", line=self.lineno)]
        self.env.note_dependency(str(path))
        repository = self.config.html_theme_options.get("repository_url", "")
        place = f"{repository}/blob/main/src/implicit_rank/{path.relative_to(package).as_posix()}"
        items = nodes.definition_list(classes=["api"])
        for name, signature, docstring, line in public_members(path):
            link = nodes.reference("", "", nodes.literal(name, name), refuri=f"{place}#L{line}")
            term = nodes.term("", "", link, nodes.literal(signature, signature, classes=["signature"]))
            items += nodes.definition_list_item("", term, nodes.definition("", *typeset(docstring)))
        return [items]
