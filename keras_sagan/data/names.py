"""Names of files and folders as text."""

import unicodedata

_BREAKS = {"Cc", "Cs", "Zl", "Zp"}  # controls, bytes that are not UTF-8, line separators


def one_line(name):
    """Returns a name as one line of text, for files, terminals and archives.

    A name of the file system may hold line breaks, and bytes that are not UTF-8. Those are escaped
    as in Python's strings, and so are backslashes and spaces at either end; all else stays as it
    is. Different names stay different: `line.encode("latin-1", "backslashreplace")
    .decode("unicode_escape")` is the name again.
    """
    last = len(name) - 1
    return "".join(
        _escape(character)
        if character == "\\"
        or unicodedata.category(character) in _BREAKS
        or (position in (0, last) and character.isspace())
        else character
        for position, character in enumerate(name)
    )


def _escape(character):
    return r"\x20" if character == " " else character.encode("unicode_escape").decode("ascii")
