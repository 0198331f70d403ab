"""Self-Attention GANs for Keras 3 on TensorFlow, and on JAX and PyTorch."""

import importlib
import importlib.abc
import importlib.util
import sys

__version__ = "0.1.0"
__all__ = [
    "GAN",
    "augmentation",
    "callbacks",
    "data",
    "exporting",
    "importing",
    "latents",
    "layers",
    "load_pretrained",
    "losses",
    "metrics",
    "models",
    "optimizers",
    "regularizers",
    "sampling",
]


# Where those are that are no modules.
_OBJECTS = {"GAN": "adversarial.gan", "load_pretrained": "running.pretrained"}
# Where those are that are not a wing of the house by themselves.
_PLACES = {
    "augmentation": "adversarial.augmentation",
    "callbacks": "running.callbacks",
    "latents": "sampling.latents",
    "losses": "adversarial.losses",
    "optimizers": "adversarial.optimizers",
    "regularizers": "adversarial.regularizers",
}


def __getattr__(name):
    # Submodules load when first used: Keras and its backend take seconds to import.
    if name in _OBJECTS:
        return getattr(importlib.import_module(f"keras_sagan.{_OBJECTS[name]}"), name)
    if name in __all__:
        return importlib.import_module(f"keras_sagan.{_PLACES.get(name, name)}")
    raise AttributeError(f"module 'keras_sagan' has no attribute {name!r}")


def __dir__():
    return sorted([*globals(), *__all__])


# The classes that `.keras` files name, by the module that registers them with Keras.
_REGISTERED = {
    "adversarial.augmentation": ["Augmentation"],
    "adversarial.gan": ["GAN"],
    "adversarial.losses": ["AdversarialLoss"],
    "adversarial.optimizers": ["Adam", "WarmUp"],
    "adversarial.regularizers": ["GradientPenalty", "LeCam", "ModelLosses", "R1Penalty"],
    "layers": [
        "BatchNorm",
        "ConditionalBatchNorm",
        "Conv2D",
        "Conv2DTranspose",
        "DownsampleConv2D",
        "FullAttention2D",
        "SelfAttention2D",
        "SpectralNorm",
        "UpsampleConv2D",
    ],
    "models": [
        "DCGANDiscriminator",
        "DCGANGenerator",
        "FullAttentionDiscriminator",
        "FullAttentionGenerator",
        "ResNetDiscriminator",
        "ResNetGenerator",
    ],
}


class _Unloaded:
    """Stands with Keras for a class of ours whose module was not imported yet."""

    def __init__(self, module, name):
        self._place = module, name

    def from_config(self, config):
        module, name = self._place
        return getattr(importlib.import_module(f"keras_sagan.{module}"), name).from_config(config)


def _register():
    registered = sys.modules["keras"].saving.get_custom_objects()
    for module, names in _REGISTERED.items():
        for name in names:
            registered.setdefault(f"keras_sagan>{name}", _Unloaded(module, name))


class _WithKeras(importlib.abc.MetaPathFinder):
    """Calls `_register` when Keras has been imported, which takes seconds, by somebody else."""

    _is_asking = False

    def find_spec(self, name, path=None, target=None):
        if name != "keras" or self._is_asking:
            return None
        self._is_asking = True
        try:
            spec = importlib.util.find_spec(name)
        finally:
            self._is_asking = False
        if spec is not None:
            execute = spec.loader.exec_module

            def execute_and_register(module):
                execute(module)
                _register()
                sys.meta_path.remove(self)

            spec.loader.exec_module = execute_and_register
        return spec


# So that `keras.saving.load_model` knows them after `import keras_sagan` alone.
if "keras" in sys.modules:
    _register()
else:
    sys.meta_path.insert(0, _WithKeras())
