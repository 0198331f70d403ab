"""Exported files against ONNX Runtime: python -m benchmarks.export [--peer NAME=CLONE ...].

The 128x128 generator of configs/imagenet128.yaml with random weights, batch 1: the TF Lite files
of `python -m export` in LiteRT, and the network as a person would write and export it (nearest
upsampling and a 3x3 convolution, no spectral norm) in ONNX Runtime; with `--peer` the generators of
BigGAN-PyTorch and StudioGAN in PyTorch too. They take turns; times are medians.
"""

import os
import sys
import tempfile
import time
from importlib import metadata
from pathlib import Path

import numpy as np

from benchmarks import contest
from keras_sagan.exporting import PRECISIONS

CLASSES, LATENT_DIM, WIDTH, ATTENTION = 1000, 128, 64, 32
PEER_SETTINGS = {
    "family": "resnet", "image_size": 128, "width": WIDTH, "batch_size": 1,
    "latent_dim": LATENT_DIM, "classes": CLASSES, "attention": [ATTENTION],
}  # fmt: skip
PACKAGES = ("keras", "tensorflow", "ai-edge-litert", "ai-edge-quantizer", "onnxruntime", "tf2onnx")
COLUMNS = {
    "MB": lambda row: f"{row['mb']:.1f}" if "mb" in row else "",
    "ms": lambda row: f"{1e3 * row['seconds']:.1f}",
    "times ONNX Runtime": lambda row: f"{1 / row['ratio']:.2f}",
}


def randomized(model):
    """Gives tables and gammas, which start at zero, other values."""
    from keras_sagan.layers import ConditionalBatchNorm
    from keras_sagan.models import attention_layers

    rng = np.random.default_rng(0)
    for layer in model._flatten_layers():
        if isinstance(layer, ConditionalBatchNorm):
            layer.gain.assign(rng.normal(0, 0.1, layer.gain.shape))
            layer.bias.assign(rng.normal(0, 0.1, layer.bias.shape))
    for layer in attention_layers(model):
        layer.gamma.assign(0.5)
    return model


def plain_generator():
    """The same network from convolutions and upsampling alone."""
    import keras
    from keras import layers

    from keras_sagan.layers import ConditionalBatchNorm, SelfAttention2D

    latent = keras.Input((LATENT_DIM,), name="latent")
    label = keras.Input((), dtype="int32", name="label")
    x = layers.Reshape((4, 4, 16 * WIDTH))(layers.Dense(16 * 16 * WIDTH)(latent))
    for multiple, size in zip((16, 8, 4, 2, 1), (8, 16, 32, 64, 128), strict=True):
        channels = multiple * WIDTH
        h = layers.ReLU()(ConditionalBatchNorm(CLASSES)(x, labels=label))
        h = layers.Conv2D(channels, 3, padding="same")(layers.UpSampling2D()(h))
        h = layers.ReLU()(ConditionalBatchNorm(CLASSES)(h, labels=label))
        h = layers.Conv2D(channels, 3, padding="same")(h)
        x = layers.Add()([h, layers.Conv2D(channels, 1)(layers.UpSampling2D()(x))])
        if size == ATTENTION:
            x = SelfAttention2D(spectral_norm=False)(x)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.Conv2D(3, 3, padding="same", activation="tanh")(x)
    return keras.Model({"latent": latent, "label": label}, x)


def in_litert(file, inputs, threads):
    """Returns a function that draws a picture."""
    from ai_edge_litert.interpreter import Interpreter

    generate = Interpreter(model_content=file, num_threads=threads).get_signature_runner("generate")
    return lambda: generate(**inputs)


def in_onnxruntime(path, inputs, threads):
    """Returns a function that draws a picture."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda: session.run(None, inputs)


def main():
    """Runs the benchmark."""
    parser = contest.Parser("export", __doc__)
    parser.add_argument(
        "--threads", type=contest.positive, default=os.cpu_count(), help="of each file's runtime"
    )
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    inputs = {
        "latent": rng.normal(size=(1, LATENT_DIM)).astype(np.float32),
        "label": np.array([7], np.int32),
    }
    draws, sizes = files(inputs, options.threads)
    peers = contest.contestants(options, {**PEER_SETTINGS, "task": "sample"}, "float32")[1:]
    seconds = {name: [] for name in draws}
    with contest.playing(peers) as players:
        for _ in range(options.rounds):
            for name, draw in draws.items():
                draw()  # its weights take the place of the others' in the caches
                start = time.perf_counter()
                draw()
                seconds[name].append(time.perf_counter() - start)
            for player in players:
                player.take_turn(1)
        rows = [
            {"name": name, "mb": sizes[name] / 1e6, "turns": turns, "seconds": np.median(turns)}
            for name, turns in seconds.items()
        ]
        rows += [player.row() for player in players]
    contest.add_ratios(rows)
    versions = {name: metadata.version(name) for name in PACKAGES}
    return contest.report(
        parser, options, rows, COLUMNS, threads=options.threads, versions=versions
    )


def files(inputs, threads):
    """Returns functions that draw a picture with each file, and the sizes of the files."""
    import keras

    from keras_sagan.exporting import convert_to_tflite
    from keras_sagan.models import ResNetGenerator

    keras.utils.set_random_seed(0)
    plain = randomized(plain_generator())
    plain(inputs)  # the exporter wants a model that was called
    generator = randomized(
        ResNetGenerator(
            image_size=128,
            num_classes=CLASSES,
            latent_dim=LATENT_DIM,
            width=WIDTH,
            attention=(ATTENTION,),
        )
    )
    draws, sizes = {}, {}
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "plain.onnx")
        plain.export(path, format="onnx", verbose=False)
        draws["ONNX Runtime float32"] = in_onnxruntime(path, inputs, threads)
        sizes["ONNX Runtime float32"] = Path(path).stat().st_size
    for precision in PRECISIONS:
        file, _ = convert_to_tflite(generator, precision)
        draws[f"LiteRT {precision}"] = in_litert(file, inputs, threads)
        sizes[f"LiteRT {precision}"] = len(file)
    return draws, sizes


if __name__ == "__main__":
    sys.exit(main())
