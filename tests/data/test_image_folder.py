import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from keras_sagan.data import ImageFolder
from keras_sagan.data.images import square, to_rgb
from keras_sagan.errors import InputError

RNG = np.random.default_rng(0)


def save(path, array=None, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    if array is None:
        array = RNG.integers(0, 256, (40, 40, 3)).astype("uint8")
    Image.fromarray(array).save(path, **options)
    return path


def test_subfolders_are_classes(tmp_path):
    for name, value in (("dog", 200), ("cat", 100)):
        for i in range(2):
            save(tmp_path / name / f"{i}.png", np.full((8, 8, 3), value + i, "uint8"))
    save(tmp_path / "cat" / "deeper" / "more.JPG", np.full((8, 8, 3), 102, "uint8"))
    (tmp_path / "cat" / "notes.txt").write_text("not an image")
    (tmp_path / "empty").mkdir()
    source = ImageFolder(tmp_path, 8)
    assert source.class_names == ["cat", "dog"]
    images, labels = source.read(range(5))
    assert images.shape == (5, 8, 8, 3) and images.dtype == np.uint8
    np.testing.assert_array_equal(labels, [0, 0, 0, 1, 1])
    np.testing.assert_allclose(images[:, 0, 0, 0], [100, 101, 102, 200, 201], atol=1)


def test_loose_images_have_no_class(tmp_path):
    save(tmp_path / "a.png")
    save(tmp_path / "b.jpeg")
    source = ImageFolder(tmp_path, 16)
    images, labels = source.read([1, 0])
    assert source.class_names is None and labels is None and images.shape == (2, 16, 16, 3)


def test_bad_folders_are_named(tmp_path):
    with pytest.raises(InputError, match="nowhere is not a folder"):
        ImageFolder(tmp_path / "nowhere", 8)
    with pytest.raises(InputError, match="holds no images"):
        ImageFolder(tmp_path, 8)
    save(tmp_path / "a.png")
    save(tmp_path / "cat" / "b.png")
    with pytest.raises(InputError, match="both images .* and sub-folders"):
        ImageFolder(tmp_path, 8)


def test_unreadable_images_are_skipped_and_listed(tmp_path):
    for i in range(30):
        save(tmp_path / "images" / f"{i:02d}.png", np.full((8, 8, 3), i, "uint8"))
    whole = save(tmp_path / "images" / "05.jpg").read_bytes()
    (tmp_path / "images" / "05.jpg").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "images" / "10.png").write_bytes(b"this is no image")
    (tmp_path / "images" / "29.png").write_bytes(b"")
    log = tmp_path / "skipped.txt"
    source = ImageFolder(tmp_path / "images", 8, log)
    assert len(source) == 31
    images, _ = source.read(range(31))
    assert {Path(path).name for path in source.skipped} == {"05.jpg", "10.png", "29.png"}
    assert [i for i, path in enumerate(source.paths) if path in source.skipped] == [5, 11, 30]
    values = images[:, 0, 0, 0].tolist()
    assert values[5] == 5 and values[11] == 11  # the next that can be read
    assert values[30] == 0  # after the last comes the first
    lines = log.read_text().splitlines()
    assert len(lines) == 3
    assert all(line.split("\t")[1] for line in lines)
    again = ImageFolder(tmp_path / "images", 8, log)
    again.read([5, 11, 30])
    assert again.skipped == source.skipped
    assert len(log.read_text().splitlines()) == 3


def test_whatever_a_picture_throws_is_a_reason(tmp_path, monkeypatch):
    for i in range(40):
        save(tmp_path / "images" / f"{i:02d}.png")
    (tmp_path / "images" / "00.png").write_bytes(b"%!PS-Adobe")
    with (tmp_path / "images" / "01.png").open("r+b") as file:  # a header of 20000 x 10000 pixels
        header = struct.pack(">4sIIBBBBB", b"IHDR", 20000, 10000, 8, 2, 0, 0, 0)
        file.seek(12)
        file.write(header + struct.pack(">I", zlib.crc32(header)))
    source = ImageFolder(tmp_path / "images", 8, tmp_path / "skipped.txt")
    (tmp_path / "images" / "02.png").unlink()
    whole = Image.open

    def throwing(path, **options):
        if path.endswith("03.png"):
            raise struct.error("unpack requires\na buffer")
        return whole(path, **options)

    monkeypatch.setattr(Image, "open", throwing)
    source.read(range(len(source)))
    reasons = {Path(path).name: reason for path, reason in source.skipped.items()}
    assert reasons == {
        "00.png": "no JPEG, PNG, WEBP, BMP, GIF or TIFF file, or damaged where it begins",
        "01.png": "it has more than 178956970 pixels, the most that are decoded: make it smaller",
        "02.png": "No such file or directory",
        "03.png": "error: unpack requires a buffer",
    }
    lines = (tmp_path / "skipped.txt").read_text().splitlines()
    assert dict(line.split("\t") for line in lines) == source.skipped


