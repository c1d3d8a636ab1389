"""Which sub-folders of a folder are its training and test images, where their names say so."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from implicit_rank.tree import printable

ROLES = {
    "training": ("train", "training"),
    "validation": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing"),
}
Parts = tuple[str, ...]


@dataclass(frozen=True)
class SplitFolders:
    """The folders, as parts of their names, of the training images and of the test images (or None)."""

    train: Parts
    test: Parts | None
    validation: Parts | None

    def sentence(self) -> str:
        """The rule in words."""
        test = f"{_named(self.test)} for testing" if self.test else "none for testing"
        if self.validation and self.validation == self.test:
            test += " (its validation images, since there is no folder of test images)"
        unused = f", {_named(self.validation)} (validation) unused" if self.validation not in (None, self.test) else ""
        return f"the folder {_named(self.train)} for training, {test}{unused}"


def split_folders(where: str, names: Sequence[Parts], folders: Iterable[Parts]) -> SplitFolders | None:
    """The split that the names of sub-folders mean, in any case (ROLES), or None where none is meant.

    `names` are those of the images, `folders` those of all sub-folders, as parts. The folders may lie in others
    that hold nothing else. Without test folder, that of the validation images is it; with one, validation images are
    neither trained on nor tested on. ValueError, one sentence that names `where`, when what is meant is not certain.
    """
    base: Parts = ()
    while True:
        children = {name[len(base)] for name in names if len(name) > len(base) + 1 and name[: len(base)] == base}
        empty = {f[-1] for f in folders if len(f) == len(base) + 1 and f[:-1] == base and role_of(f[-1])}
        roles = _roles(where, sorted(children | empty))
        loose = any(len(name) == len(base) + 1 for name in names)
        if roles or loose or len(children) != 1:
            break
        base = (*base, *children)
    _refuse_deeper(where, names, base if roles else None)
    if not roles:
        return None
    found = ", ".join(printable(folder) for folder in roles.values())
    if "training" not in roles:
        raise ValueError(
            f"{where} has the folder {found} but none called train or training, so what to train on is not known: "
            f"rename the folders (or {found}, where it is a class)."
        )
    if len(roles) == 1 and len(children | empty) > 1:
        others = ", ".join(printable(name) for name in sorted(children - {roles["training"]})[:3])
        raise ValueError(
            f"{where} has the folder {found} beside {others}, which may be a split or classes: call the others "
            f"validation or test, or rename {found} where it is a class."
        )
    places = {role: (*base, folder) for role, folder in roles.items()}
    test = places.get("test") or places.get("validation")
    return SplitFolders(places["training"], test, places.get("validation"))


def role_of(folder: str) -> str | None:
    """What a folder of this name is for, "training", "validation" or "test", or None."""
    return next((role for role, names in ROLES.items() if folder.casefold() in names), None)


def inside(name: Parts, folder: Parts | None) -> bool:
    """Whether a name lies below a folder."""
    return folder is not None and name[: len(folder)] == folder


def _roles(where: str, children: list[str]) -> dict[str, str]:
    roles: dict[str, str] = {}
    for name in children:
        role = role_of(name)
        if role in roles:
            raise ValueError(
                f"{where} has the folders {printable(roles[role])} and {printable(name)}, which both mean {role} "
                "images: keep one of the two, or put both into one."
            )
        if role:
            roles[role] = name
    return roles


def _refuse_deeper(where: str, names: Sequence[Parts], base: Parts | None) -> None:
    """Refuse training and test folders that lie in several places: an image's label would be its split, or lost."""
    children: dict[Parts, set[str | None]] = {}
    for name in names:
        for depth in range(len(name) - 1):
            children.setdefault(name[:depth], set()).add(role_of(name[depth]))
    for place, roles in children.items():
        if place != base and "training" in roles and len(roles - {None}) > 1:
            raise ValueError(
                f"{where} has training and test images apart in its sub-folder {_named(place)}, beside other images: "
                "put the split on top, as in train/CLASS and test/CLASS."
            )


def _named(folder: Parts) -> str:
    return printable("/".join(folder))
