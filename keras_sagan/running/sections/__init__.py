"""The sections of a config that come in several kinds: families of networks, and losses.

A kind is a subclass of `ModelSection` or `LossSection` in a module of this folder. Modules are
found by themselves, so a further kind needs no other edit.
"""

import functools
import importlib
import operator
import pkgutil
from typing import Annotated

import pydantic


def union(base, key):
    """Returns the type of a section that is one of the subclasses of a base.

    Args:
        base: `ModelSection` or `LossSection`.
        key: The key whose value says which.
    """
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
    kinds = sorted(base.__subclasses__(), key=lambda kind: kind.__name__)
    return Annotated[functools.reduce(operator.or_, kinds), pydantic.Field(discriminator=key)]
