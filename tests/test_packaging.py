"""The lock, the metadata and the files around the package agree with each other."""

import importlib.metadata
import re
import subprocess
import tomllib
from fnmatch import fnmatch

import pytest
import yaml
from conftest import ROOT
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
LINES = [
    line for line in (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines() if line and line[0] != "#"
]
LOCK = {canonicalize_name(r.name): r for r in map(Requirement, LINES)}
EXTRAS = PROJECT["project"]["optional-dependencies"]
WANTED = [
    Requirement(text)
    for text in PROJECT["project"]["dependencies"] + [t for e in ("book", "test", "cluster") for t in EXTRAS[e]]
]


def test_the_lock_is_exact_and_fits_every_machine():
    for name, requirement in LOCK.items():
        (pin,) = requirement.specifier
        assert pin.operator == "==", name
        assert "+" not in pin.version, f"{name}: a local label fits one machine only"
        assert not re.match(r"nvidia|cuda|triton", name), f"{name}: torch brings its own"
    assert sorted(LINES, key=str.lower) == LINES


@pytest.mark.parametrize("requirement", WANTED, ids=[r.name for r in WANTED])
def test_what_the_project_asks_for_is_locked(requirement):
    (pin,) = LOCK[canonicalize_name(requirement.name)].specifier
    assert requirement.specifier.contains(pin.version), f"{requirement} does not allow {pin.version}"


def needs(name, extras=()):
    """Names that an installed distribution requires on this machine."""
    for text in importlib.metadata.requires(name) or []:
        requirement = Requirement(text)
        choices = [{"extra": extra} for extra in (*extras, "")]
        if requirement.marker is None or any(requirement.marker.evaluate(choice) for choice in choices):
            yield requirement


def test_the_lock_is_complete_and_has_nothing_more():
    seen, todo = set(), list(WANTED)
    while todo:
        requirement = todo.pop()
        name = canonicalize_name(requirement.name)
        if (name, *requirement.extras) in seen or re.match(r"nvidia|cuda|triton|setuptools|pip$", name):
            continue
        seen.add((name, *requirement.extras))
        todo += needs(name, requirement.extras)
    here = {name for name, r in LOCK.items() if r.marker is None or r.marker.evaluate()}
    assert {name for name, *_ in seen} == here


def test_this_environment_is_the_locked_one():
    wrong = {}
    for name, requirement in LOCK.items():
        if requirement.marker is None or requirement.marker.evaluate():
            found = importlib.metadata.version(name)
            if not requirement.specifier.contains(found):
                wrong[name] = found
    assert wrong == {}, "run make again: requirements.txt has changed"


def test_every_file_of_the_package_is_packaged():
    tracked = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", "src/implicit_rank"], capture_output=True, text=True
    ).stdout.splitlines()
    if not tracked:
        pytest.skip("not a git checkout")
    patterns = PROJECT["tool"]["setuptools"]["package-data"]["implicit_rank"]
    for path in tracked:
        inside = path.removeprefix("src/implicit_rank/")
        assert inside.endswith(".py") or any(fnmatch(inside, p) for p in patterns), inside
        assert "/" not in inside or not inside.endswith(".py") or (ROOT / path).with_name("__init__.py").exists()


def test_one_address_of_the_repository_everywhere():
    address = PROJECT["project"]["urls"]["Repository"]
    config = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert config["repository"]["url"] == citation["repository-code"] == address
    assert citation["version"] == PROJECT["project"]["version"]
    from implicit_rank import __version__

    assert __version__ == PROJECT["project"]["version"]


def test_workflows_are_readable():
    for path in sorted((ROOT / ".github" / "workflows").glob("*.yml")):
        workflow = yaml.safe_load(path.read_text(encoding="utf-8"))
        assert workflow["jobs"], path.name
        for job in workflow["jobs"].values():
            assert all("uses" in step or "run" in step for step in job["steps"]), path.name


def test_binder_has_the_python_that_the_book_is_tested_with():
    (version,) = (ROOT / "runtime.txt").read_text(encoding="utf-8").split()
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "test.yml").read_text(encoding="utf-8"))
    tested = [step["with"]["python-version"] for step in workflow["jobs"]["test"]["steps"] if "with" in step]
    assert [version] == [f"python-{python}" for python in tested]
    assert Requirement(f"python{PROJECT['project']['requires-python']}").specifier.contains(f"{tested[0]}.0")
    first = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()[0]
    low, high = re.search(r"Python 3\.(\d+) to 3\.(\d+)", first).groups()
    assert int(low) <= int(tested[0].partition(".")[2]) <= int(high)


