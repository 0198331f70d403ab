"""The 2015 Inception network, against what `record_inception.py` noted of torch-fidelity's."""

import json
import re

import keras
import numpy as np
import pytest
from record_inception import BLOCKS, FEATURES, FIXTURE, SIZES, picture, sampled, state

from keras_sagan.errors import InputError
from keras_sagan.metrics.features import extractor, inception_weights
from keras_sagan.metrics.features.batches import in_batches
from keras_sagan.metrics.features.inception import InceptionExtractor, inception_network
from keras_sagan.metrics.features.resize import resize_like_tensorflow1

torch = pytest.importorskip("torch", reason="PyTorch reads the file of the weights")


@pytest.fixture(scope="module")
def record():
    with np.load(FIXTURE) as file:
        return dict(file)


@pytest.fixture(scope="module")
def tensors(record):
    return state(json.loads(str(record["shapes"])), int(record["seed"]))


def save(tensors, path, **options):
    torch.save({name: torch.as_tensor(value) for name, value in tensors.items()}, path, **options)
    return path


@pytest.fixture(scope="module")
def weights(tensors, tmp_path_factory):
    # The published file is of 2020: PyTorch wrote no zip files then.
    path = tmp_path_factory.mktemp("inception") / "weights.pth"
    return save(tensors, path, _use_new_zipfile_serialization=False)


@pytest.fixture(scope="module")
def inception(weights):
    return extractor(f"inception:{weights}")


@pytest.fixture(scope="module")
def blocks(weights):
    network = inception_network()
    inception_weights.load(network, weights)
    model = keras.Model(network.input, {name: network.get_layer(name).output for name in BLOCKS})
    pixels = [resize_like_tensorflow1(picture(size).astype("float32"), 299) for size in SIZES]
    return model.predict_on_batch((np.concatenate([*map(np.asarray, pixels)]) - 128) / 128)


@pytest.mark.parametrize("name", BLOCKS)
def test_blocks_give_what_torch_fidelity_gives(blocks, record, name):
    for size, values in zip(SIZES, blocks[name], strict=True):
        # Float32 in sums of up to 3,456 terms, fifty layers deep; values are about 1.
        np.testing.assert_allclose(sampled(values, name), record[f"{size}/{name}"], atol=1e-4)


@pytest.mark.parametrize("size", SIZES)
def test_features_and_logits_are_those_of_torch_fidelity(inception, record, size):
    features, logits = inception.extract(picture(size))
    assert features.dtype == logits.dtype == np.float32
    np.testing.assert_allclose(features[0], record[f"{size}/2048"], atol=1e-4)
    np.testing.assert_allclose(logits[0], record[f"{size}/logits"], atol=1e-4)


@pytest.mark.parametrize("length", FEATURES[:-1])
def test_features_of_earlier_layers(weights, record, length):
    earlier = InceptionExtractor(weights, size=length)
    features, logits = earlier.extract(picture(64))
    assert earlier.size == length and logits is None
    np.testing.assert_allclose(features[0], record[f"64/{length}"], atol=1e-4)


def test_it_is_float32_whatever_the_policy(weights, record):
    keras.config.set_dtype_policy("mixed_float16")
    features = InceptionExtractor(weights).extract(picture(32)).features
    np.testing.assert_allclose(features[0], record["32/2048"], atol=1e-4)


def test_says_what_figures_depend_on(inception, weights):
    assert (inception.name, inception.size) == ("inception", 2048)
    assert inception.checksum == inception_weights.checksum_of(weights)
    assert inception.protocol["resize"] == "bilinear of TensorFlow 1 to 299"
    # These are not the weights of published figures, and an evaluation says so.
    assert inception.protocol["network"] == "Inception, other weights"


