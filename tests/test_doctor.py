"""`doctor` says what is there, in words, and does not fall over what is not."""

import itertools
import types

import pytest
from conftest import ROOT, run_book

from implicit_rank.book import doctor
from implicit_rank.evaluate import inception


def test_the_report_covers_everything():
    said = run_book(ROOT, "doctor")
    for word in ("Python 3.", "torch ", "cores", "GiB of memory", "GiB free", "MNIST", "CelebA", "Inception weights"):
        assert word in said
    for profile in ("smoke", "quick", "paper"):
        assert f"  {profile}: " in said
    assert "CUDA" in said or "cuda:0" in said or "mps" in said
    assert "rough" in said


def test_data_is_found_where_torchvision_puts_it(tmp_path, monkeypatch):
    monkeypatch.setenv("IMPLICIT_RANK_DATA", str(tmp_path))
    assert not any(doctor.found_data(tmp_path).values())
    raw = tmp_path / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    (raw / "train-images-idx3-ubyte").touch()
    found = doctor.found_data(tmp_path)
    assert [name for name, there in found.items() if there] == ["Fashion-MNIST"]
    lines = doctor.data_lines()
    assert "  Fashion-MNIST: found" in lines
    assert "  MNIST: not found" in lines
    assert f"{tmp_path} ($IMPLICIT_RANK_DATA)" in lines[0]


def test_a_missing_data_folder_is_said_so(tmp_path, monkeypatch):
    monkeypatch.setenv("IMPLICIT_RANK_DATA", str(tmp_path / "none"))
    assert "does not exist yet" in doctor.data_lines()[0]


def test_weights_are_looked_for_where_the_distance_finds_them(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("IMPLICIT_RANK_DATA", str(tmp_path / "data"))
    assert doctor.data_lines()[-1].endswith(": not found")
    for folder in (tmp_path / "torch" / "hub" / "checkpoints", tmp_path / "data"):  # the later one is taken first
        folder.mkdir(parents=True)
        (folder / inception.WEIGHTS).write_bytes(b"not these")
        assert doctor.data_lines()[-1].endswith(f": {folder / inception.WEIGHTS}")
        with pytest.raises(ValueError, match=str(folder)):
            inception.inception_network()


def test_what_needs_no_file_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("IMPLICIT_RANK_DATA", str(tmp_path))
    (line,) = (line for line in doctor.data_lines() if "always there" in line)
    for name in ("mnist-12k", "second moments", "classifier", "scikit-learn's digits", "shapes"):
        assert name in line


def test_both_forms_of_celeba_are_found(tmp_path):
    for name in ("img_align_celeba.zip", "img_align_celeba"):
        (tmp_path / name / "celeba" / name).mkdir(parents=True)
        assert doctor.found_data(tmp_path / name)["CelebA"]


def test_an_incomplete_or_wrong_set_of_tools_is_named(monkeypatch):
    def version(name):
        if name == "papermill":
            raise doctor.PackageNotFoundError(name)
        return "2.1.0" if name == "jupyter-book" else "1.0"

    monkeypatch.setattr(doctor, "version", version)
    lines = doctor.tool_lines()
    assert "jupyter-book 2.1.0 cannot build this book" in lines[0]
    assert "missing: papermill" in lines[1]


def test_without_torch_the_machine_is_still_described(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    assert any("torch cannot be imported" in line for line in doctor.machine(ROOT))


class Cuda:
    """A torch whose CUDA device is there but refuses to compute, as with a driver too old."""

    class cuda:  # noqa: N801
        is_available = staticmethod(lambda: True)
        device_count = staticmethod(lambda: 1)
        get_device_name = staticmethod(lambda index: "Card")
        get_device_properties = staticmethod(lambda index: type("P", (), {"total_memory": 2**34}))

    class backends:  # noqa: N801
        mps = None

    @staticmethod
    def ones(*size, device):
        raise RuntimeError("no kernel image is available\nmore")


def test_a_device_that_does_not_compute_is_said_so():
    assert doctor.cuda_lines(Cuda) == ["cuda:0 (Card) is there but does not compute: no kernel image is available"]


def test_a_damaged_store_does_not_stop_the_report(tmp_path, monkeypatch):
    monkeypatch.setenv("IMPLICIT_RANK_RESULTS", str(tmp_path))
    assert doctor.run_lines() == [f"  none in {tmp_path}"]
    (tmp_path / "deep_linear").mkdir()
    (tmp_path / "deep_linear" / "quick-seed0-0123456789ab.json").write_text("{broken", encoding="utf-8")
    assert "1 damaged" in doctor.run_lines()[0]


def test_the_measurement_is_a_speed(monkeypatch):
    clock = itertools.count()  # a second passes with each look at it
    monkeypatch.setattr(doctor, "time", types.SimpleNamespace(perf_counter=lambda: next(clock)))
    assert doctor.gflops(size=64, seconds=2.5) == pytest.approx(3 * 4 * 2 * 64**3 / 3 / 1e9)


@pytest.mark.parametrize("profile", ["smoke", "quick"])
def test_profiles_name_a_time(profile):
    line = next(line for line in doctor.profile_lines() if line.startswith(f"  {profile}: "))
    assert " s per chapter" in line
