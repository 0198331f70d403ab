import numpy as np

from keras_sagan.data import paired_shapes
from keras_sagan.data.parts import Part, held_out


def test_two_parts_have_every_image_once():
    source = paired_shapes.PairedShapes(seed=0, length=50)
    source.images[:, 0, 0, 0] = np.arange(50)  # which tells them apart
    parts = held_out(source, 12, seed=3)
    assert [len(part) for part in parts] == [38, 12]
    numbers = []
    for part in parts:
        images, labels = part.read(np.arange(len(part)))
        numbers.append(images[:, 0, 0, 0].tolist())
        np.testing.assert_array_equal(images, source.images[numbers[-1]])
        np.testing.assert_array_equal(labels, source.labels[numbers[-1]])
        assert part.image_size == 32 and part.class_names is source.class_names
    assert sorted(numbers[0] + numbers[1]) == list(range(50))
    assert numbers[1] != list(range(38, 50))  # drawn, not the last: folders are in order of class


def test_the_seed_alone_says_which():
    source = paired_shapes.PairedShapes(seed=0, length=50)
    first, again, other = (held_out(source, 12, seed)[1].read(np.arange(12)) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first[0], again[0])
    assert (first[0] != other[0]).any()


def test_a_part_is_read_in_any_order():
    source = paired_shapes.PairedShapes(seed=0, length=9)
    images, labels = Part(source, [7, 2, 5]).read([2, 0])
    np.testing.assert_array_equal(images, source.images[[5, 7]])
    np.testing.assert_array_equal(labels, source.labels[[5, 7]])
