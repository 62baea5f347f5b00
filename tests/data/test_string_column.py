"""Texts in one buffer behave as the tuple of the same texts."""

import numpy as np
import pytest

from sesame_hpc.data.string_column import StringColumn

TEXTS = ("a.jpg", "", "Zoë/ü.png", "\udce9.jpg", "a.jpg", "😀")


def test_it_is_the_sequence_of_its_texts():
    column = StringColumn(TEXTS)
    assert tuple(column) == TEXTS == column
    assert [column[row] for row in (-1, 0, 3)] == [TEXTS[row] for row in (-1, 0, 3)]
    assert column[1:4] == TEXTS[1:4]
    assert hash(column) == hash(TEXTS)
    assert "Zoë/ü.png" in column
    assert column != (*TEXTS[:-1], "other")
    assert column != TEXTS[:-1]
    assert not StringColumn()
    with pytest.raises(IndexError):
        column[len(TEXTS)]


def test_what_is_selected_shares_the_buffer():
    column = StringColumn(TEXTS)
    rows = np.array([5, 0, 2])
    chosen = column.select(rows)
    assert chosen == tuple(TEXTS[row] for row in rows)
    assert chosen._buffer is column._buffer
    assert chosen.select(np.array([2, 1])) == ("Zoë/ü.png", "a.jpg")


def test_columns_are_joined_in_their_order():
    parts = [StringColumn(TEXTS[:2]), StringColumn(), StringColumn(TEXTS[1:]).select(np.array([3]))]
    assert StringColumn.joined(parts) == ("a.jpg", "", "a.jpg")
    assert StringColumn.joined([]) == ()


def test_bytes_sort_as_the_texts_do():
    column = StringColumn(TEXTS)
    assert column.longest() == 9
    order = np.argsort(column.as_bytes(), kind="stable")
    assert [TEXTS[row] for row in order] == sorted(TEXTS)
