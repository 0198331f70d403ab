"""The one error that programs show as a line instead of a traceback, and what it suggests."""

import difflib


class InputError(ValueError):
    """Something a person typed or gave cannot be used.

    The message is one line: what was given, what would be right.
    """


def did_you_mean(typed, known):
    """Returns " (did you mean X?)" of the known name that is nearest to what was typed, or ""."""
    close = difflib.get_close_matches(str(typed), known, n=1)
    return f" (did you mean {close[0]}?)" if close else ""
