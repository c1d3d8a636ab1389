"""The API page reads signatures and docstrings off the source."""

from implicit_rank.book.api import public_members, typeset

SOURCE = '''
class Chain(Base):
    """A chain.

    Book: eq-x
    """

    def __init__(self, width: int, *, alpha: float = 1.0):
        pass

    def collapse(self) -> None:
        """Collapse it."""

    def _hidden(self):
        pass


def rank(values: Tensor, threshold: float = 0.01) -> Tensor:
    """Count ``values``."""


def _helper():
    pass
'''


def test_public_names_signatures_and_summaries(tmp_path):
    path = tmp_path / "module.py"
    path.write_text(SOURCE)
    members = public_members(path)
    assert [(name, signature) for name, signature, _, _ in members] == [
        ("Chain", "(width, *, alpha=1.0)"),
        ("Chain.collapse", "()"),
        ("rank", "(values, threshold=0.01)"),
    ]
    assert [paragraph.astext() for paragraph in typeset(members[0][2])] == ["A chain."]
    (paragraph,) = typeset(members[2][2])
    assert [(type(node).__name__, node.astext()) for node in paragraph.children] == [
        ("Text", "Count "),
        ("literal", "values"),
        ("Text", "."),
    ]
    assert SOURCE.splitlines()[members[2][3] - 1].startswith("def rank")


def test_paragraphs_of_a_docstring_stay_apart():
    assert [p.astext() for p in typeset("One\n    line.\n\n    Another.\n\n    Book: eq-x\n")] == [
        "One line.",
        "Another.",
    ]
