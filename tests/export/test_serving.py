"""The SavedModel as a server runs it, and the client against a server that keeps its rules.

There is no TensorFlow Serving here, but a stub of it: its protocol buffers, URLs, JSON, messages
and what its session batching demands of a request, before the real SavedModel.
"""

import contextlib
import json
import re
import runpy
import shutil
import socket
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
import tensorflow as tf
import yaml
from generators import check_same_pictures, trained
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format
from google.protobuf.json_format import MessageToDict
from PIL import Image
from programs import REPOSITORY, run
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

from keras_sagan.exporting import write_saved_model
from keras_sagan.exporting.warmup import BATCH_SIZES, write_warmup
from keras_sagan.sampling import sample

grpc = pytest.importorskip("grpc")
pytest.importorskip("tensorflow_serving")
pytestmark = pytest.mark.xdist_group("serving")  # what is made once
from tensorflow_serving.apis import (  # noqa: E402
    get_model_metadata_pb2,
    predict_pb2,
    prediction_log_pb2,
    prediction_service_pb2_grpc,
)
from tensorflow_serving.config import model_server_config_pb2  # noqa: E402

SERVING = REPOSITORY / "export" / "serving"
CLIENT = runpy.run_path(str(SERVING / "client.py"))
MODELS = {"sagan": 3, "plain": None}  # number of classes

# The start of a program that cannot import some packages: Python stops at None.
REFUSE = "import runpy, sys; sys.modules.update(dict.fromkeys({}))\n"
WITHOUT_KERAS = REFUSE.format(("keras", "keras_sagan"))
WITHOUT_TENSORFLOW = REFUSE.format(("tensorflow", "tensorflow_serving", "grpc", "keras_sagan"))
LOAD = """
import numpy as np, tensorflow as tf
path, inputs, out = sys.argv[1:]
call = tf.saved_model.load(path).signatures["sample"]
image = call(**{name: tf.constant(value) for name, value in np.load(inputs).items()})["image"]
np.save(out, image.numpy())
"""
SAVED_MODEL_CLI = """
from tensorflow.python.tools.saved_model_cli import main
main()
"""


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


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    return {name: Exported(tmp_path_factory.mktemp(name), MODELS[name]) for name in MODELS}


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


@pytest.fixture(scope="module")
def servers(exported):
    """URLs of the same models, by protocol."""
    served = Served(exported)
    rest = ThreadingHTTPServer(("localhost", 0), Rest)
    rest.served = served
    threading.Thread(target=rest.serve_forever, daemon=True).start()
    server = grpc.server(ThreadPoolExecutor(4))
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(Grpc(served), server)
    port = server.add_insecure_port("localhost:0")
    server.start()
    yield {"http": f"http://localhost:{rest.server_port}", "grpc": f"grpc://localhost:{port}"}
    rest.shutdown()
    rest.server_close()
    server.stop(None)


@pytest.fixture
def closed_port():
    """A port on which nobody listens."""
    with socket.socket() as taken:
        taken.bind(("localhost", 0))
        yield taken.getsockname()[1]


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


@pytest.mark.parametrize(("way", "name"), [("load", "plain"), ("saved_model_cli", "sagan")])
def test_the_saved_model_needs_no_keras(way, name, exported, tmp_path):
    model = exported[name]
    request = model.request([0, 7, 2**31 - 1], 2, 0.8)
    inputs = tmp_path / "inputs.npz"
    np.savez(inputs, **request)
    if way == "load":
        code = WITHOUT_KERAS + LOAD
        arguments = [model.path, inputs, tmp_path / "image.npy"]
    else:  # in a session, as TensorFlow Serving runs it
        code = WITHOUT_KERAS + SAVED_MODEL_CLI
        arguments = ["run", "--dir", model.path, "--tag_set", "serve", "--signature_def", "sample"]
        arguments += ["--inputs", ";".join(f"{key}={inputs}[{key}]" for key in request)]
        arguments += ["--outdir", tmp_path]
    process = run("-c", code, *arguments)
    assert process.returncode == 0, process.stderr
    expected = model.sample([0, 7, 2**31 - 1], 2, 0.8)
    assert expected.std() > 5  # they are not grey
    check_same_pictures(np.load(tmp_path / "image.npy"), expected)


