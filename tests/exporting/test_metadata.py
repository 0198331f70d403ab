import json
import struct
import zipfile

import numpy as np
import pytest
from generators import tiny

from keras_sagan.exporting import convert_to_tflite
from keras_sagan.exporting.metadata import add_metadata

litert = pytest.importorskip("ai_edge_litert.interpreter")

LABELS = ["cat", "Dogge, groß", "0"]
VALUE_LABELS = 3  # TENSOR_VALUE_LABELS of the enum AssociatedFileType


class Table:
    """Reads a table of a flatbuffer by the format's rules alone, slot by slot."""

    def __init__(self, data, position):
        self.data, self.position = data, position

    @classmethod
    def root(cls, data):
        return cls(data, struct.unpack_from("<I", data)[0])

    def field(self, slot):
        """Position of a field, or None where it has its default."""
        vtable = self.position - struct.unpack_from("<i", self.data, self.position)[0]
        if 4 + 2 * slot >= struct.unpack_from("<H", self.data, vtable)[0]:
            return None
        offset = struct.unpack_from("<H", self.data, vtable + 4 + 2 * slot)[0]
        return self.position + offset if offset else None

    def number(self, slot, form="<I"):
        field = self.field(slot)
        return 0 if field is None else struct.unpack_from(form, self.data, field)[0]

    def vector(self, slot):
        """Position and length of a vector or string; its length is 0 where there is none."""
        field = self.field(slot)
        if field is None:
            return None, 0
        position = field + struct.unpack_from("<I", self.data, field)[0]
        return position + 4, struct.unpack_from("<I", self.data, position)[0]

    def bytes(self, slot):
        start, length = self.vector(slot)
        return b"" if start is None else bytes(self.data[start : start + length])

    def text(self, slot):
        return self.bytes(slot).decode()

    def tables(self, slot):
        start, length = self.vector(slot)
        positions = [start + 4 * i for i in range(length)]
        return [Table(self.data, p + struct.unpack_from("<I", self.data, p)[0]) for p in positions]


def metadata_of(model):
    """The bytes of the ModelMetadata that the entry TFLITE_METADATA of a file points to."""
    root = Table.root(model)
    (entry,) = (entry for entry in root.tables(6) if entry.text(0) == "TFLITE_METADATA")
    return root.tables(4)[entry.number(1)].bytes(0)


@pytest.fixture(scope="module")
def converted():
    return {n: convert_to_tflite(tiny(n))[0] for n in (3, None)}


@pytest.fixture
def model(converted):
    return add_metadata(
        converted[3], "Käfer", "Draws beetles.", LABELS, {"attention16": ((16, 16), (8, 4))}
    )


def names_by_litert(model):
    """Names of the inputs and outputs of the file's first subgraph, by LiteRT."""
    interpreter = litert.Interpreter(model_content=model)
    details = interpreter.get_input_details(), interpreter.get_output_details()
    for signature in interpreter.get_signature_list():
        call = interpreter.get_signature_runner(signature)
        named = {**call.get_input_details(), **call.get_output_details()}
        if details[0][0]["name"] in {detail["name"] for detail in named.values()}:
            both = call.get_input_details(), call.get_output_details()
            return [
                [next(n for n, x in names.items() if x["index"] == y["index"]) for y in tensors]
                for names, tensors in zip(both, details, strict=True)
            ]
    raise AssertionError("no signature has these inputs")


def test_metadata_describe_the_first_subgraph(model):
    data = metadata_of(model)
    assert data[4:8] == b"M001"
    metadata = Table.root(data)
    assert (metadata.text(0), metadata.text(1)) == ("Käfer", "Draws beetles.")
    assert metadata.text(7) == "1.0.0"  # min_parser_version
    (subgraph,) = metadata.tables(3)
    inputs, outputs = names_by_litert(model)
    assert sorted(inputs) != inputs  # so that another order would be noticed
    assert [tensor.text(0) for tensor in subgraph.tables(2)] == inputs
    assert [tensor.text(0) for tensor in subgraph.tables(3)] == outputs
    for tensor in subgraph.tables(2) + subgraph.tables(3):
        assert len(tensor.text(1)) > 20  # a description
        content = Table(data, tensor.field(3) + struct.unpack_from("<I", data, tensor.field(3))[0])
        is_image = tensor.text(0) == "image"
        assert content.number(0, "<B") == (2 if is_image else 1)  # ImageProperties, Feature...
        properties = content.field(1) + struct.unpack_from("<I", data, content.field(1))[0]
        assert Table(data, properties).number(0, "<B") == is_image  # RGB is 1


