"""Generators and discriminators of any Keras kind, as functional models of named inputs.

The rest of the package knows generators from {"latent"[, "label"]} and discriminators from
{"image"[, "label"]} alone. A network may be functional, a `keras.Sequential` or of a class of its
own, built or not, and take a dictionary, a list, one tensor or two arguments: here it becomes one
of those two, with the same layers and weights.
"""

import inspect
import warnings

import keras
from keras import ops


def named_generator(generator):
    """Returns a generator as a functional model from {"latent"[, "label"]} to images.

    Args:
        generator: A `keras.Model`. One that was not built yet tells the length of its latents by
            an attribute `latent_dim`, and that it takes labels by an attribute `num_classes`.

    Returns:
        The generator itself if it is such a model; else a model with its layers and weights.

    Raises:
        ValueError: Inputs or outputs that cannot be understood.
    """
    return _named(generator, "generator", "latent", None, bool(_takes_labels(generator)))


def named_networks(generator, discriminator):
    """Returns a generator and a discriminator as functional models of named inputs.

    Args:
        generator: As of `named_generator`.
        discriminator: A `keras.Model`. One that was not built yet takes the generator's pictures,
            and labels if the generator does.

    Raises:
        ValueError: Inputs or outputs that cannot be understood, or networks that do not fit.
    """
    told = [_takes_labels(network) for network in (generator, discriminator)]
    if None not in told and told[0] != told[1]:
        raise ValueError("generator and discriminator must both take labels, or neither")
    conditional = True in told
    generator = _named(generator, "generator", "latent", None, conditional)
    picture = generator.output.shape[1:]
    discriminator = _named(discriminator, "discriminator", "image", picture, conditional)
    image = discriminator.input["image"].shape[1:]
    if any(a != b and None not in (a, b) for a, b in zip(image, picture, strict=False)):
        raise ValueError(
            f"the generator draws pictures of shape {picture}, the discriminator takes {image}"
        )
    return generator, discriminator


def _named(network, kind, main, shape, conditional):
    where = f"the {kind} {network.name}"
    if isinstance(network, keras.Sequential) and not hasattr(network, "inputs"):
        network.build((None, *(shape or _latent_shape(network, where))))
    known = _inputs(network)
    if hasattr(network, "inputs"):
        structure, leaves = known
        roles = _roles(leaves, main, where)
        # One that does more than to call its layers is used as a layer itself.
        plain = type(network).call.__module__.startswith("keras.")
        if plain and isinstance(structure, dict) and set(structure) == set(roles):
            return _with_one_output(network, where)
        inputs = {
            role: keras.Input(leaves[key].shape[1:], dtype=leaves[key].dtype, name=role)
            for role, key in roles.items()
        }
        form = _packed(structure, {key: inputs[role] for role, key in roles.items()})
        outputs = (network.call if plain else network)(form)
    else:
        if known is not None:
            leaf = known[1][_roles(known[1], main, where)[main]]
            shape = leaf.shape[1:]
        inputs = {main: keras.Input(shape or _latent_shape(network, where), name=main)}
        if conditional:
            inputs["label"] = keras.Input((), dtype="int32", name="label")
        outputs = _called(network, inputs, known, main, where)
    named = _with_one_output(keras.Model(inputs, outputs, name=network.name), where)
    if getattr(network, "num_classes", None) is not None:
        named.num_classes = network.num_classes
    return named


def _takes_labels(network):
    """Whether a network takes labels; None if it does not tell."""
    if isinstance(network, keras.Sequential):
        return False
    known = _inputs(network)
    if known is not None:
        return len(known[1]) > 1
    told = len(_required_arguments(network)) > 1 or getattr(network, "num_classes", None)
    return True if told else None


def _inputs(network):
    """The structure of a network's inputs, and those by their key in it; None if not known."""
    if isinstance(network, keras.Sequential):
        structure = network.inputs[0] if hasattr(network, "inputs") else None
    elif hasattr(network, "inputs"):
        structure = network.input
    else:
        structure = _with_shapes((network.get_build_config() or {}).get("input_shape"))
        if structure is not None and len(_required_arguments(network)) > 1:
            structure = [structure, keras.KerasTensor((None,))]  # Keras remembers the first
    if structure is None:
        return None
    if isinstance(structure, dict):
        return structure, structure
    if isinstance(structure, (list, tuple)):
        return structure, dict(enumerate(structure))
    return structure, {0: structure}


