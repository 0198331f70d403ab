"""A server that keeps the rules of TensorFlow Serving, and what is to be served.

There is no TensorFlow Serving here, but a stub of it: its protocol buffers, URLs, JSON, messages
and what its session batching demands of a request, before the real SavedModel.
"""

import contextlib
import json
import re
import runpy
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
import tensorflow as tf
from generators import trained
from google.protobuf.json_format import MessageToDict
from PIL import Image
from programs import REPOSITORY
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

from keras_sagan.exporting import write_saved_model
from keras_sagan.exporting.warmup import write_warmup
from keras_sagan.sampling import sample

grpc = pytest.importorskip("grpc")
pytest.importorskip("tensorflow_serving")
from tensorflow_serving.apis import (  # noqa: E402
    get_model_metadata_pb2,
    predict_pb2,
    prediction_service_pb2_grpc,
)

SERVING = REPOSITORY / "export" / "serving"
CLIENT = runpy.run_path(str(SERVING / "client.py"))
MODELS = {"sagan": 3, "plain": None}  # number of classes


class Exported:
    """A small generator, and its SavedModel."""

    def __init__(self, folder, num_classes):
        self.num_classes = num_classes
        self.generator = trained("dcgan", num_classes)
        self.path = folder / "saved_model" / "1"
        write_saved_model(self.generator, str(self.path))
        self.warmup = write_warmup(self.path)
        (graph,) = SavedModel.FromString((self.path / "saved_model.pb").read_bytes()).meta_graphs
        self.definition = graph.signature_def
        self.signatures = tf.saved_model.load(str(self.path)).signatures

    def sample(self, seeds, label, truncation):
        labels = None if self.num_classes is None else [label] * len(seeds)
        return sample(self.generator, seeds, labels, truncation)

    def request(self, seeds, label, truncation):
        inputs = {
            "seed": np.array(seeds, np.int32),
            "label": np.full(len(seeds), label, np.int32),
            "truncation": np.full(len(seeds), truncation, np.float32),
        }
        return {name: inputs[name] for name in self.definition["sample"].inputs}


class Refusal(Exception):
    """What the server answers instead: the name of a gRPC status, and a message."""


class Served:
    """What both doors of the server share, with the messages of TensorFlow Serving."""

    def __init__(self, exported):
        self.exported = exported

    def model(self, name):
        if name == "slow":
            time.sleep(1)
        if name == "large":
            name = "plain"
        if name not in self.exported:
            raise Refusal("NOT_FOUND", f"Servable not found for request: Latest({name})")
        return self.exported[name]

    def metadata(self, name):
        signatures = {} if name == "other" else self.model(name).definition
        return get_model_metadata_pb2.SignatureDefMap(signature_def=signatures)

    def predict(self, name, signature, inputs):
        """Runs a signature on arrays, as session batching does with `batching.config`."""
        model = self.model(name)
        if signature not in model.definition:
            message = f'Serving signature key "{signature}" not found.'
            raise Refusal("FAILED_PRECONDITION", message)
        expected = model.definition[signature].inputs
        if inputs.keys() != set(expected):
            message = f"input size does not match signature: {len(inputs)}!={len(expected)}"
            raise Refusal("INVALID_ARGUMENT", message)
        if not all(value.ndim for value in inputs.values()):
            message = "Batching Run() input tensors must have at least one dimension"
            raise Refusal("INVALID_ARGUMENT", message)
        sizes = {len(value) for value in inputs.values()}
        if len(sizes) > 1:
            message = "Batching Run() input tensors must have equal 0th-dimension size"
            raise Refusal("INVALID_ARGUMENT", message)
        if max(sizes) > 8:
            raise Refusal("INVALID_ARGUMENT", "Task size is larger than maximum input batch size 8")
        try:
            tensors = {name: tf.constant(value) for name, value in inputs.items()}
            outputs = model.signatures[signature](**tensors)
        except tf.errors.InvalidArgumentError as error:
            raise Refusal("INVALID_ARGUMENT", error.message) from error
        return {name: value.numpy() for name, value in outputs.items()}


