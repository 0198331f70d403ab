"""Which files of a folder are pictures, and what is left out.

Names are strings, and `os.scandir` says what they are without a further look at the disk: a
million files take seconds.
"""

import collections
import dataclasses
import os

from keras_sagan.data.names import one_line
from keras_sagan.errors import InputError

ENDINGS = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff")

# What operating systems and storage devices leave behind, beside names that begin with a dot.
_LEFT_BEHIND = {
    "__macosx",
    "@eadir",
    "@__thumb",
    "@recycle",
    "#recycle",
    "$recycle.bin",
    "system volume information",
    "lost+found",
    "thumbs.db",
    "ehthumbs.db",
    "desktop.ini",
    "icon\r",
}
_FOLDER = "folder"
_SYSTEM = "hidden or of the operating system"
_NO_ENDING = "without an ending"
_BROKEN = "broken links or devices"
_TWICE = "links to folders that are listed already"
_SHOWN = 6  # kinds of what was left out


@dataclasses.dataclass
class Listing:
    """The pictures of a folder.

    Attributes:
        loose: Names of those that stand in the folder itself, in order.
        classes: For each sub-folder with pictures, in order of name, the names of those in it, at
            any depth, relative to the folder and with "/" between, in order.
        empty: Names of the sub-folders without pictures.
        left_out: How many files and folders are no pictures, by ending or by what they are.
    """

    loose: list = dataclasses.field(default_factory=list)
    classes: dict = dataclasses.field(default_factory=dict)
    empty: list = dataclasses.field(default_factory=list)
    left_out: collections.Counter = dataclasses.field(default_factory=collections.Counter)

    def said(self):
        """Returns what was left out as text, or an empty string."""
        kinds = sorted(self.left_out.items(), key=lambda kind: (-kind[1], kind[0]))
        said = [f"{count} {kind}" for kind, count in kinds[:_SHOWN]]
        if rest := sum(count for _, count in kinds[_SHOWN:]):
            said.append(f"{rest} others")
        if self.empty:
            said.append(f"{shortened(self.empty)} (no pictures in it)")
        return ", ".join(said)


def list_folder(folder):
    """Lists the pictures of a folder. Links are followed, but to folders that are listed already.

    Args:
        folder: A `pathlib.Path`.

    Returns:
        A `Listing`.

    Raises:
        InputError: A folder that may not be read.
    """
    listing = Listing()
    listing.loose, folders = _entries(folder, listing.left_out)
    listing.loose.sort()
    for name in sorted(folders):
        # What is listed in this class, and the whole, which a link may lead back to.
        seen = {os.path.realpath(folder)}
        names = _pictures(folder / name, f"{name}/", seen, listing.left_out)
        if names:
            listing.classes[name] = names
        else:
            listing.empty.append(name)
    return listing


def shortened(names, most=5):
    """Returns the first of some names as text."""
    said = ", ".join(map(one_line, names[:most]))
    return said if len(names) <= most else f"{said} and {len(names) - most} more"


def _pictures(path, prefix, seen, left_out):
    """Names of the pictures in a folder and those below it, in order, folders among the files."""
    real = os.path.realpath(path)
    if real in seen:
        left_out[_TWICE] += 1
        return []
    seen.add(real)
    files, folders = _entries(path, left_out)
    names = []
    for name in sorted([*files, *folders]):
        if name in folders:
            names += _pictures(path / name, f"{prefix}{name}/", seen, left_out)
        else:
            names.append(prefix + name)
    return names


def _entries(path, left_out):
    """Names of the pictures, and set of those of the folders, that stand in a folder."""
    files, folders = [], set()
    try:
        with os.scandir(path) as entries:
            for entry in entries:
                kind = _kind(entry)
                if kind in ENDINGS:
                    files.append(entry.name)
                elif kind == _FOLDER:
                    folders.add(entry.name)
                else:
                    left_out[kind] += 1
    except OSError as error:
        raise InputError(
            f"{one_line(path.as_posix())} cannot be listed: {error.strerror}"
        ) from error
    return files, folders


def _kind(entry):
    """What an entry of a folder is: a folder, the ending of a file, or why it is neither."""
    if entry.name.startswith(".") or entry.name.casefold() in _LEFT_BEHIND:
        return _SYSTEM
    try:
        if entry.is_dir():
            return _FOLDER
        if not entry.is_file():
            return _BROKEN
    except OSError:  # a link to itself
        return _BROKEN
    _, dot, ending = entry.name.rpartition(".")
    ending = (dot and dot + ending).lower()
    return ending if ending in ENDINGS else one_line(ending) or _NO_ENDING
