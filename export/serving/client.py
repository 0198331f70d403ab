"""Draws pictures with a generator that TensorFlow Serving serves.

    python -m export.serving.client --url http://localhost:8501 --seed 7 --label 3 --out x.png

REST (http:// and https://) needs NumPy and Pillow; gRPC (grpc://) tensorflow-serving-api too.
"""

import argparse
import http.client
import json
import os
import sys
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import numpy as np
from PIL import Image

LARGEST_SEED = 2**31 - 1
PER_REQUEST = 8  # pictures; no more than max_batch_size in batching.config
COLUMNS = 8  # of the sheet
UNKNOWN_MODEL = "; --model is the name in the server's models.config"


class ClientError(Exception):
    """A line for the person at the terminal."""


class Rest:
    """A model over REST: https://www.tensorflow.org/tfx/serving/api_rest."""

    def __init__(self, url, model, timeout):
        self.url = f"{url.rstrip('/')}/v1/models/{urllib.parse.quote(model, safe='')}"
        self.timeout = timeout

    def input_names(self):
        """Returns the names of what the signature `sample` takes."""
        signatures = self._ask("/metadata")["metadata"]["signature_def"]["signature_def"]
        return set(signatures["sample"]["inputs"])

    def sample(self, inputs):
        """Returns uint8 pictures for arrays of one value a picture."""
        lists = {name: values.tolist() for name, values in inputs.items()}
        body = json.dumps({"signature_name": "sample", "inputs": lists}).encode()
        try:
            return np.array(self._ask(":predict", body)["outputs"], np.uint8)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise ClientError(f"the server's answer holds no pictures: {error}") from error

    def _ask(self, method, body=None):
        headers = {"Content-Type": "application/json"}
        try:
            request = urllib.request.Request(self.url + method, body, headers)
            with urllib.request.urlopen(request, timeout=self.timeout) as response:
                return json.load(response)
        except urllib.error.HTTPError as error:
            try:
                text = json.load(error)["error"]
            except (ValueError, KeyError, TypeError):
                text = error.reason  # the page of some other server
            hint = UNKNOWN_MODEL if error.code == 404 else ""
            raise ClientError(f"the server says ({error.code}): {text}{hint}") from error
        except TimeoutError as error:
            raise ClientError(f"no answer within --timeout {self.timeout:g} seconds") from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            # Nobody there, or somebody who does not speak HTTP or JSON.
            text = getattr(error, "reason", error)
            raise ClientError(f"no REST server: {text}; compose.yaml has it at 8501") from error


class Grpc:
    """A model over gRPC, with the same two methods."""

    def __init__(self, url, model, timeout):
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
        try:
            import grpc
            from tensorflow_serving.apis.prediction_service_pb2_grpc import PredictionServiceStub
        except ImportError as error:
            raise ClientError("grpc:// needs pip install tensorflow-serving-api") from error
        # Unless told, gRPC takes 4 MiB, which eight pictures of 512 x 512 exceed.
        options = [("grpc.max_receive_message_length", -1)]
        channel = grpc.insecure_channel(url.removeprefix("grpc://").rstrip("/"), options)
        self.stub = PredictionServiceStub(channel)
        self.model, self.timeout = model, timeout

    def input_names(self):
        """Returns the names of what the signature `sample` takes."""
        from tensorflow_serving.apis.get_model_metadata_pb2 import (
            GetModelMetadataRequest,
            SignatureDefMap,
        )

        request = GetModelMetadataRequest(metadata_field=["signature_def"])
        metadata = self._ask(self.stub.GetModelMetadata, request).metadata
        signatures = SignatureDefMap.FromString(metadata["signature_def"].value)
        return set(dict(signatures.signature_def)["sample"].inputs)

    def sample(self, inputs):
        """Returns uint8 pictures for arrays of one value a picture."""
        import tensorflow as tf
        from tensorflow_serving.apis.predict_pb2 import PredictRequest

        request = PredictRequest()
        request.model_spec.signature_name = "sample"
        for name, values in inputs.items():
            request.inputs[name].CopyFrom(tf.make_tensor_proto(values))
        return tf.make_ndarray(self._ask(self.stub.Predict, request).outputs["image"])

    def _ask(self, method, request):
        import grpc

        request.model_spec.name = self.model
        try:
            return method(request, timeout=self.timeout)
        except grpc.RpcError as error:
            if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
                text = f"no answer within --timeout {self.timeout:g} seconds"
            else:
                text = f"the server says ({error.code().name}): {error.details()}"
            if error.code() is grpc.StatusCode.NOT_FOUND:
                text += UNKNOWN_MODEL
            if error.code() is grpc.StatusCode.UNAVAILABLE:
                text += "; compose.yaml has gRPC at 8500"
            raise ClientError(text) from error


