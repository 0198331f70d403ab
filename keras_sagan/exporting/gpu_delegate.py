"""Which operations of a TF Lite file a phone's GPU would leave to the CPU.

The GPU delegate of TensorFlow Lite decides it operation by operation, before it runs: names, types
and shapes as in `gpu_compatibility.cc` (tensorflow/lite/tools/versioning, commit 03a5e4e), types of
tensors as in `GetOpsToReplace` of `model_builder.cc` (tensorflow/lite/delegates/gpu/common), and at
most four dimensions. LiteRT's delegate of 2026 takes more. Operations that no network of pictures
needs are left out, and count as refused. TensorFlow's own `Analyzer` forgets that the delegate
takes constants of float16 as such, behind their dequantisation.
"""

from collections import Counter

from tensorflow.lite.python import schema_py_generated as schema

from keras_sagan.exporting import flatbuffer

_TYPES = {code: name for name, code in vars(schema.TensorType).items() if name.isupper()}
_FLOATS = {"FLOAT16", "FLOAT32"}
_MOST_DIMENSIONS = 4
# Of what is computed.
_TAKEN_TYPES = {*_FLOATS, "INT8", "UINT8"}
_COMPARISONS = ("EQUAL", "GREATER", "GREATER_EQUAL", "LESS", "LESS_EQUAL", "NOT_EQUAL")
_MORE_TYPES = {
    "CAST": {"BOOL", "INT32"},
    "GATHER": {"INT32"},
    "LOGICAL_AND": {"BOOL"},
    "ONE_HOT": {"INT32"},
    "SELECT": {"BOOL"},
    "SELECT_V2": {"BOOL"},
    **{name: {"BOOL"} for name in _COMPARISONS},
}


class _Tensor:
    def __init__(self, tensor, buffers):
        self.type = _TYPES[tensor.type]
        self.shape = () if tensor.shape is None else tuple(tensor.shape)
        self.constant = buffers[tensor.buffer].data is not None


class _Operation:
    """What rules look at: `inputs` and `outputs`, and of inputs those that are computed."""

    def __init__(self, name, operator, tensors):
        self.name, self.options = name, operator.builtinOptions
        inputs = () if operator.inputs is None else operator.inputs
        self.inputs = [tensors[i] for i in inputs if i >= 0]
        self.outputs = [tensors[i] for i in operator.outputs]
        self.computed = [tensor for tensor in self.inputs if not tensor.constant]
        if name == "DEQUANTIZE" and self.inputs[0].type == "FLOAT16":
            self.outputs[0].constant = self.inputs[0].constant


def _one_computed(operation):
    return len(operation.computed) == 1


def _one_or_two(operation):
    return len(operation.inputs) <= 2 and 1 <= len(operation.computed) <= 2


def _broadcasts(operation):
    shorter, longer = sorted((tensor.shape for tensor in operation.inputs), key=len)
    if len(shorter) in (0, 1, len(longer)):
        return True
    if len(longer) != _MOST_DIMENSIONS:
        return False
    if len(shorter) == 3 or shorter == (1, 1):
        return longer[0] == 1
    return shorter == (longer[0], longer[-1])


def _one_is_not_smaller(operation):
    first, second = (tensor.shape for tensor in operation.inputs)
    if len(first) != len(second):
        return _broadcasts(operation)
    pairs = list(zip(first, second, strict=True))
    return all(a >= b for a, b in pairs) or all(a <= b for a, b in pairs)


def _cast(operation):
    (taken,), (given,) = operation.inputs, operation.outputs
    types = {taken.type, given.type}
    return types <= {"FLOAT32", "INT32"} or ("BOOL" in types and types <= _FLOATS | {"BOOL"})


def _conv(operation):
    return len(operation.computed) <= 2


def _depthwise(operation):
    single = operation.options.depthMultiplier == 1 or operation.inputs[0].shape[-1] == 1
    return single and _conv(operation)


def _dense(operation):
    keeps = operation.options.keepNumDims
    ranks = {len(tensor.shape) for tensor in (operation.inputs[0], *operation.outputs)}
    return (
        operation.options.weightsFormat == schema.FullyConnectedOptionsWeightsFormat.DEFAULT
        and not operation.inputs[0].constant
        and len(operation.computed) <= 2
        and (not keeps or len(ranks) == 1)
    )


def _gather(operation):
    table, numbers = operation.inputs
    return table.type != "INT32" and numbers.type == "INT32" and len(numbers.shape) == 1


