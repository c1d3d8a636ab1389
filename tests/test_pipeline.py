"""The pipeline on a small book: executing, re-using, failing, refusing, being interrupted."""

import errno
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import psutil
import pytest
from conftest import ROOT, run_book

from implicit_rank.book import cells, execution, layout

PAGE = "build/_build/html/book/01_tiny.html"
OUTPUT = "build/executed/smoke/01_tiny.ipynb"
HEADER = (ROOT / "tests" / "fixture_book" / "book" / "01_tiny.md").read_text(encoding="utf-8").split("# Every", 1)[0]
BROKEN = f"""{HEADER}# Broken

```{{code-cell}}
fine = 1
```

```{{code-cell}}
# a comment first
fine / 0
```
"""


def edit(path, old, new):
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def add_chapter(book, name, text):
    (book / "book" / f"{name}.md").write_text(text, encoding="utf-8")
    edit(book / "_toc.yml", "  - file: book/01_tiny\n", f"  - file: book/{name}\n  - file: book/01_tiny\n")


def test_the_page_shows_what_the_chapter_says(fixture_book):
    page = (fixture_book / PAGE).read_text(encoding="utf-8")
    assert page.count('alt="A line that rises from zero to one"') == 1
    assert "Live: <span" in page
    assert ">0.123<" in page
    assert "src/implicit_rank/theory/effective.py#L" in page
    notebook = nbformat.read(fixture_book / OUTPUT, 4)
    cell = next(c for c in notebook.cells if "fig-live" in c.source and c.cell_type == "code")
    assert ["image/png" in o.data for o in cell.outputs] == [True, True]  # seen in JupyterLab, once each


def test_nothing_to_do_starts_nothing_and_needs_no_torch(fixture_book):
    said = run_book(fixture_book, "book", "--profile", "smoke")
    assert "01_tiny: outputs are up to date" in said
    assert "site: up to date" in said
    script = (
        "import sys; from implicit_rank.__main__ import main; "
        "sys.addaudithook(lambda event, args: 1 / (args[0] != sys.executable) if event == 'subprocess.Popen' else 0); "
        "assert main(['book', '--profile', 'smoke']) == 0; "
        "assert not {'torch', 'papermill', 'matplotlib', 'sphinx'} & set(sys.modules)"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    subprocess.run([sys.executable, "-c", script], cwd=fixture_book, env=environment, check=True, capture_output=True)


def test_prose_is_rebuilt_without_running_code(small_book):
    edit(small_book / "book" / "01_tiny.md", "Something.", "Something else entirely.")
    said = run_book(small_book, "book", "--profile", "smoke")
    assert "outputs are up to date" in said
    page = (small_book / PAGE).read_text(encoding="utf-8")
    assert "Something else entirely." in page
    assert ">0.123<" in page


def test_changed_code_runs_again(small_book):
    edit(small_book / "book" / "01_tiny.md", "0.123456", "0.987654")
    assert "01_tiny: executing" in run_book(small_book, "book", "--profile", "smoke")
    assert ">0.988<" in (small_book / PAGE).read_text(encoding="utf-8")


@pytest.mark.parametrize("what", ["results/x/run.json", "claims/sun.toml"])
def test_new_results_and_claims_run_chapters_again(small_book, what):
    around = execution.surroundings(layout.Layout(small_book))
    (small_book / "book" / what).parent.mkdir(parents=True)
    (small_book / "book" / what).write_text("1", encoding="utf-8")
    assert execution.surroundings(layout.Layout(small_book)) != around


def test_the_package_is_part_of_the_key_but_the_pipeline_is_not(tmp_path, monkeypatch):
    package = tmp_path / "package"
    (package / "book").mkdir(parents=True)
    (package / "spectra.py").write_text("a")
    for name in ("site.py", "page.py", "groups.py"):
        (package / "book" / name).write_text("a")
    monkeypatch.setattr(layout.Layout, "package", package)
    here = layout.Layout(tmp_path)
    before = execution.surroundings(here)
    (package / "book" / "site.py").write_text("b")
    assert execution.surroundings(here) == before
    for name in ("spectra.py", "book/page.py"):
        (package / name).write_text("b")
        assert execution.surroundings(here) != before, name
        (package / name).write_text("a")
        assert execution.surroundings(here) == before, name


def test_the_groups_of_a_chapter_run_it_again_and_no_other(small_book):
    (small_book / "book" / "runs").mkdir()
    (small_book / "book" / "runs" / "02_other.toml").write_text('experiment = "x"\n')
    assert "up to date" in run_book(small_book, "book", "--profile", "smoke", "--execute-only")
    (small_book / "book" / "runs" / "01_tiny.toml").write_text('experiment = "x"\n')
    assert "01_tiny: executing" in run_book(small_book, "book", "--profile", "smoke", "--execute-only")


def test_a_broken_chapter_is_named_and_the_others_run(small_book):
    page = (small_book / PAGE).read_bytes()
    add_chapter(small_book, "00_broken", BROKEN)
    said = run_book(small_book, "book", "--profile", "smoke", "--force", code=1)
    assert "00_broken: code cell 2 of 2 (# a comment first) failed: ZeroDivisionError: division by zero" in said
    assert "the notebook so far is build/failed/00_broken.ipynb" in said
    assert "01_tiny: done in" in said
    assert "1 of 2 chapters failed; the site was not built" in said
    assert "Traceback" not in said
    partial = nbformat.read(small_book / "build" / "failed" / "00_broken.ipynb", 4)
    assert any(o.output_type == "error" for c in partial.cells if c.cell_type == "code" for o in c.outputs)
    assert not (small_book / "build" / "executed" / "smoke" / "00_broken.ipynb").exists()
    assert (small_book / PAGE).read_bytes() == page


def test_a_chapter_that_breaks_keeps_its_last_good_outputs(small_book):
    good = (small_book / OUTPUT).read_bytes()
    edit(small_book / "book" / "01_tiny.md", "assert depth > 0", "assert depth < 0, 'too deep'")
    said = run_book(small_book, "book", "--profile", "smoke", code=1)
    assert "(assert depth < 0, 'too deep') failed: AssertionError: too deep" in said
    assert (small_book / OUTPUT).read_bytes() == good


def test_a_kernel_that_dies_is_said_so(small_book):
    add_chapter(small_book, "00_dies", BROKEN.replace("fine / 0", "import os; os._exit(9)"))
    said = run_book(small_book, "book", "--profile", "smoke", "--only", "00", "--execute-only", code=1)
    assert "00_dies: code cell 2 of 2" in said
    assert "the kernel died" in said
    assert "Kernel died while waiting" not in said


def test_warnings_of_cells_are_noted(small_book):
    add_chapter(small_book, "00_warns", BROKEN.replace("fine / 0", "import warnings; warnings.warn('mind this')"))
    said = run_book(small_book, "book", "--profile", "smoke", "--only", "00", "--execute-only")
    assert "note: code cell 2 wrote to stderr" in said


def test_an_unknown_parameter_is_refused(small_book):
    said = run_book(small_book, "book", "-p", "dpeth=8", "--execute-only", code=1)
    assert said == "01_tiny: unknown parameter 'dpeth' (did you mean 'depth'?); allowed: profile, depth.\n"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["-p", "depth"], "-p takes NAME=VALUE, not 'depth'"),
        (["-p", "profile=paper"], "the profile is chosen with --profile, not with -p"),
        (["--only", "77"], "no chapter starts with '77'; there are 01_tiny"),
    ],
)
def test_bad_usage_is_one_sentence(small_book, arguments, sentence):
    assert run_book(small_book, "book", *arguments, code=1).strip() == sentence


