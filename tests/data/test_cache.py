import errno
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import namedtuple

import numpy as np
import pytest
from PIL import Image
from programs import REPOSITORY, run

from keras_sagan.data import ImageCache, ImageFolder, batches, cache
from keras_sagan.data.row_file import RowFile
from keras_sagan.errors import InputError
from keras_sagan.files import system

RNG = np.random.default_rng(0)


@pytest.fixture
def pictures(tmp_path):
    """Two classes of fifty pictures, of which four cannot be read: two in a row, and the last."""
    folder = tmp_path / "pictures"
    for name in ("cat", "dog"):
        (folder / name).mkdir(parents=True)
        for i in range(50):
            array = RNG.integers(0, 256, (12, 10, 3)).astype("uint8")
            Image.fromarray(array).save(folder / name / f"{i:02d}.png")
    for name in ("cat/07", "cat/49", "dog/00", "dog/49"):
        (folder / f"{name}.png").write_bytes(b"broken")
    return folder


def cached(pictures, size=8, log=None, folder="caches"):
    source = ImageFolder(pictures, size, log)
    identity = cache.folder_identity(source.folder, source.paths)
    return ImageCache(source, pictures.parent / folder, identity, pictures.name)


def caches(pictures):
    folder = pictures.parent / "caches"
    return [path.name for path in visible(folder)] if folder.exists() else []


def visible(folder):
    """What is in a folder of caches but for its locks."""
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))


def lines(log):
    return sorted(log.read_text().splitlines())


class Counted:
    """A source without classes that notes what is read of it, and fails where it is told to."""

    image_size, class_names = 4, None

    def __init__(self, length=600, stop_at=None, error=KeyboardInterrupt):
        self.length, self.stop_at, self.error = length, stop_at, error
        self.read_indices = []

    def __len__(self):
        return self.length

    def read(self, indices):
        if self.stop_at is not None and self.stop_at in indices:
            raise self.error
        self.read_indices += indices
        images = np.zeros((len(indices), 4, 4, 3), np.uint8)
        images[:] = (np.asarray(indices) % 251)[:, None, None, None]
        return images, None

    def cached(self, folder):
        return ImageCache(self, folder, {"counted": True}, "counted")


def test_images_labels_and_skips_are_those_of_the_folder(pictures, tmp_path, capsys):
    everything = np.arange(100)
    plain = ImageFolder(pictures, 8, tmp_path / "plain.txt")
    images, labels = plain.read(everything)
    for log in (tmp_path / "first.txt", tmp_path / "again.txt"):
        source = cached(pictures, log=log)
        source.fill()
        assert len(source) == 100 and source.image_size == 8
        assert source.class_names == ["cat", "dog"]
        found, found_labels = source.read(everything)
        np.testing.assert_array_equal(found, images)
        np.testing.assert_array_equal(found_labels, labels)
        assert found.dtype == np.uint8 and found_labels.dtype == np.int32
        assert source.skipped == plain.skipped and len(source.skipped) == 4
        assert lines(log) == lines(tmp_path / "plain.txt")
    first, _, *rest = capsys.readouterr().out.splitlines()
    # 100 pictures of 8x8 and their labels: 19.6 kB, and a header each. Said once.
    assert "0.0199 MB in" in first and "100 images of 8x8" in first and not rest


def test_batches_are_those_of_the_folder(pictures):
    source = cached(pictures)
    source.fill()
    with_cache = iter(batches(source, 32, seed=3, flip=True, first_step=2))
    without = iter(batches(ImageFolder(pictures, 8), 32, seed=3, flip=True, first_step=2))
    for _ in range(4):  # beyond the end of a pass
        for found, expected in zip(next(with_cache), next(without), strict=True):
            np.testing.assert_array_equal(found, expected)


def test_a_cache_is_read_instead_of_the_pictures(pictures):
    source = cached(pictures)
    source.fill()
    images, _ = source.read([0, 60])
    again = cached(pictures)
    again.fill()
    for path in pictures.rglob("*.png"):
        path.unlink()
    np.testing.assert_array_equal(again.read([0, 60])[0], images)


def test_other_files_or_sizes_are_another_cache(pictures):
    cached(pictures).fill()
    assert len(caches(pictures)) == 1
    changes = [
        lambda: os.utime(pictures / "cat" / "01.png", ns=(0, 1)),
        lambda: (pictures / "cat" / "02.png").rename(pictures / "cat" / "02b.png"),
        lambda: shutil.copy(pictures / "cat" / "03.png", pictures / "dog" / "50.png"),
        lambda: (pictures / "dog").rename(pictures / "eel"),
    ]
    for number, change in enumerate(changes):
        change()
        source = cached(pictures)
        source.fill()
        assert len(caches(pictures)) == number + 2
        everything = np.arange(len(source))
        np.testing.assert_array_equal(
            source.read(everything)[0], ImageFolder(pictures, 8).read(everything)[0]
        )
    cached(pictures, size=4).fill()
    assert len(caches(pictures)) == len(changes) + 2
    cached(pictures).fill()
    assert len(caches(pictures)) == len(changes) + 2


