"""The store: round trips, atomicity under kill -9 and two writers, damage, full disks, staleness."""

import dataclasses
import errno
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch

from implicit_rank.parameters import option
from implicit_rank.store import (
    Record,
    Spec,
    Store,
    StoreError,
    default_root,
    files,
    fingerprint,
    fingerprint_parts,
    live_record,
    provenance,
    spec_hash,
)
from implicit_rank.store import fingerprint as fingerprint_function
from implicit_rank.store.modules import MODULES

SOURCE = Path(__file__).resolve().parents[1] / "src"


@dataclasses.dataclass(frozen=True)
class Toy(Spec):
    experiment: ClassVar[str] = "toy"

    depth: int = option(4, "layers", least=1)
    alpha: float = option(1.0, "weight", above=0)
    start: str = option("default", "start", choices=("default", "orthogonal"))
    widths: tuple[int, ...] = option((8, 4), "widths", least=1)


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "results")


def fill(store, **fields):
    spec = Toy(**fields)
    rng = np.random.default_rng(spec.seed)
    return store.save(spec, {"rank": spec.depth + 1}, {"spectrum": rng.normal(size=(3, 5))}, {"device": "cpu"})


# ---- round trip ----
def test_round_trip_keeps_everything(store):
    spec = Toy(profile="paper", seed=3, depth=16, alpha=2, start="orthogonal", widths=[5, 6])
    scalars = {
        "rank": 8,
        "loss": 0.1 + 0.2,
        "never": np.inf,
        "under": -np.inf,
        "odd": np.float64("nan"),
        "absent": None,
        "held": True,
        "reason": "diverged at step 25",
        "tensor": torch.tensor(2.5),
    }
    arrays = {
        "s": torch.linspace(0, 1, 7, dtype=torch.float64),
        "names": np.array(["a", "bc"]),
        "ranks": np.arange(6).reshape(2, 3),
        "gaps": np.array([np.nan, np.inf]),
    }
    saved = store.save(spec, scalars, arrays, provenance("cpu", 1.23456, batch=5))
    for record in (saved, Store(store.root).load(spec), store.select("toy", depth=16)[0]):
        assert record.spec == spec.to_dict()
        assert (record.hash, record.profile, record.seed) == (spec_hash(spec), "paper", 3)
        assert np.isnan(record.scalars.pop("odd"))
        assert record.scalars == {
            "rank": 8,
            "loss": 0.1 + 0.2,
            "never": np.inf,
            "under": -np.inf,
            "absent": None,
            "held": True,
            "reason": "diverged at step 25",
            "tensor": 2.5,
        }
        assert record.arrays.keys() == arrays.keys()
        for name, value in arrays.items():
            np.testing.assert_array_equal(record.arrays[name], np.asarray(value))
        assert record.provenance["seconds"] == 1.235
        assert record.provenance["batch"] == 5
        assert not record.stale
    assert saved.path.name == f"paper-s3-{spec_hash(spec)}.json"
    assert saved.packed.name.startswith(f"paper-s3-{spec_hash(spec)}-")
    assert len(list(saved.path.parent.iterdir())) == 2  # one JSON, one npz, nothing else


def test_json_is_readable_and_free_of_private_facts(store):
    record = fill(store, seed=1)
    text = record.path.read_text()
    content = json.loads(text, parse_constant=lambda word: pytest.fail(f"{word} is not JSON"))
    assert list(content) == sorted(content)
    assert content["spec"]["depth"] == 4
    facts = provenance("cpu")
    assert os.uname().nodename not in json.dumps(facts) or len(os.uname().nodename) < 4
    assert {"commit", "dirty", "versions", "device", "device_name", "threads", "date"} <= set(facts)
    assert facts["peak_memory_mb"] > 10
    assert facts["date"].endswith("+00:00")


def test_records_cannot_spoil_one_another(store):
    record = fill(store)
    with pytest.raises(ValueError, match="read-only"):
        record.arrays["spectrum"][0] = 0
    record.scalars["rank"] = -1
    assert store.load(Toy()).scalars["rank"] == 5