def draw(server, seed, label, truncation, count):
    """Returns pictures (count, height, width, 3) uint8, of the seeds from `seed` on."""
    try:
        has_classes = "label" in server.input_names()
    except (KeyError, TypeError) as error:
        raise ClientError("it has no signature sample; python -m export writes one") from error
    if has_classes and label is None:
        raise ClientError("it has classes: give --label, from 0 on")
    if label is not None and not has_classes:
        raise ClientError("it has no classes: leave out --label")
    images = []
    for first in range(seed, seed + count, PER_REQUEST):
        seeds = np.arange(first, min(first + PER_REQUEST, seed + count), dtype=np.int32)
        # One value a picture of everything, or a server that batches refuses the request.
        inputs = {"seed": seeds, "truncation": np.full(len(seeds), truncation, np.float32)}
        if has_classes:
            inputs["label"] = np.full(len(seeds), label, np.int32)
        images.append(server.sample(inputs))
    return np.concatenate(images)


def sheet(images):
    """Lays pictures out in rows, as a PIL image."""
    count, height, width, _ = images.shape
    columns = min(count, COLUMNS)
    page = np.full((-(-count // columns) * height, columns * width, 3), 255, np.uint8)
    for i, image in enumerate(images):
        top, left = i // columns * height, i % columns * width
        page[top : top + height, left : left + width] = image
    return Image.fromarray(page)


def number(kind, low, high, text):
    """Returns what turns an argument into a number, for argparse."""

    def parse(argument):
        try:
            value = kind(argument)
        except ValueError:
            value = float("nan")
        if not low <= value <= high:  # nor is nan
            raise argparse.ArgumentTypeError(f"{argument} is not {text}")
        return value

    return parse


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message):
        self.exit(2, f"error: {message}\n")


def parse(arguments):
    """Returns the options; what cannot be right ends the program."""
    integer = f"a whole number from 0 to {LARGEST_SEED}"
    largest = float(np.finfo(np.float32).max)
    parser = Parser(prog="python -m export.serving.client", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--url",
        default="http://localhost:8501",
        help="the server: http://HOST:PORT (REST; the default is %(default)s) or grpc://HOST:PORT",
    )
    parser.add_argument("--model", default="sagan", help="its name there (%(default)s)")
    parser.add_argument(
        "--seed",
        type=number(int, 0, LARGEST_SEED, integer),
        default=0,
        help="seed of the first picture (%(default)s); the others count on from there",
    )
    parser.add_argument(
        "--label", type=number(int, 0, LARGEST_SEED, integer), help="class, if there are classes"
    )
    parser.add_argument(
        "--truncation",
        type=number(float, -largest, largest, "a finite number"),
        default=1.0,
        help="factor of the latents; 1 is as trained, smaller is safer and more alike",
    )
    parser.add_argument(
        "--count",
        type=number(int, 1, LARGEST_SEED, "a whole number from 1 on"),
        default=1,
        help="number of pictures (%(default)s)",
    )
    parser.add_argument(
        "--timeout",
        type=number(float, 1e-3, 1e6, "a number of seconds"),
        default=60.0,
        help="seconds to wait for an answer (%(default)g)",
    )
    parser.add_argument("--out", type=Path, required=True, help="the .png file to write")
    options = parser.parse_args(arguments)
    scheme, _, host = options.url.partition("://")
    if scheme not in ("http", "https", "grpc") or not host.strip("/"):
        parser.error(f"--url {options.url}: write http://HOST:PORT or grpc://HOST:PORT")
    if options.seed + options.count - 1 > LARGEST_SEED:
        parser.error(f"--seed {options.seed} --count {options.count}: seeds end at {LARGEST_SEED}")
    if options.out.suffix.lower() != ".png":
        parser.error(f"--out {options.out}: name a file that ends in .png")
    if not options.out.parent.is_dir():
        parser.error(f"--out {options.out}: there is no folder {options.out.parent}")
    return options


def main(arguments=None):
    """Runs the client; returns its exit code."""
    options = parse(arguments)
    protocol = Grpc if options.url.startswith("grpc://") else Rest
    try:
        server = protocol(options.url, options.model, options.timeout)
        images = draw(server, options.seed, options.label, options.truncation, options.count)
        sheet(images).save(options.out)
    except ClientError as error:
        label = "" if options.label is None else f", --label {options.label}"
        message = f"model {options.model} at {options.url}{label}: {error}"
    except OSError as error:
        message = f"--out {options.out}: {error.strerror}"
    else:
        print(options.out)
        return 0
    print("error:", " ".join(message.split()), file=sys.stderr)  # in one line
    return 2


if __name__ == "__main__":
    sys.exit(main())
