"""Self-Attention GANs for Keras 3 on TensorFlow, and on JAX."""

import importlib

__version__ = "0.1.0"
__all__ = [
    "GAN",
    "callbacks",
    "data",
    "exporting",
    "latents",
    "layers",
    "losses",
    "models",
    "optimizers",
    "regularizers",
    "sampling",
]


# Where those are that are not a wing of the house by themselves.
_PLACES = {
    "callbacks": "running.callbacks",
    "latents": "sampling.latents",
    "losses": "adversarial.losses",
    "optimizers": "adversarial.optimizers",
    "regularizers": "adversarial.regularizers",
}


def __getattr__(name):
    # Submodules load when first used: Keras and its backend take seconds to import.
    if name == "GAN":
        return importlib.import_module("keras_sagan.adversarial.gan").GAN
    if name in __all__:
        return importlib.import_module(f"keras_sagan.{_PLACES.get(name, name)}")
    raise AttributeError(f"module 'keras_sagan' has no attribute {name!r}")


def __dir__():
    return sorted([*globals(), *__all__])
