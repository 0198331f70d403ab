"""Metrics of pictures, from features and logits: functions, and objects that take batches.

A function named `a_metric` takes all features at once; `AMetric` has `update`, for a batch, and
`result`. NumPy is all that these need; `features` holds what makes features of pictures.
"""

# All at once, as they import NumPy alone. A module of the name of its function, imported later,
# would take the function's place here.
from keras_sagan.metrics.class_accuracy import ClassAccuracy, class_accuracy
from keras_sagan.metrics.density_coverage import DensityCoverage, density_coverage
from keras_sagan.metrics.frechet import (
    FrechetDistance,
    FrechetStatistics,
    KnownStatistics,
    frechet_distance,
)
from keras_sagan.metrics.inception_score import InceptionScore, inception_score
from keras_sagan.metrics.intra_class import (
    ClassStatistics,
    IntraClassDistance,
    intra_class_distance,
)
from keras_sagan.metrics.kernel_distance import KernelDistance, kernel_distance
from keras_sagan.metrics.precision_recall import PrecisionRecall, precision_recall

__all__ = [
    "ClassAccuracy",
    "ClassStatistics",
    "DensityCoverage",
    "FrechetDistance",
    "FrechetStatistics",
    "InceptionScore",
    "IntraClassDistance",
    "KernelDistance",
    "KnownStatistics",
    "PrecisionRecall",
    "class_accuracy",
    "density_coverage",
    "frechet_distance",
    "inception_score",
    "intra_class_distance",
    "kernel_distance",
    "precision_recall",
]