def test_class_names_are_packed_and_belong_to_the_label(model, tmp_path):
    (tmp_path / "g.tflite").write_bytes(model)
    with zipfile.ZipFile(tmp_path / "g.tflite") as archive:
        for info in archive.infolist():
            assert info.compress_type == zipfile.ZIP_STORED
            assert info.date_time == (1980, 1, 1, 0, 0, 0)  # the same model gives the same file
        assert archive.namelist() == ["labels.txt", "attention.json"]
        assert archive.read("labels.txt").decode().splitlines() == LABELS
        maps = {"attention16": {"queries": [16, 16], "keys": [8, 4]}}
        assert json.loads(archive.read("attention.json")) == maps
        assert archive.testzip() is None
    (subgraph,) = Table.root(metadata_of(model)).tables(3)
    tensors = subgraph.tables(2) + subgraph.tables(3)
    files = {tensor.text(0): tensor.tables(6) for tensor in tensors if tensor.tables(6)}
    assert files.keys() == {"label"}
    (file,) = files["label"]
    assert file.text(0) == "labels.txt" and file.number(2, "<B") == VALUE_LABELS


@pytest.mark.parametrize("num_classes", [None, 3])
def test_without_class_names_there_is_no_labels_txt(num_classes, converted, tmp_path):
    model = add_metadata(converted[num_classes], "generator", "Draws.")
    (subgraph,) = Table.root(metadata_of(model)).tables(3)
    inputs = {"seed", "truncation"} | ({"label"} if num_classes else set())
    assert {tensor.text(0) for tensor in subgraph.tables(2)} == inputs
    assert not any(tensor.tables(6) for tensor in subgraph.tables(2))
    (tmp_path / "g.tflite").write_bytes(model)
    assert zipfile.ZipFile(tmp_path / "g.tflite").namelist() == ["attention.json"]
    for path, data in (("cut", model[:-1]), ("bare", converted[num_classes])):
        (tmp_path / path).write_bytes(data)
        assert not zipfile.is_zipfile(tmp_path / path)


def test_buffers_are_aligned_and_the_same(converted, model):
    """To 16 bytes, which the schema of TF Lite demands and LiteRT's kernels may count on."""
    before, after = (Table.root(data).tables(4) for data in (converted[3], model))
    assert len(after) == len(before) + 1 > 20
    for old, new in zip(before, after, strict=False):
        assert old.bytes(0) == new.bytes(0)
    starts = [buffer.vector(0)[0] for buffer in after]
    assert {start % 16 for start in starts if start is not None} == {0}


def test_litert_computes_the_same(converted, model):
    rng = np.random.default_rng(0)
    by_seed = {"seed": np.int32([7]), "truncation": np.float32([0.8])}
    requests = {
        "generate": {"latent": rng.normal(size=(1, 8)).astype(np.float32)},
        "sample": by_seed,
        "attend": by_seed,
        "latents": by_seed,
    }
    interpreters = [litert.Interpreter(model_content=data) for data in (converted[3], model)]
    assert interpreters[1].get_signature_list() == interpreters[0].get_signature_list()
    assert interpreters[1].get_signature_list().keys() == requests.keys()
    for signature, request in requests.items():
        for label in range(3):
            labels = {} if signature == "latents" else {"label": np.int32([label])}
            before, after = (
                interpreter.get_signature_runner(signature)(**labels, **request)
                for interpreter in interpreters
            )
            assert before.keys() == after.keys()
            for name in before:
                assert before[name].std() > 0
                np.testing.assert_array_equal(after[name], before[name])


@pytest.mark.parametrize("label", ["", " ", "two\nlines", "two\u2028lines", "cat\n"])
def test_class_names_that_are_not_one_line_are_refused(converted, label):
    with pytest.raises(ValueError, match="one line of text"):
        add_metadata(converted[3], "generator", "Draws.", ["cat", label, "eel"])
