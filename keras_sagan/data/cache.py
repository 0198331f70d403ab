"""A source decoded once, into files that are mapped into memory.

FOLDER/church-64-0123456789ab/  named after the source, the size of its images and their key
    images.npy                  (images, size, size, 3) uint8
    labels.npy                  (images,) int32, if there are classes
    cache.json                  the key, how many images are done, which of them are unreadable

It is called `church-64-0123456789ab.partial` until all of it is on the disk. Who makes it holds
`.church-64-0123456789ab.lock` beside it.
"""

import collections
import concurrent.futures
import contextlib
import datetime
import hashlib
import json
import os
import re
import shutil
import sys
import time
from pathlib import Path

import numpy as np
import PIL

from keras_sagan.data.pipeline import WORKERS
from keras_sagan.data.row_file import RowFile
from keras_sagan.errors import InputError
from keras_sagan.files.system import flush_folder, only_process
from keras_sagan.files.whole_files import replacing, write_to_disk

_FORMAT = 1  # changes with the files, and with what `images.py` makes of a picture
_BLOCK = 32  # images that a thread decodes at a time
_SAVE_EVERY = 5  # seconds
_STATS = 32  # files that are looked at at once: a file server is waited for


def folder_identity(folder, paths):
    """Returns the identity of files in a folder: of their names, sizes and times of change.

    Args:
        folder: The folder.
        paths: Paths of the files, in their order.
    """
    start = str(folder)

    def describe(some):
        parts = []
        for path in map(str, some):
            try:
                status = os.stat(path)  # noqa: PTH116  a million Paths take seconds
                parts += [path.removeprefix(start), f"{status.st_size} {status.st_mtime_ns}"]
            except OSError:
                parts += [path.removeprefix(start), "unreadable"]
        return os.fsencode("\0".join([*parts, ""]))

    digest = hashlib.sha256()
    with concurrent.futures.ThreadPoolExecutor(_STATS) as pool:
        for text in pool.map(describe, (paths[i : i + 512] for i in range(0, len(paths), 512))):
            digest.update(text)
    return {"folder": str(Path(folder).resolve()), "files": digest.hexdigest()}


