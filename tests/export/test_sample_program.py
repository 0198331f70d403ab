"""The sampler that knows nothing of this package, in a process where it cannot be imported."""

import io
import re
import zipfile

import keras
import numpy as np
import others
import pytest
import tensorflow as tf
from generators import check_same_pictures, trained
from PIL import Image
from programs import run

from keras_sagan import models
from keras_sagan.exporting import convert_to_tflite
from keras_sagan.exporting.metadata import add_metadata
from keras_sagan.exporting.sample import overlay
from keras_sagan.layers import SelfAttention2D
from keras_sagan.sampling import generator_inputs, latents, sample, to_uint8

pytest.importorskip("ai_edge_litert")

pytestmark = pytest.mark.slow

SIZE = 32
CLASSES = ["cat", "Dogge, groß", "eel"]

# Runs the program where the packages of argument 1 are not to be had.
ALONE = """
import runpy, sys
refused = sys.argv.pop(1).split(",")
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in refused:
            raise AssertionError(name + " was imported")
sys.meta_path.insert(0, Refuse())
{}
runpy.run_module("export.sample", run_name="__main__")
"""
NO_INFERENCE = """
from ai_edge_litert import interpreter
def refuse(*arguments, **inputs):
    raise AssertionError("inference")
interpreter.SignatureRunner.__call__ = refuse
"""
# Calls the program on a file cut at each of the lengths of argument 2.
CUT = """
import contextlib, io, pathlib, runpy, sys
from ai_edge_litert import interpreter
def refuse(*arguments, **options):
    raise AssertionError("the interpreter read the file")
interpreter.Interpreter = refuse
whole, lengths, cut, out = sys.argv[1:]
whole, cut = pathlib.Path(whole).read_bytes(), pathlib.Path(cut)
sys.argv = ["export.sample", str(cut), "--out", out]
for length in map(int, lengths.split(",")):
    cut.write_bytes(whole[:length])
    errors = io.StringIO()
    try:
        with contextlib.redirect_stderr(errors):
            runpy.run_module("export.sample", run_name="__main__")
    except SystemExit as end:
        print(length, end.code, errors.getvalue().strip(), sep="\\t", flush=True)
"""


def program(*arguments, prelude="", refused="tensorflow,keras,keras_sagan,matplotlib"):
    return run("-c", ALONE.format(prelude), refused, *arguments)


@pytest.fixture(scope="module")
def generators():
    """One with classes and pooled maps, one without classes and with square maps."""
    return {
        "classes": trained("resnet", 3, attention=(8, 16)),
        "plain": trained("dcgan", None, attention=(8, 16)),
    }


