"""TF Lite files of fewer bits, made from float32 ones by ai-edge-quantizer.

The converter's own quantiser is not used. Its int8 also quantises the few operations that turn a
seed into a latent, its float16 their constants, of which 2^23 becomes 65504; either way `sample`
draws noise. Its dynamic int8 is 1.5 dB further from the trained CIFAR-10 model.
"""

import contextlib
import copy
import io
import logging
import re
import warnings

import numpy as np
from tensorflow.lite.python import schema_py_generated as schema

from keras_sagan.exporting import flatbuffer
from keras_sagan.exporting.device import FLOAT_SCOPE
from keras_sagan.sampling import latents

# Seeds of pictures that neither a report nor a person is likely to draw.
_CALIBRATION_SEEDS = range(2**30, 2**30 + 64)
_MEASURING_SEEDS = range(2**30 + 64, 2**30 + 96)
_SUFFICIENT = 30.0  # dB; what int8 must keep to, before layers are left in float
_PRODUCTS = ("CONV_2D", "FULLY_CONNECTED")
# What int8 covers besides. Not the products and the softmax of attention, which cost 2.5 dB on
# CIFAR-10, nor the last tanh: a picture has 256 levels, not 256 steps of what tanh is taken of.
_ACTIVATIONS = (
    *("ADD", "CONCATENATION", "DEPTHWISE_CONV_2D", "MAX_POOL_2D", "MUL", "PAD", "RELU"),
    *("RESHAPE", "RESIZE_NEAREST_NEIGHBOR", "STRIDED_SLICE", "SUB", "TRANSPOSE"),
)


def to_float16(model):
    """Stores what convolutions and dense layers learned in float16; computes in float32."""
    from ai_edge_quantizer import qtyping

    weights = qtyping.TensorQuantizationConfig(16, dtype=qtyping.TensorDataType.FLOAT)
    config = qtyping.OpQuantizationConfig(
        weight_tensor_config=weights, compute_precision=qtyping.ComputePrecision.FLOAT
    )
    recipes = _recipes()
    for operation in _PRODUCTS:
        recipes.add_quantization_config(
            ".*", qtyping.TFLOperationName(operation), config, "float_casting"
        )
    return _biases_in_float16(_quantized(model, recipes))


def _biases_in_float16(model):
    """Stores the biases of float16 weights in float16 too, as TensorFlow's converter does.

    XNNPACK in LiteRT 1.1 to 1.3 takes any bias of such weights for float16.
    """
    tree = flatbuffer.read(model)
    names = flatbuffer.operator_names(tree)
    halves = {}  # the new buffer of an old one, which signatures share
    for subgraph in tree.subgraphs:
        biases = {
            operator.inputs[2]
            for operator in subgraph.operators
            if names[operator.opcodeIndex] in _PRODUCTS and len(operator.inputs) > 2
        }
        for bias in biases - {-1}:
            tensor = subgraph.tensors[bias]
            if tree.buffers[tensor.buffer].data is None:  # no constant
                continue
            if tensor.buffer not in halves:
                halves[tensor.buffer] = len(tree.buffers)
                values = tree.buffers[tensor.buffer].data.view(np.float32).astype(np.float16)
                tree.buffers.append(schema.BufferT(values.view(np.uint8)))
            half = copy.copy(tensor)
            half.type, half.buffer = schema.TensorType.FLOAT16, halves[tensor.buffer]
            subgraph.tensors.append(half)
            tensor.buffer = 0  # it is computed now
            dequantize = schema.OperatorT(
                names.index("DEQUANTIZE"), [len(subgraph.tensors) - 1], [bias]
            )
            subgraph.operators.insert(0, dequantize)
    used = {tensor.buffer for subgraph in tree.subgraphs for tensor in subgraph.tensors}
    for buffer in halves.keys() - used:
        tree.buffers[buffer].data = None
    return flatbuffer.write(tree)


def to_dynamic_int8(model):
    """Stores those weights in int8, a step for each channel, or for all of a dense layer.

    Activations are quantised as they come, and are float32 between the layers. TensorFlow Lite 2.15
    and older takes the steps of a dense layer's channels for one, without an error.
    """
    from ai_edge_quantizer import qtyping

    recipes = _recipes()
    recipes.add_dynamic_config(".*", "CONV_2D", 8)
    recipes.add_dynamic_config(".*", "FULLY_CONNECTED", 8, qtyping.QuantGranularity.TENSORWISE)
    return _quantized(model, recipes)


