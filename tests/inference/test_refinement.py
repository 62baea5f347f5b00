"""Second crops around the landmarks that a first one gave."""

import numpy as np
import pytest

from sesame_hpc.inference.refinement import refined_boxes

FACE = np.array([[[20.0, 30.0], [60.0, 40.0], [40.0, 50.0]]])
ASKED = np.array([[0.0, 0.0, 99.0, 99.0]])


def test_a_box_is_the_landmarks_moved_by_the_offsets():
    boxes = refined_boxes(FACE, (-0.1, -0.2, 0.1, 0.0), ASKED, 100, 100)
    np.testing.assert_allclose(boxes, [[16, 22, 64, 50]])


@pytest.mark.parametrize("points", [FACE * np.nan, FACE + 500, FACE * 0 + 5], ids=str)
def test_what_no_box_can_be_made_of_keeps_the_box_that_was_asked_for(points):
    np.testing.assert_array_equal(refined_boxes(points, (0, 0, 0, 0), ASKED, 100, 100), ASKED)