def test_a_picture_that_can_be_read_by_now_is_read(pictures):
    path = pictures / "cat" / "07.png"
    whole = (pictures / "cat" / "08.png").read_bytes()
    path.write_bytes(whole[:-40] + bytes(40))
    os.utime(path, ns=(5, 5))
    source = cached(pictures)
    source.fill()
    assert str(path) in source.skipped
    path.write_bytes(whole)  # as after a disk that failed for a while: its size and time are equal
    os.utime(path, ns=(5, 5))
    source = cached(pictures)
    source.fill()
    assert str(path) not in source.skipped and len(source.skipped) == 3
    np.testing.assert_array_equal(source.read([7])[0], ImageFolder(pictures, 8).read([7])[0])


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: os.truncate(path / "images.npy", 5000),
        lambda path: (path / "labels.npy").unlink(),
        lambda path: (path / "cache.json").write_text('{"key": '),
        lambda path: (path / "cache.json").unlink(),
        lambda path: np.save(path / "images.npy", np.zeros((100, 8, 8, 3), np.int16)),
    ],
)
def test_a_damaged_cache_is_made_again(pictures, damage, capsys):
    source = cached(pictures)
    source.fill()
    damage(source.path)
    again = cached(pictures)
    again.fill()
    assert f"{source.path} is damaged, and will be made again" in capsys.readouterr().out
    np.testing.assert_array_equal(
        again.read(range(100))[0], ImageFolder(pictures, 8).read(range(100))[0]
    )
    assert caches(pictures) == [source.path.name]


def test_what_was_decoded_before_a_stop_is_kept(tmp_path, capsys):
    stopped = Counted(stop_at=400)
    with pytest.raises(KeyboardInterrupt):
        stopped.cached(tmp_path).fill()
    assert "data.cache: 384 of 600 images are there" in capsys.readouterr().out
    (partial,) = visible(tmp_path)
    assert partial.name.endswith(".partial")
    with pytest.raises(ValueError, match="call fill"):
        Counted().cached(tmp_path).read([0])  # a partial one is none
    rest = Counted()
    source = rest.cached(tmp_path)
    source.fill()
    assert rest.read_indices[0] == 384 and sorted(rest.read_indices) == list(range(384, 600))
    assert ", of which 384 are there" in capsys.readouterr().out
    np.testing.assert_array_equal(source.read(range(600))[0], Counted().read(range(600))[0])
    assert visible(tmp_path) == [source.path]


def test_skips_from_before_a_stop_are_not_forgotten(pictures, monkeypatch):
    plain = ImageFolder(pictures, 8)
    images, _ = plain.read(range(100))
    read = ImageFolder.read

    def stop(self, indices):
        if 98 in indices:
            raise KeyboardInterrupt
        return read(self, indices)

    with monkeypatch.context() as patch:
        patch.setattr(ImageFolder, "read", stop)
        with pytest.raises(KeyboardInterrupt):
            cached(pictures).fill()
    source = cached(pictures)
    source.fill()
    assert source.skipped == plain.skipped
    np.testing.assert_array_equal(source.read(range(100))[0], images)
    again = cached(pictures)
    again.fill()
    assert again.skipped == plain.skipped


