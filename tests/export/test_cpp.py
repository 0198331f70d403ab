"""The example in C++, compiled and run where TensorFlow Lite's C library is.

CXX names another compiler, with its options.
"""

import os
import shlex
import subprocess

import numpy as np
import pytest
from generators import check_same_pictures, trained
from PIL import Image
from programs import REPOSITORY

from keras_sagan.exporting import convert_to_tflite

lite = pytest.importorskip("ai_edge_litert.interpreter")

SOURCE = REPOSITORY / "export" / "examples" / "cpp" / "draw.cpp"
COMPILER = [*shlex.split(os.environ.get("CXX", "c++")), "-std=c++17", "-x", "c++"]
LIBRARY = ["-x", "none", "-ltensorflow-lite"]
MINIMAL = "#include <tensorflow/lite/c/c_api_experimental.h>\nint main() { TfLiteVersion(); }\n"


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    path = tmp_path_factory.mktemp("cpp") / "draw"
    try:
        command = [*COMPILER, "-", *LIBRARY, "-o", path]
        process = subprocess.run(command, input=MINIMAL, capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip(f"there is no compiler {COMPILER[0]}")
    if process.returncode != 0:
        pytest.skip("there is no libtensorflow-lite-dev (Debian's, from sid on)")
    warnings = ("-Wall", "-Wextra", "-Werror")
    subprocess.run([*COMPILER, *warnings, SOURCE, *LIBRARY, "-o", path], check=True)
    return path


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    for name, classes in (("with", 3), ("without", None)):
        file, _ = convert_to_tflite(trained("dcgan", classes, attention=(8,)))
        (folder / f"{name}.tflite").write_bytes(file)
    (folder / "no_model.tflite").write_bytes(b"no model")
    return folder


def draw(program, folder, *arguments):
    command = [program, *map(str, arguments)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


@pytest.mark.parametrize("name, label", [("with", 2), ("without", "-")])
def test_it_draws_the_picture_that_python_draws(program, files, name, label):
    process = draw(program, files, f"{name}.tflite", 7, label, "picture.ppm")
    assert process.returncode == 0, process.stderr
    inputs = {"seed": np.array([7], np.int32), "truncation": np.ones(1, np.float32)}
    if label != "-":
        inputs["label"] = np.array([label], np.int32)
    interpreter = lite.Interpreter(str(files / f"{name}.tflite"))
    (expected,) = interpreter.get_signature_runner("sample")(**inputs)["image"]
    picture = np.asarray(Image.open(files / "picture.ppm"))
    check_same_pictures(picture, expected)
    assert picture.std() > 10  # not of one grey


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["with.tflite", "7", "1"], "usage"),
        (["with.tflite", "-7", "1", "a.ppm"], "SEED -7"),
        (["with.tflite", "2147483648", "1", "a.ppm"], "SEED 2147483648"),
        (["with.tflite", "7", "one", "a.ppm"], "LABEL one"),
        (["with.tflite", "7", "-", "a.ppm"], "has classes"),
        (["without.tflite", "7", "1", "a.ppm"], "no label"),
        (["no_model.tflite", "7", "1", "a.ppm"], "no_model.tflite"),
        (["with.tflite", "7", "1", "not/there.ppm"], "not/there.ppm"),
    ],
)
def test_mistakes_are_named(program, files, arguments, message):
    process = draw(program, files, *arguments)
    assert process.returncode == 2
    assert process.stderr.splitlines()[-1].startswith("error: ") and message in process.stderr
    assert not (files / "a.ppm").exists()
