"""New layers and models like others."""

import functools
import inspect
import types

import keras


def copy_of(layer, **changes):
    """Returns a new layer like another one, but for changes of its config; without its weights.

    Models of Keras's own classes are copied layer by layer, and layers in a `Wrapper` likewise,
    so that their classes need not be registered with Keras. Models of other classes, such as our
    families, stay of their class: they are rebuilt from their config. Those that cannot be are
    copied as a `Shadow`.

    Args:
        layer: A `keras.layers.Layer`, or a `keras.Model`.
        **changes: Entries of the config. A config without an entry is not given it.

    Raises:
        ValueError: A layer that does not tell its arguments.
    """
    return _copy_of(layer, changes, {})


def _copy_of(layer, changes, copies):
    if layer not in copies:  # which a nested model may share with the one around it
        copies[layer] = _new(layer, changes, lambda inner: _copy_of(inner, changes, copies))
    return copies[layer]


def _new(layer, changes, copy):
    if _is_made_of_layers(layer):
        return keras.models.clone_model(layer, clone_function=copy)
    if isinstance(layer, Shadow):
        return Shadow(layer.shadowed.model)
    if hides_its_arguments(layer):
        return Shadow(layer)
    if type(layer) is keras.layers.Lambda:  # which Keras copies by way of byte code, or not at all
        config = {"name": layer.name, "dtype": layer.dtype_policy, **changes}
        shape = layer._output_shape
        return keras.layers.Lambda(layer.function, shape, layer.mask, layer.arguments, **config)
    make = type(layer).from_config
    if getattr(make, "__func__", None) is keras.layers.Wrapper.from_config.__func__:
        make = functools.partial(_wrapped, type(layer), copy(layer.layer))
    try:
        config = layer.get_config()
        return make({**config, **{key: changes[key] for key in changes.keys() & config.keys()}})
    except (NotImplementedError, TypeError, ValueError) as error:
        raise ValueError(
            f"the layer {layer.name} cannot be copied: {type(layer).__name__} needs a get_config "
            "that gives the arguments of its constructor; the classes of layers among them must "
            "be registered with Keras"
        ) from error


def _wrapped(wrapper, layer, config):
    """What `Wrapper.from_config` does, for a layer that is there already."""
    return wrapper(layer, **{key: value for key, value in config.items() if key != "layer"})


def _is_made_of_layers(layer):
    """Whether a layer is a model that does no more than to call the layers of its graph."""
    if not isinstance(layer, keras.Model):
        return False
    arguments = [*inspect.signature(type(layer).__init__).parameters]
    if type(layer) is keras.Sequential or arguments[1:4] == ["inputs", "outputs", "name"]:
        return True
    # Of a class that tells its arguments, it stays.
    of_keras = _is_of_keras(type(layer).call) and _is_of_keras(type(layer).get_config)
    return hasattr(layer, "inputs") and of_keras


def _is_of_keras(thing):
    return thing.__module__.startswith("keras.")


class Shadow(keras.layers.Layer):
    """Computes what a model does at inference, with weights of its own, in the order of its.

    Args:
        model: A built `keras.Model`, which is not changed by calls of this.
    """

    def __init__(self, model):
        super().__init__(name=model.name, dtype=model.dtype_policy)
        self.shadowed = types.SimpleNamespace(model=model)  # which Keras does not look into
        # All as trainable ones: Keras would list the others after them.
        self._values = [
            self.add_weight(name=weight.name, shape=weight.shape, dtype=weight.dtype)
            for weight in model.weights
        ]
        self.built = True

    def call(self, *inputs):
        model = self.shadowed.model
        values = zip(model.weights, (weight.value for weight in self._values), strict=True)
        with keras.StatelessScope(list(values)):
            return model(*inputs)


def hides_its_arguments(layer):
    """Whether a layer is a model that cannot be made anew from its config.

    Such are those of a class of their own without `get_config`, unless their constructor takes what
    every layer takes and nothing else: Keras's config has the defaults of other arguments, whatever
    was given for them.
    """
    if not isinstance(layer, keras.Model) or _is_of_keras(type(layer)):
        return False
    if not _is_of_keras(type(layer).get_config):
        return False
    arguments = {*inspect.signature(type(layer).__init__).parameters} - {"self", "args"}
    if arguments >= {"inputs", "outputs"}:  # of a functional model
        return False
    of_every_layer = {"name", "dtype", "trainable", "kwargs"}
    return bool(arguments - of_every_layer) or "kwargs" not in arguments
