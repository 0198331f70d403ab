"""The files that start TensorFlow Serving."""

import re
import shutil
import subprocess

import pytest
import yaml
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format
from serving import CLIENT, SERVING
from tensorflow_serving.config import model_server_config_pb2

from keras_sagan.exporting.warmup import BATCH_SIZES


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
