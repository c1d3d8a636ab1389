"""The surroundings of an executed notebook: our own interpreter, our own settings, nothing of the user's."""

import json
import os
import sys

from implicit_rank.book.layout import Layout, write_if_changed

KERNEL = "implicit-rank-book"


def prepare(layout: Layout) -> str:
    """Set up a private kernel and IPython folder for this process and its children; returns the kernel name.

    A kernel called "python3" may belong to another interpreter of the user; ours carries this one's path.
    """
    folder = layout.build / "jupyter"
    spec = {
        "argv": [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        "display_name": "Python 3",
        "language": "python",
    }
    for name in (KERNEL, "python3"):
        write_if_changed(folder / "kernels" / name / "kernel.json", json.dumps(spec, indent=1).encode())
    ipython = folder / "ipython"
    # ipykernel logs its TCP transport and every interrupt; a notebook's own errors do not go through this log
    write_if_changed(ipython / "profile_default" / "ipython_kernel_config.py", b"c.IPKernelApp.log_level = 50\n")
    os.environ.update(
        JUPYTER_PATH=str(folder),
        JUPYTER_DATA_DIR=str(folder),
        JUPYTER_NO_CONFIG="1",
        JUPYTER_PLATFORM_DIRS="1",
        IPYTHONDIR=str(ipython),
        TQDM_DISABLE="1",
        PYTHONHASHSEED="0",
        PYDEVD_DISABLE_FILE_VALIDATION="1",
    )
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # a cell may import torch before the package
    os.environ.pop("MPLBACKEND", None)  # the notebook's inline backend must win
    source = str(layout.package.parent)  # the kernel imports the same copy of the package as we do
    others = [p for p in os.environ.get("PYTHONPATH", "").split(os.pathsep) if p and p != source]
    os.environ["PYTHONPATH"] = os.pathsep.join([source, *others])
    return KERNEL
