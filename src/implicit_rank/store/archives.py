"""Arrays out of npz bytes that nobody vouches for: declared sizes are held against limits before anything is unpacked.

What zip and npy readers raise for damaged bytes is their own affair and of a dozen kinds; whoever calls these catches
all of it and says which file it is about.
"""

import io
import math
import zipfile

import numpy as np

_PLAIN = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # the others cannot be unpacked in part
_END = 22  # bytes of the record at the end of a zip that counts its entries (0xFFFF: too many to count there)
_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


def check_declared(archive: zipfile.ZipFile, most: int) -> None:
    """Raise ValueError when the entries declare more than `most` bytes together, or not all of them are listed."""
    entries = archive.infolist()
    # one wrong length in the list, and zipfile reads the entries behind it as part of a comment
    archive.fp.seek(-_END - len(archive.comment), io.SEEK_END)
    if int.from_bytes(archive.fp.read(_END)[10:12], "little") not in (len(entries), 0xFFFF):
        raise ValueError("its list of entries is not complete")
    if any(entry.compress_type not in _PLAIN for entry in entries):
        raise ValueError("its entries are compressed in a way that npz files are not")
    declared = sum(entry.file_size for entry in entries)
    if declared > most:
        raise ValueError(f"it declares {declared:,} bytes of content, and at most {most:,} are read")


def entry_bytes(archive: zipfile.ZipFile, name: str) -> bytes:
    """The bytes of an entry, never more than it declares, its CRC-32 checked; KeyError when there is none."""
    size = archive.getinfo(name).file_size
    with archive.open(name) as stream:
        content = stream.read(size)
        content += stream.read(1)  # nothing: at the end the checksum is compared
    if len(content) != size:
        raise ValueError(f"its entry {name!r} is not as long as it declares")
    return content


def plain_array(content: bytes) -> np.ndarray:
    """The array of an npy file's bytes; ValueError unless they hold the plain values that their header declares."""
    stream = io.BytesIO(content)
    version = np.lib.format.read_magic(stream)
    if version not in _HEADERS:
        raise ValueError(f"npy files of version {version} are not read")
    shape, _, dtype = _HEADERS[version](stream)
    if dtype.hasobject:
        raise ValueError("it holds Python objects, and only numbers, truth values and text are read")
    if min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize != len(content) - stream.tell():
        raise ValueError("its content is not of the size that its header declares")
    stream.seek(0)
    return np.lib.format.read_array(stream, allow_pickle=False)


def arrays_of(archive: zipfile.ZipFile, most: int, without: str = "") -> dict[str, np.ndarray]:
    """All arrays by name, but the entry `without`; ValueError and others for anything else, see the module."""
    check_declared(archive, most)
    names = [name for name in archive.namelist() if name != without]
    return {name.removesuffix(".npy"): plain_array(entry_bytes(archive, name)) for name in names}
