"""Members of one experiment run again, their results into files: a program that `restamp` runs in this tree or another.

It is handed to Python as text, so that the package it imports, whatever its age, is the one on the path; it uses
nothing that changed since results were first stored. Called with a JSON file {experiment, module, specs} and a folder.
"""

import importlib
import json
import sys
import time
from pathlib import Path

import torch

from implicit_rank.store import files, fingerprint


def found(name, module):
    """The print of an experiment's code here, its Spec class and its `run`; `module` is that of one from outside."""
    if module:
        importlib.import_module(module)
    try:
        from implicit_rank.experiments import register
        from implicit_rank.store.modules import module_of
    except ImportError:  # older than the register: the module had the experiment's name
        place = importlib.import_module(f"implicit_rank.experiments.{name}")
        classes = [v for v in vars(place).values() if isinstance(v, type) and getattr(v, "experiment", "") == name]
        return fingerprint(place.__name__), classes[0], place.run
    experiment = register.experiment(name)
    return fingerprint(module_of(name, module)), experiment.spec, experiment.run


def main(order, folder):
    """Run the members one by one and write the print, and for each member its scalars and arrays."""
    torch.set_flush_denormal(True)  # as `run` and `sweep` do
    order, folder = json.loads(Path(order).read_text(encoding="utf-8")), Path(folder)
    code, spec, run = found(order["experiment"], order["module"])
    (folder / "print").write_text(code or "", encoding="utf-8")
    for number, fields in enumerate(order["specs"], start=1):
        began = time.perf_counter()
        (result,) = run([spec(**fields)], device="cpu")
        (folder / f"{number}.npz").write_bytes(files.pack_arrays(result.arrays))
        scalars = json.dumps(files.encode_scalars(result.scalars))
        (folder / f"{number}.json").write_text(scalars, encoding="utf-8")
        print(f"    member {number} of {len(order['specs'])}: {time.perf_counter() - began:.1f} s", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
