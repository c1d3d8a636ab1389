"""The register of experiments: complete, uniform, and read without PyTorch."""

import inspect
import json
import subprocess
import sys

import pytest

from implicit_rank.experiments import register
from implicit_rank.store import Spec, Store, fingerprint
from implicit_rank.store.modules import MODULES, module_of

OPTIONAL = {"batches": ["specs", "memory", "device"], "cost": ["spec"], "estimate": ["specs", "device"]}


@pytest.mark.parametrize("name", sorted(MODULES))
def test_every_experiment_has_the_same_interface(name):
    found = register.experiment(name)
    assert found.name == name
    assert issubclass(found.spec, Spec)
    assert {"profile", "seed"} <= set(found.fields)
    assert found.measures
    assert list(inspect.signature(found.run).parameters)[:4] == ["specs", "device", "progress", "on_done"]
    for part, names in OPTIONAL.items():
        if getattr(found, part) is not None:
            assert list(inspect.signature(getattr(found, part)).parameters) == names
    plan = found.presets("smoke", seeds=(7,))
    assert {type(spec) for spec in plan} == {found.spec}
    assert 7 in {spec.seed for spec in plan} <= {0, 7}  # 0 for what has nothing random
    assert {spec.profile for spec in plan} == {"smoke"}
    assert fingerprint(module_of(name)) is not None


def test_every_experiment_with_stored_runs_is_in_the_register():
    assert set(Store().experiments()) <= set(register.names())


def test_listing_and_telling_staleness_import_neither_pytorch_nor_an_experiment():
    program = (
        "import json, sys\n"
        "from implicit_rank.experiments import register\n"
        "from implicit_rank.store import Store\n"
        "told = {name: register.about(name) for name in register.names()}\n"
        "fresh = [not record.stale for record in Store().scan('rag_start')[0]]\n"
        "from implicit_rank.store.modules import MODULES\n"
        "loaded = [name for name in MODULES.values() if name in sys.modules]\n"
        "print(json.dumps([told, fresh, loaded, 'torch' in sys.modules]))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    told, fresh, loaded, torch = json.loads(done.stdout)
    assert all(sentence.endswith((".", "?", ":")) for sentence in told.values()), told
    assert fresh
    assert (loaded, torch) == ([], False)


def test_an_unknown_name_is_one_sentence():
    with pytest.raises(ValueError, match=r"unknown experiment 'ablation' \(did you mean 'ablations'\?\)"):
        register.experiment("ablation")
