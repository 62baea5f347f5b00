"""What the accuracy benchmark does to a method before it is judged."""

import numpy as np

from benchmarks.accuracy.peers import averaged


def test_boxes_of_several_sizes_have_one_centre_and_count_alike() -> None:
    asked: list[list[float]] = []

    def find(image: np.ndarray, box: np.ndarray) -> np.ndarray:
        asked.append(box.tolist())
        return np.array([box[:2], box[2:]])

    found = averaged(find, (0.5, 1, 2))(np.zeros((2, 2, 3), np.uint8), np.array([10.0, 20, 30, 60]))
    assert asked == [[15, 30, 25, 50], [10, 20, 30, 60], [0, 0, 40, 80]]
    np.testing.assert_allclose(found, [[25 / 3, 50 / 3], [95 / 3, 190 / 3]])
