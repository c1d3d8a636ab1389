"""Folders that nobody would make by hand: whatever lies in one is read, or refused in one sentence, and left alone."""

import io
import json
import os
import tempfile
from pathlib import Path

import numpy as np
import torch
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st
from PIL import Image

from implicit_rank import data
from implicit_rank.tree import folder_state

MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "HSV", "I", "I;16", "F")
FORMATS = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "AVIF", "PPM", "TGA", "ICO", "JPEG2000", "PCX", "SGI", "DDS")
FOLDERS = ("train", "Training", "val", "valid", "dev", "test", "TESTING", "cat", "dog", "été", ".hidden", "a b")

odd_names = st.text(st.characters(exclude_characters="/\0"), min_size=1, max_size=12)
byte_names = st.binary(min_size=1, max_size=12).map(lambda b: b.replace(b"/", b"_").replace(b"\0", b"_"))
names = st.one_of(
    st.sampled_from([b"a.png", b"b.tif", b"c"]), odd_names.map(lambda t: t.encode(errors="ignore")), byte_names
)
places = st.lists(st.sampled_from(FOLDERS), max_size=3).map(lambda parts: [part.encode() for part in parts])


@st.composite
def pictures(draw):
    """The bytes of a picture, in any mode and kind that goes together, perhaps with orientation, frames and damage."""
    mode, kind = draw(st.sampled_from(MODES)), draw(st.sampled_from(FORMATS))
    shape = (draw(st.integers(1, 40)), draw(st.integers(1, 40)))
    noise = np.random.default_rng(draw(st.integers(0, 5)))
    if mode in ("I", "I;16", "F"):
        top = draw(st.sampled_from([0, 1, 200, 4095, 65535, 10**6 if mode != "I;16" else 9]))
        values = noise.random(shape) * top - draw(st.sampled_from([0, 0, top / 2 if mode != "I;16" else 0]))
        values = np.where(
            noise.random(shape) < draw(st.sampled_from([0, 0, 0.1])), np.nan if mode == "F" else 0, values
        )
        image = Image.fromarray(values.astype({"I": np.int32, "I;16": np.uint16, "F": np.float32}[mode]))
    else:
        bands = {"1": 1, "L": 1, "P": 1, "LA": 2, "PA": 2, "RGBA": 4, "CMYK": 4}.get(mode, 3)
        image = (
            Image.frombytes(mode, shape, noise.bytes(shape[0] * shape[1] * bands))
            if mode != "1"
            else Image.new("1", shape)
        )
        if mode == "P":
            image.putpalette(noise.bytes(768))
    options = {}
    if draw(st.booleans()):
        options["transparency"] = draw(st.sampled_from([0, 3, 255, b"\0\x80\xff", (1, 2, 3), 70_000]))
    if draw(st.booleans()):
        options["exif"] = Image.Exif()
        options["exif"][0x0112] = draw(st.integers(0, 9))
    if draw(st.booleans()):
        options |= {"save_all": True, "append_images": [image.copy()]}
    if kind == "AVIF":  # the encoder, which is not tested here, crashes at some sizes and options
        image, options = Image.new("RGB", (16, 16), (200, 100, 50)), {}
    buffer = io.BytesIO()
    try:
        image.save(buffer, kind, **options)
    except Exception:  # a kind that cannot hold this; the beginning of a file is a case too
        note(f"{kind} takes no {mode}")
    content = bytearray(buffer.getvalue())
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 5])) if content else 0):
        content[draw(st.integers(0, len(content) - 1))] = draw(st.integers(0, 255))
    return bytes(content[: draw(st.integers(0, len(content)))] if draw(st.integers(0, 4)) == 0 else content)


entries = st.one_of(
    st.tuples(st.just("file"), pictures()),
    st.tuples(st.just("file"), st.binary(max_size=200)),
    st.tuples(st.just("folder"), st.just(b"")),
    st.tuples(st.just("link"), st.sampled_from([b".", b"..", b"cat", b"train", b"nowhere", b"/", b"../.."])),
)


def lay_out(top, wanted):
    """Make the entries that this file system takes."""
    for parts, name, (kind, content) in wanted:
        folder = os.path.join(top, *parts)
        path = os.path.join(folder, name)
        try:
            os.makedirs(folder, exist_ok=True)
            if kind == "folder":
                os.makedirs(path, exist_ok=True)
            elif kind == "link" and content != b"/":
                os.symlink(content, path)
            elif not os.path.lexists(path):
                with open(path, "wb") as file:
                    file.write(content)
        except OSError:  # a name that is taken, too long, "." or not allowed here
            continue


def snapshot(top):
    found = {}
    for folder, folders, files in os.walk(top):
        for name in (*folders, *files):
            path = os.path.join(folder, name)
            status = os.lstat(path)
            content = Path(os.fsdecode(path)).read_bytes() if name in files and not os.path.islink(path) else None
            found[path] = (status.st_mode, status.st_size, status.st_mtime_ns, content)
    return found


def check_sentence(problem):
    sentence = str(problem)
    assert "\n" not in sentence
    assert sentence.endswith(".")
    sentence.encode()  # no bytes of names that are no text


@settings(max_examples=150, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(st.tuples(places, names, entries), max_size=14),
    st.integers(4, 20),
    st.sampled_from([None, 1, 3]),
    st.sampled_from(["white", "black", "#804020"]),
)
def test_any_folder_is_read_or_refused_in_one_sentence_and_left_as_it_was(wanted, size, channels, background):
    with tempfile.TemporaryDirectory() as above:
        top = os.path.join(above, "pictures")
        os.mkdir(top)
        lay_out(os.fsencode(top), wanted)
        before = snapshot(os.fsencode(above))
        name, found = f"folder:{top}", {}
        for split in ("train", "test"):
            try:
                found[split] = data.load(name, split, size=size, channels=channels, background=background)
            except ValueError as problem:
                check_sentence(problem)
        try:
            moments = data.second_moments(name, size=size)
            assert moments.C.isfinite().all()
            assert moments.provenance.encode()
        except ValueError as problem:
            check_sentence(problem)
        assert folder_state(name) == folder_state(name)
        assert snapshot(os.fsencode(above)) == before
    for images in found.values():
        assert images.images.dtype == torch.uint8
        assert images.images.shape[1:] == (channels or images.channels, size, size)
        assert json.loads(json.dumps(images.provenance)) == images.provenance
        json.dumps(images.provenance, ensure_ascii=False).encode()
        assert all(": " in entry for entry in images.provenance["skipped"])
    if len(found) == 2 and found["train"].labels is not None:
        assert set(found["train"].provenance["classes"]) == set(found["test"].provenance["classes"])
