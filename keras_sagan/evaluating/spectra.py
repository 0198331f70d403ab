"""Singular values of the kernels, as the networks use them."""

import keras
import numpy as np
from keras import ops

from keras_sagan.layers import SpectralNorm
from keras_sagan.models import attention_layers

_OFF = 0.1  # a largest singular value this far from 1 is told


def singular_values(subject):
    """Draws the singular values of every kernel, and tells the gammas.

    Args:
        subject: A `Subject`.

    Yields:
        A name and a matplotlib figure, and then lines to print.
    """
    networks = {"averaged generator": subject.generator, "discriminator": subject.discriminator()}
    if networks["discriminator"] is None:
        del networks["discriminator"]
        yield None, "singular values: of the generator alone, as the run has no discriminator"
    found = {name: spectra(network) for name, network in networks.items()}
    yield "singular_values", _figure(subject.run.name, found)
    for name, network in networks.items():
        for layer in attention_layers(network):
            gamma = float(ops.convert_to_numpy(layer.gamma))
            yield None, f"gamma of {layer.name}, {name}: {gamma:.4f}"
    for name, layers in found.items():
        if normalized := {layer: v[0] for layer, (v, is_normal) in layers.items() if is_normal}:
            yield None, _said(name, normalized)


def spectra(network):
    """Returns the singular values of the kernels of a network.

    Kernels are matrices over their output channels, as spectral norm takes them, and divided by
    its sigma where there is one.

    Args:
        network: A `keras.Model`.

    Returns:
        By the name of each layer, first to last, (values in falling order, whether spectral norm
        is on).
    """
    found, inner = {}, set()
    for layer in network._flatten_layers():
        if isinstance(layer, SpectralNorm):
            inner.add(layer.layer)
            axis = -1 if layer.axis == "first" else _channel_axis(layer.layer)
            found[layer.path] = _values(layer.normalized_kernel(), axis), True
        elif layer not in inner and isinstance(getattr(layer, "kernel", None), keras.Variable):
            found[layer.path] = _values(layer.kernel, _channel_axis(layer)), False
    return found


def _channel_axis(layer):
    """The axis of a kernel that holds the output channels."""
    return -2 if isinstance(layer, keras.layers.Conv2DTranspose) else -1


def _values(kernel, axis):
    matrix = np.moveaxis(ops.convert_to_numpy(kernel).astype(np.float64), axis, -1)
    matrix = matrix.reshape(-1, matrix.shape[-1])
    # From the smaller square, which takes a large kernel a tenth of the time.
    rows, columns = matrix.shape
    square = matrix.T @ matrix if columns <= rows else matrix @ matrix.T
    return np.sqrt(np.maximum(np.linalg.eigvalsh(square)[::-1], 0))


def _said(name, largest):
    low, high = min(largest.values()), max(largest.values())
    line = f"largest singular values under spectral norm, {name}: {low:.3f} to {high:.3f}"
    off = [layer for layer, value in largest.items() if abs(value - 1) > _OFF]
    if off:
        more = f" and {len(off) - 3} more" * (len(off) > 3)
        line += f"; far from 1: {', '.join(off[:3])}{more}"
    return line


def _figure(name, networks):
    """Draws a panel a network: a column of values for each layer, the largest as a dot."""
    from matplotlib.figure import Figure

    most = max(len(layers) for layers in networks.values())
    size = (max(6, 2 + 0.32 * most), 0.5 + 3.6 * len(networks))
    figure = Figure(figsize=size, layout="constrained")
    figure.suptitle(f"{name}: singular values of the kernels")
    panels = figure.subplots(len(networks), squeeze=False)[:, 0]
    for axes, (network, layers) in zip(panels, networks.items(), strict=True):
        axes.axhline(1, color="0.6", linewidth=0.8, linestyle="--")
        for is_normal, color, label in (
            (True, "tab:blue", "with spectral norm"),
            (False, "tab:orange", "without"),
        ):
            some = {i: v for i, (v, normal) in enumerate(layers.values()) if normal == is_normal}
            if not some:
                continue
            x = np.concatenate([np.full(len(values), i) for i, values in some.items()])
            y = np.concatenate([*some.values()])
            axes.plot(x, y, "_", color=color, markersize=11, alpha=0.4)
            axes.plot([*some], [v[0] for v in some.values()], "o", color=color, label=label)
        axes.set(title=network, ylim=(0, None), xlim=(-0.7, len(layers) - 0.3))
        axes.set_xticks(range(len(layers)), layers, rotation=90, fontsize=8)
        axes.legend(title="largest value", fontsize=8, title_fontsize=8)
    return figure