@pytest.fixture(scope="module")
def files(generators, tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    classes, _ = convert_to_tflite(generators["classes"], batch_size=1)
    plain, _ = convert_to_tflite(generators["plain"], batch_size=3)
    alone, _ = convert_to_tflite(generators["plain"], signatures=("generate",))
    keras_model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    other = tf.lite.TFLiteConverter.from_keras_model(keras_model).convert()
    png = io.BytesIO()
    Image.new("RGB", (8, 8)).save(png, "PNG")
    older = io.BytesIO(classes)
    with zipfile.ZipFile(older, "a") as archive:
        archive.writestr("labels.txt", "cat")
    maps = {name: models.map_shapes(generator) for name, generator in generators.items()}
    contents = {
        "classes": add_metadata(classes, "generator", "Draws.", CLASSES, maps["classes"]),
        "plain": add_metadata(plain, "generator", "Draws pictures.", None, maps["plain"]),
        "older": older.getvalue(),
        "unlabelled": add_metadata(classes, "generator", "Its class names were lost."),
        "other": add_metadata(other, "other", "Not a generator."),
        "alone": add_metadata(alone, "generator", "Draws pictures.", None, maps["plain"]),
        "bare": other,
        "picture": png.getvalue(),
        "empty": b"",
    }
    for name, content in contents.items():
        (folder / f"{name}.tflite").write_bytes(content)
    return {"folder": folder, **{name: folder / f"{name}.tflite" for name in contents}}


def drawn(path, *arguments, count, columns):
    """Runs the program; returns the pictures of its sheet, (count, SIZE, SIZE, 3)."""
    out = path.with_suffix(".png")
    process = program(path, *arguments, "--out", out)
    assert process.returncode == 0, process.stderr
    assert process.stdout == f"{out}\n"
    page = np.asarray(Image.open(out))
    out.unlink()
    # Each pixel is two by two pixels of the sheet, with white between the pictures.
    pitch = 2 * SIZE + 2
    assert page.shape == (-(-count // columns) * pitch - 2, columns * pitch - 2, 3)
    assert (page[2 * SIZE :: pitch] == 255).all() and (page[:, 2 * SIZE :: pitch] == 255).all()
    corners = [(i // columns * pitch, i % columns * pitch) for i in range(count)]
    return np.array([page[y : y + 2 * SIZE : 2, x : x + 2 * SIZE : 2] for y, x in corners])


def check_pictures(images, expected):
    """The same pictures, which differ from each other."""
    assert expected.std() > 30 and np.abs(np.diff(expected.astype(int), axis=0)).mean() > 5
    check_same_pictures(images, expected)


@pytest.mark.parametrize("name", ["classes", "plain"])
def test_pictures_are_those_of_keras(name, generators, files):
    """Classes in turn; the file without classes takes three a call, so ten need padding."""
    images = drawn(files[name], "--seed", 5, "--count", 10, count=10, columns=8)
    check_pictures(images, sample(generators[name], range(5, 15)))


@pytest.mark.parametrize("label", ["1", CLASSES[1]])
def test_label_and_truncation(label, generators, files):
    options = ("--count", 3, "--label", label, "--truncation", 0.7, "--seed", 2**31 - 3)
    images = drawn(files["classes"], *options, count=3, columns=3)
    seeds = range(2**31 - 3, 2**31)
    check_pictures(images, sample(generators["classes"], seeds, [1] * 3, truncation=0.7))


@pytest.mark.parametrize("name", ["classes", "plain"])
def test_interpolation_goes_from_seed_to_seed_along_the_arc(name, generators, files):
    options = ("--interpolate", 5, 12, "--count", 5, "--truncation", 0.9)
    images = drawn(files[name], *options, count=5, columns=5)
    first, last = latents.numpy_normal([5, 12], 8)
    # Half way on the arc is where the sum points, as long as the ends are at that angle.
    cosine = first @ last / np.linalg.norm(first) / np.linalg.norm(last)
    middle = (first + last) / np.sqrt(2 + 2 * cosine)
    inputs = {"latent": 0.9 * np.stack([first, middle, last])}
    if name == "classes":
        inputs["label"] = np.array([5 % 3] * 3, np.int32)  # all of the first one's class
    expected = np.asarray(to_uint8(generators[name].predict(inputs, verbose=0)))
    check_pictures(images[[0, 2, 4]], expected)
    steps = np.abs(np.diff(images.astype(int), axis=0)).mean((1, 2, 3))
    assert steps.min() > 1  # the pictures between are neither end


def test_interpolation_from_a_seed_to_itself(generators, files):
    options = ("--interpolate", 5, 5, "--count", 2, "--label", 1)
    images = drawn(files["classes"], *options, count=2, columns=2)
    expected = sample(generators["classes"], [5, 5, 6], [1, 1, 1])
    check_pictures(np.concatenate([images, expected[2:]]), expected)


@pytest.mark.parametrize("name", ["classes", "plain"])
def test_attention_shows_where_the_location_looks(name, generators, files):
    y, x = 9, 22
    options = ("--seed", 3, "--count", 4, "--attention", y, x)
    tiles = drawn(files[name], *options, count=12, columns=3).reshape(4, 3, SIZE, SIZE, 3)
    inputs = generator_inputs(generators[name], range(3, 7))
    expected = models.with_attention_maps(generators[name]).predict(inputs, verbose=0)
    check_pictures(tiles[:, 0], np.asarray(to_uint8(expected["output"])))
    for size, column in ((8, 1), (16, 2)):
        for tile, maps in zip(tiles[:, column], expected[f"attention{size}"], strict=True):
            cell = SIZE // size
            row, left = y // cell, x // cell
            box = tile[row * cell : (row + 1) * cell, left * cell : (left + 1) * cell]
            assert (box[[0, -1]] == 255).all() and (box[:, [0, -1]] == 255).all()
            outside = np.ones((SIZE, SIZE), bool)
            outside[row * cell : (row + 1) * cell, left * cell : (left + 1) * cell] = False
            # The picture is grey under the orange, so red without blue is the map alone.
            heat = tile[..., 0].astype(float) - tile[..., 2]
            keys = int(maps.shape[1] ** 0.5)
            large = tf.image.resize(maps.reshape(-1, keys, keys, 1), (SIZE, SIZE))[..., 0].numpy()
            large /= maps.max(axis=1)[:, None, None]
            here = large[row * size + left]
            scale = heat[outside].max() / here[outside].max()
            np.testing.assert_allclose(heat[outside], scale * here[outside], atol=2)
            # Other locations look elsewhere, so that a wrong one would be noticed.
            elsewhere = np.delete(np.abs(large - here).max(axis=(1, 2)), row * size + left)
            assert scale > 100 and np.median(scale * elsewhere) > 10


def test_maps_need_not_be_square():
    """Pictures of 16x32; 4x8 locations look at 2x4 keys."""
    image = np.zeros((16, 32, 3), np.uint8)
    attention = np.zeros((4 * 8, 2 * 4), np.float32)
    attention[2 * 8 + 5, 1 * 4 + 3] = 1  # the location in row 2, column 5 looks at row 1, column 3
    tile = overlay(image, attention, {"queries": [4, 8], "keys": [2, 4]}, y=9, x=23)
    assert (tile[8, 20:24] == 255).all() and (tile[11, 20:24] == 255).all()  # its box
    heat = tile[..., 0].astype(int) - tile[..., 2]
    assert heat[14, 30] == heat.max() > 100 and heat[:4].max() == heat[:, :16].max() == 0


def test_a_file_of_pictures_that_are_not_square(tmp_path):
    """Of 16x32, each of whose pixels looks at 4x8 keys."""
    generator = others.generator_of(SelfAttention2D(pool_size=4, name="looks"), size=(16, 32))
    path, out = tmp_path / "wide.tflite", tmp_path / "wide.png"
    file, _ = convert_to_tflite(generator)
    path.write_bytes(add_metadata(file, "wide", "Draws.", None, models.map_shapes(generator)))
    process = program(path, "--seed", 3, "--count", 1, "--attention", 9, 22, "--out", out)
    assert process.returncode == 0, process.stderr
    page = np.asarray(Image.open(out))
    assert page.shape == (64, 128 + 2 + 128, 3)  # four by four pixels each
    latent = {"latent": latents.numpy_normal([3], 8)}
    expected = models.with_attention_maps(generator).predict(latent, verbose=0)
    check_same_pictures(page[::4, :128:4], np.asarray(to_uint8(expected["output"]))[0])
    tile = page[::4, 130::4].astype(float)
    assert (tile[9:11, 22:24] == 255).all()  # the box
    keys = expected["looks"][0, 9 * 32 + 22].reshape(1, 4, 8, 1)
    large = tf.image.resize(keys / keys.max(), (16, 32))[0, ..., 0].numpy()
    outside = np.ones((16, 32), bool)
    outside[9:11, 22:24] = False
    heat = (tile[..., 0] - tile[..., 2])[outside]
    # Both of the colours are rounded down.
    np.testing.assert_allclose(heat, 165 * large[outside], atol=2)
    assert heat.std() > 10


MISTAKES = {
    "missing file": ("{folder}/none.tflite", "none.tflite: No such file .* python -m export"),
    "folder": ("{folder}", "Is a directory; name a file"),
    "picture": ("{picture}", "picture.tflite: not a TF Lite file"),
    "empty": ("{empty}", "empty.tflite: not a TF Lite file"),
    "without archive": ("{bare}", "bare.tflite: cut short, or not of python -m export"),
    "lost labels": ("{unlabelled}", "unlabelled.tflite: a generator without labels.txt .*'label'"),
    "older version": ("{older}", "older.tflite: of an older version; write it again with python"),
    "other model": ("{other}", "other.tflite: a generator .*'generate'.*'serving_default'"),
    "generate alone": ("{alone}", "alone.tflite: for latents of your own alone; name a generator_"),
    "label too large": ("{classes} --label 3", r"--label 3: .* are 0 \(cat\) to 2 \(eel\)"),
    "label too small": ("{classes} --label -1", r"--label -1: .* are 0 \(cat\) to 2 \(eel\)"),
    "no such class": ("{classes} --label kat", r"--label kat: .* are 0 \(cat\) to 2 \(eel\)"),
    "no classes": ("{plain} --label 0", "--label 0: .*plain.tflite has no classes"),
    "seed too small": ("{classes} --seed -1", "--seed: -1 is not from 0 to 2147483647"),
    "seed too large": ("{classes} --seed 2147483648", "--seed: 2147483648 is not from 0 to"),
    "seed no number": ("{classes} --seed x", "--seed: .*'x'"),
    "last seed": (
        "{classes} --seed 2147483647 --count 2",
        "--count 2: the last seed would be 2147483648; seeds end at 2147483647",
    ),
    "interpolated seed": ("{classes} --interpolate 0 2147483648", "--interpolate: 2147483648 is"),
    "count": ("{classes} --count 0", "--count 0: draw 1"),
    "truncation": ("{classes} --truncation nan", "--truncation nan: .* finite"),
    "float32's truncation": ("{classes} --truncation 1e39", "--truncation 1e.39: .* finite"),
    "row": ("{classes} --attention 32 0", "--attention 32 0: outside .* 0 0 to 31 31"),
    "column": ("{classes} --attention 0 -1", "--attention 0 -1: outside .* 0 0 to 31 31"),
    "both": ("{classes} --attention 0 0 --interpolate 0 1", "--interpolate: not allowed with"),
    "unknown": ("{classes} --sede 7", "--sede 7; see --help"),
    "no png": ("{classes} --out {folder}/sheet.jpg", "sheet.jpg: name a file .* .png"),
    "no folder": ("{classes} --out {folder}/none/sheet.png", "there is no folder .*none"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_are_one_line_before_any_inference(name, files, tmp_path):
    template, message = MISTAKES[name]
    arguments = template.format(**files).split()
    if "--out" not in arguments:
        arguments += ["--out", tmp_path / "sheet.png"]
    before = sorted(files["folder"].iterdir())
    process = program(*arguments, prelude=NO_INFERENCE)
    check_mistake(process, message)
    assert not list(tmp_path.iterdir()) and sorted(files["folder"].iterdir()) == before


def check_mistake(process, message):
    assert process.returncode == 2, process.stderr
    assert process.stdout == "" and len(process.stderr.splitlines()) == 1
    assert process.stderr.startswith("error: ")
    assert re.search(message, process.stderr), process.stderr


@pytest.mark.parametrize("name", ["classes", "plain"])
def test_a_file_cut_anywhere_is_refused_before_the_interpreter_reads_it(name, files, tmp_path):
    whole = files[name].stat().st_size
    archive = zipfile.ZipFile(files[name]).start_dir  # the list of files, at the very end
    lengths = {*range(0, 40, 4), *np.linspace(40, whole - 1, 40).astype(int)}
    lengths = sorted({*lengths, *range(archive - 60, whole, 3), whole - 1})
    listed = ",".join(map(str, lengths))
    out = tmp_path / "sheet.png"
    process = run("-c", CUT, files[name], listed, tmp_path / "cut.tflite", out)
    assert process.returncode == 0, process.stderr  # not by a signal
    rows = [line.split("\t") for line in process.stdout.splitlines()]
    assert [int(length) for length, _, _ in rows] == lengths and len(lengths) > 60
    for length, code, error in rows:
        assert code == "2" and error.startswith(f"error: {tmp_path / 'cut.tflite'}: "), error
        assert ("not a TF Lite file" if int(length) < 8 else "cut short") in error
    assert not out.exists()


def test_an_unwritable_picture_is_named(files, tmp_path):
    (tmp_path / "sheet.png").mkdir()
    process = program(files["classes"], "--count", 1, "--out", tmp_path / "sheet.png")
    assert process.returncode == 2
    last = process.stderr.splitlines()[-1]  # LiteRT has said that it runs
    assert last == f"error: --out {tmp_path / 'sheet.png'}: Is a directory"


def test_a_picture_may_have_any_name(files, tmp_path):
    out = tmp_path / "caf\udce9.png"  # a byte that is not UTF-8, as Python reads it
    process = program(files["classes"], "--count", 1, "--out", out)
    assert process.returncode == 0 and out.exists(), process.stderr
    assert process.stdout == f"{tmp_path}/caf\\udce9.png\n"


def test_help_waits_for_no_interpreter():
    process = program("--help", refused="tensorflow,keras,keras_sagan,ai_edge_litert")
    assert process.returncode == 0, process.stderr
    assert "--interpolate S1 S2" in process.stdout
