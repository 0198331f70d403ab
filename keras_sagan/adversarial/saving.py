"""What a `.keras` file holds of a GAN beside its weights."""

import keras

from keras_sagan.adversarial.losses import AdversarialLoss
from keras_sagan.sampling import latents
from keras_sagan.sampling.copies import hides_its_arguments

for _function in (latents.normal, latents.uniform):  # whose file does without Keras
    keras.saving.register_keras_serializable("keras_sagan", f"latents.{_function.__name__}")(
        _function
    )


def serialized_network(network):
    """Returns a network as a `.keras` file holds it, with what was set on it.

    Raises:
        ValueError: A network of a class that does not tell its arguments.
    """
    if hides_its_arguments(network):
        raise ValueError(
            f"{network.name} cannot be saved: {type(network).__name__} needs a get_config that "
            "gives the arguments of its constructor, which must take **kwargs too; or save the "
            "weights alone (save_weights)"
        )
    names = ("latent_dim", "num_classes")
    config = keras.saving.serialize_keras_object(network)
    config["attributes"] = {
        name: getattr(network, name) for name in names if hasattr(network, name)
    }
    return config


def network_of(config, custom_objects=None):
    """Returns the network that `serialized_network` wrote."""
    config = dict(config)
    attributes = config.pop("attributes", {})  # which older files do not have
    network = keras.saving.deserialize_keras_object(config, custom_objects=custom_objects)
    for name, value in attributes.items():
        if getattr(network, name, None) != value:
            setattr(network, name, value)
    return network


def serialized_arguments(arguments):
    """Returns arguments of `compile` as a `.keras` file holds them.

    Raises:
        ValueError: A function that a file cannot name.
    """
    for name, value in arguments.items():
        _check_function(f"{name} is", value)
        if isinstance(value, AdversarialLoss):
            for network in ("discriminator", "generator"):
                _check_function(f"loss of the {network} is", getattr(value, network))
    return keras.saving.serialize_keras_object(arguments)


def _check_function(what, value):
    if not callable(value) or hasattr(value, "get_config"):
        return
    try:
        name = keras.saving.get_registered_name(value)
    except (AttributeError, TypeError):  # without a name, as functools.partial
        name = None
    if name is None or keras.saving.get_registered_object(name) is not value:
        raise ValueError(
            f"a GAN whose {what} {name or repr(value)} cannot be saved: decorate the function with "
            "@keras.saving.register_keras_serializable(), or save the weights (save_weights)"
        )
