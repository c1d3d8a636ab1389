"""What other programs write into picture files: more than 8 bits, transparency, orientation, frames, and damage."""

import io
import json
import os
import re
import struct
import zlib

import numpy as np
import pytest
import torch
from PIL import Image, features

from implicit_rank import data
from implicit_rank.data import pictures


def loaded(folder, split="train", **options):
    found = data.load(f"folder:{folder}", split, **{"size": 8} | options)
    json.dumps(found.provenance, ensure_ascii=False).encode()  # plain values in characters that any file can hold
    return found


def constant(folder, values, dtype, suffix="png"):
    """Pictures of one grey value each, as that type."""
    for i, value in enumerate(values):
        Image.fromarray(np.full((9, 9), value, dtype)).save(folder / f"{i}.{suffix}")


def greys(images):
    assert (images.images == images.images[:, :1, :1, :1]).all()
    return images.images[:, 0, 0, 0].tolist()


@pytest.mark.parametrize(
    ("dtype", "suffix", "values", "wanted", "said"),
    [
        (np.uint16, "png", [0, 257, 25700, 65535], [0, 1, 100, 255], "from 0 to 65535.*divided by 257"),
        (np.uint16, "tif", [0, 514, 30000, 40000], [0, 2, 117, 156], "from 0 to 40000.*divided by 257"),
        (np.uint16, "png", [0, 7, 200, 255], [0, 7, 200, 255], "from 0 to 255.*taken as they are"),
        (np.int32, "tif", [0, 7, 200, 255], [0, 7, 200, 255], "taken as they are"),
        (np.int32, "tif", [0, 257, 25700, 65535], [0, 1, 100, 255], "divided by 257"),
        (np.int32, "tif", [0, 500_000, 1_000_000], [0, 128, 255], "scaled so that 0 is 0 and 1e.06 is 255"),
        (np.int32, "tif", [-100, 0, 100], [0, 128, 255], "scaled so that -100 is 0 and 100 is 255"),
        (np.int32, "tif", [-100, -50], [0, 128], "scaled so that -100 is 0 and 0 is 255"),
        (np.float32, "tif", [0, 0.2, 0.5, 1], [0, 51, 128, 255], "floating-point.*from 0 to 1.*times 255"),
        (np.float32, "tif", [0.1, 0.2, 0.4], [26, 51, 102], "times 255"),
        (np.float32, "tif", [0, 10, 40], [0, 64, 255], "scaled so that 0 is 0 and 40 is 255"),
        (np.float32, "tif", [-1, 0, 1], [0, 128, 255], "scaled so that -1 is 0 and 1 is 255"),
        (np.float32, "tif", [0, 5e-4, 1e-3], [0, 128, 255], "scaled so that 0 is 0 and 0.001 is 255"),
        (np.float32, "tif", [0, 0], [0, 0], "times 255"),
    ],
)
def test_wide_numbers_keep_their_relative_brightness(tmp_path, dtype, suffix, values, wanted, said):
    constant(tmp_path, values, dtype, suffix)
    found = loaded(tmp_path)
    assert greys(found) == wanted
    (note,) = found.provenance["notes"]
    assert note.startswith(f"of {len(values)} images {len(values)} in ")
    assert torch.equal(loaded(tmp_path, channels=3).images, found.images.expand(-1, 3, -1, -1))
    assert re.search(said, note)


def test_a_range_is_one_for_the_whole_folder(tmp_path):
    constant(tmp_path, [10, 20, 30, 40, 1000], np.float32, "tif")
    assert greys(loaded(tmp_path)) == [3, 5, 8, 10]
    assert greys(loaded(tmp_path, "test")) == [255]


def test_a_wide_picture_looks_like_the_same_picture_of_8_bits(tmp_path):
    grey = np.random.default_rng(0).integers(0, 256, (40, 30), dtype=np.uint8)
    for place, pixels in (("narrow", grey), ("wide", grey.astype(np.uint16) * 257), ("float", grey / np.float32(255))):
        (tmp_path / place).mkdir()
        for i in range(2):
            Image.fromarray(pixels).save(tmp_path / place / f"{i}.tif")
    narrow, wide, floats = (loaded(tmp_path / place).images.int() for place in ("narrow", "wide", "float"))
    assert len(narrow.unique()) > 20
    assert (narrow - wide).abs().max() <= 1
    assert torch.equal(wide, floats)


