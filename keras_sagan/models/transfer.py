"""The weights of a network in another one like it, whatever classes both have."""

import numpy as np
from keras import ops

from keras_sagan.layers import BatchNorm, ConditionalBatchNorm


def transfer(source, target):
    """Gives a network the weights of another one of the same arguments but for its classes.

    With as many classes all weights are the same, batch statistics and the `u` of spectral norm
    too. Else each row of a table of classes becomes the mean of the old rows. Without classes the
    gains and biases of batch norms are the old mean rows, and the other way round.

    Args:
        source: A network of `keras_sagan.models`.
        target: Another one.

    Returns:
        Names of the layers that have no counterpart, and stay as they are.
    """
    values = _by_path(source)
    found = {v.path: v for v in target.variables if v.path in values}
    tables = [path for path, v in found.items() if values[path].shape != tuple(v.shape)]
    for path, variable in found.items():
        if path not in tables:
            # Of equal rows any u is the right one after one iteration, unless it is orthogonal to
            # them, as what belonged to the old rows may well be: there the new network's own stays.
            of_table = path.endswith("/u") and any(t.startswith(path[:-1]) for t in tables)
            if not of_table:
                variable.assign(values[path])
        elif not path.endswith("/u"):
            variable.assign(np.broadcast_to(values[path].mean(axis=0), variable.shape))
    return list(dict.fromkeys(_layer(v) for v in target.variables if v.path not in found))


def _by_path(network):
    """All values of a network, and those that its batch norms would have with other classes."""
    values = {variable.path: ops.convert_to_numpy(variable) for variable in network.variables}
    for layer in network._flatten_layers():
        if isinstance(layer, ConditionalBatchNorm):
            shares = _shares(network, layer)
            gain, bias = (shares @ ops.convert_to_numpy(table) for table in layer.tables())
            values[f"{layer.path}/gamma"], values[f"{layer.path}/beta"] = 1 + gain, bias
            statistics, place = layer.norm, layer.path
        elif isinstance(layer, BatchNorm) and layer.scale:
            gain, bias = ops.convert_to_numpy(layer.gamma) - 1, ops.convert_to_numpy(layer.beta)
            values[f"{layer.path}/gain"], values[f"{layer.path}/bias"] = gain[None], bias[None]
            statistics, place = layer, f"{layer.path}/norm"
        else:
            continue
        for name in ("moving_mean", "moving_variance"):
            values[f"{place}/{name}"] = values[f"{statistics.path}/{name}"]
    return values


def _shares(network, norm):
    """What of each row of a norm's tables a picture of any class has on average."""
    if getattr(network, "class_embedding_dim", None):
        embeddings = network.get_layer("class_embedding").embeddings
        return ops.convert_to_numpy(embeddings).mean(axis=0)
    rows = norm.num_classes or 1
    return np.full(rows, 1 / rows, "float32")


def _layer(variable):
    return variable.path.partition("/")[0]
