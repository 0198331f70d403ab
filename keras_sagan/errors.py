"""The one error that programs show as a line instead of a traceback."""


class InputError(ValueError):
    """Something a person typed or gave cannot be used.

    The message is one line: what was given, what would be right.
    """
