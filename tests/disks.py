"""File systems of a few megabytes, to fill."""

import contextlib
import os
import subprocess

import pytest


class Disk:
    """A file system. Its `path` is a folder with nothing else in it."""

    def __init__(self, path):
        self.path = path
        self._filler = path / "filler"

    def fill(self, left):
        """Leaves so many bytes of it."""
        system = os.statvfs(self.path)
        self._filler.write_bytes(bytes(system.f_bavail * system.f_frsize - left))

    def empty(self):
        self._filler.unlink()


@contextlib.contextmanager
def mounted(path, size="16m"):
    """Gives a `Disk`, or skips the test where mounting is not allowed."""
    path.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(path)]
    try:
        process = subprocess.run(command, capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("there is no mount, so no disk to fill")
    if process.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {process.stderr.strip()}")
    try:
        yield Disk(path)
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)
