"""Files of a cache, written so that a crash or a full disk leaves what was saved before."""

import contextlib
import io
import os

import numpy as np

from keras_sagan.files.whole_files import write_all


class RowFile:
    """An .npy file that grows by rows.

    Args:
        path: Its `Path`.
        shape: The shape of the whole array, which stands in the file from the start.
        dtype: Its type.
    """

    def __init__(self, path, shape, dtype):
        self.path = path
        header = io.BytesIO()
        self._dtype = np.dtype(dtype)
        about = {
            "descr": np.lib.format.dtype_to_descr(self._dtype),
            "fortran_order": False,
            "shape": shape,
        }
        np.lib.format.write_array_header_1_0(header, about)
        self._header = header.getvalue()
        self._row_bytes = int(np.prod(shape[1:])) * self._dtype.itemsize

    def size(self, rows):
        """Returns the bytes of the file with so many rows."""
        return len(self._header) + rows * self._row_bytes

    def holds(self, rows):
        """Returns whether the file is of this shape and type, and has at least so many rows."""
        try:
            with self.path.open("rb") as file:
                header = file.read(len(self._header))
        except OSError:
            return False
        return header == self._header and self.path.stat().st_size >= self.size(rows)

    def open(self, rows):
        """Opens the file to go on after so many rows, which it `holds` if there are any."""
        # Not a map: writing to one whose disk is full ends the program.
        self._file = self.path.open("r+b" if rows else "wb", buffering=0)
        if not rows:
            write_all(self._file, self._header)
        self._file.truncate(self.size(rows))
        self._file.seek(self.size(rows))
        return contextlib.closing(self._file)

    def append(self, array):
        """Appends rows."""
        write_all(self._file, np.ascontiguousarray(array, self._dtype))

    def sync(self):
        """Returns when all rows are on the disk."""
        os.fsync(self._file.fileno())