def test_an_unknown_profile_is_refused(small_book):
    said = run_book(small_book, "book", "--profile", "huge", code=2)
    assert "invalid choice: 'huge'" in said
    assert all(p in said for p in layout.PROFILES)


def test_a_parameter_reaches_the_chapter_and_leaves_the_book_alone(small_book):
    good = (small_book / OUTPUT).read_bytes()
    edit(small_book / "book" / "01_tiny.md", "assert depth > 0", "assert depth == 8")
    run_book(small_book, "book", "--profile", "smoke", "-p", "depth=8", "--execute-only")
    assert (small_book / OUTPUT).read_bytes() == good
    other = next(p for p in (small_book / "build" / "executed").iterdir() if p.name.startswith("smoke-"))
    assert nbformat.read(other / "01_tiny.ipynb", 4).metadata.implicit_rank.parameters["depth"] == 8


@pytest.mark.parametrize(
    ("text", "value"),
    [("8", 8), ("1e-4", 1e-4), ("[1, 2]", [1, 2]), ("(1, 2)", (1, 2)), ("true", True), ("True", True), ("he", "he")],
)
def test_values_from_the_command_line_have_types(text, value):
    parsed = cells.parse_value(text)
    assert parsed == value
    assert type(parsed) is type(value)


@pytest.mark.parametrize("text", ["[" * 100_000, "9" * 5000, "-" * 100_000], ids=["brackets", "digits", "signs"])
def test_what_no_parser_can_take_stays_text(text):
    assert cells.parse_value(text) == text


@pytest.mark.parametrize("words", [["-p", "depth=8"], []], ids=["parameters", "none"])
def test_a_preview_has_the_first_page_even_where_it_is_a_chapter_of_its_own(small_book, words):
    (small_book / "book" / "index.md").write_text(f"{HEADER}# Tiny\n\nHello {{doc}}`01_tiny`.\n", encoding="utf-8")
    said = run_book(small_book, "book", "--profile", "smoke", "--only", "01", *words)
    site = small_book / "build" / "preview" / "_build" / "html"
    assert 'href="01_tiny.html"' in (site / "book" / "index.html").read_text(encoding="utf-8")
    assert (site / "index.html").is_file()
    assert "holds no page" not in said


