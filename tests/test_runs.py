"""The commands `run` and `sweep`: what is said before they start, what is kept, how bad input is refused."""

import contextlib
import dataclasses
import io
import itertools
import types

import pytest
import toy_sweep
from toy_sweep import Toy, diary

from implicit_rank import __main__ as program
from implicit_rank.book import members, runs
from implicit_rank.book.progress import Progress, describe
from implicit_rank.experiments import register
from implicit_rank.experiments.kit import autoencoder_run
from implicit_rank.store import Store, StoreError, checkpoint_of


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    """`command("run", "toy_sweep", ...)` prints into tmp_path/results; returns (exit code, printed, errors)."""
    monkeypatch.setattr(register, "MODULES", {})  # the toy alone
    monkeypatch.setenv("IMPLICIT_RANK_CHECKPOINTS", str(tmp_path / "checkpoints"))
    monkeypatch.setattr(program.signal, "signal", lambda *_: None)
    monkeypatch.chdir(tmp_path)  # the toy keeps its diary there

    def call(*words):
        code = program.main([*words, "--results", str(tmp_path / "results")])
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "results")


def write(store, spec, seconds, **provenance):
    store.save(spec, {"sum": 0}, {}, {"seconds": seconds, **provenance})


# ---- run ----
@pytest.mark.parametrize("verb", ["run", "sweep"])
def test_members_are_run_once_and_then_skipped(command, store, tmp_path, verb):
    code, said, errors = command(verb, "toy_sweep", "--seeds", "3", "5")
    assert (code, errors) == (0, "")
    assert said.startswith(
        "toy_sweep, profile quick: 2 members, 0 of them stored.\n"
        f"To run on cpu: 2 members, roughly 1 s; into {tmp_path / 'results'}.\n"
        "  seed: 3, 5\n  size: 2,468 parameters, 3 MB per member\n"
    )
    assert "Stored 2 members in " in said
    assert [record.seed for record in store.select("toy_sweep")] == [3, 5]
    assert store.load(Toy(seed=3)).provenance["device"] == "cpu"
    assert command(verb, "toy_sweep", "--seeds", "3", "5")[1] == (
        "toy_sweep, profile quick: 2 members, 2 of them stored.\nNothing to run.\n"
    )
    _, said, _ = command(verb, "toy_sweep", "--seeds", "3", "6")
    assert "To run on cpu: 1 member, roughly 1 s;" in said  # half a second each, as stored
    assert [seeds for _, _, seeds in diary(tmp_path, "begin")] == [(3, 5), (6,)]
    _, said, _ = command(verb, "toy_sweep", "--seeds", "3", "--force")
    assert "1 member, 1 of them stored" in said
    assert diary(tmp_path, "begin")[2][2] == (3,)


def test_run_takes_the_experiments_batches_in_the_order_asked_for(command, tmp_path, monkeypatch):
    told = []
    specs = [Toy(seed=seed, pause=pause) for seed, pause in ((0, 0.0), (1, 0.001), (2, 0.0), (3, 0.0), (4, 0.001))]
    toy_sweep.changed(monkeypatch, presets=lambda profile, seeds=None: specs)
    toy_sweep.changed(monkeypatch, cost=lambda spec: 1 + spec.seed)
    monkeypatch.setattr(runs, "Progress", lambda: contextlib.nullcontext(lambda *report: told.append(report)))
    checkpoint_of([specs[1], specs[4]]).save({"step": 3, "sum": [3, 12]})
    assert command("run", "toy_sweep")[0] == 0
    assert [(step, seeds) for _, step, seeds in diary(tmp_path, "begin")] == [(0, (0, 2)), (3, (1, 4)), (0, (3,))]
    shares = [share for share, _ in told]
    assert shares == sorted(shares)
    assert shares[3:5] == [pytest.approx(4 / 15), pytest.approx(11 / 15)]  # costs 1 + 3, then 2 + 5
    assert shares[-1] == 1
    toy_sweep.changed(monkeypatch, batches=None)
    command("run", "toy_sweep", "--force")
    assert diary(tmp_path, "begin")[-1][2] == (0, 1, 2, 3, 4)  # one who groups for himself is handed all of them


@pytest.mark.parametrize("verb", ["run", "sweep"])
def test_a_dry_run_only_prints(command, tmp_path, verb):
    code, said, _ = command(verb, "toy_sweep", "--part", "2/2", "--dry-run")
    assert code == 0
    sizes = "  size: 2,468 parameters, 3 MB per member"
    assert said.splitlines()[2:] == ["  seed: 1, 3", sizes, "    seed 1", "    seed 3"]
    assert list(tmp_path.iterdir()) == []