def test_hash_depends_on_every_field_and_on_nothing_else():
    specs = [
        Toy(),
        Toy(seed=1),
        Toy(depth=5),
        Toy(alpha=1.5),
        Toy(start="orthogonal"),
        Toy(widths=(8,)),
        Toy(profile="paper"),
    ]
    assert len({spec_hash(spec) for spec in specs}) == len(specs)
    assert spec_hash(Toy(alpha=1, widths=[8, 4])) == spec_hash(Toy())

    @dataclasses.dataclass(frozen=True)
    class Other(Toy):
        experiment: ClassVar[str] = "other"

    assert spec_hash(Other()) != spec_hash(Toy())


def test_select_and_missing(store):
    specs = [Toy(seed=seed, depth=depth) for depth in (16, 4) for seed in (1, 0)]
    for spec in specs[:3]:
        fill(store, seed=spec.seed, depth=spec.depth)
    assert [(r.spec["depth"], r.seed) for r in store.select("toy")] == [(4, 1), (16, 0), (16, 1)]
    assert [r.seed for r in store.select("toy", depth=16, widths=(8, 4), alpha=1)] == [0, 1]
    assert store.select("toy", depth=5) == []
    assert store.select("unheard_of", depth=5) == []
    assert store.missing(specs) == specs[3:]
    assert store.experiments() == ["toy"]
    with pytest.raises(ValueError, match=r"unknown spec field 'dpeth' \(did you mean 'depth'\?\)"):
        store.select("toy", dpeth=4)


def test_saving_again_replaces(store):
    fill(store)
    store.save(Toy(), {"rank": 7}, {"spectrum": np.ones(2)})
    assert store.load(Toy()).scalars == {"rank": 7}
    assert store.load(Toy()).arrays["spectrum"].shape == (2,)
    store.save(Toy(), {"rank": 9})
    assert store.load(Toy()).arrays == {}
    assert len(list((store.root / "toy").iterdir())) == 1


def test_same_content_gives_the_same_bytes(store, tmp_path):
    first, second = fill(store, seed=2), fill(Store(tmp_path / "elsewhere"), seed=2)
    for one, other in zip(sorted(first.path.parent.iterdir()), sorted(second.path.parent.iterdir()), strict=True):
        assert one.name == other.name
        assert one.read_bytes() == other.read_bytes()


def test_live_records_look_like_stored_ones(store):
    live = live_record(Toy(seed=1), {"rank": torch.tensor(5)}, {"s": torch.ones(2)})
    assert isinstance(live, Record)
    assert live.hash == spec_hash(Toy(seed=1))
    assert live.scalars == {"rank": 5}
    assert live.path is None
    assert live.arrays["s"].tolist() == [1, 1]


@pytest.mark.parametrize(
    ("scalars", "arrays", "sentence"),
    [
        ({"a": [1]}, {}, "scalar 'a' must be a number, text or None, not list"),
        ({"a": "nan"}, {}, "scalar 'a' must not be the word 'nan'"),
        ({}, {"b": np.array([{}], dtype=object)}, "array 'b' must hold numbers"),
    ],
)
def test_what_is_not_plain_is_refused(store, scalars, arrays, sentence):
    with pytest.raises(ValueError, match=sentence):
        store.save(Toy(), scalars, arrays)
    assert store.load(Toy()) is None


def test_runs_under_an_older_stores_names_are_found_and_replaced(store):
    record = fill(store)
    content = json.loads(record.path.read_text())
    for path in (record.path, record.packed):
        path.rename(path.with_name(path.name.replace("quick-s0-", "quick-seed0-depth4-whatever-")))
    content["arrays"]["file"] = content["arrays"]["file"].replace("quick-s0-", "quick-seed0-depth4-whatever-")
    del content["checksum"]
    old = record.path.with_name(record.path.name.replace("quick-s0-", "quick-seed0-depth4-whatever-"))
    old.write_bytes(files.encode_record(content))
    for found in (store.load(Toy()), *store.select("toy")):
        assert found.path == old
        np.testing.assert_array_equal(found.arrays["spectrum"], record.arrays["spectrum"])
    assert store.missing([Toy()]) == []
    assert store.save(Toy(), {"rank": 9}, {"spectrum": np.ones(2)}).scalars == {"rank": 9}
    assert len(list(store.root.glob("toy/*.json"))) == len(list(store.root.glob("toy/*.npz"))) == 1