def png(width, height, depth, kind, rows, *chunks):
    """The bytes of a PNG that Pillow does not write itself."""

    def chunk(name, content):
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    head = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)
    parts = [chunk(b"IHDR", head), *(chunk(*c) for c in chunks), chunk(b"IDAT", zlib.compress(rows, 9))]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts) + chunk(b"IEND", b"")


def test_colours_of_16_bits_say_so(tmp_path):
    row = b"\0" + struct.pack(">3H", 0x1234, 0x8000, 0xFF00) * 8
    for i in range(2):
        (tmp_path / f"{i}.png").write_bytes(png(8, 8, 16, 2, row * 8))
    found = loaded(tmp_path)
    assert found.images[0, :, 3, 3].tolist() == [0x12, 0x80, 0xFF]
    assert found.provenance["notes"] == ["of 2 images 2 in colours of 16 bits, read as their upper 8"]


def tiff(width, values, bits, photometric=1, sample_format=1):
    """The bytes of a grey TIFF that Pillow does not write itself, one row."""
    data = b"".join(values)
    entries = [(256, width), (257, 1), (258, bits), (259, 1), (262, photometric), (273, 8), (277, 1), (278, 1)]
    entries += [(279, len(data)), (339, sample_format)]
    table = b"".join(struct.pack("<HHII", tag, 4 if tag == 279 else 3, 1, value) for tag, value in entries)
    head = b"II*\0" + struct.pack("<I", 8 + len(data))
    return head + data + struct.pack("<H", len(entries)) + table + struct.pack("<I", 0)


@pytest.mark.parametrize(
    ("file", "wanted"),
    [
        (tiff(1, [struct.pack("<I", 2**32 - 1)], 32), 255),  # not -1
        (tiff(1, [struct.pack("<H", 65535 - 257 * 9)], 16, photometric=0), 9),
        (tiff(2, [b"\x80\x08\x00"], 12), 128),  # twice 0x800 of 0xfff
    ],
)
def test_rarer_tiffs_mean_what_their_tags_say(tmp_path, file, wanted):
    constant(tmp_path, [0, 65535], np.uint16)
    (tmp_path / "a.tif").write_bytes(file)
    found = data.folder_images(tmp_path, 4)
    assert not found.skipped
    assert found.pixels[found.read.index("a.tif"), 0, 0] == wanted


def test_pixels_that_are_no_numbers_skip_the_file(tmp_path):
    constant(tmp_path, [0.5, 0.5, np.nan, np.inf], np.float32, "tif")
    found = loaded(tmp_path)
    assert greys(found) == [128, 128]
    assert found.provenance["skipped"] == [f"{i}.tif: pixels that are no finite numbers" for i in (2, 3)]


def transparent_kinds():
    """Pictures of 9 x 9 by kind: black or grey 40, clear everywhere but in the left third."""
    alpha = np.zeros((9, 9), np.uint8)
    alpha[:, :3] = 255
    index = (alpha == 0).astype(np.uint8)  # 0 is seen, 1 is clear
    rgba = Image.fromarray(np.dstack([np.zeros((9, 9, 3), np.uint8), alpha]))
    palette = Image.fromarray(index).convert("P")
    palette.putpalette([0, 0, 0, 90, 0, 0])
    wide = Image.fromarray(np.where(alpha, 40 * 257, 9 * 257).astype(np.uint16))
    return {
        "rgba.png": (rgba, {}),
        "rgba.webp": (rgba, {"lossless": True}),
        "rgba.tif": (rgba, {}),
        "la.png": (Image.fromarray(np.dstack([np.zeros((9, 9), np.uint8), alpha])), {}),
        "palette.png": (palette, {"transparency": 1}),
        "palette.gif": (palette, {"transparency": 1}),
        "grey_key.png": (Image.fromarray(index * 9), {"transparency": 9}),
        "rgb_key.png": (Image.fromarray(index * 9).convert("RGB"), {"transparency": (9, 9, 9)}),
        "bit_key.png": (Image.fromarray(index * 255).convert("1"), {"transparency": 255}),
        "wide_key.png": (wide, {"transparency": 9 * 257}),
    }


