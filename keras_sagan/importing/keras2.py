"""The layers of a network in Keras 2's files, in their order, which names do not tell.

Variables that lie in one place are a layer; the kernel within `tfa.layers.SpectralNormalization` is
`w` in checkpoints. A scalar and the 1x1 kernels below it are an attention layer: query, key, value
and perhaps output by their names where those tell, and in this order where not.
"""

import dataclasses
import re

from keras_sagan.errors import InputError

NORM, ATTENTION, DENSE = "a batch norm", "attention", ()
_GRAPH, _SUFFIX = "_CHECKPOINTABLE_OBJECT_GRAPH", "/.ATTRIBUTES/VARIABLE_VALUE"
_WEIGHT = re.compile(r"(kernel|w|bias|gamma|beta|moving_mean|moving_variance|sn_u)(?:_(\w+))?")
# What is in files beside a network's weights, at any depth.
_OTHERS = r"(.*/)?(\w*optimizer\w*|\.OPTIMIZER_SLOT|save_counter)/.*"
# What published layers call query, key, value and output; in the paper f is the key.
_ROLES = (
    ({"query", "q"}, {"key", "k"}, {"value", "v"}, {"output", "out", "o"}),
    ({"theta"}, {"phi"}, {"g"}, {"attn", "o"}),
    ({"g"}, {"f"}, {"h"}, {"v", "o"}),
)


@dataclasses.dataclass
class Layer:
    """A layer of the file.

    Args:
        path: Where it lies.
        names: Its tensors by what they are: "kernel", "bias", "sn_u" and so on.
        kind: `NORM`, `ATTENTION`, or the height and width of its kernel (of `DENSE` none).
        parts: The convolutions of attention: query, key, value and perhaps output.
    """

    path: str
    names: dict = dataclasses.field(default_factory=dict)
    kind: object = None
    parts: tuple = ()


def text(kind):
    """Returns what a kind of layer is called."""
    if kind == DENSE:
        return "a dense layer"
    return kind if isinstance(kind, str) else f"a {'x'.join(map(str, kind))} kernel"


def layers(state, prefix=""):
    """Returns the `Layer`s of a network in the order of the file.

    Args:
        state: A `State`.
        prefix: What was cut off its names.

    Raises:
        InputError: A file that does not tell the order, or something that is no such layer.
    """
    state.skip(_OTHERS)
    found = {}
    for name in _ordered_names(state.source):
        if name.startswith(prefix) and not re.fullmatch(_OTHERS, name):
            name = name.removeprefix(prefix)
            path, what = _place(name, state.shape(name))
            if what:
                found.setdefault(path, Layer(path)).names[what] = name
    listed = []
    while found:
        layer = next(iter(found.values()))
        scalar = _scalar_above(layer.path, found)
        if scalar is not None:
            layer = scalar
            parts = [p for path, p in found.items() if path.startswith(f"{layer.path}/")]
            layer.parts = tuple(_in_roles(layer.path, parts))
        for part in layer.parts:
            del found[part.path]
        del found[layer.path]
        layer.kind = _kind(state, layer)
        listed.append(layer)
    return listed


def _place(name, shape):
    """Returns where a variable lies, and what it is there; None if that is nothing we know."""
    path, _, what = name.removesuffix(":0").removesuffix(_SUFFIX).rpartition("/")
    path = path.removesuffix("/layer")  # of a wrapper
    if match := _WEIGHT.fullmatch(what):
        what, part = match.groups()
        return (f"{path}/{part}" if part else path), {"w": "kernel"}.get(what, what)
    return path, ("gamma" if shape in ((), (1,)) else None)


def _scalar_above(path, found):
    """The layer that is a scalar, at or above a path."""
    for above, layer in found.items():
        if set(layer.names) == {"gamma"} and f"{path}/".startswith(f"{above}/"):
            return layer
    return None


def _in_roles(path, parts):
    """The convolutions of an attention layer, in the order of `_ROLES`."""
    words = [set(re.split("[^a-z]+", part.path.removeprefix(path).lower())) for part in parts]
    for roles in _ROLES:
        named = [[p for p, word in zip(parts, words, strict=True) if word & role] for role in roles]
        if all(len(one) == 1 for one in named[: len(parts)]):
            return [one[0] for one in named[: len(parts)]]
    return parts


def _kind(state, layer):
    if layer.parts:
        if all(_kind(state, part) == (1, 1) for part in layer.parts):
            return ATTENTION
    elif {"moving_mean", "moving_variance"} <= set(layer.names):
        return NORM
    elif "kernel" in layer.names:
        return state.shape(layer.names["kernel"])[:-2]
    raise InputError(
        f"{state.source}: {layer.path} is no convolution, dense layer, batch norm or attention of "
        "1x1 kernels with a scalar"
    )


def _ordered_names(path):
    """The names of all tensors, in the order of the layers."""
    if path.with_name(f"{path.name}.index").is_file():
        return _names_of_checkpoint(path)
    return _names_of_hdf5(path)


def _names_of_hdf5(path):
    """In the order of two attributes: the layers of the model, the weights of each layer."""
    import h5py

    with h5py.File(path) as file:
        top = file.get("model_weights", file)  # `save` puts it beside the optimizer's
        try:
            return [
                f"{top.name}/{layer}/{weight}".lstrip("/")
                for layer in map(_text, top.attrs["layer_names"])
                for weight in map(_text, top[layer].attrs["weight_names"])
            ]
        except KeyError as error:
            raise InputError(
                f"{path}: it does not say in which order its layers come, as Keras 2 does"
            ) from error


def _names_of_checkpoint(path):
    """In the order in which objects became attributes of others, as layers do of a model."""
    import tensorflow as tf
    from tensorflow.core.protobuf.trackable_object_graph_pb2 import TrackableObjectGraph

    reader = tf.train.load_checkpoint(str(path))
    if not reader.has_tensor(_GRAPH):
        raise InputError(f"{path}: it has no object graph, as checkpoints of Keras 2 have")
    nodes = TrackableObjectGraph.FromString(reader.get_tensor(_GRAPH)).nodes
    names, waiting, seen = [], [0], set()
    while waiting:
        node = waiting.pop()
        if node not in seen:
            seen.add(node)
            attributes = nodes[node].attributes  # older versions have texts among them
            names += [one.checkpoint_key for one in attributes if one.name == "VARIABLE_VALUE"]
            waiting += [child.node_id for child in reversed(nodes[node].children)]
    return names


def _text(name):
    return name.decode() if isinstance(name, bytes) else name