def to_int8(model, generator, layers, num_classes):
    """Computes in int8, with float input and output, by steps fixed beforehand.

    The steps span what 64 of the generator's own latents give. Seeds become latents in float as
    before. If the pictures then keep less than 30 dB to those of `model`, layers are left in
    float, those first whose absence from int8 gains most, until they do or it gains no more;
    the weights of those layers stay int8.

    Args:
        model: Bytes of a float32 TF Lite file.
        generator: Name of the generator, which its operations' names begin with.
        layers: Names of its layers that may be left in float.
        num_classes: Number of classes, or None.

    Returns:
        The bytes of the file, and the names of the layers that were left in float.
    """
    from ai_edge_quantizer import calibrator
    from ai_edge_quantizer.utils import qsv_utils

    def recipes_without(left):
        recipes = _recipes()
        for operation in (*_PRODUCTS, *_ACTIVATIONS):
            recipes.add_static_config(scope(generator), operation, 8, 8)
        for layer in left:
            inside = scope(generator, layer)
            for operation in _PRODUCTS:
                recipes.add_weight_only_config(inside, operation, 8)
            for operation in _ACTIVATIONS:
                recipes.add_quantization_config(inside, operation, algorithm_key="no_quantize")
        tables = f"{scope(generator)}[^;]*/{FLOAT_SCOPE}/"
        for operation in _ACTIVATIONS:
            recipes.add_quantization_config(tables, operation, algorithm_key="no_quantize")
        return recipes

    # Extremes, not their moving average, which cuts off what is rare: 5 dB on CIFAR-10.
    with _quiet():
        calibration = calibrator.Calibrator(model, qsv_update_func=qsv_utils.min_max_update)
        calibration.calibrate(
            _requests(model, _CALIBRATION_SEEDS, num_classes), recipes_without([])
        )
    ranges = calibration.get_model_qsvs()
    requests = _requests(model, _MEASURING_SEEDS, num_classes)["generate"]
    expected = _images(model, requests)

    def without(left):
        return _quantized(model, recipes_without(left), ranges)

    def quality(left):
        return psnr(_images(without(left), requests), expected)

    qualities = [quality([])]  # without the first none, one, two, ... of the ranking
    ranking = []
    if qualities[0] < _SUFFICIENT:
        ranking = sorted(layers, key=lambda layer: quality([layer]), reverse=True)
    while max(qualities) < _SUFFICIENT and len(qualities) <= len(ranking):
        qualities.append(quality(ranking[: len(qualities)]))
    best = max(qualities)
    # If nothing suffices: the fewest layers with which it is as good as it gets.
    enough = _SUFFICIENT if best >= _SUFFICIENT else best - 0.5
    left = ranking[: next(i for i, value in enumerate(qualities) if value >= enough)]
    return without(left), left


def dequantize_digits(model):
    """Turns casts of gathered int8 to float into dequantisations by steps of 1: the same numbers.

    GPU delegates take no such casts, and the converter makes dequantisations of nothing but what
    it quantised itself.
    """
    tree = flatbuffer.read(model)
    names = flatbuffer.operator_names(tree)
    changed = False
    for subgraph in tree.subgraphs:
        gathered = {}  # the table of each row
        for operator in subgraph.operators:
            name = names[operator.opcodeIndex]
            if name not in ("GATHER", "CAST"):
                continue
            source, result = operator.inputs[0], operator.outputs[0]
            types = [subgraph.tensors[i].type for i in (source, result)]
            if name == "GATHER" and types[0] == schema.TensorType.INT8:
                gathered[result] = source
            if name == "CAST" and source in gathered and types[1] == schema.TensorType.FLOAT32:
                changed = True
                operator.opcodeIndex = len(names)
                operator.builtinOptionsType = schema.BuiltinOptions.DequantizeOptions
                operator.builtinOptions = schema.DequantizeOptionsT()
                for tensor in (source, gathered[source]):
                    subgraph.tensors[tensor].quantization = schema.QuantizationParametersT(
                        scale=[1.0], zeroPoint=[0]
                    )
    if not changed:
        return model
    code = schema.BuiltinOperator.DEQUANTIZE
    tree.operatorCodes.append(schema.OperatorCodeT(code, version=2, builtinCode=code))
    return flatbuffer.write(tree)


def psnr(images, expected):
    """Returns the peak signal-to-noise ratio in dB of images in [-1, 1], over all of them."""
    error = np.mean(np.square(np.asarray(images, np.float64) - expected))
    return float(10 * np.log10(4 / max(error, 1e-20)))


def _recipes():
    from ai_edge_quantizer import recipe_manager

    return recipe_manager.RecipeManager()


def scope(generator, layer=None):
    """Returns a pattern of the names of operations in a generator, or in one of its layers."""
    inside = f"(^|;){re.escape(generator)}(_with_attention)?(_[0-9]+)?/"
    return inside if layer is None else f"{inside}{re.escape(layer)}(_map)?(_[0-9]+)?/"


def _quantized(model, recipes, ranges=None):
    from ai_edge_quantizer import quantizer

    quantizing = quantizer.Quantizer(model, recipes.get_quantization_recipe())
    with _quiet():
        return bytes(quantizing.quantize(ranges).quantized_model)


@contextlib.contextmanager
def _quiet():
    """Keeps the quantiser's reports, progress bars and warnings about its own doings to itself."""
    with (
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
        warnings.catch_warnings(action="ignore"),
    ):
        disabled = logging.root.manager.disable
        logging.disable(logging.WARNING)
        try:
            yield
        finally:
            logging.disable(disabled)


def _requests(model, seeds, num_classes):
    """The inputs of every signature of the generator for seeds, batch by batch."""
    found = _interpreter(model).get_signature_list()
    shape = _signature(model, "generate").get_input_details()["latent"]["shape"]
    batch_size, latent_dim = map(int, shape)
    truncation = np.ones(batch_size, np.float32)
    requests = {name: [] for name in found}
    for first in range(seeds[0], seeds[-1] + 1, batch_size):
        batch = np.arange(first, first + batch_size, dtype=np.int32)
        inputs = {
            "seed": batch,
            "truncation": truncation,
            "latent": latents.numpy_normal(batch, latent_dim),
        }
        if num_classes is not None:
            inputs["label"] = batch % np.int32(num_classes)
        for name, signature in found.items():
            requests[name].append({key: inputs[key] for key in signature["inputs"]})
    return requests


def _images(model, requests):
    generate = _signature(model, "generate")
    return np.concatenate([generate(**request)["image"] for request in requests])


def _signature(model, name):
    return _interpreter(model).get_signature_runner(name)


def _interpreter(model):
    from ai_edge_litert.interpreter import Interpreter

    return Interpreter(model_content=model)