def test_more_than_one_in_ten_unreadable_stops(tmp_path):
    for i in range(20):
        save(tmp_path / f"{i:02d}.png")
    for i in range(2):
        (tmp_path / f"{i:02d}.png").write_bytes(b"broken")
    ImageFolder(tmp_path, 8).read(range(20))
    (tmp_path / "02.png").write_bytes(b"broken")
    source = ImageFolder(tmp_path, 8)
    for _ in range(2):  # also of those who ask again
        with pytest.raises(InputError, match="3 of the 20 images .* more than one in ten; one is "):
            source.read(range(20))
    for path in tmp_path.iterdir():
        path.write_bytes(b"broken")
    with pytest.raises(InputError, match="more than one in ten"):
        ImageFolder(tmp_path, 8).read(range(20))


def test_the_error_says_why_and_where_more_are_listed(tmp_path):
    save(tmp_path / "images" / "a.png").write_bytes(b"broken")
    log = tmp_path / "run" / "skipped.txt"  # in a run folder that is not there yet
    source = ImageFolder(tmp_path / "images", 8, log)
    reason = "one is .*a.png: no JPEG, .* or TIFF file, or damaged .* .see .*skipped.txt"
    with pytest.raises(InputError, match=reason):
        source.read([0])
    assert len(log.read_text().splitlines()) == 1


def test_every_mode_becomes_rgb(tmp_path):
    grey = np.arange(64, dtype=np.uint8).reshape(8, 8) * 3
    color = np.stack([grey, 255 - grey, grey // 2], axis=-1)
    deep = grey.astype(np.uint16) * 257
    rgba = np.concatenate([color, np.full((8, 8, 1), 255, np.uint8)], axis=-1)
    rgba[0, :, 3] = 0
    Image.fromarray(grey).save(tmp_path / "grey.png")
    Image.fromarray(deep).save(tmp_path / "deep.png")
    Image.fromarray(deep).save(tmp_path / "deep.tif")
    Image.fromarray(rgba).save(tmp_path / "rgba.png")
    Image.fromarray(color).quantize(64).save(tmp_path / "palette.png")
    Image.fromarray(color).convert("CMYK").save(tmp_path / "cmyk.tif")
    Image.fromarray(grey > 90).save(tmp_path / "bits.png")

    def rgb(name):
        with Image.open(tmp_path / name) as image:
            result = to_rgb(image)
            assert result.mode == "RGB"
            return np.asarray(result)

    for name in ("grey.png", "deep.png", "deep.tif"):
        np.testing.assert_array_equal(rgb(name), np.repeat(grey[..., None], 3, axis=-1), name)
    np.testing.assert_array_equal(rgb("rgba.png")[1:], color[1:])
    assert rgb("rgba.png")[0].max() == 0  # transparent is black
    np.testing.assert_allclose(rgb("palette.png"), color, atol=12)  # 64 of its colours
    np.testing.assert_array_equal(rgb("cmyk.tif"), color)
    np.testing.assert_array_equal(rgb("bits.png")[..., 0], (grey > 90) * 255)


def test_the_camera_orientation_is_applied(tmp_path):
    array = np.zeros((4, 8, 3), np.uint8)
    array[0, 0] = 255
    image = Image.fromarray(array)
    exif = image.getexif()
    exif[0x0112] = 6  # to be shown turned by 90 degrees, clockwise
    image.save(tmp_path / "turned.png", exif=exif)
    with Image.open(tmp_path / "turned.png") as image:
        turned = np.asarray(to_rgb(image))
    assert turned.shape == (8, 4, 3) and turned[0, 3, 0] == 255


def test_square_takes_the_middle_and_antialiases():
    wide = np.zeros((16, 48, 3), np.uint8)
    wide[:, 16:32] = 200
    np.testing.assert_array_equal(square(Image.fromarray(wide), 16), wide[:, 16:32])
    # A checkerboard of single pixels is grey when it is made smaller; picking pixels is not.
    board = (np.indices((64, 64)).sum(axis=0) % 2 * 255).astype(np.uint8)
    small = square(Image.fromarray(board).convert("RGB"), 16)
    assert abs(small.astype(int) - 127).max() < 10
