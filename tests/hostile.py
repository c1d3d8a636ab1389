"""Accidents and malice in bytes, for the tests of records and checkpoints."""

import dataclasses
import io
import signal
import zipfile
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import strategies as st

from implicit_rank.parameters import option
from implicit_rank.store import Spec, StoreError

EDITS = st.lists(
    st.tuples(
        st.sampled_from(["flip", "cut", "insert", "repeat"]), st.floats(0, 1), st.binary(min_size=1, max_size=40)
    ),
    min_size=1,
    max_size=4,
)


def edited(content: bytes, edits) -> bytes:
    """The bytes after some accidents, each at a share of their length."""
    for kind, share, extra in edits:
        place = int(share * max(len(content) - 1, 0))
        if kind == "flip" and content:
            content = content[:place] + bytes([content[place] ^ (extra[0] or 1)]) + content[place + 1 :]
        elif kind == "cut":
            content = content[:place]
        elif kind == "insert":
            content = content[:place] + extra + content[place:]
        else:
            content += content[place:]
    return content


def sentence_of(read) -> str | None:
    """The StoreError that reading ends in, None where it does not; any other error goes through."""
    try:
        read()
    except StoreError as error:
        return str(error)
    return None


# ---- array files ----
def npz(compression=zipfile.ZIP_DEFLATED, **entries: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        for name, content in entries.items():
            archive.writestr(f"{name}.npy", content)
    return stream.getvalue()


def npy(shape="(3,)", kind="<f8", content=bytes(24), version=1, before="{"):
    header = f"{before}'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    length = len(header).to_bytes(2 if version == 1 else 4, "little")
    return b"\x93NUMPY" + bytes([version, 0]) + length + header + content


def short_of(content: bytes) -> bytes:
    """An npz whose one entry declares fewer bytes than it unpacks to."""
    packed = bytearray(npz(a=content))
    for signature, place in ((b"PK\3\4", 22), (b"PK\1\2", 24)):
        at = packed.index(signature) + place
        packed[at : at + 4] = (len(content) // 1000).to_bytes(4, "little")
    return bytes(packed)


ZEROS = npy("(100000,)", content=bytes(800_000))
HOSTILE = {
    "bomb": (npz(a=ZEROS, b=ZEROS), r"it declares 1,600,\d{3} bytes of content, and at most 1,000,000 are read"),
    "liar": (short_of(npy("(9000000,)", content=bytes(72_000_000))), "CRC|not as long"),
    "bzip2": (npz(zipfile.ZIP_BZIP2, a=ZEROS), "compressed in a way that npz files are not"),
    "lzma": (npz(zipfile.ZIP_LZMA, a=ZEROS), "compressed in a way that npz files are not"),
    "header": (npz(a=npy("(1099511627776,)")), "not of the size that its header declares"),
    "negative": (npz(a=npy("(-1, -3)")), "not of the size that its header declares"),
    "objects": (npz(a=npy(kind="|O")), "it holds Python objects"),
    "brackets": (npz(a=npy(before="(" * 5000)), "does not hold plain arrays"),
    "token": (npz(a=npy("(3")), "does not hold plain arrays"),
    "version": (npz(a=npy(version=3)), r"version \(3, 0\) are not read"),
    "deflate": (npz(a=ZEROS).replace(npz(a=ZEROS)[50:90], bytes([255]) * 40), "does not hold plain arrays"),
    "encrypted": (npz(a=npy()).replace(b"PK\1\2\x14\3\x14\0\0", b"PK\1\2\x14\3\x14\0\1"), "does not hold plain arrays"),
    "text": (b"PK", "does not hold plain arrays"),
}


ARRAYS = {"spectrum": np.arange(15.0).reshape(3, 5), "names": np.array(["", "diverged"]), "stopped": np.array([True])}


@dataclasses.dataclass(frozen=True)
class Toy(Spec):
    experiment: ClassVar[str] = "toy"

    depth: int = option(4, "layers", least=1)


@pytest.fixture(autouse=True)
def never_waiting():
    """A read that waits for a pipe ends the test instead of the suite."""
    signal.signal(signal.SIGALRM, lambda *_: pytest.fail("it waited"))
    signal.alarm(120)
    yield
    signal.alarm(0)