@pytest.mark.parametrize("count", [1, 4, 7, 11])
def test_batches_are_whole_or_powers_of_two(count):
    seen = []

    def compute(images):
        seen.append(len(images))
        return {"sums": images.sum((1, 2, 3)), "images": images}

    images = np.arange(count * 12, dtype="uint8").reshape(count, 2, 2, 3)
    results = in_batches(compute, images, 4)
    np.testing.assert_array_equal(results["images"], images)
    np.testing.assert_array_equal(results["sums"], images.sum((1, 2, 3)))
    assert seen == {1: [1], 4: [4], 7: [4, 4], 11: [4, 4, 4]}[count]


@pytest.mark.parametrize(
    "images, message",
    [
        (np.zeros((2, 32, 32, 3), "float32"), "float32 (2, 32, 32, 3)"),
        (np.zeros((2, 32, 32, 1), "uint8"), "uint8 (2, 32, 32, 1)"),
        (np.zeros((32, 32, 3), "uint8"), "uint8 (32, 32, 3)"),
        (np.zeros((0, 32, 32, 3), "uint8"), "no images"),
    ],
)
def test_other_images_are_refused(images, message):
    with pytest.raises(InputError, match=re.escape(message)):
        in_batches(None, images, 4)


def test_unknown_names_and_sizes_are_refused():
    with pytest.raises(InputError, match="no extractor 'incepton'"):
        extractor("incepton")
    with pytest.raises(InputError, match="64, 192, 768, 2048"):
        InceptionExtractor(size=2000)


@pytest.mark.slow
def test_files_of_other_kinds_are_refused(tmp_path, tensors):
    def refused(path, message):
        with pytest.raises(InputError, match=message) as error:
            extractor(f"inception:{path}")
        assert "\n" not in str(error.value) and str(path) in str(error.value)

    refused(tmp_path / "none.pth", "there is no such file")
    refused(tmp_path, "there is no such file")
    text = tmp_path / "text.pth"
    text.write_text("<html>not found</html>")
    refused(text, "not a file of PyTorch")
    cut = save({"fc.weight": tensors["fc.weight"]}, tmp_path / "cut.pth")
    refused(cut, "it has no Conv2d_1a_3x3")
    cut.write_bytes(cut.read_bytes()[:100_000])
    refused(cut, "damaged")
    plain = tmp_path / "plain.pth"
    torch.save([1, 2], plain)
    refused(plain, "no tensors by name")
    torch.save({"epoch": 3}, plain)
    refused(plain, "no tensors by name")
    # As torchvision's network of the ImageNet classes.
    other = {**tensors, "fc.weight": np.zeros((1000, 2048), "float32")}
    refused(save(other, tmp_path / "other.pth"), "fc has other shapes")
    named = save({"a": 1}, tmp_path / "pt_inception-2015-12-05-6726825d.pth")
    refused(named, "damaged, or not what its name says")


@pytest.fixture
def published(tmp_path, monkeypatch):
    """A small file at the address of the published one, and an empty cache."""
    source = tmp_path / "published.pth"
    source.write_bytes(b"weights")
    monkeypatch.setattr(inception_weights, "URL", source.as_uri())
    checksum = inception_weights.checksum_of(source)
    monkeypatch.setattr(inception_weights, "CHECKSUM", checksum)
    monkeypatch.setenv("KERAS_SAGAN_CACHE", str(tmp_path / "cache" / "new"))
    return source


def test_weights_are_downloaded_once(published):
    path = inception_weights.find()
    assert path.read_bytes() == b"weights"
    published.unlink()
    assert inception_weights.find() == path


def test_a_damaged_file_in_the_cache_is_downloaded_again(published):
    path = inception_weights.find()
    path.write_bytes(b"weight")
    assert inception_weights.find().read_bytes() == b"weights"


def test_a_download_of_another_checksum_is_not_kept(published):
    published.write_bytes(b"something else")
    with pytest.raises(InputError, match="by its checksum"):
        inception_weights.find()
    assert not [*(published.parent / "cache" / "new").iterdir()]


def test_without_a_network_it_says_what_to_do(published):
    published.unlink()
    with pytest.raises(InputError, match=r"cannot be downloaded .*inception:PATH") as error:
        inception_weights.find()
    assert "\n" not in str(error.value)
