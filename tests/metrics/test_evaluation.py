import json

import numpy as np
import pytest
from extractors import Projection, statistics

from keras_sagan import metrics
from keras_sagan.data import paired_shapes
from keras_sagan.errors import InputError
from keras_sagan.metrics import evaluation
from keras_sagan.metrics.evaluation import Pictures, pictures_of
from keras_sagan.metrics.features import reference

pytestmark = pytest.mark.filterwarnings("ignore:.* needs at least")  # more pictures than here

IMAGES, LABELS = paired_shapes.draw(np.random.default_rng(1), 300)


def pictures(count=300, num_classes=10):
    def batches():
        for start in range(0, count, 64):
            part = slice(start, min(start + 64, count))
            yield IMAGES[part], None if num_classes is None else LABELS[part]

    return Pictures(count, num_classes, batches, {"samples": count})


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """A reference, and the features and labels of its pictures."""
    source = paired_shapes.PairedShapes(seed=2, length=400)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KERAS_SAGAN_CACHE", str(tmp_path_factory.mktemp("cache")))
        found = reference.of_source(source, {"name": "real"}, Projection())
    return found, Projection().extract(source.images).features, source.labels


@pytest.fixture
def known(real, tmp_path):
    """The reference of a file of statistics alone."""
    path = tmp_path / "statistics.npz"
    np.savez(path, mu=real[0].statistics.mean, sigma=real[0].statistics.covariance)
    return reference.of_file(path)


def test_figures_are_those_of_all_features_at_once(real):
    found, real_features, real_labels = real
    result = evaluation.evaluate(pictures(), Projection(), found)
    features, logits = Projection().extract(IMAGES)
    by_class = [
        [statistics(each[of == label]) for label in range(10)]
        for each, of in ((features, LABELS), (real_features, real_labels))
    ]
    kid = metrics.kernel_distance(features, real_features)
    score = metrics.inception_score(logits)
    precision, recall = metrics.precision_recall(features, real_features)
    density, coverage = metrics.density_coverage(features, real_features)
    expected = {
        "fid": metrics.frechet_distance(statistics(features), statistics(real_features)),
        "kid": kid.value,
        "kid error": kid.standard_error,
        "inception_score": score.value,
        "inception_score error": score.deviation,
        "intra_fid": metrics.intra_class_distance(*by_class).value,
        "precision": precision,
        "recall": recall,
        "density": density,
        "coverage": coverage,
        "class_accuracy": metrics.class_accuracy(logits, LABELS),
    }
    got = dict(result["metrics"])
    for name, error in (("kid", "standard_error"), ("inception_score", "deviation")):
        got[f"{name} error"], got[name] = got[name][error], got[name]["value"]
    # The reference keeps its features in another order, and sums in float64 come in batches. The
    # subsets of KID are drawn of that order.
    assert got.pop("kid") == pytest.approx(expected.pop("kid"), abs=2 * kid.standard_error)
    assert got.pop("kid error") == pytest.approx(expected.pop("kid error"), rel=0.1)
    assert got == pytest.approx(expected, rel=1e-9)


def test_pictures_of_seeds_have_their_classes_in_turn():
    given = []

    def draw(seeds, labels, truncation):
        given.append((labels, truncation))
        for start in range(0, len(seeds), 64):
            yield seeds[start : start + 64]  # as if they were images

    judged = pictures_of(draw, 3, 150, seed=5, truncation=0.5)
    for _ in range(2):  # they can be had again
        batches = [*judged.batches()]
        seeds, labels = (np.concatenate(each) for each in zip(*batches, strict=True))
        assert seeds.tolist() == list(range(5, 155))
        np.testing.assert_array_equal(labels, seeds % 3)
    np.testing.assert_array_equal(given[0][0], labels)
    assert given[0][1] == 0.5
    assert judged.protocol == {"samples": 150, "seeds": [5, 154], "truncation": 0.5}
    assert (judged.count, judged.num_classes) == (150, 3)
    assert [labels for _, labels in pictures_of(draw, None, 100).batches()] == [None, None]