@pytest.mark.parametrize("kind", transparent_kinds())
@pytest.mark.parametrize(("background", "wanted"), [("white", 255), ("black", 0), ("#6496c8", (100, 150, 200))])
def test_transparent_pictures_are_laid_on_a_background(tmp_path, kind, background, wanted):
    image, options = transparent_kinds()[kind]
    for i in range(2):
        image.save(tmp_path / f"{i}{kind}", **options)
    found = loaded(tmp_path, size=9, background=background)
    pixels = found.images[0].permute(1, 2, 0).squeeze(-1)
    seen = 40 if kind == "wide_key.png" and background != "white" else pixels[0, 0].max().item()
    assert pixels[0, 0].max().item() == seen
    assert seen in (0, 40)
    assert pixels[0, 8].tolist() == (list(wanted) if isinstance(wanted, tuple) else wanted)
    assert f"of 2 images 2 with transparency, laid on {background}" in found.provenance["notes"]
    assert found.provenance["background"] == background


def test_half_transparent_pixels_mix_and_wholly_transparent_pictures_are_said(tmp_path):
    for i, alpha in enumerate([51, 255, 0]):
        Image.new("RGBA", (9, 9), (100, 0, 0, alpha)).save(tmp_path / f"{i}.png")
    found = loaded(tmp_path)
    assert found.images[:, :, 0, 0].tolist() == [[224, 204, 204], [100, 0, 0], [255, 255, 255]]
    notes = ["of 3 images 1 with transparency, laid on white", "of 3 images 1 wholly transparent"]
    assert found.provenance["notes"] == notes
    with pytest.raises(ValueError, match=r"background must be a colour such as 'white'.*, not 'wite'"):
        loaded(tmp_path, background="wite")


def test_grey_of_few_bits_has_its_transparent_value(tmp_path):
    for i, (depth, key) in enumerate([(4, 15), (2, 3)]):
        content = png(8, 8, depth, 0, (b"\0" + b"\xff" * depth) * 8, (b"tRNS", struct.pack(">H", key)))
        (tmp_path / f"{i}.png").write_bytes(content)
    assert greys(loaded(tmp_path, background="black")) == [0, 0]


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp", "avif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_stand_upright(tmp_path, suffix, orientation):
    if suffix == "avif" and not features.check("avif"):
        pytest.skip("this Pillow reads no AVIF")
    upright = np.zeros((16, 16), np.uint8)
    upright[:8, :8], upright[8:, :8] = 250, 120  # no symmetry
    # how a camera stores what EXIF's eight orientations turn back
    turned = [
        upright,
        upright[:, ::-1],
        upright[::-1, ::-1],
        upright[::-1],
        upright.T,
        np.rot90(upright),
        np.rot90(upright, 2).T,
        np.rot90(upright, -1),
    ][orientation - 1]
    for i in range(2):
        exif = Image.Exif()
        exif[0x0112] = orientation
        Image.fromarray(np.ascontiguousarray(turned)).save(tmp_path / f"{i}.{suffix}", exif=exif)
    found = loaded(tmp_path, size=16, channels=1)
    corners = found.images[:, 0, [4, 12, 4, 12], [4, 4, 12, 12]].int()
    assert (corners - torch.tensor([250, 120, 0, 0])).abs().max() < 12  # some kinds lose a little
    wanted = [] if orientation == 1 else ["of 2 images 2 turned upright as the file says"]
    assert found.provenance["notes"] == wanted