def test_checkpoints_are_announced_taken_up_or_discarded(command, store, tmp_path):
    specs = toy_sweep.presets()
    state = {"step": 3, "sum": [3 * spec.seed for spec in specs[2:]]}
    checkpoint_of(specs[2:]).save(state)
    _, said, _ = command("run", "toy_sweep", "--dry-run")
    assert "2 of them go on from 1 checkpoint (--no-resume discards).\n" in said
    _, said, _ = command("sweep", "toy_sweep")
    assert "2 of them go on from 1 checkpoint" in said
    assert [(step, seeds) for _, step, seeds in diary(tmp_path, "begin")] == [(3, (2, 3)), (0, (0, 1))]
    assert store.load(specs[3]).scalars == {"sum": 12.0, "steps": 4}
    checkpoint_of(specs[2:]).save(state)
    _, said, _ = command("run", "toy_sweep", "--seeds", "2", "3", "--force", "--no-resume")
    assert "Discarded 1 checkpoint.\n" in said
    assert "go on from" not in said
    assert diary(tmp_path, "begin")[2][1:] == (0, (2, 3))


def test_what_older_code_stored_is_mentioned(command, store, monkeypatch):
    write(store, Toy(), 1.0)
    monkeypatch.setattr("implicit_rank.store.disk.fingerprint", lambda module: "newer")
    _, said, _ = command("run", "toy_sweep", "--seeds", "0")
    assert "1 of the stored ones are of older code; --stale runs them again.\nNothing to run." in said
    assert "Stored 1 member in" in command("run", "toy_sweep", "--seeds", "0", "--stale")[1]


def test_interrupted_says_what_is_kept(command, monkeypatch):
    def run(specs, on_done, **options):
        on_done(toy_sweep.Result(specs[0], {}, {}))
        raise KeyboardInterrupt

    toy_sweep.changed(monkeypatch, run=run)
    for verb, kept in (("run", "1 of 4"), ("sweep", "1 of 3")):
        code, said, _ = command(verb, "toy_sweep")
        assert code == 130
        assert f"Interrupted: {kept} are stored; the same command goes on from there." in said


def test_a_full_disk_says_what_is_kept(command, monkeypatch):
    def full(self, *_):
        raise StoreError("no space left.")

    monkeypatch.setattr(Store, "save", full)
    assert command("run", "toy_sweep")[::2] == (1, "no space left. (0 of 4 members were stored before.)\n")
    assert command("sweep", "toy_sweep")[::2] == (1, "no space left.\n")


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["run", "toy_swep"], 1, "unknown experiment 'toy_swep' (did you mean 'toy_sweep'?)"),
        (["sweep", "toy_swep"], 1, "unknown experiment 'toy_swep' (did you mean 'toy_sweep'?)"),
        (["sweep", "toy_sweep", "--seeds", "-1"], 1, "seeds must be from 0 to 2147483647, not -1"),
        (["sweep", "toy_sweep", "--device", "toaster"], 2, "device must be 'cpu'"),
        (["sweep", "toy_sweep", "--retries", "-1"], 2, "retries must be 0 or more, not -1"),
        (["sweep", "toy_sweep", "--scheduler-file", "none.json"], 1, "the scheduler file none.json cannot be read"),
        (["sweep", "toy_sweep", "--scheduler", "host"], 2, "address looks like \"tcp://host:8786\", not 'host'"),
    ],
)
def test_bad_input_is_one_sentence(command, words, code, sentence):
    ended, _, errors = command(*words)
    assert ended == code
    assert sentence in errors
    assert errors.count("\n") == 1


@pytest.mark.parametrize(
    "words",
    [["--workers", "0"], ["--batch", "many"], ["--workers", "2", "--scheduler", "tcp://host:1"], ["--part", "3/2"]],
)
def test_bad_usage_is_refused_before_anything_runs(command, tmp_path, words):
    with pytest.raises(SystemExit) as ended:
        command("sweep", "toy_sweep", *words)
    assert ended.value.code == 2
    assert list(tmp_path.iterdir()) == []


def test_without_a_name_experiments_are_listed(command):
    assert (
        command("sweep")[1]
        == command("run")[1]
        == (
            "toy_sweep                A tiny experiment for the tests of sweeps: its members sleep, write down "
            "what they do, and fail on demand.\n"
        )
    )


def test_the_real_experiments_are_found():
    assert {"deep_linear", "recovery", "rotation"} <= set(register.names())


def test_failed_members_are_named_and_the_exit_code_is_1(command, monkeypatch):
    toy_sweep.changed(
        monkeypatch,
        presets=lambda profile, seeds=None: [
            Toy(seed=seed, fail=fail) for seed in (0, 1) for fail in ("never", "refused")
        ],
    )
    code, said, _ = command("sweep", "toy_sweep")
    assert code == 1
    assert "Stored 2 members in " in said
    assert said.endswith("2 failed: the toy is broken: mend it.\n  seed: 0, 1\n")


# ---- what is said before ----
def test_differences_list_values_and_count_words():
    specs = [
        Toy(seed=seed, pause=pause, fail=fail, steps=2 + seed)
        for seed in range(12)
        for pause in (0.5, 0.25)
        for fail in ("never", "refused")[: 1 + (seed < 3)]
    ]
    assert members.differences(specs) == [
        "seed: 0, 1, 2, 3, 4, ..., 11 (12 values)",
        "steps: 2, 3, 4, 5, 6, ..., 13 (12 values)",
        "pause: 0.25, 0.5",
        "fail: never (24), refused (6)",
    ]
    assert members.differences([Toy(seed=4)]) == ["seed: 4"]


