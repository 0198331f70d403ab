"""Feature maps in both of Keras's data formats: layers compute on channels last."""

import keras
from keras import ops

_FORMATS = ("channels_last", "channels_first")


def to_channels_last(x, data_format):
    """Returns (batch, height, width, channels) of feature maps in a data format."""
    return ops.transpose(x, (0, 2, 3, 1)) if data_format == "channels_first" else x


def from_channels_last(x, data_format):
    """Returns feature maps (batch, height, width, channels) in a data format."""
    return ops.transpose(x, (0, 3, 1, 2)) if data_format == "channels_first" else x


def channels_last_shape(shape, data_format):
    """Returns the shape that `to_channels_last` gives to one of a data format."""
    if data_format == "channels_last":
        return tuple(shape)
    batch, channels, height, width = shape
    return batch, height, width, channels


class FeatureMapLayer(keras.layers.Layer):
    """A layer of feature maps, as of (batch, height, width, channels).

    Args:
        data_format: "channels_last" or "channels_first"; None is
            `keras.config.image_data_format()`.
        **kwargs: Of `keras.layers.Layer`.

    Raises:
        ValueError: Another data format.
    """

    def __init__(self, data_format=None, **kwargs):
        super().__init__(**kwargs)
        self.data_format = data_format or keras.config.image_data_format()
        if self.data_format not in _FORMATS:
            raise ValueError(f"data_format must be one of {_FORMATS}, got {data_format!r}")

    def get_config(self):
        return {**super().get_config(), "data_format": self.data_format}
