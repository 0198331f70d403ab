import pytest

from keras_sagan.data.names import one_line

NAMES = [
    "cat",
    "Käfer 犬 \U0001f600",
    "caf\udce9",  # bytes of Latin-1, as Python reads them from a disk
    "two\nlines",
    "two\u2028lines",
    "two\x85lines",
    "tab\tand\x1b[31mred",
    "back\\slash",
    "caf\\udce9",
    " ",
    " cat",
    "cat ",
    "\u3000cat",
]


@pytest.mark.parametrize("name", NAMES)
def test_any_name_is_one_line_that_gives_the_name_back(name):
    line = one_line(name)
    assert line.encode("utf-8") and line.splitlines() == [line] and line.strip() == line
    assert line.encode("latin-1", "backslashreplace").decode("unicode_escape") == name


def test_names_that_are_text_stay_as_they_are_and_others_differ():
    assert [one_line(name) for name in NAMES[:2]] == NAMES[:2]
    assert len({one_line(name) for name in NAMES}) == len(NAMES)
