"""What in a folder counts as pictures and classes."""

import os
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from keras_sagan.data import ImageFolder
from keras_sagan.errors import InputError


def save(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8)).save(path, "png")


def left_behind(folder):
    """What systems and programs leave in folders, with pictures wherever they may have some."""
    for name in (
        ".ipynb_checkpoints/a-checkpoint.png",
        "__MACOSX/cat/._a.png",
        "@eaDir/a.png/SYNOPHOTO_THUMB_M.png",
        "$RECYCLE.BIN/a.png",
        "cat/.ipynb_checkpoints/a-checkpoint.png",
        "cat/@eaDir/a.png/SYNOPHOTO_THUMB_M.png",
        "cat/._a.png",
        ".hidden.png",
    ):
        save(folder / name)
    for name in (".DS_Store", "cat/.DS_Store", "cat/Thumbs.db", "desktop.ini"):
        (folder / name).write_bytes(b"\0")


def test_what_systems_leave_behind_is_neither_class_nor_picture(tmp_path):
    for name in ("cat/a.png", "cat/deeper/b.png", "dog/c.png"):
        save(tmp_path / name)
    left_behind(tmp_path)
    source = ImageFolder(tmp_path, 8)
    assert source.class_names == ["cat", "dog"] and source.class_counts == [2, 1]
    assert source.names == ["cat/a.png", "cat/deeper/b.png", "dog/c.png"]
    assert source.left_out == "12 hidden or of the operating system"


def test_a_hidden_folder_may_be_the_data_itself(tmp_path):
    save(tmp_path / ".cache" / "cat" / "a.png")
    assert ImageFolder(tmp_path / ".cache", 8).class_names == ["cat"]