def _with_shapes(shapes):
    """Shapes that Keras remembers, as symbolic tensors."""
    if isinstance(shapes, dict):
        return {key: _with_shapes(shape) for key, shape in shapes.items()}
    if not isinstance(shapes, (list, tuple)):
        return None
    if all(size is None or isinstance(size, int) for size in shapes):
        return keras.KerasTensor(tuple(shapes))
    return [_with_shapes(shape) for shape in shapes]


def _roles(leaves, main, where):
    """The keys of the main input and of the label: by their names, or else by their shapes."""
    if len(leaves) == 1:
        return {main: next(iter(leaves))}
    roles = (main, "label")
    of_tensors = {leaf.name: key for key, leaf in leaves.items()}
    for names in ({key: key for key in leaves}, of_tensors):
        if set(names) == set(roles):
            return {role: names[role] for role in roles}
    labels = [key for key, leaf in leaves.items() if tuple(leaf.shape[1:]) in ((), (1,))]
    if len(leaves) != 2 or len(labels) != 1:
        raise ValueError(
            f"{where} has inputs of shapes {[tuple(leaf.shape) for leaf in leaves.values()]}: it "
            f'must take a {main} and, with classes, a label (batch,); name them "{main}" and '
            '"label" if their shapes do not tell which is which'
        )
    (key,) = set(leaves) - set(labels)
    return {main: key, "label": labels[0]}


def _packed(structure, values):
    if isinstance(structure, dict):
        return values
    if isinstance(structure, (list, tuple)):
        return [values[key] for key in range(len(structure))]
    return values[0]


def _called(network, inputs, known, main, where):
    """The outputs of a network of its own class, which takes its inputs in one of a few forms."""
    values = list(inputs.values())
    if len(_required_arguments(network)) > 1:
        forms = {"two tensors": values}
    else:
        # A network that wants another form fails on these at once, before it makes a weight.
        first = {"a tensor": [values[0]]} if len(values) == 1 else {"a list": [values]}
        forms = {**first, "a dictionary": [inputs]}
        if known is not None:
            forms = {"what it was called on": [_like(known, inputs, main, where)], **forms}
    errors = []
    for name, form in forms.items():
        try:
            with warnings.catch_warnings(action="ignore"):  # that it could not be built this way
                return network(*form)
        except Exception as error:  # of any kind: it is the network's own code
            errors.append(f"{name}: {_in_a_line(error)}")
    raise ValueError(f"{where} cannot be called on {' and '.join(inputs)}; {'; '.join(errors)}")


def _like(known, inputs, main, where):
    """Inputs in the structure and with the ranks of those that Keras remembers of a call."""
    structure, leaves = known
    values = {}
    for role, key in _roles(leaves, main, where).items():
        flat = len(leaves[key].shape) == len(inputs[role].shape)
        values[key] = inputs[role] if flat else ops.expand_dims(inputs[role], -1)
    return _packed(structure, values)


def _in_a_line(error):
    """What an error says, without what Keras adds and the escapes that make it bold."""
    text = str(error).partition("Arguments received")[0]
    for escape in ("\x1b[1m", "\x1b[0m"):
        text = text.replace(escape, "")
    return " ".join(text.split())[-200:]


def _required_arguments(network):
    """The names of the arguments that a network cannot be called without."""
    parameters = inspect.signature(network.call).parameters.values()
    return [
        parameter.name
        for parameter in parameters
        if parameter.kind is parameter.POSITIONAL_OR_KEYWORD
        and parameter.default is parameter.empty
        and parameter.name not in ("training", "mask")
    ]


def _latent_shape(network, where):
    if getattr(network, "latent_dim", None) is None:
        raise ValueError(
            f"{where} does not tell the length of its latents: set its attribute latent_dim, or "
            "call it once before"
        )
    return (network.latent_dim,)


def _with_one_output(network, where):
    if len(network.outputs) != 1:
        raise ValueError(f"{where} has {len(network.outputs)} outputs: it must have one")
    return network
