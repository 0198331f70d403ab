"""From each system's checkpoint to a picture of its exported file, by the commands alone."""

import numpy as np
import pytest
from PIL import Image
from programs import run_here

torch = pytest.importorskip("torch", reason="PyTorch writes these checkpoints")


def heykeetae(folder):
    import test_heykeetae as its

    paths = its.written(folder, its.recorded("heykeetae_latent100"))
    return [paths["generator"], "--discriminator", paths["discriminator"]]


def attn_gan_pytorch(folder):
    import test_attn_gan_pytorch as its

    given = its.written(folder, its.recorded("attn_gan_pytorch_normalized"))
    return [
        *(given["checkpoint"], "--conf", given["conf"]),
        *("--discriminator", given["discriminator"]),
        *("--discriminator-conf", given["discriminator_conf"]),
    ]


def official(folder):
    import test_official as its

    return [its.write(folder, "test")[0]]


def studiogan(folder):
    import test_studiogan as its

    generator, discriminator = its.write(folder, its.recorded(32))
    return [generator, "--discriminator", discriminator]


def mmgeneration(folder):
    import test_mmgeneration as its

    return [its.write(folder / "best_fid.pth", its.recorded("32_inplace"))]


def biggan_pytorch(folder):
    import test_biggan_pytorch as its

    return [its.write(folder / "SAGAN", its.recorded("shared"))]


def tfa(folder):
    import test_tfa as its

    generator, discriminator = its.write(folder, "dcgan32")
    return [generator, "--discriminator", discriminator]


WRITERS = {
    "heykeetae": heykeetae,
    "attn-gan-pytorch": attn_gan_pytorch,
    "official": official,
    "studiogan": studiogan,
    "mmgeneration": mmgeneration,
    "biggan-pytorch": biggan_pytorch,
    "tfa": tfa,
}


def succeeded(*arguments):
    process = run_here("-m", *arguments)
    assert process.returncode == 0, process.stderr
    return process.stdout


@pytest.mark.slow
@pytest.mark.parametrize("system", WRITERS)
def test_from_a_checkpoint_to_a_picture_of_a_file(system, tmp_path):
    given, run, sheet = WRITERS[system](tmp_path), tmp_path / "run", tmp_path / "sheet.png"
    said = succeeded("keras_sagan.cli", "import", *given, "--from", system, "--run-dir", run)
    assert "a generator of " in said
    assert "and its discriminator" in said
    succeeded("export", run, "--quantize", "float32", "dynamic_int8")
    for precision in ("float32", "dynamic_int8"):
        file = run / "export" / f"generator_{precision}.tflite"
        succeeded("export.sample", file, "--seed", 3, "--count", 4, "--out", sheet)
        assert np.asarray(Image.open(sheet)).std() > 10
    succeeded("keras_sagan.cli", "sample", run, "--seed", 3, "--count", 4, "--out", sheet)
    assert np.asarray(Image.open(sheet)).std() > 10


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"--from": "stylegan"}, "invalid choice: 'stylegan'"),
        ({"--from": "heykeetae"}, "is no generator of heykeetae: it looks like a generator of stu"),
        ({"--discriminator": "none.pth"}, "none.pth: there is no such file"),
        ({"--conf": "x"}, "--conf belongs to attn-gan-pytorch"),
    ],
)
def test_a_mistake_is_one_line(change, message, tmp_path):
    checkpoint, *_ = studiogan(tmp_path)
    run = tmp_path / "run"
    options = {"--from": "studiogan", "--run-dir": run, **change}
    arguments = [text for option in options.items() for text in option]
    process = run_here("-m", "keras_sagan.cli", "import", checkpoint, *arguments)
    assert process.returncode == 2
    (line,) = process.stderr.splitlines()
    assert line.startswith("error: ")
    assert message in line
    assert not run.exists()
