"""From a seed to a picture."""

import importlib

# Latents and folders need no Keras; the sampler takes seconds to import.
_OF_SAMPLER = ("Sampler", "generator_inputs", "sample", "to_uint8")
__all__ = ["latents", *_OF_SAMPLER]


def __getattr__(name):
    if name in _OF_SAMPLER:
        return getattr(importlib.import_module("keras_sagan.sampling.sampler"), name)
    if name == "latents":
        return importlib.import_module("keras_sagan.sampling.latents")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