# ---- damage ----
def damage(record, how):
    path, packed = record.path, record.packed
    content = json.loads(path.read_text())
    if how == "cut JSON":
        path.write_bytes(path.read_bytes()[:-40])
    elif how == "empty JSON":
        path.write_bytes(b"")
    elif how == "other JSON":
        path.write_text("[1, 2]")
    elif how == "edited":
        path.write_text(path.read_text().replace('"rank": 5', '"rank": 8'))
    elif how == "renamed":
        path.rename(path.with_name(path.name.replace(record.hash, "0" * 12)))
    elif how == "newer":
        path.write_text(json.dumps(content | {"format": 99}))
    elif how == "lacking":
        del content["provenance"], content["checksum"]
        path.write_bytes(files.encode_record(content))
    elif how == "cut npz":
        packed.write_bytes(packed.read_bytes()[:-30])
    elif how == "no npz":
        packed.unlink()
    elif how == "pickled npz":
        np.savez(packed, spectrum=np.array([print], dtype=object))
        content.pop("checksum")
        content["arrays"]["sha256"] = files.sha256(packed.read_bytes())
        path.write_bytes(files.encode_record(content))


@pytest.mark.parametrize(
    ("how", "sentence"),
    [
        ("cut JSON", "it is cut off or not JSON"),
        ("empty JSON", "it is cut off or not JSON"),
        ("other JSON", "it is not a stored run"),
        ("edited", "it was edited or damaged"),
        ("renamed", "it was moved or renamed"),
        ("newer", "has format 99"),
        ("lacking", "it lacks an entry"),
        ("cut npz", "is cut off or damaged"),
        ("no npz", "is missing"),
        ("pickled npz", "does not hold plain arrays"),
    ],
)
def test_a_damaged_run_is_refused_and_can_be_replaced(store, how, sentence):
    intact = fill(store, seed=1)
    damage(fill(store, seed=0), how)
    with pytest.raises(StoreError, match=sentence) as refused:
        store.select("toy")
    assert "delete" in str(refused.value)
    assert ".json" in str(refused.value)
    assert list(store.check().values()) == [str(refused.value)]
    assert store.load(Toy(seed=1)).scalars == intact.scalars  # the neighbours stay usable
    assert store.missing([Toy(seed=0), Toy(seed=1)]) == [Toy(seed=0)]
    if how not in ("renamed",):
        fill(store, seed=0)
        assert [record.seed for record in store.select("toy")] == [0, 1]


# ---- interruptions ----
WRITER = textwrap.dedent("""
    import dataclasses, sys
    from typing import ClassVar
    import numpy as np
    from implicit_rank.parameters import option
    from implicit_rank.store import Spec, Store

    @dataclasses.dataclass(frozen=True)
    class Toy(Spec):
        experiment: ClassVar[str] = "toy"

    store, start, rounds = Store(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    print("ready", flush=True)
    for value in range(start, start + rounds):
        if store.root.with_name("enough").exists():
            break
        values = np.full(20_000, value) + np.arange(20_000) % 7
        store.save(Toy(), {"value": value}, {"values": values})
    """)


@dataclasses.dataclass(frozen=True)
class Plain(Spec):
    experiment: ClassVar[str] = "toy"


def writer(root, start, rounds):
    environment = {**os.environ, "PYTHONPATH": str(SOURCE), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(root), str(start), str(rounds)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
        text=True,
    )
    assert process.stdout.readline() == "ready\n", process.stderr.read()
    return process


def wait_for(condition, seconds=300):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"


def whole(record):
    """The value of a record whose scalars and arrays belong together."""
    value = record.scalars["value"]
    np.testing.assert_array_equal(record.arrays["values"], value + np.arange(20_000) % 7)
    return value


