"""What a checkpoint is of: everything that decides a training's result, kept beside its state and compared first."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from implicit_rank.autoencoder import Autoencoder
from implicit_rank.train.rules import Rule
from implicit_rank.train.settings import Member, Settings

FORMAT = 1  # of a state; a higher one when states of before can no longer be gone on from
KEYS = ("identity", "start")
_LENGTH = ("epochs", "steps", "checkpoint_seconds")  # a training may become longer, and be kept more or less often
_ROUNDING = 1e-4  # an orthogonal start differs in its last digits between machines, one of another seed by far more
_LISTED, _SHOWN = 3, 60  # differences in a sentence, characters of a value


def identity(
    models: Sequence[Autoencoder],
    members: Sequence[Member],
    images: Tensor,
    evaluation: Tensor,
    settings: Settings,
    rules: Sequence[Rule],
) -> dict[str, np.ndarray]:
    """The arrays that say what a state is of: `identity` (JSON text of names and values) and `start` (m, 2 p).

    Digests of `images` and `evaluation` as they are used, every setting but the length, members, rules and
    architectures; `start` are sum |w| and the norm of each model's p weight tensors before the first step, NaN
    where a model has fewer. They are blind to signs, in which two machines' singular vectors may differ. The device is
    not part of it: elsewhere a run goes on with other roundings.
    """
    facts = {"format of the state": FORMAT, "number of models": len(models)}
    facts |= {name: value for name, value in settings.to_dict().items() if name not in _LENGTH}
    facts |= {"images": _digest(images), "evaluation": _digest(evaluation), "rules": [_named(rule) for rule in rules]}
    for i, (model, member) in enumerate(zip(models, members, strict=True)):
        facts |= {f"{name} of member {i}": value for name, value in member.to_dict().items()}
        facts |= {f"{name} of model {i}": value for name, value in _architecture(model).items()}
    return {"identity": np.array(json.dumps(facts)), "start": recognised([list(m.parameters()) for m in models])}


def recognised(weights: Sequence[Sequence[np.ndarray | Tensor]]) -> np.ndarray:
    """The numbers (m, 2 p) by which the weights of models are recognised, see `identity`."""
    doubles = [[torch.as_tensor(w).detach().cpu().double() for w in own] for own in weights]
    rows = [[x.item() for w in own for x in (w.abs().sum(), torch.linalg.vector_norm(w))] for own in doubles]
    width = max(map(len, rows))
    return np.array([row + [np.nan] * (width - len(row)) for row in rows])


def difference(
    theirs: dict[str, np.ndarray], ours: dict[str, np.ndarray], kept: Callable[[], np.ndarray]
) -> str | None:
    """What differs between a checkpoint's identity and this training's, in words "name: theirs -> ours"; None if equal.

    `kept()` recognises (m, 2 p) the weights that the checkpoint holds: models trained up to there are no others.
    """
    if not theirs:
        return "it does not say of which: an earlier version of this package wrote it"
    one, other = (json.loads(str(arrays["identity"])) for arrays in (theirs, ours))
    names = [name for name in one | other if one.get(name) != other.get(name)]
    if names:
        listed = [f"{name}: {' -> '.join(_contrast(one.get(name), other.get(name)))}" for name in names[:_LISTED]]
        more = [f"and {len(names) - _LISTED} more"] if len(names) > _LISTED else []
        return "; ".join(listed + more)
    if not (_alike(theirs["start"], ours["start"]) or _alike(kept(), ours["start"])):
        return "other start weights; draw the models from the same seed, by a generator"
    return None


def _alike(one: np.ndarray, other: np.ndarray) -> bool:
    return one.shape == other.shape and np.allclose(one, other, rtol=_ROUNDING, atol=0, equal_nan=True)


def _digest(images: Tensor) -> str:
    shape = " x ".join(map(str, images.shape))
    return f"{shape}, sha256 {hashlib.sha256(images.cpu().contiguous().numpy()).hexdigest()[:16]}"


def _named(rule: Rule) -> str:
    if dataclasses.is_dataclass(rule):
        return repr(rule)
    named = rule if hasattr(rule, "__qualname__") else type(rule)
    return f"{named.__module__}.{named.__qualname__}"


def _architecture(model: Autoencoder) -> dict[str, str]:
    """The parts of a model as text: layers, shapes, and what is trained of them."""
    parts = {name: "none" if part is None else " ".join(str(part).split()) for name, part in _parts(model)}
    activation = getattr(model.chain, "activation", None)
    parts["activation"] = getattr(activation, "__name__", type(activation).__name__)
    parts["trained weights"] = ", ".join(
        f"{n} {tuple(p.shape)}" for n, p in model.named_parameters() if p.requires_grad
    )
    return {"kind": model.kind} | parts


def _parts(model: Autoencoder) -> list[tuple[str, object]]:
    return [(name, getattr(model, name)) for name in ("chain", "encoder", "decoder")]


def _contrast(one: object, other: object) -> tuple[str, str]:
    """Two unequal values as short text; long ones begin shortly before they differ."""
    texts = [
        "none" if value is None else value if isinstance(value, str) else json.dumps(value) for value in (one, other)
    ]
    if max(map(len, texts)) > _SHOWN:
        same = next((i for i, (a, b) in enumerate(zip(*texts, strict=False)) if a != b), min(map(len, texts)))
        start = max(same - _SHOWN // 3, 0)
        texts = [("..." if start else "") + text[start:] for text in texts]
    return tuple(text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..." for text in texts)
