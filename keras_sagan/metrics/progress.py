"""How far a pass over pictures is."""

import sys
import time


class Progress:
    """One line that changes, on a terminal; elsewhere nothing.

    Args:
        what: What is counted.
        count: How many there are.
    """

    def __init__(self, what, count):
        self._what, self._count = what, count
        self._start = time.monotonic()

    def show(self, done):
        """Says how many are done, and the time left."""
        if not sys.stderr.isatty():
            return
        left = (time.monotonic() - self._start) / done * (self._count - done)
        end = "\n" if done == self._count else ""
        line = f"\r{self._what}: {done} of {self._count}, {left:.0f} s left "
        print(line, end=end, file=sys.stderr)
