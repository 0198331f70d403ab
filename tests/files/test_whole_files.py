"""Files are whole or not there, whatever happens to the disk."""

import pytest
from PIL import Image

from keras_sagan.files.whole_files import append, replacing


def test_what_does_not_fit_leaves_a_file_as_it_was(small_disk):
    file = small_disk.path / "rows"
    append(file, b"first\n")
    small_disk.fill(left=0)
    # The first bytes have room in the page of memory that the file has already.
    with pytest.raises(OSError, match="No space left"):
        append(file, b"second\n" * 2000)
    assert file.read_bytes() == b"first\n"
    small_disk.empty()
    append(file, b"third\n")
    assert file.read_bytes() == b"first\nthird\n"


@pytest.mark.parametrize("was_there", [True, False])
def test_a_picture_that_does_not_fit_is_not_there(small_disk, was_there):
    file = small_disk.path / "x.png"
    if was_there:
        file.write_bytes(b"before")
    small_disk.fill(left=4096)
    with pytest.raises(OSError, match="No space left"), replacing(file) as partial:
        Image.effect_noise((300, 300), 100).save(partial, format="png")
    assert [path.name for path in file.parent.iterdir()] == ["filler", "x.png"][: 1 + was_there]
    assert not was_there or file.read_bytes() == b"before"


def test_a_stop_leaves_no_part(tmp_path):
    with pytest.raises(KeyboardInterrupt), replacing(tmp_path / "x") as partial:
        partial.write_text("half")
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())
