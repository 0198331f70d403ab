"""The client against a server that keeps the rules of TensorFlow Serving."""

import numpy as np
import pytest
from generators import check_same_pictures
from PIL import Image
from programs import run
from serving import MODELS, call, read_png

# The start of a program that cannot import some packages: Python stops at None.
REFUSE = "import runpy, sys; sys.modules.update(dict.fromkeys({}))\n"
WITHOUT_TENSORFLOW = REFUSE.format(("tensorflow", "tensorflow_serving", "grpc", "keras_sagan"))


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