def test_what_was_left_out_is_said_by_ending(tmp_path):
    for name in ("cat/a.png", "dog/b.png"):
        save(tmp_path / name)
    for name in ("cat/1.txt", "cat/2.TXT", "dog/3.heic", "LICENSE", "empty/4.heic", "empty/5.heic"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    (tmp_path / "dog" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    (tmp_path / "dog" / "self.png").symlink_to("self.png")
    source = ImageFolder(tmp_path, 8)
    assert source.class_names == ["cat", "dog"]
    assert source.left_out == (
        "3 .heic, 2 .txt, 2 broken links or devices, 1 without an ending, empty (no pictures in it)"
    )
    with pytest.raises(InputError, match="holds no images .*; there are 2 .heic"):
        ImageFolder(tmp_path / "empty", 8)
    for i in range(9):
        (tmp_path / "cat" / f"x.{i}").write_text("")
    assert ", 7 others, empty" in ImageFolder(tmp_path, 8).left_out


def test_every_ending_of_jpegs_counts(tmp_path):
    for name in ("a.jfif", "b.jpe", "c.JPEG", "d.jpg"):
        Image.new("RGB", (8, 8), "red").save(tmp_path / name, "jpeg")
    images, _ = ImageFolder(tmp_path, 8).read(range(4))
    assert (images[..., 0] > 200).all()


@pytest.mark.parametrize(
    "names", [("train", "test"), ("Train", "val"), ("train2017", "val2017"), ("test", "valid", "x")]
)
def test_the_parts_of_a_data_set_are_not_classes(tmp_path, names):
    for name in names:
        save(tmp_path / name / "cat" / "a.png")
    best = tmp_path / names[0]
    with pytest.raises(InputError, match="are not classes but parts of a data set: give") as error:
        ImageFolder(tmp_path, 8)
    assert f"most likely {best} " in str(error.value) and "\n" not in str(error.value)
    assert ImageFolder(best, 8).class_names == ["cat"]


def test_train_alone_is_a_class_unless_it_holds_folders(tmp_path):
    save(tmp_path / "vehicles" / "train" / "a.png")
    assert ImageFolder(tmp_path / "vehicles", 8).class_names == ["train"]
    save(tmp_path / "vehicles" / "car" / "deeper" / "b.png")
    assert ImageFolder(tmp_path / "vehicles", 8).class_names == ["car", "train"]
    save(tmp_path / "set" / "train" / "cat" / "a.png")
    with pytest.raises(InputError, match="holds train, which .* most likely .*/set/train "):
        ImageFolder(tmp_path / "set", 8)


def test_linked_folders_are_followed_once(tmp_path):
    for name in ("data/cat/a.png", "data/dog/b.png", "store/c.png", "store/deep/d.png"):
        save(tmp_path / name)
    (tmp_path / "data" / "cat" / "more").symlink_to(tmp_path / "store")
    (tmp_path / "data" / "cat" / "again").symlink_to(tmp_path / "data")  # a loop
    (tmp_path / "store" / "back").symlink_to(tmp_path / "data" / "cat")  # and another
    (tmp_path / "store" / "twice").symlink_to(tmp_path / "store" / "deep")
    (tmp_path / "data" / "eel").symlink_to(tmp_path / "store" / "deep")
    source = ImageFolder(tmp_path / "data", 8)
    assert source.names == [
        "cat/a.png", "cat/more/c.png", "cat/more/deep/d.png", "dog/b.png", "eel/d.png"
    ]  # fmt: skip
    assert source.class_names == ["cat", "dog", "eel"]
    assert source.left_out == "3 links to folders that are listed already"


def test_pictures_stand_in_the_order_of_their_paths(tmp_path):
    """Which older runs had, and which tells what a step of a run that goes on gets."""
    for name in ("a/b.png", "a/b/c.png", "a.x/d.png", "a/B.png", "a/b-2.png", "a/b.png.png"):
        save(tmp_path / name)
    paths = sorted(path for path in tmp_path.rglob("*") if path.is_file())
    assert ImageFolder(tmp_path, 8).names == [str(p.relative_to(tmp_path)) for p in paths]


def test_a_folder_that_may_not_be_read_is_named(tmp_path, monkeypatch):
    save(tmp_path / "cat" / "a.png")
    save(tmp_path / "dog" / "b.png")
    whole = os.scandir

    def scandir(path):
        if Path(path).name == "dog":
            raise PermissionError(13, "Permission denied", path)
        return whole(path)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(InputError, match="dog cannot be listed: Permission denied"):
        ImageFolder(tmp_path, 8)


def test_names_need_not_be_text(tmp_path):
    names = [b"caf\xe9", b"two\nlines", b"\x1b[31m"]
    for name in names:
        folder = tmp_path / os.fsdecode(name)
        folder.mkdir()
        Image.new("RGB", (8, 8), "red").save(folder / "a\nb\udce9.png")
    log = tmp_path.parent / f"{tmp_path.name}.txt"
    source = ImageFolder(tmp_path, 8, log)
    assert sorted(map(os.fsencode, source.class_names)) == sorted(names)
    images, labels = source.read(range(3))
    assert (images[..., 0] > 200).all() and labels.tolist() == [0, 1, 2]
    for name in source.names:
        (tmp_path / name).write_bytes(b"broken")
    with pytest.raises(InputError) as error:
        ImageFolder(tmp_path, 8, log).read(range(3))
    assert str(error.value).isprintable()
    lines = log.read_text("utf-8").splitlines()
    listed = [line.split("\t")[0] for line in lines]
    restored = [x.encode("latin-1", "backslashreplace").decode("unicode_escape") for x in listed]
    assert restored == [str(tmp_path / name) for name in source.names[: len(lines)]]
    with pytest.raises(InputError):
        ImageFolder(tmp_path, 8, log).read(range(3))
    assert log.read_text("utf-8").splitlines() == lines  # none of them twice


def test_a_million_files_are_listed_in_bounded_time_and_memory(tmp_path):
    """1.3 million in 60 s and 0.5 GB, in proportion: 46 us and 384 bytes a file."""
    count = 20_000
    for i in range(count):
        if i % 1000 == 0:
            folder = tmp_path / f"n{i:08d}"
            folder.mkdir()
        os.close(os.open(folder / f"n{i:08d}_{i}.JPEG", os.O_CREAT))
    start = time.process_time()
    source = ImageFolder(tmp_path, 8)
    seconds = time.process_time() - start
    assert len(source) == count and np.bincount(source.labels).tolist() == [1000] * 20
    tracemalloc.start()
    try:
        ImageFolder(tmp_path, 8)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert seconds < 46e-6 * count and peak < 384 * count
