"""Exported files against ONNX Runtime: python -m benchmarks.export.

The 128x128 generator of configs/imagenet128.yaml with random weights, batch 1: the TF Lite files
of `python -m export` in LiteRT, and the network as a person would write and export it (nearest
upsampling and a 3x3 convolution, no spectral norm) in ONNX Runtime. They take turns; times are
medians.
"""

import argparse
import json
import os
import platform
import tempfile
import time
from importlib import metadata
from pathlib import Path

import keras
import numpy as np
from keras import layers

from keras_sagan.exporting import PRECISIONS, convert_to_tflite
from keras_sagan.layers import ConditionalBatchNorm, SelfAttention2D
from keras_sagan.models import ResNetGenerator, attention_layers

CLASSES, LATENT_DIM, WIDTH, ATTENTION = 1000, 128, 64, 32
PACKAGES = ("keras", "tensorflow", "ai-edge-litert", "ai-edge-quantizer", "onnxruntime", "tf2onnx")


def randomized(model):
    """Gives tables and gammas, which start at zero, other values."""
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
    parser = argparse.ArgumentParser(prog="python -m benchmarks.export", description=__doc__)
    parser.add_argument("--rounds", type=int, default=20, help="turns of each")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of each runtime")
    parser.add_argument("--out", type=Path, metavar="FILE.json", help="where to write the numbers")
    options = parser.parse_args()
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    inputs = {
        "latent": rng.normal(size=(1, LATENT_DIM)).astype(np.float32),
        "label": np.array([7], np.int32),
    }
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
    contestants, sizes = {}, {}
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "plain.onnx")
        plain.export(path, format="onnx", verbose=False)
        contestants["ONNX Runtime float32"] = in_onnxruntime(path, inputs, options.threads)
        sizes["ONNX Runtime float32"] = Path(path).stat().st_size
    for precision in PRECISIONS:
        file, _ = convert_to_tflite(generator, precision)
        contestants[f"LiteRT {precision}"] = in_litert(file, inputs, options.threads)
        sizes[f"LiteRT {precision}"] = len(file)
    seconds = {name: [] for name in contestants}
    for _ in range(options.rounds):
        for name, draw in contestants.items():
            draw()  # its weights take the place of the others' in the caches
            start = time.perf_counter()
            draw()
            seconds[name].append(time.perf_counter() - start)
    rows = {
        name: {"mb": sizes[name] / 1e6, "ms": 1e3 * float(np.median(seconds[name]))}
        for name in contestants
    }
    print(f"{'':24}{'MB':>8}{'ms':>8}{'times ONNX Runtime':>20}")
    for name, row in rows.items():
        row["times_onnxruntime"] = rows["ONNX Runtime float32"]["ms"] / row["ms"]
        print(f"{name:24}{row['mb']:8.1f}{row['ms']:8.1f}{row['times_onnxruntime']:20.2f}")
    if options.out:
        about = {
            "machine": platform.machine(),
            "cores": os.cpu_count(),
            "threads": options.threads,
            "rounds": options.rounds,
            "versions": {name: metadata.version(name) for name in PACKAGES},
        }
        options.out.write_text(json.dumps({**about, "rows": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
