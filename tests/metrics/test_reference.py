import numpy as np
import pytest
from extractors import Projection

from keras_sagan.data import paired_shapes
from keras_sagan.errors import InputError
from keras_sagan.metrics.features import reference


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_SAGAN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "references"


@pytest.fixture(scope="module")
def source():
    return paired_shapes.PairedShapes(seed=2, length=400)


def same(first, second):
    for name in ("mean", "covariance", "count"):
        of_both = (getattr(each.statistics, name) for each in (first, second))
        np.testing.assert_array_equal(*of_both)
    np.testing.assert_array_equal(first.features, second.features)
    assert first.protocol == second.protocol
    assert len(first.by_class) == len(second.by_class)


def test_it_is_of_all_pictures(source, monkeypatch):
    monkeypatch.setattr(reference, "_KEPT", 100)
    found = reference.of_source(source, {"name": "x"}, Projection())
    features = Projection().extract(source.images).features
    # Sums of 400 numbers in float64, batch by batch.
    np.testing.assert_allclose(found.statistics.mean, features.mean(0, np.float64), rtol=1e-10)
    exact = np.cov(features.astype(np.float64), rowvar=False)
    np.testing.assert_allclose(found.statistics.covariance, exact, rtol=1e-10)
    assert found.statistics.count == 400
    for label in (0, 9):
        some = features[source.labels == label].astype(np.float64)
        np.testing.assert_allclose(found.by_class[label].mean, some.mean(0), rtol=1e-10)
        exact = np.cov(some, rowvar=False)
        np.testing.assert_allclose(found.by_class[label].covariance, exact, rtol=1e-10)
        assert found.by_class[label].count == len(some)
    # A hundred, each once, and not those of the first classes alone.
    assert found.features.shape == (100, 6) and found.features.dtype == np.float32
    kept = {tuple(row) for row in found.features}
    assert len(kept) == 100 and kept <= {tuple(row) for row in features}
    assert kept != {tuple(row) for row in features[:100]}
    assert found.protocol == {"name": "x", "pictures": 400, "image_size": 32}


def test_it_is_computed_once(source, cache):
    extractor = Projection()
    first = reference.of_source(source, {"name": "x"}, extractor)
    assert extractor.calls == 2  # batches of 250
    second = reference.of_source(source, {"name": "x"}, extractor)
    assert extractor.calls == 2
    same(first, second)
    assert len([*cache.iterdir()]) == 1


@pytest.mark.parametrize("damage", [lambda data: data[:1000], lambda data: b"", None])
def test_a_damaged_one_is_made_again(source, cache, damage):
    first = reference.of_source(source, {"name": "x"}, Projection())
    (path,) = cache.iterdir()
    data = bytearray(path.read_bytes())
    if damage is None:
        data[len(data) // 2] ^= 255  # one byte of the features
    else:
        data = damage(data)
    path.write_bytes(data)
    extractor = Projection()
    same(first, reference.of_source(source, {"name": "x"}, extractor))
    assert extractor.calls == 2
    reference.of_source(source, {"name": "x"}, extractor)
    assert extractor.calls == 2


def test_other_data_and_other_extractors_have_their_own(source, cache):
    other = Projection()
    other.checksum = "1" * 64
    resized = Projection()
    resized.protocol = {"resize": "bilinear"}
    shorter = paired_shapes.PairedShapes(seed=2, length=300)
    given = [
        (source, {"name": "x"}, Projection()),
        (source, {"name": "y"}, Projection()),
        (shorter, {"name": "x"}, Projection()),
        (source, {"name": "x"}, other),
        (source, {"name": "x"}, resized),
    ]
    for i, each in enumerate(given):
        reference.of_source(*each)
        assert len([*cache.iterdir()]) == i + 1


def test_pictures_without_classes(cache):
    class Plain(paired_shapes.PairedShapes):
        class_names = None

        def read(self, indices):
            return super().read(indices)[0], None

    found = reference.of_source(Plain(seed=2, length=30), {"name": "x"}, Projection())
    assert found.by_class is None and found.statistics.count == 30


def test_a_class_of_one_picture_has_no_statistics(source, cache):
    alone = paired_shapes.PairedShapes(seed=2, length=400)
    alone.labels = np.where(np.arange(400) == 7, 9, alone.labels % 9)
    found = reference.of_source(alone, {"name": "x"}, Projection())
    assert found.by_class is None and found.statistics.count == 400


def test_a_file_of_others(tmp_path):
    random = np.random.RandomState(0)
    sigma = np.cov(random.standard_normal((50, 4)), rowvar=False)
    path = tmp_path / "of others.npz"
    np.savez(path, mu=np.arange(4.0), sigma=sigma)
    found = reference.of_file(path)
    np.testing.assert_array_equal(found.statistics.mean, np.arange(4.0))
    np.testing.assert_array_equal(found.statistics.covariance, sigma)
    assert found.statistics.count is found.by_class is found.features is None
    assert found.protocol == {"statistics": "of others.npz"}


def _write(path, kind):
    good = {"mu": np.zeros(3), "sigma": np.eye(3)}
    if kind == "text":
        path.write_text("mu sigma")
    elif kind == "folder":
        path.mkdir()
    elif kind == "one array":
        with path.open("wb") as file:
            np.save(file, np.zeros(3))
    elif kind == "objects":
        np.savez(path, mu=np.array([{}]), sigma=np.eye(3))
    elif kind == "others":
        np.savez(path, mean=np.zeros(3), cov=np.eye(3))
    elif kind == "sizes":
        np.savez(path, mu=np.zeros(4), sigma=np.eye(3))
    elif kind == "not finite":
        np.savez(path, **{**good, "mu": np.full(3, np.nan)})
    elif kind == "cut off":
        np.savez(path, **good)
        path.write_bytes(path.read_bytes()[:300])
    elif kind == "damaged":
        np.savez_compressed(path, **good)
        data = bytearray(path.read_bytes())
        data[60:90] = b"\xff" * 30
        path.write_bytes(data)


@pytest.mark.parametrize(
    "kind",
    [
        *("missing", "text", "folder", "one array", "objects", "others", "sizes"),
        *("not finite", "cut off", "damaged"),
    ],
)
def test_a_wrong_file_is_refused_with_a_line(tmp_path, kind):
    path = tmp_path / "x.npz"
    _write(path, kind)
    with pytest.raises(InputError) as error:
        reference.of_file(path)
    assert str(error.value).startswith(f"{path}: ") and "\n" not in str(error.value)
