import numpy as np
import pytest
from PIL import Image

from keras_sagan.data import ImageCache, ImageFolder, paired_shapes
from keras_sagan.data.cache import folder_identity
from keras_sagan.errors import InputError
from keras_sagan.running import real_pictures


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "pictures"
    path.mkdir()
    for i in range(3):
        Image.new("RGB", (8, 8), (i, i, i)).save(path / f"{i}.png")
    return path


def test_a_cache_is_told_from_others_as_its_folder_is(folder, tmp_path):
    source = ImageFolder(folder, 8)
    identity = folder_identity(source.folder, source.paths)
    cache = ImageCache(source, tmp_path / "cache", identity, "pictures")
    assert real_pictures.identity_of(source) == real_pictures.identity_of(cache) == identity
    found, of_folder = real_pictures.source_of(folder, 8)
    assert of_folder == identity and found.read(np.arange(3))[0].shape == (3, 8, 8, 3)
    Image.new("RGB", (9, 9)).save(folder / "0.png")
    assert real_pictures.identity_of(ImageFolder(folder, 8)) != identity


def test_what_suits_the_data_is_chosen(folder):
    drawings = paired_shapes.PairedShapes(length=20)
    assert real_pictures.choose_extractor(None, drawings, {}).name == "paired_shapes"
    assert real_pictures.source_of(None, 8) == (None, None)
    plain = ImageFolder(folder, 8)
    for source in (plain, None):
        with pytest.raises(InputError, match="classifier needs data with classes: give --data"):
            real_pictures.choose_extractor("classifier", source, {})