def test_what_cannot_be_had_is_left_out_unless_it_is_asked_for(real, known):
    extractor = Projection()
    of = {
        "fid": evaluation.evaluate(pictures(), extractor, known)["metrics"],
        "": evaluation.evaluate(pictures(), extractor, None)["metrics"],
        "density": evaluation.evaluate(pictures(num_classes=None), extractor, real[0])["metrics"],
    }
    assert set(of["fid"]) == {"fid", "inception_score", "class_accuracy"}
    assert set(of[""]) == {"inception_score", "class_accuracy"}
    assert {"fid", "kid", "density"} < set(of["density"])
    assert not {"intra_fid", "class_accuracy"} & set(of["density"])
    extractor.has_logits = False
    without = evaluation.evaluate(pictures(), extractor, real[0])["metrics"]
    assert not {"inception_score", "class_accuracy"} & set(without)


def test_few_pictures_are_judged_by_what_suits_them(real):
    expected = {"fid", "kid", "class_accuracy"}
    assert set(evaluation.evaluate(pictures(3), Projection(), real[0])["metrics"]) == expected


def test_a_class_of_one_picture_has_no_distance_and_takes_none_from_the_others(real):
    judged = pictures()
    judged.fewest = 1
    assert "fid" in evaluation.evaluate(judged, Projection(), real[0])["metrics"]
    expected = "^metric intra_fid needs at least 2 pictures of each class, and one has 1$"
    with pytest.raises(InputError, match=expected):
        evaluation.evaluate(judged, Projection(), real[0], ["intra_fid"])


@pytest.mark.parametrize("name", ["kid", "precision_recall", "density_coverage"])
def test_statistics_alone_are_not_enough_for_other_metrics(known, name):
    extractor = Projection()
    with pytest.raises(InputError, match=f"^metric {name} needs the features.*--data DIR$"):
        evaluation.evaluate(pictures(), extractor, known, [name])
    assert extractor.calls == 0  # it is said at once


@pytest.mark.parametrize(
    ("name", "num_classes", "reason"),
    [
        ("fid", 10, "needs real pictures to compare with"),
        ("class_accuracy", 3, "needs a classifier of the classes of the pictures"),
        ("intra_fid", 10, "needs real pictures"),
    ],
)
def test_a_metric_that_cannot_be_had_says_why(name, num_classes, reason):
    with pytest.raises(InputError, match=f"^metric {name} {reason}[^\n]*$"):
        evaluation.evaluate(pictures(num_classes=num_classes), Projection(), None, [name])


def test_classes_of_others_have_no_distance_within_them(real):
    with pytest.raises(InputError, match="^metric intra_fid needs the same classes"):
        evaluation.evaluate(pictures(num_classes=3), Projection(), real[0], ["intra_fid"])


def test_features_that_are_not_finite_are_refused(real):
    class Broken(Projection):
        def extract(self, images):
            found = super().extract(images)
            found.features[3, 2] = np.nan
            return found

    with pytest.raises(InputError, match="not finite"):
        evaluation.evaluate(pictures(), Broken(), real[0], ["fid"])


def test_what_is_written_is_the_result(real, tmp_path):
    result = evaluation.evaluate(pictures(), Projection(), real[0])
    evaluation.write(result, tmp_path / "evaluation.json")
    assert json.loads((tmp_path / "evaluation.json").read_text()) == result
    assert [path.name for path in tmp_path.iterdir()] == ["evaluation.json"]
    protocol = result["protocol"]
    assert protocol["pictures"] == {"samples": 300}
    assert protocol["extractor"] == {"name": "projection", "sha256": "0" * 64, "resize": "none"}
    assert protocol["reference"] == {"name": "real", "pictures": 400, "image_size": 32}
    lines = {line.split()[0]: line for line in evaluation.table(result)}
    assert list(lines) == list(result["metrics"])
    assert float(lines["fid"].split()[1]) == pytest.approx(result["metrics"]["fid"], rel=1e-4)
    assert "(standard error " in lines["kid"] and "(deviation " in lines["inception_score"]