@pytest.mark.parametrize("name", MODELS)
def test_warmup_requests_draw_pictures(name, exported):
    """Replayed on a server that loads no model if it refuses one of them."""
    model, seen = exported[name], []
    expected = model.sample(range(max(BATCH_SIZES)), 0, 1.0)
    assert model.warmup == model.path / "assets.extra" / "tf_serving_warmup_requests"
    for record in tf.data.TFRecordDataset(str(model.warmup)):
        log = prediction_log_pb2.PredictionLog.FromString(record.numpy())
        assert log.WhichOneof("log_type") == "predict_log"
        request = log.predict_log.request
        assert request.model_spec.name == "sagan"
        signature = request.model_spec.signature_name
        inputs = {key: tf.make_ndarray(value) for key, value in request.inputs.items()}
        size = len(next(iter(inputs.values())))
        seen.append((signature, size))
        image = Served(exported).predict(name, signature, inputs)["image"]
        if signature == "generate":
            of_keras = model.generator(inputs, training=False)
            np.testing.assert_allclose(image, of_keras, atol=1e-4)  # a grey level is 8e-3
        else:
            check_same_pictures(image, expected[:size])
    signatures = ["attend", "generate", "sample", "serving_default"]
    assert sorted(seen) == [(key, size) for key in signatures for size in BATCH_SIZES]


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_the_client_draws_the_pictures_of_sample(
    protocol, name, exported, servers, capsys, tmp_path
):
    label = [] if name == "plain" else ["--label", 2]
    options = ["--seed", 7, "--truncation", 0.8, "--count", 10, *label]
    out = tmp_path / "x.png"
    url = servers[protocol]
    assert call(capsys, "--url", url, "--model", name, *options, "--out", out)[:2] == (
        0,
        f"{out}\n",
    )
    images = read_png(out)
    check_same_pictures(images[:10], exported[name].sample(range(7, 17), 2, 0.8))
    assert (images[10:] == 255).all()


def test_one_picture_is_a_sheet_of_one(exported, servers, capsys, tmp_path):
    out = tmp_path / "x.png"
    assert call(capsys, "--url", servers["http"], "--label", 1, "--out", out)[0] == 0
    check_same_pictures(np.asarray(Image.open(out)), exported["sagan"].sample([0], 1, 1.0)[0])


def test_a_large_answer_arrives_over_grpc(exported, servers, capsys, tmp_path):
    out = tmp_path / "x.png"
    outcome = call(capsys, "--url", servers["grpc"], "--model", "large", "--out", out)
    assert outcome == (0, f"{out}\n", "")
    check_same_pictures(read_png(out), exported["plain"].sample([0], None, 1.0))


def test_the_rest_client_needs_no_tensorflow(exported, servers, tmp_path):
    code = WITHOUT_TENSORFLOW + 'runpy.run_module("export.serving.client", run_name="__main__")'
    out = tmp_path / "x.png"
    options = ["--label", 1, "--out", out]
    process = run("-c", code, "--url", servers["http"], *options)
    assert (process.returncode, process.stderr) == (0, "")
    check_same_pictures(read_png(out), exported["sagan"].sample([0], 1, 1.0))
    process = run("-c", code, "--url", servers["grpc"], *options)
    assert process.returncode == 2
    assert "pip install tensorflow-serving-api" in process.stderr


def test_the_grpc_client_without_a_server_ends_in_one_line(closed_port, tmp_path):
    url = f"grpc://localhost:{closed_port}"
    process = run("-m", "export.serving.client", "--url", url, "--out", tmp_path / "x.png")
    assert process.returncode == 2 and "Traceback" not in process.stderr
    # What stands before it is TensorFlow's own: its first lines cannot be turned off.
    line = process.stderr.splitlines()[-1]
    assert line.startswith(f"error: model sagan at {url}: the server says (UNAVAILABLE)")