def test_lost_rows_are_decoded_again(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        Counted(stop_at=400).cached(tmp_path).fill()
    (partial,) = visible(tmp_path)
    os.truncate(partial / "images.npy", 1000)  # less than cache.json says
    source = Counted().cached(tmp_path)
    source.fill()
    np.testing.assert_array_equal(source.read(range(600))[0], Counted().read(range(600))[0])


SLOW = """
import sys, time
sys.path.insert(0, "tests")
from data.test_cache import Counted
from keras_sagan.cli.program import run

class Slow(Counted):
    def read(self, indices):
        time.sleep(0.02)
        print("reads", flush=True)
        return super().read(indices)

sys.exit(run(lambda _: Slow(100_000).cached(sys.argv[1]).fill(), None))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_signal_stops_it_and_it_goes_on_later(tmp_path, number):
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW, tmp_path],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    for _ in range(20):
        process.stdout.readline()
    process.send_signal(number)
    _, errors = process.communicate(timeout=20)
    (partial,) = visible(tmp_path)
    assert partial.name.endswith(".partial")
    if number == signal.SIGINT:
        assert (process.returncode, errors) == (130, "stopped\n")
    rest = Counted(100_000)
    source = rest.cached(tmp_path)
    source.fill()
    # What was saved is not decoded again; killed, it may not have been saved yet.
    assert len(rest.read_indices) <= 100_000 - 32 * (number == signal.SIGINT)
    np.testing.assert_array_equal(source.read(range(600))[0], Counted().read(range(600))[0])


def test_too_little_room_is_said_before_anything_is_written(tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(0, 0, 28_000))
    message = f"data.cache: 600 images of 4x4 need 0.0289 MB more, but {tmp_path} has 0.028 MB"
    with pytest.raises(InputError, match=message):
        Counted().cached(tmp_path / "new" / "caches")
    assert not visible(tmp_path)
    # What is there already needs no room.
    monkeypatch.undo()
    with pytest.raises(KeyboardInterrupt):
        Counted(stop_at=400).cached(tmp_path).fill()
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(0, 0, 15_000))
    Counted().cached(tmp_path).fill()


def test_a_full_disk_is_one_line_and_loses_nothing(tmp_path, monkeypatch):
    append, rows = RowFile.append, []

    def full(self, array):
        rows.append(len(array))
        if sum(rows) > 400:
            raise OSError(errno.ENOSPC, "No space left on device")
        append(self, array)

    with monkeypatch.context() as patch:
        patch.setattr(RowFile, "append", full)
        with pytest.raises(InputError, match=r"data.cache: .*partial: No space left on device"):
            Counted().cached(tmp_path).fill()
    rest = Counted()
    rest.cached(tmp_path).fill()
    assert sorted(rest.read_indices) == list(range(384, 600))


def test_a_folder_that_is_none_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=f"data.cache: {tmp_path}/file is not a folder"):
        Counted().cached(tmp_path / "file" / "caches")


def test_a_second_process_waits_for_the_first(tmp_path, capsys):
    with pytest.raises(KeyboardInterrupt):
        Counted(stop_at=400).cached(tmp_path).fill()
    (partial,) = visible(tmp_path)
    lock = system.lock(tmp_path / f".{partial.stem}.lock")  # as the first one does
    second = Counted()
    source = second.cached(tmp_path)
    thread = threading.Thread(target=source.fill)
    thread.start()
    time.sleep(0.3)
    assert thread.is_alive() and not second.read_indices
    (tmp_path / "elsewhere").mkdir()
    Counted().cached(tmp_path / "elsewhere").fill()  # the first one ends
    shutil.rmtree(partial)
    (tmp_path / "elsewhere" / source.path.name).rename(source.path)
    lock.close()
    thread.join(10)
    assert f"waiting for another process, which fills {partial}" in capsys.readouterr().out
    assert not second.read_indices
    np.testing.assert_array_equal(source.read([5])[0], Counted().read([5])[0])


def test_a_cache_that_was_made_meanwhile_is_taken(tmp_path):
    late = Counted()
    source = late.cached(tmp_path)
    Counted().cached(tmp_path).fill()
    source.fill()
    assert not late.read_indices and visible(tmp_path) == [source.path]


@pytest.mark.parametrize("without", ["locks", "fcntl"])
def test_file_systems_and_systems_without_locks(tmp_path, monkeypatch, without):
    def flock(descriptor, how):
        raise OSError(errno.ENOLCK, "No locks available")

    if without == "locks":
        monkeypatch.setattr(fcntl, "flock", flock)
    else:
        monkeypatch.setitem(sys.modules, "fcntl", None)
    source = Counted().cached(tmp_path)
    source.fill()
    assert visible(tmp_path) == [source.path]


MANY_CORES = """
import os, sys, threading
sys.path.insert(0, "tests")
os.sched_getaffinity = lambda process: set(range(12))
from data.test_cache import Counted

together = threading.Barrier(12, timeout=10)

class Together(Counted):
    def read(self, indices):
        together.wait()
        return super().read(indices)

Together(12 * 32).cached(sys.argv[1]).fill()
"""


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="Linux alone tells the cores")
def test_all_cores_decode(tmp_path):
    process = run("-c", MANY_CORES, tmp_path)
    assert process.returncode == 0, process.stderr


def test_progress_has_the_time_left(tmp_path, capsys, monkeypatch):
    now = iter(range(0, 10_000, 10))
    monkeypatch.setattr(time, "monotonic", lambda: next(now))
    Counted().cached(tmp_path).fill()
    shown = [line for line in capsys.readouterr().out.splitlines() if " left" in line]
    assert shown and all("/s, 0:0" in line and " of 600 images" in line for line in shown)