class ImageCache:
    """A source that reads the images of another one from a cache: the same ones, at memory speed.

    `fill` comes first: it decodes what is missing. Whatever else the source has, such as
    `class_names` and `skipped`, is the cache's too.

    Args:
        source: A source of images: see `keras_sagan.data.pipeline`. If it skips images that it
            cannot read, it has `paths`, and `skipped` with those of the paths that it met.
        folder: The folder of caches, which need not exist.
        identity: Dictionary, in JSON's types, of what tells the source from any other.
        name: What people call the source.

    Attributes:
        path: The folder of this cache.

    Raises:
        InputError: The folder cannot be used, or has not enough room for what is missing.
    """

    def __init__(self, source, folder, identity, name):
        self._source = source
        self._key = {
            "format": _FORMAT,
            "pillow": PIL.__version__,  # decoders may differ in a bit
            "image_size": source.image_size,
            "length": len(source),
            "class_names": source.class_names,
            **identity,
        }
        digest = hashlib.sha256(json.dumps(self._key, sort_keys=True).encode()).hexdigest()
        name = f"{re.sub(r'[^A-Za-z0-9.-]+', '_', name)[:40]}-{source.image_size}-{digest[:12]}"
        self.path = Path(folder) / name
        self._partial = self.path.with_name(f"{name}.partial")
        self._lock = self.path.with_name(f".{name}.lock")
        self._bytes = sum(file.size(len(self)) for file in self._files(self.path))
        self._images = self._labels = None
        if not self._open():
            if self.path.exists():
                print(f"data.cache: {self.path} is damaged, and will be made again")
            self._check_room()

    def __len__(self):
        return len(self._source)

    def __getattr__(self, name):
        return getattr(self._source, name)

    def read(self, indices):
        """Reads images: see `ImageFolder.read`."""
        if self._images is None:
            raise ValueError("nothing is in the cache yet: call fill() first")
        indices = np.asarray(indices)
        return self._images[indices], None if self._labels is None else self._labels[indices]

    def fill(self):
        """Decodes what is missing with all cores, and says how far it is.

        If it is stopped, what was decoded is kept, and it goes on from there the next time. If
        another process fills the cache, it waits for that one.

        Raises:
            InputError: The disk is full, or the source raises it.
        """
        if self._is_up_to_date():
            return
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            waiting = f"data.cache: waiting for another process, which fills {self._partial}"
            with only_process(self._lock, waiting):
                if self._open() and self._is_up_to_date():  # the other process has made it
                    return
                if self._images is not None:
                    print(f"data.cache: {self.path} lacks images that can be read now: made again")
                    self._images = self._labels = None
                self._partial.mkdir(exist_ok=True)
                self._decode()
                shutil.rmtree(self.path, ignore_errors=True)  # a damaged or an old one
                self._partial.rename(self.path)
                flush_folder(self.path.parent)
        except OSError as error:
            raise InputError(f"data.cache: {self._partial}: {error.strerror or error}") from error
        self._open()

    def _files(self, folder):
        """The files of the images and, with classes, of the labels."""
        size = self._source.image_size
        files = [RowFile(folder / "images.npy", (len(self), size, size, 3), np.uint8)]
        if self._source.class_names is not None:
            files.append(RowFile(folder / "labels.npy", (len(self),), np.int32))
        return files

    def _open(self):
        """Opens the cache if it is whole; returns whether it is."""
        files = self._files(self.path)
        if self._state(self.path)["done"] < len(self) or not all(f.holds(len(self)) for f in files):
            return False
        # As plain arrays: what is taken out of a `memmap` becomes one, at a cost.
        arrays = [np.asarray(np.load(f.path, mmap_mode="r", allow_pickle=False)) for f in files]
        self._images, self._labels = arrays if len(arrays) == 2 else (*arrays, None)
        return True

    def _state(self, folder):
        """What cache.json says: the images done, from the first on, and the unreadable of them."""
        none = {"key": self._key, "done": 0, "unreadable": []}
        try:
            state = json.loads((folder / "cache.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return none
        fits = isinstance(state, dict) and state.keys() == none.keys()
        return state if fits and state["key"] == self._key else none

    def _check_room(self):
        existing = next(each for each in self._partial.parents if each.exists())
        if not (existing.is_dir() and os.access(existing, os.W_OK)):
            raise InputError(f"data.cache: {existing} is not a folder that can be written")
        missing = self._bytes - sum(path.stat().st_size for path in self._partial.glob("*.npy"))
        free = shutil.disk_usage(existing).free
        if missing > free:
            raise InputError(
                f"data.cache: {self._about()} need {_amount(missing)} more, but {existing} has "
                f"{_amount(free)} free: make room, or name another folder"
            )

    def _about(self):
        size = self._source.image_size
        return f"{len(self)} images of {size}x{size}"

    def _unreadable(self, indices):
        """Those of the images, all of which the source has met, that it skipped."""
        skipped = getattr(self._source, "skipped", None)
        return [i for i in indices if self._source.paths[i] in skipped] if skipped else []

    def _meets(self, unreadable):
        """Lets the source meet images that it skipped; returns whether it skips them all again."""
        for start in range(0, len(unreadable), _BLOCK):
            self._source.read(unreadable[start : start + _BLOCK])
        return self._unreadable(unreadable) == unreadable

    def _is_up_to_date(self):
        """Whether the cache is open, and what was unreadable still is."""
        return self._images is not None and self._meets(self._state(self.path)["unreadable"])

    def _decode(self):
        """Decodes the rest of the images, in their order, into the partial folder."""
        files, state = self._files(self._partial), self._state(self._partial)
        if not (all(f.holds(state["done"]) for f in files) and self._meets(state["unreadable"])):
            state.update(done=0, unreadable=[])
        there = f", of which {state['done']} are there" * (state["done"] > 0)
        about = f"{self._about()}{there}"
        print(f"data.cache: {_amount(self._bytes)} in {self.path}: {about}", flush=True)

        def save():
            for file in files:
                file.sync()
            with replacing(self._partial / "cache.json") as file:
                write_to_disk(file, json.dumps(state).encode())
            flush_folder(self._partial)

        progress, saved = _Progress(state["done"], len(self)), time.monotonic()
        with contextlib.ExitStack() as stack:
            for file in files:
                stack.enter_context(file.open(state["done"]))
            blocks = stack.enter_context(contextlib.closing(self._blocks(state["done"])))
            try:
                for indices, arrays in blocks:
                    for file, array in zip(files, arrays, strict=False):  # no labels: None
                        file.append(array)
                    state["unreadable"] += self._unreadable(indices)
                    state["done"] = indices.stop
                    progress.show(state["done"])
                    if time.monotonic() - saved > _SAVE_EVERY:
                        save()
                        saved = time.monotonic()
            finally:
                progress.end()
                save()

    def _blocks(self, first):
        """Decodes from an image on; yields ranges of indices, and their images and labels."""
        last = len(self)
        ranges = iter([range(i, min(i + _BLOCK, last)) for i in range(first, last, _BLOCK)])
        pending = collections.deque()
        pool = concurrent.futures.ThreadPoolExecutor(WORKERS)
        try:
            while True:
                while len(pending) < 2 * WORKERS and (indices := next(ranges, None)):
                    pending.append((indices, pool.submit(self._source.read, indices)))
                if not pending:
                    return
                indices, result = pending.popleft()
                yield indices, result.result()
        finally:
            pool.shutdown(cancel_futures=True)


class _Progress:
    """Shows how far the work is: on a terminal a line that changes, elsewhere one now and then."""

    def __init__(self, done, total):
        self._first, self._done, self._total = done, done, total
        self._start = self._shown = time.monotonic()
        self._changes = sys.stdout.isatty()

    def show(self, done):
        self._done, now = done, time.monotonic()
        if now - self._shown > (0.5 if self._changes else 30):
            self._shown = now
            rate = (done - self._first) / (now - self._start)
            left = datetime.timedelta(seconds=round((self._total - done) / rate))
            line = f"data.cache: {done} of {self._total} images, {rate:.0f}/s, {left} left"
            if self._changes:
                print(f"\r\033[K{line}", end="", flush=True)
            else:
                print(line, flush=True)

    def end(self):
        start = "\r\033[K" if self._changes else ""
        print(f"{start}data.cache: {self._done} of {self._total} images are there", flush=True)


def _amount(size):
    return f"{size / 1e9:.3g} GB" if size >= 1e9 else f"{size / 1e6:.3g} MB"