def check_refused(outcome, out, *phrases):
    """One line that says so, exit code 2, and the file that was there is still there."""
    code, printed, message = outcome
    assert (code, printed) == (2, "")
    assert message.startswith("error: ") and message.count("\n") == 1, message
    for phrase in phrases:
        assert phrase in message
    assert out.read_bytes() == b"as before"


@pytest.fixture
def out(tmp_path):
    path = tmp_path / "x.png"
    path.write_bytes(b"as before")
    return path


@pytest.mark.parametrize(
    ("arguments", "phrases"),
    [
        (
            ["--label", 3],
            ["model sagan at ", "--label 3: ", "INVALID_ARGUMENT 400", "indices[0] = 3 ", "[0, 3)"],
        ),
        ([], ["it has classes: give --label"]),
        (["--model", "plain", "--label", 0], ["--label 0: it has no classes: leave out --label"]),
        (["--model", "nobody"], ["model nobody", "Latest(nobody)", "NOT_FOUND 404", "--model is"]),
        (["--model", "other"], ["it has no signature sample"]),
        (["--model", "slow", "--timeout", "0.2"], ["no answer within --timeout 0.2 seconds"]),
    ],
)
@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_what_a_server_refuses_is_one_line(protocol, arguments, phrases, servers, capsys, out):
    outcome = call(capsys, "--url", servers[protocol], *arguments, "--out", out)
    by_protocol = {"INVALID_ARGUMENT 400": ("400", "INVALID_ARGUMENT")}
    by_protocol["NOT_FOUND 404"] = ("404", "NOT_FOUND")
    phrases = [by_protocol.get(x, (x, x))[protocol == "grpc"] for x in phrases]
    check_refused(outcome, out, *phrases)


def test_somebody_else_at_the_url_is_one_line(servers, closed_port, capsys, out):
    crossed = servers["http"].replace("http", "grpc"), servers["grpc"].replace("grpc", "http")
    for url, *phrases in (
        (f"http://localhost:{closed_port}", "refused", "compose.yaml has it at 8501"),
        (f"grpc://localhost:{closed_port}", "refused", "compose.yaml has gRPC at 8500"),
        (crossed[0], "UNAVAILABLE", "compose.yaml has gRPC at 8500"),
        (crossed[1], "compose.yaml has it at 8501"),
        (f"{servers['http']}/elsewhere", "404", "Not Found"),
        ("http://localhost:port", "nonnumeric port"),
        ("http://[::1", "Invalid IPv6 URL"),
    ):
        check_refused(call(capsys, "--url", url, "--out", out), out, url, *phrases)


@pytest.mark.parametrize(
    ("arguments", "phrases"),
    [
        (["--url", "localhost:8501"], ["--url localhost:8501", "http://HOST:PORT"]),
        (["--url", "ftp://localhost"], ["--url ftp://localhost", "grpc://HOST:PORT"]),
        (["--url", "http://"], ["--url http://:"]),
        (["--seed", "-1"], ["--seed: -1 is not a whole number from 0 to 2147483647"]),
        (["--seed", "2147483648"], ["--seed: 2147483648 is not"]),
        (["--seed", "seven"], ["--seed: seven is not"]),
        (["--seed", "2147483647", "--count", "2"], ["--count 2: seeds end at 2147483647"]),
        (["--label", "-1"], ["--label: -1 is not"]),
        (["--count", "0"], ["--count: 0 is not a whole number from 1"]),
        (["--truncation", "nan"], ["--truncation: nan is not a finite number"]),
        (["--truncation", "inf"], ["--truncation: inf is not a finite number"]),
        (["--truncation", "1e39"], ["--truncation: 1e39 is not"]),  # infinite in float32
        (["--timeout", "0"], ["--timeout: 0 is not"]),
        (["--out", "x.jpg"], ["--out x.jpg: name a file that ends in .png"]),
        (["--out", "nowhere/x.png"], ["--out nowhere/x.png: there is no folder nowhere"]),
        (["--shape", "3"], ["--shape"]),
    ],
)
def test_arguments_that_cannot_be_right_are_one_line(arguments, phrases, capsys, out):
    """And no server is asked: there is none."""
    check_refused(call(capsys, "--out", out, *arguments), out, *phrases)


