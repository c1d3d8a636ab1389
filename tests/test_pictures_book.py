"""A reader's own pictures in chapters: found from where the command is typed, looked at again when they change."""

from pathlib import Path

import nbformat
import pytest
from conftest import ROOT, run_book
from PIL import Image

from implicit_rank.book import cells, commands, execution
from implicit_rank.book.layout import Layout
from implicit_rank.book.pairing import read_chapter
from implicit_rank.experiments.ablations.chapter import AblationsChapter
from implicit_rank.experiments.greedy_images.chapter import GreedyImagesChapter
from implicit_rank.experiments.irmae_images.chapter import IrmaeImagesChapter
from implicit_rank.experiments.kit import autoencoder_training
from implicit_rank.experiments.recovery.chapter import RecoveryChapter

HEADER = (ROOT / "tests" / "fixture_book" / "book" / "01_tiny.md").read_text(encoding="utf-8").split("# Every", 1)[0]
CHAPTER = f"""{HEADER}# Pictures

```{{code-cell}}
:tags: [parameters]

data: str = None  # folder:PATH
more: list = [1, "folder:beside"]
odd: str = "a" + "b"  # no literal, and no less a parameter
```

```{{code-cell}}
from implicit_rank.data import samples
print(round(float(samples(data, size=4).abs().max() * 255), 3))
```
"""


def pictures(folder, *greys):
    folder.mkdir(parents=True, exist_ok=True)
    for i, grey in enumerate(greys):
        Image.new("L", (5, 5), grey).save(folder / f"{i}.png")
    return folder


def test_a_folder_is_the_callers_and_its_pictures_decide_whether_a_chapter_runs_again(small_book):
    (small_book / "book" / "02_pictures.md").write_text(CHAPTER, encoding="utf-8")
    toc = small_book / "_toc.yml"
    toc.write_text(toc.read_text(encoding="utf-8") + "  - file: book/02_pictures\n", encoding="utf-8")
    caller = small_book / "elsewhere"
    pictures(caller / "mine", 100, 110)
    wish = ("book", "--execute-only", "--only", "02", "--profile", "smoke", "-p", "data=folder:mine")
    assert "02_pictures: executing" in run_book(caller, *wish)
    (done,) = small_book.glob("build/executed/smoke-*/02_pictures.ipynb")
    assert nbformat.read(done, 4).cells[-1].outputs[0].text == "5.0\n"
    assert nbformat.read(done, 4).metadata.implicit_rank.parameters["data"] == f"folder:{caller}/mine"
    assert "outputs are up to date" in run_book(caller, *wish)
    pictures(caller / "mine", 100, 150)
    assert "02_pictures: executing" in run_book(caller, *wish)
    assert nbformat.read(done, 4).cells[-1].outputs[0].text == "25.0\n"
    said = run_book(caller, *wish[:-1], "data=folder:yours", code=2)
    assert said == "there is no folder yours; folder:PATH needs the path of a folder of images.\n"


def test_only_folders_among_the_parameters_are_resolved(tmp_path, monkeypatch):
    monkeypatch.chdir(pictures(tmp_path / "here").parent)
    given = commands.parse_parameters(["data=folder:here", 'names=["folder:here", 5]', "depth=3", "other=mnist"])
    here = f"folder:{tmp_path}/here"
    assert given == {"data": here, "names": [here, 5], "depth": 3, "other": "mnist"}


def test_folders_in_the_parameters_cell_count_too(tmp_path):
    (tmp_path / "book").mkdir()
    source = tmp_path / "book" / "02_pictures.md"
    source.write_text(CHAPTER, encoding="utf-8")
    notebook, layout = read_chapter(source), Layout(tmp_path)
    assert cells.parameter_names(notebook) == ["data", "more", "odd"]

    def key(**given):
        seen = execution.pictures(layout, notebook, given)
        return list(seen), execution.key(notebook, given, "", "", seen)

    names, empty = key()
    assert names == ["folder:beside"]
    pictures(tmp_path / "book" / "beside", 1, 2)
    _, filled = key()
    assert filled != empty
    names, _ = key(more=[], data=f"folder:{tmp_path}")
    assert names == [f"folder:{tmp_path}"]
    assert key() == (["folder:beside"], filled)


@pytest.mark.parametrize("chapter", [AblationsChapter, GreedyImagesChapter, IrmaeImagesChapter, RecoveryChapter])
def test_a_chapter_keeps_to_the_folder_its_kernel_began_in(chapter, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert chapter(data="folder:mine").data == f"folder:{tmp_path}/mine"
    assert chapter(data="digits").data == "digits"
    assert chapter().data is None


def test_images_of_a_run_are_those_that_lie_there_now(tmp_path):
    name = f"folder:{pictures(tmp_path / 'mine', *range(10))}"
    assert autoencoder_training.data(name, "train", 0, 8).n == 8
    assert autoencoder_training.data(name, "train", 0, 8) is autoencoder_training.data(name, "train", 0, 8)
    pictures(Path(name.removeprefix("folder:")), *range(12))
    assert autoencoder_training.data(name, "train", 0, 8).n == 10


def test_too_few_pictures_for_a_training_are_refused(tmp_path):
    name = f"folder:{pictures(tmp_path, *range(6))}"
    assert autoencoder_training.data(name, "train", 0, 8).n == 5
    with pytest.raises(ValueError, match=r"gives one test image, and a training needs two of either .* must hold ten"):
        autoencoder_training.data(name, "test", 0, 8)