def test_kill_9_leaves_the_old_run_or_the_new_one(store):
    rng, seen = np.random.default_rng(0), set()
    for attempt in range(12):
        first = 1_000_000 * attempt
        process = writer(store.root, first, 1_000_000)
        if attempt % 4:  # every fourth may be killed before it has stored anything
            wait_for(lambda: (record := Store(store.root).load(Plain())) and whole(record) >= first)  # noqa: B023
        time.sleep(rng.uniform(0, 0.05))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        record = Store(store.root).load(Plain())
        if record is not None:
            seen.add(whole(record))
        assert store.check() == {}
    assert len(seen) >= 9  # what each of them wrote before it was killed
    leftovers = list((store.root / "toy").glob(".tmp-*"))
    for path in leftovers:
        os.utime(path, (0, 0))
    store.save(Plain(), {"value": 1}, {})
    assert len(list((store.root / "toy").iterdir())) == 1  # leftovers of the dead are gone


def test_two_writers_and_a_reader(store):
    processes = [writer(store.root, start, 1_000_000) for start in (0, 1_000_000)]
    seen = set()

    def both_seen():
        record = Store(store.root).load(Plain())
        seen.update([whole(record)] if record else [])
        return len(seen) >= 20 and min(seen) < 1_000_000 <= max(seen)

    wait_for(both_seen)
    store.root.with_name("enough").touch()
    for process in processes:
        assert process.wait() == 0, process.stderr.read()
        process.communicate()
    last = whole(store.load(Plain()))
    assert last >= max(value for value in seen if (value < 1_000_000) is (last < 1_000_000))
    assert len(list((store.root / "toy").iterdir())) == 2