@pytest.mark.parametrize("suffix", ["gif", "tif", "png", "webp"])
def test_of_several_frames_the_first_is_taken_and_said(tmp_path, suffix):
    frames = [Image.new("RGB", (9, 9), (value, 0, 0)) for value in (200, 90, 10)]
    options = {"lossless": True} if suffix == "webp" else {}
    frames[0].save(tmp_path / f"a.{suffix}", save_all=True, append_images=frames[1:], **options)
    frames[1].save(tmp_path / f"b.{suffix}", **options)
    found = loaded(tmp_path)
    assert found.images[:, 0, 0, 0].tolist() == [200, 90]
    assert found.provenance["notes"] == ["of 2 images 1 of several frames or pages, the first one taken"]


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "CMYK", "YCbCr"])
def test_other_modes_pass(tmp_path, mode):
    suffix = "jpg" if mode in ("CMYK", "YCbCr") else "png"
    for i in range(2):
        Image.new("RGB", (9, 9), "white" if i else "black").convert(mode).save(tmp_path / f"{i}.{suffix}")
    found = loaded(tmp_path)
    assert np.abs(np.subtract(found.images[:, 0, 0, 0].tolist(), [0, 255])).max() <= 1
    assert found.provenance["notes"] == found.provenance["skipped"] == []


def kinds_of_files():
    pixels = np.random.default_rng(2).integers(0, 256, (24, 24, 3), dtype=np.uint8)
    found = {}
    for suffix in ("png", "jpg", "gif", "bmp", "tif", "webp", "avif", "ppm", "tga", "ico", "jp2", "pcx", "sgi", "dds"):
        try:
            buffer = io.BytesIO()
            Image.fromarray(pixels).save(buffer, Image.registered_extensions()[f".{suffix}"])
        except (KeyError, OSError):  # a Pillow without this library
            continue
        found[suffix] = buffer.getvalue()
    return found


@pytest.mark.parametrize("suffix", kinds_of_files())
@pytest.mark.parametrize("damage", ["half", "head", "empty", "noise"])
def test_broken_files_of_every_kind_are_skipped_with_the_reason(tmp_path, suffix, damage):
    whole = kinds_of_files()[suffix]
    noise = np.random.default_rng(3).integers(0, 256, len(whole), dtype=np.uint8).tobytes()
    content = {"half": whole[: len(whole) // 2], "head": whole[:30], "empty": b"", "noise": whole[:20] + noise[20:]}
    (tmp_path / f"broken.{suffix}").write_bytes(content[damage])
    for i in range(2):
        Image.new("L", (9, 9), 7).save(tmp_path / f"{i}.png")
    found = loaded(tmp_path)
    if found.n == 2:
        (reason,) = found.provenance["skipped"]
        assert reason.startswith(f"broken.{suffix}: ")
        assert len(reason) > len(f"broken.{suffix}: ")
    else:  # noise can be pixels
        assert damage == "noise"
    assert damage != "empty" or reason == f"broken.{suffix}: an empty file"


@pytest.mark.parametrize("problem", [RuntimeError("Failed to decode frame 0: Truncated data\nline"), KeyError(3)])
def test_whatever_a_decoder_raises_is_a_reason(tmp_path, monkeypatch, problem):
    constant(tmp_path, [1, 2, 3], np.uint8)
    whole = pictures.Image.open

    def refuse(file):
        if file.name == "1.png":
            raise problem
        return whole(file)

    monkeypatch.setattr(pictures.Image, "open", refuse)
    found = loaded(tmp_path)
    assert greys(found) == [1, 3]
    assert found.provenance["skipped"][0].startswith(f"1.png: broken ({str(problem).splitlines()[0]}")


def test_a_small_file_of_very_many_pixels_is_not_decoded(tmp_path):
    constant(tmp_path, [1, 2], np.uint8)
    side = 13_000
    rows = zlib.compressobj(9)
    packed = b"".join(rows.compress(bytes(1 + side // 8)) for _ in range(side)) + rows.flush()
    (tmp_path / "bomb.png").write_bytes(png(side, side, 1, 0, zlib.decompress(packed)))
    assert os.path.getsize(tmp_path / "bomb.png") < 50_000
    found = loaded(tmp_path)
    assert found.n == 2
    wanted = f"bomb.png: too large: 13000 x 13000 pixels, at most {pictures.MOST_PIXELS:,} are read"
    assert found.provenance["skipped"] == [wanted]
