import pytest

from sesame_hpc.plural import counted


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0 faces"), (1, "1 face"), (2, "2 faces"), (2500, "2,500 faces")]
)
def test_only_one_is_singular(number, text):
    assert counted(number, "face") == text
