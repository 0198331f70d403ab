import numpy as np
import pytest

from keras_sagan.errors import InputError
from keras_sagan.importing.state import State


def state():
    ones = np.ones((2, 3), "float32")
    return State({"g.a": ones, "g.b.count": np.array(7), "d.a": 2 * ones, "c": ones}, "x.pth")


def test_what_is_missing_or_of_another_shape_is_named():
    with pytest.raises(InputError, match=r"^x.pth: g.z is missing$"):
        state().take("g.z")
    with pytest.raises(InputError, match=r"x.pth: g.a has the shape \(2, 3\), and should have \(3"):
        state().take("g.a", (3, 2))


def test_what_is_left_over_is_an_error_and_what_is_needless_is_counted():
    tensors = state()
    tensors.take("g.a")
    with pytest.raises(InputError, match=r"holds 3 tensors too many: g.b.count, d.a, c$"):
        tensors.not_used()
    tensors.take("c")
    tensors.skip(r".*\.(count|a)")
    assert tensors.not_used() == {"count": 1, "a": 1}


def test_a_part_by_its_prefix():
    tensors = state()
    part = tensors.within("g.")
    assert part.names == ["a", "b.count"]
    tensors.skip("d.a|c")
    assert tensors.not_used() == {"a": 1, "c": 1}  # the part has its own
    with pytest.raises(InputError, match=r"2 tensors too many: a, b.count"):
        part.not_used()


def test_values_that_are_not_finite():
    with pytest.raises(InputError, match="x.pth: a holds values that are not finite"):
        State({"a": np.array([1.0, np.nan])}, "x.pth").take("a")