class Grpc(prediction_service_pb2_grpc.PredictionServiceServicer):
    def __init__(self, served):
        self.served = served

    def Predict(self, request, context):
        inputs = {name: tf.make_ndarray(value) for name, value in request.inputs.items()}
        spec = request.model_spec
        try:
            outputs = self.served.predict(spec.name, spec.signature_name, inputs)
        except Refusal as refusal:
            context.abort(getattr(grpc.StatusCode, refusal.args[0]), refusal.args[1])
        response = predict_pb2.PredictResponse(model_spec=spec)
        for name, value in outputs.items():
            tensor = response.outputs[name]
            tensor.dtype = tf.as_dtype(value.dtype).as_datatype_enum
            tensor.tensor_shape.CopyFrom(tf.TensorShape(value.shape).as_proto())
            values = tensor.int_val if value.dtype == np.uint8 else tensor.float_val
            values.extend(value.ravel().tolist())  # TensorFlow Serving's default form
        if spec.name == "large":  # as pictures of 512 x 512 are
            response.outputs["more"].tensor_content = bytes(5 * 2**20)
        return response

    def GetModelMetadata(self, request, context):
        if list(request.metadata_field) != ["signature_def"]:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "Metadata field is not supported")
        response = get_model_metadata_pb2.GetModelMetadataResponse(model_spec=request.model_spec)
        try:
            signatures = self.served.metadata(request.model_spec.name)
        except Refusal as refusal:
            context.abort(getattr(grpc.StatusCode, refusal.args[0]), refusal.args[1])
        response.metadata["signature_def"].Pack(signatures)
        return response


class Rest(BaseHTTPRequestHandler):
    CODES = {"NOT_FOUND": 404, "INVALID_ARGUMENT": 400, "FAILED_PRECONDITION": 400}

    def do_GET(self):
        path = re.fullmatch(r"/v1/models/([^/:]+)(/metadata)?", self.path)
        if path is None:  # outside the API there is a page, not JSON
            self.reply(404, b"<HTML>Not Found</HTML>")
        elif path[2]:
            self.answer(lambda: self.metadata(path[1]))
        else:
            self.answer(lambda: self.status(path[1]))

    def do_POST(self):
        path = re.fullmatch(r"/v1/models/([^/:]+):predict", self.path)
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.answer(lambda: self.predict(path[1], **body))

    def status(self, name):
        self.server.served.model(name)
        state, code = ("AVAILABLE", "OK") if name == "sagan" else ("END", "UNAVAILABLE")
        status = {"error_code": code, "error_message": ""}
        return {"model_version_status": [{"version": "1", "state": state, "status": status}]}

    def metadata(self, name):
        signatures = MessageToDict(
            self.server.served.metadata(name),
            preserving_proto_field_name=True,
            always_print_fields_with_no_presence=True,
        )
        return {"model_spec": {"name": name}, "metadata": {"signature_def": signatures}}

    def predict(self, name, inputs, signature_name="serving_default"):
        definition = self.server.served.model(name).definition[signature_name].inputs
        arrays = {
            key: np.array(value, tf.as_dtype(definition[key].dtype).as_numpy_dtype)
            for key, value in inputs.items()
        }
        outputs = self.server.served.predict(name, signature_name, arrays)
        outputs = {name: value.tolist() for name, value in outputs.items()}
        # A single output goes without its name.
        return {"outputs": outputs if len(outputs) > 1 else next(iter(outputs.values()))}

    def answer(self, function):
        try:
            code, answer = 200, function()
        except Refusal as refusal:
            code, answer = self.CODES[refusal.args[0]], {"error": refusal.args[1]}
        self.reply(code, json.dumps(answer, indent=1).encode())

    def reply(self, code, body):
        self.send_response(code)
        self.end_headers()
        with contextlib.suppress(OSError):  # the client may have gone, when it times out
            self.wfile.write(body)

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def serve(exported):
    """Serves models; gives their URLs by protocol."""
    served = Served(exported)
    rest = ThreadingHTTPServer(("localhost", 0), Rest)
    rest.served = served
    threading.Thread(target=rest.serve_forever, daemon=True).start()
    server = grpc.server(ThreadPoolExecutor(4))
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(Grpc(served), server)
    port = server.add_insecure_port("localhost:0")
    server.start()
    try:
        yield {"http": f"http://localhost:{rest.server_port}", "grpc": f"grpc://localhost:{port}"}
    finally:
        rest.shutdown()
        rest.server_close()
        server.stop(None)


def call(capsys, *arguments):
    """Runs the client; returns its exit code and what it printed."""
    try:
        code = CLIENT["main"]([str(argument) for argument in arguments])
    except SystemExit as exit:
        code = exit.code
    return code, *capsys.readouterr()


def read_png(path, size=32):
    """The pictures of a sheet (n, size, size, 3), row by row."""
    page = np.asarray(Image.open(path))
    rows, columns = page.shape[0] // size, page.shape[1] // size
    tiles = page.reshape(rows, size, columns, size, 3).swapaxes(1, 2)
    return tiles.reshape(-1, size, size, 3)


def check_refused(outcome, out, *phrases):
    """One line that says so, exit code 2, and the file that was there is still there."""
    code, printed, message = outcome
    assert (code, printed) == (2, "")
    assert message.startswith("error: ") and message.count("\n") == 1, message
    for phrase in phrases:
        assert phrase in message, message
    assert out.read_bytes() == b"as before"
