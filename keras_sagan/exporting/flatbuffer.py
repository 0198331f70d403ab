"""TF Lite files as objects, and small again as files."""

import flatbuffers
import numpy as np
from tensorflow.lite.python import schema_py_generated as schema

_ALIGNMENT = 16  # of Buffer.data, by TF Lite's schema
_NAMES = {code: name for name, code in vars(schema.BuiltinOperator).items() if name.isupper()}


def read(file):
    """Returns the `ModelT` of the bytes of a TF Lite file."""
    model = schema.ModelT.InitFromPackedBuf(file)
    for buffer in model.buffers:
        if buffer.offset > 1:  # behind the flatbuffer, where ai-edge-quantizer puts the weights
            buffer.data = np.frombuffer(file, np.uint8, buffer.size, buffer.offset)
            buffer.offset = buffer.size = 0
    return model


def write(model):
    """Returns the bytes of the TF Lite file of a `ModelT`, which is changed.

    Tensors inside lose their names, and those of several signatures that are quantised alike
    share the numbers that say how: a tenth of a small int8 file.
    """
    quantizations = {}
    for subgraph in model.subgraphs:
        ends = {*subgraph.inputs, *subgraph.outputs}
        for i, tensor in enumerate(subgraph.tensors):
            if i not in ends:
                tensor.name = None
            if tensor.quantization is not None:
                tensor.quantization = quantizations.setdefault(
                    _content(tensor.quantization), _Shared(tensor.quantization)
                )
    model.buffers = [_AlignedBuffer(b.data, b.offset, b.size) for b in model.buffers]
    # Room for everything from the start: the builder copies all that it holds to grow.
    size = sum(len(b.data) + _ALIGNMENT for b in model.buffers if b.data is not None)
    builder = flatbuffers.Builder(size + (1 << 20))
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(memoryview(builder.Bytes)[builder.Head() :])


def operator_names(model):
    """Returns the name of each of the operators that the operations of a `ModelT` refer to."""
    # Codes stand in the older field, which holds up to 127, in the newer one, or in both.
    return [
        _NAMES[max(code.deprecatedBuiltinCode, code.builtinCode)] for code in model.operatorCodes
    ]


class _AlignedBuffer(schema.BufferT):
    """A buffer that keeps the alignment of the schema, which the generated `Pack` forgets."""

    def Pack(self, builder):
        if self.data is not None:
            builder.Prep(_ALIGNMENT, len(self.data))
        return super().Pack(builder)


class _Shared:
    """A table that is written once, however many tables refer to it."""

    def __init__(self, table):
        self.table = table
        self.offset = None

    def Pack(self, builder):
        if self.offset is None:
            self.offset = self.table.Pack(builder)
        return self.offset


def _content(quantization):
    builder = flatbuffers.Builder()
    builder.Finish(quantization.Pack(builder))
    return bytes(builder.Output())
