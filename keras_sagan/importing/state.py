"""The tensors of a checkpoint, and what became of each."""

import re

import numpy as np

from keras_sagan.errors import InputError

_MOST_NAMES = 3  # that an error lists


class State:
    """The tensors of a network by name. What is left over in the end is an error.

    Args:
        tensors: Arrays, or tensors of PyTorch, by name.
        source: What they were read from, which errors name.
        others: What else was in the file, such as the number of steps, by name.
    """

    def __init__(self, tensors, source, others=None):
        self._tensors = dict(tensors)
        self._left = dict.fromkeys(self._tensors)
        self._needless = []
        self.source = source
        self.others = others or {}

    @property
    def names(self):
        """All names, in the order of the file."""
        return list(self._tensors)

    def __contains__(self, name):
        return name in self._tensors

    def shape(self, name):
        """Returns the shape of a tensor as it is stored."""
        return tuple(self._of(name).shape)

    def take(self, name, shape=None):
        """Returns a tensor as a float32 array; it counts as used.

        Args:
            name: Its name.
            shape: What its shape must be, or None.

        Raises:
            InputError: It is missing, of another shape, or holds what is not finite.
        """
        tensor = self._of(name)
        if shape is not None and tuple(tensor.shape) != tuple(shape):
            raise InputError(
                f"{self.source}: {name} has the shape {tuple(tensor.shape)}, and should have "
                f"{tuple(shape)}"
            )
        # PyTorch's bfloat16 has no counterpart in NumPy.
        value = tensor.float().numpy() if hasattr(tensor, "float") else tensor
        value = np.asarray(value, np.float32)
        if not np.isfinite(value).all():
            raise InputError(f"{self.source}: {name} holds values that are not finite")
        self._left.pop(name, None)
        return value

    def skip(self, pattern):
        """Says that tensors whose whole names match are known, and not needed here."""
        for name in [name for name in self._left if re.fullmatch(pattern, name)]:
            self._needless.append(name)
            del self._left[name]

    def within(self, prefix):
        """Returns the tensors whose names begin with a prefix, which is cut off, as a state."""
        found = {name: t for name, t in self._tensors.items() if name.startswith(prefix)}
        for name in found:
            self._left.pop(name, None)
        cut = {name.removeprefix(prefix): tensor for name, tensor in found.items()}
        return State(cut, self.source, self.others)

    def not_used(self):
        """Returns how many tensors were skipped, by the last part of their names.

        Raises:
            InputError: Tensors are left that nothing is known of.
        """
        if self._left:
            raise InputError(
                f"{self.source}: holds {len(self._left)} tensors too many: {_few(self._left)}"
            )
        counts = {}
        for name in self._needless:
            # Keras adds to the names of what it saves.
            name = name.removesuffix("/.ATTRIBUTES/VARIABLE_VALUE").removesuffix(":0")
            kind = re.split(r"[./]", name)[-1]
            counts[kind] = counts.get(kind, 0) + 1
        return counts

    def _of(self, name):
        if name not in self._tensors:
            raise InputError(f"{self.source}: {name} is missing")
        return self._tensors[name]


def _few(names):
    names = list(names)
    text = ", ".join(names[:_MOST_NAMES])
    return text if len(names) <= _MOST_NAMES else f"{text} and others"