def test_ctrl_c_while_writing_leaves_nothing(store, monkeypatch):
    old = fill(store)

    def interrupted(descriptor):
        raise KeyboardInterrupt

    monkeypatch.setattr(files.os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        store.save(Toy(), {"rank": 99}, {"spectrum": np.zeros(3)})
    assert store.load(Toy()).scalars == old.scalars
    assert list((store.root / "toy").glob(".tmp-*")) == []


def test_full_disk_is_one_sentence_and_loses_nothing(store):
    old = fill(store)
    script = WRITER.partition("store, start")[0] + textwrap.dedent("""
        import resource, signal
        from implicit_rank.store import StoreError
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
        try:
            Store(sys.argv[1]).save(Toy(), {}, {"noise": np.random.default_rng(0).normal(size=10_000)})
        except StoreError as error:
            print(error)
        """)
    done = subprocess.run(
        [sys.executable, "-c", script, str(store.root)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
        check=True,
    )
    assert done.stdout.startswith("no space left to store the run in ")
    assert "IMPLICIT_RANK_RESULTS" in done.stdout
    assert [record.scalars for record in store.select("toy")] == [old.scalars]
    assert len(list((store.root / "toy").iterdir())) == 2


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_disk_filling_up_at_the_last_step(store, monkeypatch, code):
    old = fill(store)

    def full(source, target):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(files.os, "replace", full)
    with pytest.raises(StoreError, match="no space left"):
        store.save(Toy(), {"rank": 99})
    assert store.load(Toy()).scalars == old.scalars
    assert len(list((store.root / "toy").iterdir())) == 2


def test_read_only_folder_is_one_sentence(tmp_path):
    store = Store(tmp_path / "results")
    fill(store)
    (store.root / "toy").chmod(0o555)
    store.root.chmod(0o555)
    script = WRITER.partition("store, start")[0] + textwrap.dedent("""
        import os
        from implicit_rank.store import StoreError
        if os.geteuid() == 0:    # the super-user may write anywhere, so become somebody else
            os.setgid(65534), os.setuid(65534)
        try:
            Store(sys.argv[1]).save(Toy(seed=5), {"value": 1})
        except StoreError as error:
            print(error)
        """)
    for parent in [tmp_path, *tmp_path.parents][:3]:  # pytest's own folders are private
        parent.chmod(parent.stat().st_mode | 0o055) if parent.stat().st_uid == os.geteuid() else None
    try:
        done = subprocess.run(
            [sys.executable, "-c", script, str(store.root)],
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": str(SOURCE)},
            check=False,
        )
    finally:
        store.root.chmod(0o755)
        (store.root / "toy").chmod(0o755)
    assert done.stdout.startswith("the results folder "), done.stderr
    assert "is read-only; make it writable" in done.stdout
    assert len(store.select("toy")) == 1


def test_default_root(monkeypatch, tmp_path):
    assert default_root() == SOURCE.parent / "book" / "results"
    monkeypatch.setenv("IMPLICIT_RANK_RESULTS", str(tmp_path))
    assert Store().root == tmp_path


# ---- staleness ----
PACKAGE = {
    "__init__.py": "",
    "spectra.py": "def used(x):\n    return x * FACTOR\n\ndef unused(x):\n    return x\n\nFACTOR = 2\n",
    "chain.py": "from implicit_rank import spectra\n\nclass Chain:\n    def go(self):\n"
    "        return spectra.used(1)\n",
    "linear/__init__.py": "from .loop import train\n",
    "linear/loop.py": "RULES = {}\n\ndef rule(f):\n    RULES[f.__name__] = f\n    return f\n\n"
    "@rule\ndef adam(x):\n    return x\n\ndef train(spec):\n    return RULES['adam'](spec)\n",
    "experiments/split.py": "from implicit_rank.experiments.split_run import run\n",
    "experiments/split_run.py": "def run(specs):\n    return specs + 1\n\ndef cost():\n    return 2\n",
    "twins/__init__.py": "",
    "twins/one.py": "from implicit_rank.twins.left import half\n\ndef run(specs):\n    return half(specs)\n",
    "twins/other.py": "from implicit_rank.twins import right\n\ndef run(specs):\n    return right.half(specs)\n",
    "twins/left.py": "SHARE = 2\n\ndef half(x):\n    return x / SHARE\n",
    "twins/right.py": "SHARE = 0.5\n\ndef half(x):\n    return x / SHARE\n",
    "experiments/twins.py": "from implicit_rank.twins import one, other\n\ndef run(specs):\n"
    "    return one.run(specs) - other.run(specs)\n",
    "figures/__init__.py": "def draw():\n    pass\n",
    "experiments/__init__.py": "",
    "experiments/demo.py": '''
"""Prose."""
from implicit_rank import linear
from implicit_rank.parameters import option
from implicit_rank.figures import draw

SIZE = 3

class Demo(Spec):
    experiment = "demo"
    depth: int = option(4, "help")

    @property
    def rate(self):
        return 1 / self.depth

def run(specs: list):
    """Run."""
    from implicit_rank.chain import Chain
    if not specs:
        raise ValueError("no specs")
    draw()
    return helper(specs), Chain().go(), SIZE

def helper(specs):
    return [linear.train(spec) for spec in specs]

MEASURES = {"rank": lambda record: record.scalars["rank"]}

def presets(profile):
    return []
''',
}


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A miniature implicit_rank to edit: edit({file: [(old, new), ...], ...}) -> has a fingerprint changed?

    Instead of edits a file may have its new name, or text if it is a new one.
    """
    module = sys.modules[fingerprint_function.__module__]
    for name, text in PACKAGE.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(module, "FOLDER", tmp_path)

    def current():
        module._read.cache_clear()
        fingerprint.cache_clear()
        return [fingerprint(f"implicit_rank.experiments.{name}") for name in ("demo", "split", "twins")]

    def edit(changes):
        before = current()
        for name, change in changes.items():
            if isinstance(change, str) and (tmp_path / name).exists():
                (tmp_path / name).rename(tmp_path / change)
                continue
            text = change if isinstance(change, str) else (tmp_path / name).read_text()
            for old, new in change if isinstance(change, list) else []:
                assert old in text
                text = text.replace(old, new)
            (tmp_path / name).write_text(text)
        after = current()
        assert None not in after
        return after != before

    yield edit
    module._read.cache_clear()
    fingerprint.cache_clear()


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("experiments/demo.py", "SIZE = 3", "SIZE = 4"),
        ("experiments/demo.py", "linear.train(spec)", "linear.train(spec) + 1"),
        ("experiments/demo.py", "1 / self.depth", "2 / self.depth"),
        ("linear/loop.py", "RULES['adam'](spec)", "RULES['adam'](2 * spec)"),
        ("linear/loop.py", "def adam(x):\n    return x", "def adam(x):\n    return -x"),  # reached by a registry
        ("linear/__init__.py", "import train", "import adam as train"),
        ("spectra.py", "x * FACTOR", "x + FACTOR"),
        ("spectra.py", "FACTOR = 2", "FACTOR = 2.0"),
        ("experiments/split_run.py", "specs + 1", "specs + 2"),
    ],
)
def test_editing_what_computes_makes_stale(package, name, old, new):
    assert package({name: [(old, new)]})


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("experiments/demo.py", '"""Prose."""', '"""Other prose."""'),
        ("experiments/demo.py", '"""Run."""', "# a comment"),
        ("experiments/demo.py", '"no specs"', '"give at least one spec"'),
        ("experiments/demo.py", "specs: list", "specs: tuple"),
        ("experiments/demo.py", 'option(4, "help")', 'option(8, "better help")'),
        ("experiments/demo.py", 'scalars["rank"]', 'scalars["code_rank"]'),
        ("experiments/demo.py", "return []", "return [profile]"),
        ("experiments/demo.py", "helper(specs), Chain", "helper( specs ),  Chain"),
        ("experiments/split_run.py", "return 2", "return 3"),
        ("figures/__init__.py", "pass", "return 1"),
        ("spectra.py", "def unused(x):\n    return x", "def unused(x):\n    return -x"),
    ],
)
def test_editing_anything_else_does_not(package, name, old, new):
    assert not package({name: [(old, new)]})


@pytest.mark.parametrize(
    "moves",
    [
        {  # a whole file
            "linear/loop.py": "linear/steps.py",
            "linear/__init__.py": [(".loop", ".steps")],
        },
        {  # one definition, into a file with another registry beside it
            "spectra.py": [("FACTOR = 2\n", "from implicit_rank.constants import FACTOR\n")],
            "constants.py": "FACTOR = 2\n\ndef unused():\n    return FACTOR\n",
        },
        {  # the same function under another alias, and imported at the top
            "chain.py": [("import spectra", "import spectra as measures"), ("spectra.used", "measures.used")],
            "experiments/demo.py": [
                ("from implicit_rank import linear", "from implicit_rank.chain import Chain as Line\nimport numpy"),
                ("    from implicit_rank.chain import Chain\n", "    from implicit_rank import linear\n"),
                ("Chain()", "Line()"),
                ("def helper(specs):\n", "def helper(specs):\n    from implicit_rank import linear\n"),
            ],
        },
        {  # what an experiment runs, into a module of its own
            "experiments/split.py": [("split_run import run", "split_more import run")],
            "experiments/split_run.py": "experiments/split_more.py",
        },
        {  # both of two namesakes, each into the other's place
            "twins/left.py": "twins/middle.py",
            "twins/right.py": "twins/left.py",
            "twins/one.py": [("twins.left", "twins.middle")],
            "twins/other.py": [("import right", "import left"), ("right.half", "left.half")],
        },
    ],
)
def test_moving_and_renaming_modules_does_not(package, moves):
    assert not package(moves)


@pytest.mark.parametrize(
    "swap",
    [
        {
            "twins/one.py": [("twins.left", "twins.right")],
            "twins/other.py": [("import right", "import left"), ("right.half", "left.half")],
        },
        {"experiments/twins.py": [("one.run(specs) - other.run(specs)", "other.run(specs) - one.run(specs)")]},
        {"twins/left.py": [("SHARE = 2", "SHARE = 0.5")], "twins/right.py": [("SHARE = 0.5", "SHARE = 2")]},
    ],
)
def test_swapping_namesakes_makes_stale(package, swap):
    assert package(swap)


def test_stale_runs_are_marked_and_may_count_as_missing(store, monkeypatch):
    fill(store)
    monkeypatch.setattr("implicit_rank.store.disk.fingerprint", lambda module: "another")
    fresh = Store(store.root)
    assert fresh.load(Toy()).stale
    assert fresh.missing([Toy()]) == []
    assert fresh.missing([Toy()], stale=True) == [Toy()]


def test_fingerprints_of_the_real_experiments_reach_the_trainer_and_no_figure():
    for name, place in MODULES.items():
        modules = {key.partition(":")[0].split(".")[1] for key in fingerprint_parts(place)}
        # what trains or derives; the check of the published protocol alone needs nothing but the labels
        derives = {"data"} if name == "irmae_images_protocol" else {"linear", "theory", "chain", "spectra"}
        assert modules & derives, name
        assert not modules & {"store", "claims", "figures", "book", "parameters"}, name
