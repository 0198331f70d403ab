"""What a run says of its data, and what it holds them to."""

import json
import os
import shutil

import numpy as np
import pytest
from PIL import Image
from programs import run_here

from keras_sagan.data import ImageFolder
from keras_sagan.errors import InputError
from keras_sagan.running import data_record
from keras_sagan.running.run_folder import Run

RNG = np.random.default_rng(0)
SMALL = (
    "model.image_size=32",
    "model.attention=null",
    "model.width=8",
    "model.latent_dim=8",
    "train.batch_size=8",
    "train.steps=3",
    "train.log_every=2",
    "samples.every=2",
    "samples.columns=2",
    "checkpoints.every=3",
)


def pictures(folder, **counts):
    for name, count in counts.items():
        (folder / name).mkdir(parents=True)
        for i in range(count):
            array = RNG.integers(0, 256, (40, 36, 3)).astype("uint8")
            Image.fromarray(array).save(folder / name / f"{i:02d}.jpg")
    return folder


def train(run_dir, data, *arguments):
    config = ("--config", "configs/image_folder64.yaml", "--set", *SMALL)
    return run_here("train.py", *config, "--run-dir", run_dir, "--data", data, *arguments)


ODD_NAMES = [b" ", b"caf\xe9", b"two\nlines", "two\u2028lines".encode()]
ODD = {os.fsdecode(name): 1 for name in ODD_NAMES}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run on 12 cats, 11 dogs and a few with odd names: its folder, the data, the output."""
    folder = tmp_path_factory.mktemp("trained")
    data = pictures(folder / os.fsdecode(b"d\xe9ta\n"), cat=12, dog=11, **ODD)
    (data / " " / "00.jpg").write_bytes(b"broken")
    (data / "dog" / "notes.txt").write_text("not an image")
    (data / ".ipynb_checkpoints").mkdir()
    process = train(folder / "run", data)
    assert process.returncode == 0, process.stderr
    return folder / "run", data, process.stdout


def snapshot(folder):
    return {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in folder.rglob("*")}


def check_refused(process, *parts):
    (line,) = process.stderr.splitlines()
    assert process.returncode == 2 and line.startswith("error: ")
    for part in parts:
        assert str(part) in line


def test_the_start_says_what_is_learned(trained):
    run_dir, _, output = trained
    lines = output.splitlines()
    assert lines[0].startswith("device: ") and lines[1].startswith("27 images, ")
    assert lines[2] == (
        r"6 classes: \x20 1, caf\udce9 1, cat 12, dog 11, two\nlines 1, two\u2028lines 1"
    )
    assert lines[3] == "left out: 1 .txt, 1 hidden or of the operating system"
    record = json.loads((run_dir / "data.json").read_text())
    assert record["images"] == 27 and list(record["classes"].values()) == [1, 1, 12, 11, 1, 1]


CHANGES = {
    "renamed": (lambda data: (data / "cat").rename(data / "eel"), "without cat and with eel"),
    "one more class": (lambda data: pictures(data, ant=1), "learned, with ant"),
    "one class less": (lambda data: shutil.rmtree(data / "dog"), "learned, without dog"),
    "one picture less": (
        lambda data: (data / "cat" / "00.jpg").unlink(),
        "11 images of cat, which had 12",
    ),
    "one picture more": (
        lambda data: shutil.copy(data / "cat" / "00.jpg", data / "dog" / "more.jpg"),
        "12 images of dog, which had 11",
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_other_data_are_refused_before_anything_is_written(trained, tmp_path, name):
    run_dir, data, _ = trained
    shutil.copytree(data, tmp_path / "data")
    change, said = CHANGES[name]
    change(tmp_path / "data")
    before = snapshot(run_dir)
    arguments = ("--run-dir", run_dir, "--data", tmp_path / "data", "--resume")
    check_refused(run_here("train.py", *arguments), tmp_path / "data", run_dir, said)
    assert snapshot(run_dir) == before


class Source:
    """As much of a source as has to do with what it holds."""

    def __init__(self, length=None, **counts):
        self.class_names = list(counts) or None
        if length is None:
            self.class_counts = list(counts.values()) or None
        self.length = length or sum(counts.values())

    def __len__(self):
        return self.length


@pytest.fixture
def run_copy(trained, tmp_path):
    return Run(shutil.copytree(trained[0], tmp_path / "run"))


def test_the_same_data_elsewhere_and_runs_of_older_versions_go_on(run_copy):
    def check(source):
        data_record.check_same(run_copy, source, "the folder")

    same = {" ": 1, "caf\udce9": 1, "cat": 12, "dog": 11, "two\nlines": 1, "two\u2028lines": 1}
    check(Source(**same))
    check(Source(length=27, **same))  # as of TFDS, which does not count classes
    with pytest.raises(InputError, match="it has 28 images, and had 27"):
        check(Source(length=28, **same))
    with pytest.raises(InputError, match="in another order"):
        check(Source(**dict(reversed(same.items()))))
    with pytest.raises(InputError, match=r"learned, without .x20, caf.udce9, cat and 3 more: "):
        check(Source(length=27))
    run_copy.data_record.write_text("{}")
    with pytest.raises(InputError, match="data.json is damaged: delete it"):
        check(Source(**same))
    run_copy.data_record.unlink()
    check(Source(**{**same, "cat": 13}))  # of an older version
    with pytest.raises(InputError, match="learned, without two.nlines: make"):
        check(Source(**{name: 1 for name in same if name != "two\nlines"}))


def test_of_a_run_without_classes_the_whole_counts(run_copy):
    text = run_copy.config_file.read_text().replace("num_classes: 6", "num_classes: null")
    run_copy.config_file.write_text(text)
    data_record.check_same(run_copy, Source(length=27), "loose")
    data_record.check_same(run_copy, Source(eel=16, dog=11), "renamed")
    with pytest.raises(InputError, match="28 images, and had 27"):
        data_record.check_same(run_copy, Source(cat=17, dog=11), "grown")


def test_many_classes_are_said_in_short():
    few = {f"c{i:04d}": 50 for i in range(20)}
    (line,) = data_record.said(Source(**few), learned=True)
    assert line.startswith("20 classes: c0000 50, ") and line.endswith(", c0019 50")
    many = {f"c{i:04d}": 50 + i % 7 for i in range(1000)}
    assert data_record.said(Source(**many), learned=True) == [
        "1000 classes: c0000 50, c0001 51, c0002 52, ..., c0999 55; from 50 (c0000) to 56 (c0006)"
    ]
    (line,) = data_record.said(Source(length=9, cat=0, dog=0), learned=False)
    assert line == "2 classes, learned as one, for the model has no classes: cat, dog"
    assert data_record.said(Source(length=9), learned=False) == []


REASON = "no JPEG, PNG, WEBP, BMP, GIF or TIFF file"


@pytest.fixture(scope="module")
def refused(tmp_path_factory):
    """Data of which three pictures are broken, and the run folder and the end of a run on them."""
    folder = tmp_path_factory.mktemp("refused")
    data = pictures(folder / "data", cat=12, dog=12)
    for i in range(3):
        (data / "cat" / f"{i:02d}.jpg").write_bytes(b"broken")
    return data, folder / "run", train(folder / "run", data)


@pytest.mark.slow
def test_too_many_unreadable_leave_their_list_alone(refused):
    _, run_dir, process = refused
    listed = run_dir / "skipped_images.txt"
    check_refused(process, "3 of the 24 images", "/cat/0", REASON, listed)
    assert {*run_dir.iterdir()} == {listed, run_dir / ".trained.lock"}
    assert len(listed.read_text().splitlines()) == 3
    Run(run_dir).check_new()


@pytest.mark.slow
def test_the_same_command_works_once_the_pictures_do(refused):
    data, run_dir, _ = refused
    check_refused(train(run_dir, data), "3 of the 24 images")
    for i in range(1, 3):
        shutil.copy(data / "cat" / "03.jpg", data / "cat" / f"{i:02d}.jpg")
    process = train(run_dir, data)
    assert process.returncode == 0, process.stderr
    (line,) = (run_dir / "skipped_images.txt").read_text().splitlines()
    assert line.startswith(f"{data}/cat/00.jpg\t{REASON}")
    said = f"1 image could not be read, such as {data}/cat/00.jpg ({REASON}"
    assert any(line.startswith(said) for line in process.stdout.splitlines())


@pytest.mark.slow
def test_a_checkpoint_stays_whatever_comes_of_the_images(tmp_path):
    data, run_dir = pictures(tmp_path / "data", cat=40), tmp_path / "run"
    order = np.random.default_rng([0, 0]).permutation(40)  # of the first pass
    for index in order[24:]:  # which are read after the third step
        (data / "cat" / f"{index:02d}.jpg").write_bytes(b"broken")
    process = train(run_dir, data, "--set", "train.steps=9", "checkpoints.every=1")
    check_refused(process, "of the 40 images")
    assert Run(run_dir).checkpoint_steps()


def restored(lines):
    """The names that lines of such a file stand for."""
    names = (x.encode("latin-1", "backslashreplace").decode("unicode_escape") for x in lines)
    return [os.fsencode(name) for name in names]


def test_odd_names_do_not_end_a_run(trained):
    run_dir, data, _ = trained
    names = restored((run_dir / "classes.txt").read_text("utf-8").splitlines())
    assert names == sorted([*ODD_NAMES, b"cat", b"dog"])
    (line,) = (run_dir / "skipped_images.txt").read_text("utf-8").splitlines()
    assert restored(line.split("\t")[:1]) == [os.fsencode(data / " " / "00.jpg")]
    data_record.check_same(Run(run_dir), ImageFolder(data, 32), "the same")


@pytest.mark.slow
def test_odd_names_do_not_end_an_export(trained, tmp_path):
    run_dir = shutil.copytree(trained[0], tmp_path / "run\n")
    process = run_here("-m", "export", run_dir, "--quantize", "float32")
    assert process.returncode == 0, process.stderr
    lines = (run_dir / "export" / "labels.txt").read_text("utf-8").splitlines()
    assert restored(lines) == sorted([*ODD_NAMES, b"cat", b"dog"])


@pytest.mark.parametrize(
    "arguments",
    [
        ["train.py", "--config", "configs/paired_shapes.yaml", "--run-dir"],
        ["-m", "export"],
        ["-m", "keras_sagan.cli", "sample", "--out", "x.png"],
    ],
)
def test_a_run_folder_at_a_path_that_is_not_utf8_is_named(tmp_path, arguments):
    process = run_here(*arguments, tmp_path / os.fsdecode(b"r\xe9n"))
    check_refused(process, r"r\udce9n: a run folder's path must be UTF-8")
    assert not list(tmp_path.iterdir())
