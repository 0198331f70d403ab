"""Ctrl-C that waits for a good moment."""

import signal
import sys


class StopRequest:
    """Remembers signals that come within it, where each would end the program or be lost.

    An exception that a handler raises is dropped if Python is just in a callback of a library.
    A second signal ends the program at once.

    Args:
        *numbers: The signals.
        message: What to say when one comes, or None.

    Attributes:
        signal: The signal that came, or None.
    """

    def __init__(self, *numbers, message=None):
        self.signal = None
        self._numbers = numbers
        self._message = message

    def __enter__(self):
        self._previous = {each: signal.signal(each, self._remember) for each in self._numbers}
        return self

    def __exit__(self, *exception):
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def check(self):
        """Raises KeyboardInterrupt if a signal has come."""
        if self.signal is not None:
            raise KeyboardInterrupt

    def _remember(self, number, frame):
        self.signal = number
        for again in self._numbers:
            signal.signal(again, signal.SIG_DFL)
        if self._message is not None:
            print(self._message, file=sys.stderr)
