"""What a store must be after a kill, and that what went on has the bits of what was never disturbed."""

import numpy as np

from implicit_rank.store import Store


def contents(results):
    """The bytes of every record by the name of its JSON file: the JSON and the arrays it names."""
    found = {}
    for record in [r for name in Store(results).experiments() for r in Store(results).scan(name)[0]]:
        found[record.path.name] = record.path.read_bytes(), record.packed.read_bytes() if record.packed else b""
    return found


def after_a_kill(results, before):
    """The records there are now, and the problems: damage, losses, changes, doubles, temporary files as records."""
    store, now = Store(results), contents(results)
    problems = [f"damaged: {sentence}" for sentence in store.check().values()]
    problems += [f"lost or changed: {name}" for name, content in before.items() if now.get(name) != content]
    problems += [f"counted as a record: {name}" for name in now if name.startswith(".") or "tmp" in name]
    listed = [path.name.removesuffix(".json")[-12:] for path in sorted(results.glob("*/[!.]*.json"))]
    problems += [f"stored twice: {name}" for name in sorted(set(listed)) if listed.count(name) > 1]
    problems += [f"not read as a record: {name}" for name in sorted(set(listed) - {name[-17:-5] for name in now})]
    return now, problems


def at_the_end(results, reference):
    """The problems of a finished store: other members than the reference, other bits, array files of nobody."""
    ours, theirs = ({(r.experiment, r.hash): r for r in records(root)} for root in (results, reference))
    problems = [f"not stored: {name}" for name in theirs.keys() - ours.keys()]
    problems += [f"nobody asked for {name}" for name in ours.keys() - theirs.keys()]
    for name in ours.keys() & theirs.keys():
        problems += differences(ours[name], theirs[name])
    named = {record.packed for record in ours.values()}
    return problems + [f"arrays of no record: {path.name}" for path in results.glob("*/[!.]*.npz") if path not in named]


def records(root):
    """All readable records of a store."""
    return [record for name in Store(root).experiments() for record in Store(root).scan(name)[0]]


def differences(ours, theirs):
    """What two records of a member differ in, apart from times."""
    problems = [f"{ours.hash}: other scalar {name}" for name in set(ours.scalars) ^ set(theirs.scalars)]
    for name in ours.scalars.keys() & theirs.scalars.keys():
        pair = ours.scalars[name], theirs.scalars[name]
        if "second" not in name and repr(pair[0]) != repr(pair[1]):
            problems.append(f"{ours.hash}: {name} is {pair[0]!r}, undisturbed {pair[1]!r}")
    problems += [f"{ours.hash}: other array {name}" for name in set(ours.arrays) ^ set(theirs.arrays)]
    for name in ours.arrays.keys() & theirs.arrays.keys():
        a, b = ours.arrays[name], theirs.arrays[name]
        if "second" not in name and (a.dtype, a.shape, a.tobytes()) != (b.dtype, b.shape, b.tobytes()):
            far = np.abs(np.nan_to_num(a - b)).max() if a.shape == b.shape and a.dtype.kind == "f" else "?"
            problems.append(f"{ours.hash}: array {name} differs (by {far})")
    return problems
