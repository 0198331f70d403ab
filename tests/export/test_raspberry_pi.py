"""The picture frame, in a folder such as one copies to a Raspberry Pi."""

import io
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from generators import trained
from PIL import Image
from programs import REPOSITORY, run

from keras_sagan.exporting import convert_to_tflite
from keras_sagan.exporting.metadata import add_metadata
from keras_sagan.exporting.sample import Model

pytest.importorskip("ai_edge_litert")

pytestmark = pytest.mark.slow

FRAME = REPOSITORY / "export" / "examples" / "raspberry_pi" / "picture_frame.py"
SAMPLER = REPOSITORY / "keras_sagan" / "exporting" / "sample.py"
EVERY = 0.5


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pi")
    for program in (FRAME, SAMPLER):
        shutil.copy(program, folder)
    file, _ = convert_to_tflite(trained("dcgan", 3, attention=(8,)))
    file = add_metadata(file, "generator", "Draws.", ["a", "b", "c"], {"attention8": [[8, 8]] * 2})
    (folder / "generator.tflite").write_bytes(file)
    return folder


def watch(folder, out, count, end):
    """Runs the frame until it has drawn so many pictures; returns them, and the turns meanwhile.

    Each time that the file is read, it must be whole.
    """
    arguments = ["picture_frame.py", "generator.tflite", "--out", out, "--every", str(EVERY)]
    first = int(time.time() // EVERY)
    process = subprocess.Popen(
        [sys.executable, *arguments], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        pictures, deadline = [], time.monotonic() + 60
        while len(pictures) < count and time.monotonic() < deadline:
            if out.exists():
                image = np.asarray(Image.open(io.BytesIO(out.read_bytes())))
                if not (pictures and np.array_equal(image, pictures[-1])):
                    pictures.append(image)
            time.sleep(0.01)
        process.send_signal(end)
        printed, errors = process.communicate(timeout=20)
    finally:
        process.kill()
    assert process.returncode == 0, errors.decode()
    assert printed.decode() == f"a new {out} every {EVERY} s; Ctrl-C ends\n"
    assert b"Traceback" not in errors
    return pictures, range(first, int(time.time() // EVERY) + 1)


def turns(folder, pictures, among):
    """The turns that the pictures are of, by drawing those of all that may be."""
    model = Model(str(folder / "generator.tflite"))
    seeds = np.array(among, np.int64) % 2**31
    labels, truncation = (seeds % 3).astype(np.int32), np.ones(len(seeds), np.float32)
    drawn = model.run("sample", labels, seed=seeds.astype(np.int32), truncation=truncation)["image"]
    return [
        turn
        for picture in pictures
        for turn, image in zip(among, drawn, strict=True)
        if np.array_equal(picture, image)
    ]


def test_each_turn_has_its_picture_also_after_a_restart(folder, tmp_path):
    out, spans, drawn = tmp_path / "picture.png", [], []
    for count, end in ((3, signal.SIGTERM), (2, signal.SIGINT)):
        pictures, span = watch(folder, out, count, end)
        drawn.append(turns(folder, pictures, span))
        spans.append(span)
        assert len(drawn[-1]) == count and drawn[-1] == sorted(set(drawn[-1])), (drawn, spans)
        out.unlink()
    assert drawn[0][-1] <= drawn[1][0]  # where the clock is
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none.tflite", "--out", "x.png"], "none.tflite: No such file"),
        (["generator.tflite", "--out", "x.jpg"], "--out x.jpg: name a file that ends in .png"),
        (["generator.tflite", "--out", "no/x.png"], "--out no/x.png: there is no folder no"),
        (["generator.tflite", "--out", "folder.png"], "--out folder.png: Is a directory"),
        (["generator.tflite"], "required: --out"),
        (["generator.tflite", "--out", "x.png", "--every", "0"], "0 is not from 0.1 to 86400"),
        (["generator.tflite", "--out", "x.png", "--every", "nan"], "nan is not from 0.1 to 86400"),
    ],
)
def test_a_mistake_is_one_line(arguments, message, folder):
    (folder / "folder.png").mkdir(exist_ok=True)
    process = run("picture_frame.py", *arguments, cwd=folder)
    last = process.stderr.splitlines()[-1]  # LiteRT may have said that it runs
    assert process.returncode == 2 and "Traceback" not in process.stderr, process.stderr
    assert last.startswith("error: ") and message in last
    assert not [*folder.glob(".*")]  # nothing half written


def test_without_the_sampler_it_says_where_it_belongs():
    process = run(FRAME, "generator.tflite", "--out", "x.png")
    assert process.returncode == 2
    expected = "error: sample is missing: put this file into the folder of an export\n"
    assert process.stderr == expected
