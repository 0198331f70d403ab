"""Files that are written whole or not at all, also where the disk fills up meanwhile."""

import contextlib
import csv
import os


@contextlib.contextmanager
def replacing(path):
    """Gives the path of a new file that takes the place of `path` in the end.

    If writing it fails or is stopped, it is removed, and `path` is as it was.
    """
    partial = path.with_name(f"{path.name}.partial")
    try:
        yield partial
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def write_rows(path, columns, rows):
    """Writes a CSV file of dictionaries in the place of the one that is there."""
    with replacing(path) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)


def write_to_disk(path, content):
    """Writes a file of bytes, and returns when they are on the disk."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def append(path, data):
    """Adds bytes at the end of a file, which is as it was if that fails."""
    # Unbuffered: a buffer would try again to write what it still holds.
    with path.open("ab", buffering=0) as file:
        size = file.tell()
        try:
            write_all(file, data)
        except OSError:
            file.truncate(size)
            raise


def write_all(file, data):
    """Writes all of some bytes to an unbuffered file, which may take a part at a time."""
    left = memoryview(data).cast("B")
    while left:
        left = left[file.write(left) :]
