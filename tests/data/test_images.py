"""What pictures show, from files that say it in rarer ways."""

import io
import struct

import numpy as np
import pytest
from PIL import Image

from keras_sagan.data.images import decode, to_rgb

GREY = np.arange(256, dtype=np.uint8).reshape(16, 16)


def tiff(values, bits, kind, photometric=1):
    """A TIFF of one strip. kind: 1 unsigned, 2 signed, 3 float; photometric: 0 is white at zero."""
    height, width = GREY.shape
    entries = [(256, width), (257, height), (258, bits), (259, 1), (262, photometric)]
    entries += [(273, 8 + 2 + 12 * 10 + 4), (277, 1), (278, height), (279, len(values))]
    entries += [(339, kind)]
    fields = [struct.pack("<HHII", tag, 4, 1, value) for tag, value in entries]
    return struct.pack("<2sHIH", b"II", 42, 8, len(fields)) + b"".join(fields) + bytes(4) + values


def packed_12_bits(values):
    pairs = values.reshape(-1, 2).astype(np.uint32)
    joined = (pairs[:, 0] << 12) | pairs[:, 1]
    return np.stack([joined >> 16, joined >> 8, joined], axis=-1).astype(np.uint8).tobytes()


WIDE = GREY.astype(np.float64) / 255
TIFFS = {
    "16 bits": (16, 1, (WIDE * 65535).round().astype("<u2")),
    "16 bits, signed": (16, 2, (WIDE * 32767).round().astype("<i2")),
    "32 bits": (32, 1, (WIDE * (2**32 - 1)).round().astype("<u4")),
    "32 bits, signed": (32, 2, (WIDE * (2**31 - 1)).round().astype("<i4")),
    "32 bits that hold 16": (32, 1, (WIDE * 65535).round().astype("<u4")),
    "32 bits that hold 8": (32, 2, GREY.astype("<i4")),
    "floats to 1": (32, 3, WIDE.astype("<f4")),
    "floats to 255": (32, 3, GREY.astype("<f4")),
    "floats to 65535": (32, 3, (WIDE * 65535).astype("<f4")),
    "floats beyond": (32, 3, (WIDE * 1e9).astype("<f4")),
}


def shown(data):
    with Image.open(io.BytesIO(data)) as image:
        rgb = np.asarray(to_rgb(image))
    assert rgb.dtype == np.uint8 and (rgb == rgb[..., :1]).all()
    return rgb[..., 0]


@pytest.mark.parametrize("name", TIFFS)
def test_a_wide_tiff_is_what_it_shows(name):
    bits, kind, values = TIFFS[name]
    np.testing.assert_array_equal(shown(tiff(values.tobytes(), bits, kind)), GREY)


def test_a_tiff_of_12_bits_is_what_it_shows():
    twelve = (WIDE * 4095).round().astype(np.uint16)
    np.testing.assert_array_equal(shown(tiff(packed_12_bits(twelve), 12, 1)), GREY)


@pytest.mark.parametrize("name", ["16 bits", "floats to 1"])
def test_white_may_be_zero(name):
    bits, kind, values = TIFFS[name]
    data = tiff(values.tobytes(), bits, kind, photometric=0)
    np.testing.assert_array_equal(shown(data), 255 - GREY)


def test_floats_may_overshoot_and_lack_values():
    values = WIDE.astype("<f4")
    values[0, :4] = 1.4, -0.4, np.nan, np.inf  # as a resampling filter leaves them, and a division
    grey = shown(tiff(values.tobytes(), 32, 3))
    np.testing.assert_array_equal(grey[0, :4], [255, 0, 0, 255])
    np.testing.assert_array_equal(grey[1:], GREY[1:])


def test_a_dark_picture_of_16_bits_stays_dark():
    values = np.full((16, 16), 257 * 3, "<u2")
    np.testing.assert_array_equal(shown(tiff(values.tobytes(), 16, 1)), np.full((16, 16), 3))


@pytest.mark.parametrize("mode", ["LA", "La", "RGBA", "RGBa"])
def test_transparency_is_laid_over_black(mode):
    picture = Image.new("RGBA", (4, 4), (200, 200, 200, 128))
    picture = picture.convert("LA").convert(mode) if mode[0] == "L" else picture.convert(mode)
    # Half of 200, and a level for premultiplied values, which are whole numbers.
    np.testing.assert_allclose(np.asarray(to_rgb(picture)), 100, atol=1)


# Fields of EXIF: the tag, its type, the count, the value or where it is.
ORIENTATION = (0x0112, 3, 1, 6)  # to be shown turned by 90 degrees, clockwise
ODD_FIELDS = {
    "resolution unit as a byte": (0x0128, 1, 1, 2),
    "resolution unit as a fraction": (0x0128, 5, 1, 38),
    "a string where a number belongs": (0x0128, 2, 4, 0x32323232),
}


def exif(*fields, start=b"II*\0\x08\0\0\0"):
    entries = b"".join(struct.pack("<HHII", *field) for field in fields)
    data = start + struct.pack("<H", len(fields)) + entries + bytes(4)
    return b"Exif\0\0" + data.ljust(38, b"\0") + struct.pack("<II", 2, 1)


def corner(ending, metadata):
    """A black picture whose upper left corner is white, as it is stored: as it is shown."""
    array = np.zeros((16, 16, 3), np.uint8)
    array[:8, :8] = 255
    file = io.BytesIO()
    Image.fromarray(array).save(file, ending, exif=metadata)
    return decode(file, 16)


@pytest.mark.parametrize("ending", ["jpeg", "png", "webp"])
@pytest.mark.parametrize("name", ODD_FIELDS)
def test_orientation_is_all_that_is_wanted_of_exif(ending, name):
    image = corner(ending, exif(ORIENTATION, ODD_FIELDS[name]))
    assert image[2, -3].min() > 200 and image[2, 2].max() < 50  # turned


@pytest.mark.parametrize("ending", ["jpeg", "png", "webp"])
def test_damaged_exif_leaves_the_picture_as_it_is_stored(ending):
    image = corner(ending, exif(ORIENTATION, start=b"XX*\0\x08\0\0\0"))
    assert image[2, 2].min() > 200 and image[2, -3].max() < 50


@pytest.mark.parametrize("turn", range(1, 9))
@pytest.mark.parametrize("ending", ["jpeg", "tiff"])
def test_every_orientation_is_as_pillow_has_it(turn, ending):
    from PIL import ImageOps

    array = np.zeros((32, 48, 3), np.uint8)
    array[:8, :16] = 255
    file, tags = io.BytesIO(), Image.Exif()
    tags[0x0112] = turn
    Image.fromarray(array).save(file, ending, exif=tags)
    with Image.open(file) as image, Image.open(file) as other:
        expected = np.asarray(ImageOps.exif_transpose(other))
        np.testing.assert_array_equal(np.asarray(to_rgb(image)), expected)


def test_no_other_format_is_opened_whatever_the_ending(tmp_path):
    """Encapsulated PostScript would start Ghostscript."""
    Image.fromarray(GREY).save(tmp_path / "photo.eps")
    (tmp_path / "photo.eps").rename(tmp_path / "photo.jpg")
    with pytest.raises(OSError, match="cannot identify"):
        decode(tmp_path / "photo.jpg", 8)