def test_a_picture_that_cannot_be_written_is_one_line(servers, capsys, out, tmp_path):
    (tmp_path / "folder.png").mkdir()
    options = ["--url", servers["http"], "--label", 0, "--out", tmp_path / "folder.png"]
    check_refused(call(capsys, *options), out, "folder.png: Is a directory")


def batching_parameters():
    """The message of batching.config, which tensorflow-serving-api leaves out."""
    file = descriptor_pb2.FileDescriptorProto(
        name="batching_parameters.proto",
        syntax="proto3",
        dependency=["google/protobuf/wrappers.proto"],
    )
    message = file.message_type.add(name="BatchingParameters")
    names = "max_batch_size", "batch_timeout_micros", "max_enqueued_batches", "num_batch_threads"
    for number, name in enumerate(names, 1):
        kind = {"type": "TYPE_MESSAGE", "type_name": ".google.protobuf.Int64Value"}
        message.field.add(name=name, number=number, label="LABEL_OPTIONAL", **kind)
    message.field.add(
        name="allowed_batch_sizes", number=6, label="LABEL_REPEATED", type="TYPE_INT64"
    )
    pool = descriptor_pool.Default()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("BatchingParameters"))()


def test_batching_allows_what_the_warmup_and_the_client_send():
    text = (SERVING / "batching.config").read_text()
    config = text_format.Parse(text, batching_parameters())
    assert tuple(config.allowed_batch_sizes) == BATCH_SIZES == tuple(sorted(BATCH_SIZES))
    # The server demands the first of these, and else loads no model.
    assert config.max_batch_size.value == BATCH_SIZES[-1] == CLIENT["PER_REQUEST"]
    assert config.num_batch_threads.value >= 1 and config.max_enqueued_batches.value >= 1


def test_compose_mounts_what_the_configuration_names():
    text = (SERVING / "models.config").read_text()
    config = text_format.Parse(text, model_server_config_pb2.ModelServerConfig())
    (model,) = config.model_config_list.config
    assert (model.name, model.model_platform) == ("sagan", "tensorflow")
    assert model.model_version_policy.latest.num_versions == 1

    service = yaml.safe_load((SERVING / "compose.yaml").read_text())["services"]["serving"]
    assert re.fullmatch(r"tensorflow/serving:2\.\d+\.\d+", service["image"])
    assert [port.partition(":")[2] for port in service["ports"]] == ["8500", "8501"]
    assert all(volume["read_only"] for volume in service["volumes"])
    sources = {volume["target"]: volume["source"] for volume in service["volumes"]}
    assert re.fullmatch(r"\$\{EXPORT:\?[^}]+\}/saved_model", sources[model.base_path])
    flags = dict(flag.removeprefix("--").split("=") for flag in service["command"])
    assert flags.pop("enable_batching") == "true"
    assert flags.keys() == {"model_config_file", "batching_parameters_file"}
    for path in flags.values():
        folder, name = path.rsplit("/", 1)
        assert sources[folder] == "." and (SERVING / name).is_file()


@pytest.mark.skipif(shutil.which("bash") is None, reason="the image has bash")
def test_the_health_check_tells_whether_the_model_is_there(servers, closed_port):
    service = yaml.safe_load((SERVING / "compose.yaml").read_text())["services"]["serving"]
    kind, *command = service["healthcheck"]["test"]
    assert kind == "CMD" and "$" not in command[-1]  # which compose would replace
    port = servers["http"].rpartition(":")[2]

    def healthy(old, new):
        script = command[-1].replace("8501", port).replace(old, new)
        return subprocess.run([*command[:-1], script], capture_output=True).returncode == 0

    assert healthy("", "")
    assert not healthy("models/sagan", "models/plain")  # which could not be loaded
    assert not healthy("models/sagan", "models/nobody")
    assert not healthy(port, str(closed_port))
