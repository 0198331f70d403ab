"""What an imported network computes, as fixtures keep it."""

import numpy as np
from filling import thinned_map

from keras_sagan.models import with_attention_maps


def outputs_of(network, inputs):
    """Returns the output of a network, and some queries of its attention maps, first to last."""
    outputs = with_attention_maps(network)(inputs)
    output = np.asarray(outputs.pop("output"))
    return output, [thinned_map(np.asarray(attention)) for attention in outputs.values()]
