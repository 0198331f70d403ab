"""The standard metadata of a TF Lite file, and the class names packed into it.

A phone's tools read them: Android Studio, the TF Lite Support and Task libraries, Netron. The
numbers below are the slots of the tables of `metadata_schema.fbs` of TF Lite Support, whose own
Python writer cannot be installed beside a current protobuf.
"""

import io
import json
import zipfile

import flatbuffers
import numpy as np
from tensorflow.lite.python import schema_py_generated as schema

from keras_sagan.exporting import flatbuffer

LABELS_FILE = "labels.txt"
MAPS_FILE = "attention.json"

_TENSOR_VALUE_LABELS = 3  # an AssociatedFileType: a value of the tensor is a line of the file
_FEATURE, _IMAGE = 1, 2  # members of the union ContentProperties
_RGB = 1

_DESCRIPTIONS = {
    "seed": "0 to 2147483647. The same seed, label and truncation give the same picture.",
    "label": f"The class of the picture, from 0: a line of {LABELS_FILE}.",
    "truncation": "Factor of the latent. 1 is as trained, smaller is safer and more alike.",
    "latent": "Standard normal numbers.",
    "image": "The picture, RGB: uint8, or float32 from -1 to 1.",
}
_MAP = "How much each location (row) of a feature map attends to each location (column), row-major."


def labels_text(labels):
    """Returns the content of `labels.txt`."""
    return "".join(f"{label}\n" for label in labels)


def maps_text(maps):
    """Returns the content of `attention.json`: {layer: {"queries": [height, width], "keys": ...}}.

    Rows of a map are the queries and columns the keys, both row by row.
    """
    return json.dumps(
        {name: {"queries": queries, "keys": keys} for name, (queries, keys) in maps.items()}
    )


def add_metadata(model, name, description, labels=None, maps=None):
    """Adds standard metadata to a TF Lite file.

    The metadata describe the first subgraph, which is all that the format has room for. The file
    ends in an uncompressed zip archive that holds the class names, one a line, as `labels.txt`:
    `zipfile.ZipFile(path).read("labels.txt")`, and where attention maps lie, as `attention.json`.
    Without classes there is no `labels.txt`.

    Args:
        model: The bytes of the file, smaller than 2 GB, without metadata.
        name: Name of the model.
        description: What the model does.
        labels: The name of each class in order; None without classes.
        maps: As of `keras_sagan.models.map_shapes`.

    Returns:
        The bytes of the file with metadata. It computes the same.

    Raises:
        ValueError: A label that is not one line of text.
    """
    for label in labels or ():
        if not label.strip() or label.splitlines() != [label]:
            raise ValueError(f"a class name must be one line of text, got {label!r}")
    tree = flatbuffer.read(model)
    inputs, outputs = _tensor_names(tree)
    metadata = _model_metadata(name, description, inputs, outputs, labels is not None)
    tree.metadata = [*(tree.metadata or []), schema.MetadataT("TFLITE_METADATA", len(tree.buffers))]
    tree.buffers = [*tree.buffers, schema.BufferT(np.frombuffer(metadata, np.uint8))]
    file = io.BytesIO(flatbuffer.write(tree))
    with zipfile.ZipFile(file, "a") as archive:  # stored, not deflated
        # A ZipInfo of a fixed date: the same model gives the same file.
        if labels is not None:
            archive.writestr(zipfile.ZipInfo(LABELS_FILE), labels_text(labels))
        archive.writestr(zipfile.ZipInfo(MAPS_FILE), maps_text(maps or {}))
    return file.getvalue()


def oldest_runtime(model):
    """Returns the oldest version of TensorFlow Lite that runs a file, as the converter wrote it.

    For the files of `python -m export` it was found to be true, by trying: see docs/devices.md.

    Args:
        model: The bytes of the file.
    """
    tree = flatbuffer.read(model)
    (entry,) = (entry for entry in tree.metadata if entry.name == b"min_runtime_version")
    return bytes(tree.buffers[entry.buffer].data).rstrip(b"\0").decode()


def _tensor_names(model):
    """Names of the inputs and outputs of the first subgraph, as its signature has them."""
    subgraph = model.subgraphs[0]
    names = {i: subgraph.tensors[i].name for i in (*subgraph.inputs, *subgraph.outputs)}
    for signature in model.signatureDefs or ():
        if signature.subgraphIndex == 0:
            names |= {x.tensorIndex: x.name for x in (*signature.inputs, *signature.outputs)}
    names = {i: name.decode() for i, name in names.items()}
    return [names[i] for i in subgraph.inputs], [names[i] for i in subgraph.outputs]


def _model_metadata(name, description, inputs, outputs, has_labels):
    """The bytes of a ModelMetadata."""
    builder = flatbuffers.Builder()

    def table(slots, offsets, enums=None):
        builder.StartObject(slots)
        for slot, offset in offsets.items():
            builder.PrependUOffsetTRelativeSlot(slot, offset, 0)
        for slot, value in (enums or {}).items():
            builder.PrependUint8Slot(slot, value, 0)
        return builder.EndObject()

    def vector(offsets):
        builder.StartVector(4, len(offsets), 4)
        for offset in reversed(offsets):
            builder.PrependUOffsetTRelative(offset)
        return builder.EndVector()

    def associated_file():
        texts = map(builder.CreateString, (LABELS_FILE, "The names of the classes."))
        return table(4, dict(enumerate(texts)), {2: _TENSOR_VALUE_LABELS})

    def tensor(name):
        is_image = name == "image"
        properties = table(2, {}, {0: _RGB}) if is_image else table(0, {})
        content = table(3, {1: properties}, {0: _IMAGE if is_image else _FEATURE})
        text = _DESCRIPTIONS.get(name, _MAP)
        fields = {0: builder.CreateString(name), 1: builder.CreateString(text), 3: content}
        if name == "label" and has_labels:
            fields[6] = vector([associated_file()])
        return table(7, fields)

    input_metadata, output_metadata = (vector([tensor(x) for x in y]) for y in (inputs, outputs))
    subgraph = table(7, {2: input_metadata, 3: output_metadata})
    fields = {
        0: builder.CreateString(name),
        1: builder.CreateString(description),
        3: vector([subgraph]),
        7: builder.CreateString("1.0.0"),  # the oldest parser that knows all of this
    }
    builder.Finish(table(8, fields), b"M001")
    return bytes(builder.Output())