def _select(operation):
    condition, *values = operation.inputs
    shapes = ((), (1,), operation.outputs[0].shape)
    return condition.type in _FLOATS | {"BOOL"} and all(
        value.type in _FLOATS
        and value.shape in shapes
        and not (value.constant and len(value.shape) == 2)
        for value in values
    )


def _slice(operation):
    return len(operation.inputs[0].shape) in (3, 4)


def _strided_slice(operation):
    options = operation.options
    masks = (options.ellipsisMask, options.newAxisMask, options.shrinkAxisMask)
    return not any(masks) and _slice(operation)


def _pad(operation):
    return _one_computed(operation) and operation.inputs[1].shape in ((3, 2), (4, 2))


def _mirror_pad(operation):
    return _pad(operation) and operation.options.mode == schema.MirrorPadMode.REFLECT


def _one_hot(operation):
    numbers, _, *values = operation.inputs
    return (
        operation.options.axis == -1
        and all(size == 1 for size in numbers.shape[:-1])
        and all(x.type == "FLOAT32" and x.constant and x.shape in ((), (1,)) for x in values)
    )


def _two(operation):
    return len(operation.inputs) == 2


def _reduce(operation):
    return _one_computed(operation) and operation.inputs[1].type == "INT32"


def _not_int16(operation):
    return operation.inputs[0].type != "INT16"


def _plain_softmax(operation):
    return operation.options.beta == 1


def _always(operation):
    return True


_NAMES = {
    _always: """AVERAGE_POOL_2D BATCH_MATMUL CONCATENATION LEAKY_RELU MAX_POOL_2D PACK PRELU
        QUANTIZE RELU RELU6 RELU_N1_TO_1 SPLIT SPLIT_V""",
    _one_computed: """ABS COS DEPTH_TO_SPACE ELU EXP FLOOR GELU HARD_SWISH LOG LOGISTIC NEG
        RESHAPE RESIZE_BILINEAR RESIZE_NEAREST_NEIGHBOR RSQRT SIGN SIN SPACE_TO_DEPTH SQRT SQUARE
        TANH TILE TRANSPOSE""",
    _one_or_two: """DIV EQUAL FLOOR_DIV FLOOR_MOD GREATER GREATER_EQUAL LESS LESS_EQUAL
        LOGICAL_AND MAXIMUM MINIMUM NOT_EQUAL POW SQUARED_DIFFERENCE SUB""",
    _broadcasts: "ADD",
    _cast: "CAST",
    _conv: "CONV_2D TRANSPOSE_CONV",
    _dense: "FULLY_CONNECTED",
    _depthwise: "DEPTHWISE_CONV_2D",
    _gather: "GATHER",
    _not_int16: "DEQUANTIZE",
    _one_is_not_smaller: "MUL",
    _mirror_pad: "MIRROR_PAD",
    _one_hot: "ONE_HOT",
    _pad: "PAD PADV2",
    _plain_softmax: "SOFTMAX",
    _reduce: "MEAN REDUCE_MAX REDUCE_MIN REDUCE_PROD SUM",
    _select: "SELECT SELECT_V2",
    _slice: "SLICE",
    _strided_slice: "STRIDED_SLICE",
    _two: "ADD_N",
}
_RULES = {name: rule for rule, names in _NAMES.items() for name in names.split()}


def left_to_the_cpu(file, signature="generate"):
    """Returns what a GPU delegate would refuse of a signature, such as `{"SELECT": 1}`.

    Args:
        file: The bytes of a TF Lite file.
        signature: Name of the signature.

    Returns:
        A dictionary of the names of operations and their numbers; an empty one if a GPU takes
        them all.
    """
    model = flatbuffer.read(file)
    names = flatbuffer.operator_names(model)
    (index,) = (
        x.subgraphIndex for x in model.signatureDefs if x.signatureKey.decode() == signature
    )
    subgraph = model.subgraphs[index]
    tensors = [_Tensor(tensor, model.buffers) for tensor in subgraph.tensors]
    operations = [_Operation(names[x.opcodeIndex], x, tensors) for x in subgraph.operators]
    return dict(Counter(x.name for x in operations if not _taken(x)))


def _taken(operation):
    types = _TAKEN_TYPES | _MORE_TYPES.get(operation.name, set())
    tensors = [*operation.computed, *operation.outputs]
    return (
        all(x.type in types and len(x.shape) <= _MOST_DIMENSIONS for x in tensors)
        and operation.name in _RULES
        and _RULES[operation.name](operation)
    )