def test_a_clone_has_the_same_bytes_whatever_the_line_ends_of_its_machine(tmp_path):
    tracked = subprocess.run(["git", "-C", str(ROOT), "ls-files"], capture_output=True, text=True).stdout.splitlines()
    if not tracked:
        pytest.skip("not a git checkout")
    stored = [path for path in tracked if path.startswith("book/results/")]
    chosen = [path for path in tracked if path not in set(stored[20:]) and (ROOT / path).is_file()]
    chosen += [".gitattributes"] if ".gitattributes" not in chosen else []
    for path in chosen:
        (tmp_path / "here" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "here" / path).write_bytes((ROOT / path).read_bytes())

    def git(folder, *words):
        names = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "core.autocrlf=true", "-c", "core.safecrlf=false"]
        subprocess.run(["git", *names, *words], cwd=folder, check=True, capture_output=True)

    git(tmp_path / "here", "init", "-q")
    git(tmp_path / "here", "add", "-A")
    git(tmp_path / "here", "commit", "-qm", "all")
    git(tmp_path, "clone", "-q", "here", "there")
    assert [p for p in chosen if (tmp_path / "there" / p).read_bytes() != (ROOT / p).read_bytes()] == []


def test_make_refuses_an_old_python_in_one_sentence(tmp_path):
    for name in ("Makefile", "requirements.txt", "pyproject.toml"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    old = tmp_path / "python3"
    old.write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
    old.chmod(0o755)
    done = subprocess.run(["make", "book", f"PYTHON={old}"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode != 0
    assert "The book needs Python 3.11 or newer" in done.stderr
    assert not (tmp_path / ".venv").exists()


def test_an_interrupted_installation_is_not_taken_for_a_finished_one(tmp_path):
    for name in ("Makefile", "requirements.txt", "pyproject.toml"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    python = tmp_path / "python3"  # accepts the version check, then makes an environment whose pip fails
    python.write_text(
        '#!/bin/sh\n[ "$1" = -c ] && exit 0\nmkdir -p .venv/bin\n'
        "printf '#!/bin/sh\\nexit 7\\n' > .venv/bin/python\nchmod +x .venv/bin/python\n",
        encoding="utf-8",
    )
    python.chmod(0o755)
    for _ in range(2):
        done = subprocess.run(["make", "book", f"PYTHON={python}"], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode != 0
        assert "Setting up .venv" in done.stdout
        assert not (tmp_path / ".venv" / ".ready").exists()


def interpreter(folder, name):
    """A stand-in for Python: it knows its name, makes environments that know it too, and whose pip fails on demand."""
    path = folder / name
    path.write_text(
        f"""#!/bin/sh
[ "$1" = -c ] && {{ echo {name}; exit 0; }}
mkdir -p .venv/bin
[ -e .venv/bin/python ] && exit 0
cat > .venv/bin/python <<END
#!/bin/sh
[ "\\$1" = -c ] && {{ echo {name}; exit 0; }}
[ "\\$2" = pip ] && [ -e no-network ] && exit 7
exit 0
END
chmod +x .venv/bin/python
""",
        encoding="utf-8",
    )
    path.chmod(0o755)
    return path


def test_the_python_that_is_named_is_taken_also_after_a_failed_installation(tmp_path):
    for name in ("Makefile", "requirements.txt", "pyproject.toml"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    first, second = interpreter(tmp_path, "first"), interpreter(tmp_path, "second")

    def make(*words, code=0):
        done = subprocess.run(["make", "doctor", *words], cwd=tmp_path, capture_output=True, text=True)
        assert (done.returncode != 0) == (code != 0), done.stderr
        used = subprocess.run([".venv/bin/python", "-c", ""], cwd=tmp_path, capture_output=True, text=True).stdout
        return used.strip(), "Setting up" in done.stdout

    (tmp_path / "no-network").touch()
    assert make(f"PYTHON={first}", code=2) == ("first", True)
    (tmp_path / "no-network").unlink()
    assert make(f"PYTHON={second}") == ("second", True)
    assert make(f"PYTHON={second}") == ("second", False)
    assert make() == ("second", False)  # nobody named another one
    assert make(f"PYTHON={first}") == ("first", True)
    assert make("PYTHON=.venv/bin/python") == ("first", False)


def test_no_path_is_too_long_for_windows_and_archives():
    listed = subprocess.run(["git", "-C", str(ROOT), "ls-files"], capture_output=True, text=True, check=True).stdout
    assert [path for path in listed.splitlines() if len(path) > 100] == []
