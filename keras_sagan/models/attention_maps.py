"""What the attention layers of a model look at."""

import keras


class _AttentionMap(keras.layers.Layer):
    """The map of an attention layer alone.

    A layer of its own, because Keras cannot trace a model in which one layer was called with
    different output structures.
    """

    def __init__(self, attention, **kwargs):
        super().__init__(**kwargs)
        self.attention = attention

    def call(self, *args, **kwargs):
        return self.attention(*args, **kwargs, return_attention=True)[1]


def attention_layers(model):
    """Returns the attention layers of a functional model, first to last.

    They are those with a method `map_shape` of the shape of their first input, which also take
    `return_attention=True`, such as `keras_sagan.layers.SelfAttention2D`.
    """
    return [layer for layer in model.layers if hasattr(layer, "map_shape")]


def map_shapes(model):
    """Returns where the attention maps of a functional model lie.

    Returns:
        By the name of each layer, ((height, width) of the queries, (height, width) of the keys).
    """
    return {
        layer.name: layer.map_shape(keras.tree.flatten(layer.input)[0].shape)
        for layer in attention_layers(model)
    }


def with_attention_maps(model):
    """Returns a model of the same inputs and weights that also gives its attention maps.

    Args:
        model: A functional `keras.Model`.

    Returns:
        A `keras.Model` with the outputs `{"output": ..., layer name: map, ...}`, each map
        (batch, queries, keys) float32 as of `SelfAttention2D`.
    """
    outputs = {"output": model.output}
    for layer in attention_layers(model):
        called_on = layer._inbound_nodes[0].arguments  # features, and maybe labels
        attention_map = _AttentionMap(layer, name=f"{layer.name}_map")
        outputs[layer.name] = attention_map(*called_on.args, **called_on.kwargs)
    return keras.Model(model.input, outputs, name=f"{model.name}_with_attention")