def test_a_preview_that_cannot_be_built_is_a_failure(small_book):
    edit(small_book / "_config.yml", "extra_extensions: [", "extra_extensions: [no_such_extension, ")
    said = run_book(small_book, "book", "--profile", "smoke", "--only", "01", code=1)
    assert "the site was not built cleanly" in said
    assert "no_such_extension" in said
    assert "Open build" not in said


@pytest.mark.parametrize("name", ["_config.yml", "_toc.yml"])
@pytest.mark.parametrize(
    ("content", "why"), [(b"a: [", "is not valid YAML"), (b"\xe9", "is not UTF-8"), (b"a", "must hold")]
)
def test_damaged_settings_are_named(small_book, name, content, why):
    (small_book / name).write_bytes(content)
    said = run_book(small_book, "book", "--profile", "smoke", code=1)
    assert f"{name} {why}" in said
    assert said.count("\n") <= 2


@pytest.mark.parametrize("name", [".#01_tiny", "._01_tiny"])
def test_names_that_begin_with_a_dot_are_passed_over(small_book, name):
    for folder, end in (("book", ".md"), ("book", ".ipynb"), ("book/claims", ".toml"), ("book/results/x", ".json")):
        (small_book / folder).mkdir(parents=True, exist_ok=True)
        if name.startswith("._"):
            (small_book / folder / (name + end)).write_bytes(b"\0\5\x16\7\xff")  # macOS keeps such beside a file
        else:
            (small_book / folder / (name + end)).symlink_to("me@host.1234")  # an editor's lock points nowhere
    assert "site: up to date" in run_book(small_book, "book", "--profile", "smoke")
    assert "out of step" not in run_book(small_book, "pair", "--check")


def test_a_byte_order_mark_makes_no_difference(small_book):
    path = small_book / "book" / "01_tiny.md"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert "site: up to date" in run_book(small_book, "book", "--profile", "smoke")


def test_a_page_in_another_encoding_is_named(small_book):
    path = small_book / "book" / "01_tiny.md"
    path.write_bytes(path.read_bytes().replace(b"Something.", "Etwas für alle.".encode("latin-1")))
    for words in (["book", "--profile", "smoke"], ["pair"], ["pair", "--check"]):
        said = run_book(small_book, *words, code=1)
        assert re.fullmatch(r"\S+/01_tiny.md is not UTF-8 text \(line \d+\); save it as UTF-8.\n", said)


def test_a_preview_leaves_the_site_alone(small_book):
    page = (small_book / PAGE).read_bytes()
    edit(small_book / "book" / "01_tiny.md", "Something.", "Only a preview.")
    said = run_book(small_book, "book", "--profile", "smoke", "--only", "01")
    assert "build/preview/_build/html/index.html" in said
    assert "Only a preview." in (small_book / PAGE.replace("build/", "build/preview/", 1)).read_text(encoding="utf-8")
    assert (small_book / PAGE).read_bytes() == page


def test_a_warning_of_the_build_fails_it_each_time(small_book):
    edit(small_book / "book" / "01_tiny.md", "{ref}`a heading <sec-x>`", "{ref}`a heading <sec-missing>`")
    for _ in range(2):  # unchanged pages would not warn again
        said = run_book(small_book, "book", "--profile", "smoke", code=1)
        assert "the site was not built cleanly" in said
        assert "sec-missing" in said
        assert re.search(r"book/01_tiny\.md, cell \d+, line \d+: WARNING", said)


def test_an_unknown_function_fails_the_build(small_book):
    edit(small_book / "book" / "01_tiny.md", "{impl}`theory.effective.coefficients`", "{impl}`theory.nothing`")
    assert "the package has no 'theory.nothing'" in run_book(small_book, "book", "--profile", "smoke", code=1)


def test_the_kernel_is_this_interpreter_whatever_others_the_user_has(small_book, tmp_path):
    home = tmp_path / "home"
    for folder in (".local/share/jupyter", "Library/Jupyter", "chosen"):
        kernel = home / folder / "kernels" / "python3" / "kernel.json"
        kernel.parent.mkdir(parents=True)
        kernel.write_text(json.dumps({"argv": ["/bin/false"], "display_name": "Python 3", "language": "python"}))
    ours = f"import sys; assert sys.executable == {sys.executable!r}"
    edit(small_book / "book" / "01_tiny.md", "assert depth > 0", ours)
    run_book(small_book, "book", "--profile", "smoke", HOME=str(home), JUPYTER_PATH=str(home / "chosen"))