def test_the_estimate_is_of_like_runs_or_the_experiments_own(store):
    plan = members.Plan(register.experiment("toy_sweep"), store, [], [Toy(seed=seed) for seed in range(10)])
    assert members.estimate(plan, "cpu") == pytest.approx(10 * 4 * 0.01)
    assert members.estimate(plan, "cuda") is None
    for seed, seconds, device in ((0, 20, "cpu"), (1, 40, "cpu"), (2, 2, "cuda:0")):
        write(store, Toy(seed=seed), seconds, device=device)
    write(store, Toy(profile="paper"), 10_000, device="cpu")
    assert members.estimate(plan, "cpu") == 400  # the longest: a run that was resumed was timed in part
    assert members.estimate(plan, "cuda") == 20
    next((store.root / "toy_sweep").glob("paper*")).write_text("damaged")
    assert members.estimate(plan, "cpu") == 400


def test_dear_members_are_no_measure_for_cheap_ones(store, monkeypatch):
    cheap, dear = Toy(pause=0.5), Toy(pause=0.25)
    write(store, cheap, 25, device="cpu")
    write(store, dear, 9000, device="cpu")
    several = [dataclasses.replace(cheap, seed=seed) for seed in (1, 2)]
    assert members.estimate(members.Plan(register.experiment("toy_sweep"), store, [], several), "cpu") == 50
    new = dataclasses.replace(cheap, pause=2.0)
    mixed = members.Plan(register.experiment("toy_sweep"), store, [], [*several, new])
    assert members.estimate(mixed, "cpu") == pytest.approx(50 + 4 * 2.0)  # the new one by the experiment's own word
    mixed.experiment = toy_sweep.changed(monkeypatch, estimate=None)
    assert members.estimate(mixed, "cpu") == 50 + (25 + 9000) / 2


@pytest.mark.parametrize("name", ["ablations", "greedy_images", "known_dimension", "irmae_images"])
def test_autoencoders_say_how_long_they_take(name, store, monkeypatch):
    clock = itertools.count()  # a second passes with each look at it, so the few steps that are timed take one
    monkeypatch.setattr(autoencoder_run, "time", types.SimpleNamespace(perf_counter=lambda: next(clock)))
    for variant in (name, f"{name}_full"):
        experiment = members.load(variant)
        plan = members.Plan(experiment, store, [], experiment.presets("smoke")[:1])
        assert 0 < members.estimate(plan, "cpu") < 600


def test_a_size_that_cannot_be_told_is_no_reason_to_stop(store, monkeypatch):
    def missing(specs):
        raise FileNotFoundError("no images in /data")

    toy_sweep.changed(monkeypatch, size=missing)
    assert members.sizes(register.experiment("toy_sweep"), [Toy()]) == ["size: unknown (no images in /data)"]
    toy_sweep.changed(monkeypatch, estimate=lambda specs, device: missing(specs))
    assert members.estimate(members.Plan(register.experiment("toy_sweep"), store, [], [Toy()]), "cpu") is None
    toy_sweep.changed(monkeypatch, size=None)
    assert members.sizes(register.experiment("toy_sweep"), [Toy()]) == []


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, "nobody has timed these yet"),
        (0.2, "roughly 1 s"),
        (89, "roughly 89 s"),
        (600, "roughly 10 min"),
        (9000, "roughly 2.5 h"),
    ],
)
def test_durations_in_words(seconds, words):
    assert describe(seconds) == words


# ---- progress ----
class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_without_a_terminal_there_is_a_line_a_minute():
    stream, now = io.StringIO(), [0.0]
    with Progress(stream, lambda: now[0]) as progress:
        for second in range(0, 301, 10):  # begins at 40 %, as a resumed run does
            now[0] = second
            progress(0.4 + 0.6 * second / 300, f"step {second}")
        progress(1.0, "again")
    assert stream.getvalue().splitlines() == [
        "   40% step 0",
        "   52% step 60, roughly 4 min left",
        "   64% step 120, roughly 3 min left",
        "   76% step 180, roughly 2 min left",
        "   88% step 240, roughly 60 s left",
        "  100% step 300",
    ]


def test_on_a_terminal_there_is_a_bar_with_the_experiments_text():
    stream, now = Terminal(), [0.0]
    with Progress(stream, lambda: now[0]) as progress:
        for second, share in enumerate((0.25, 0.5, 1.0)):
            now[0] = second
            progress(share, f"{100 * second} images/s")
    last = stream.getvalue().rstrip("\n").split("\r")[-1]
    assert last.startswith("100%|")
    assert last.rstrip().endswith("200 images/s")
    assert " 50%|" in stream.getvalue()
    assert stream.getvalue().endswith("\n")


def test_a_cpu_computes_on_one_thread_unless_the_user_says_how_many(monkeypatch):
    import torch

    from implicit_rank.book.members import one_thread

    asked = []
    monkeypatch.setattr(torch, "set_num_threads", asked.append)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    one_thread("cuda:0")
    assert asked == []
    one_thread("cpu")
    assert asked == [1]
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    one_thread("cpu")
    assert asked == [1]