def test_papermill_alone_runs_a_pair(small_book, tmp_path):
    edit(small_book / "book" / "01_tiny.md", "assert depth > 0", "assert depth == 8")
    run_book(small_book, "pair")
    command = [sys.executable, "-m", "papermill", "book/01_tiny.ipynb", str(tmp_path / "out.ipynb"), "-p", "depth", "8"]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(command, cwd=small_book, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_ctrl_c_is_one_sentence_and_leaves_nothing_half_done(small_book):
    good = (small_book / OUTPUT).read_bytes()
    mark = small_book / "started"
    edit(
        small_book / "book" / "01_tiny.md",
        "assert depth > 0",
        f"import pathlib, time; pathlib.Path({str(mark)!r}).touch(); time.sleep(900)",
    )
    # a shell's background job ignores Ctrl-C and hands that down; here it is to be heard
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen(
        [sys.executable, "-m", "implicit_rank", "book", "--profile", "smoke"],
        cwd=small_book,
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    signal.signal(signal.SIGINT, before)
    try:
        end = time.monotonic() + 300
        while not mark.exists() and process.poll() is None and time.monotonic() < end:
            time.sleep(0.1)
        children = psutil.Process(process.pid).children(recursive=True)
        assert children
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=600)  # a busy machine is no failure
    finally:
        process.kill()
        process.communicate()  # its pipes are closed here, not in the middle of another test
    assert process.returncode == 130, said
    assert said[1].strip() == "Interrupted: what was finished is kept, what was under way was dropped."
    assert psutil.wait_procs(children, timeout=120)[1] == []
    assert (small_book / OUTPUT).read_bytes() == good
    assert sorted(p.name for p in (small_book / "build" / "executed" / "smoke").iterdir()) == ["01_tiny.ipynb"]


def test_a_folder_that_cannot_be_written_is_one_sentence(small_book):
    (small_book / "build").rename(small_book / "old")
    (small_book / "build").write_text("in the way", encoding="utf-8")
    said = run_book(small_book, "book", "--profile", "smoke", code=1)
    assert said.startswith("Cannot read or write ")
    assert len(said.strip().splitlines()) == 1


def test_a_full_disk_leaves_the_old_file(tmp_path, monkeypatch):
    target = tmp_path / "file"
    target.write_bytes(b"old")

    class Full:
        def __enter__(self):
            return self

        def __exit__(self, *_):
            return False

        def write(self, _):
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(layout.os, "fdopen", lambda handle, _: os.close(handle) or Full())
    with pytest.raises(OSError, match="No space left"):
        layout.write_if_changed(target, b"new")
    assert target.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_outside_any_book_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(layout, "__file__", str(tmp_path / "a" / "b" / "c" / "d.py"))
    with pytest.raises(layout.BookError, match="no book found"):
        layout.find_layout(tmp_path)


def test_executed_notebooks_for_the_launch_buttons(fixture_book, tmp_path):
    run_book(fixture_book, "notebooks", str(tmp_path), "--profile", "smoke")
    notebook = nbformat.read(tmp_path / "01_tiny.ipynb", 4)
    assert "%pip install" in notebook.cells[0].source
    assert "github.com/implicit-rank/implicit-rank" in notebook.cells[0].source
    assert any(c.outputs for c in notebook.cells if c.cell_type == "code")
    assert "mystnb" not in notebook.metadata


def test_the_bare_jupyter_book_command_builds_too(small_book):
    script = Path(sys.executable).with_name("jupyter-book")
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(
        [str(script), "build", ".", "-W", "-n", "--keep-going"],
        cwd=small_book,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    page = (small_book / "_build" / "html" / "book" / "01_tiny.html").read_text(encoding="utf-8")
    assert ">0.123<" in page


def test_a_chapter_is_numbered_by_its_name(small_book):
    text = HEADER + "# Late\n\n## Section\n\n$$\na\n$$ (eq-late)\n\nSee {eq}`eq-late` and {eq}`eq-mu`.\n"
    add_chapter(small_book, "09_late", text)
    run_book(small_book, "book", "--profile", "smoke")
    page = (small_book / PAGE.replace("01_tiny", "09_late")).read_text(encoding="utf-8")
    assert '<span class="section-number">9. </span>Late' in page
    assert '<span class="section-number">9.1. </span>Section' in page
    assert ">(9.1)</a>" in page
    assert ">(1.1)</a>" in page
    assert "9. Late" in (small_book / PAGE).read_text(encoding="utf-8")
    edit(small_book / "book" / "09_late.md", "See ", "Look at ")
    run_book(small_book, "book", "--profile", "smoke")
    assert ">(9.1)</a>" in (small_book / PAGE.replace("01_tiny", "09_late")).read_text(encoding="utf-8")
