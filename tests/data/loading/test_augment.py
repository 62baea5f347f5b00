import numpy as np
import pytest

from sesame_hpc.config.schema import AugmentConfig, BoxConfig
from sesame_hpc.data.geometry import crop_matrix
from sesame_hpc.data.loading.augment import LUMA, appearance_config, draw_augmentation

SIZE = 96
FACES = 2000
BOXES = np.tile([20.0, 30.0, 100.0, 90.0], (FACES, 1))
IDS = np.arange(FACES)
NOTHING = AugmentConfig(
    flip=0, rotation=0, translation=0, brightness=0, contrast=0, saturation=0, jpeg=0,
    grayscale=0, occlusion=0,
)  # fmt: skip
STILL = BoxConfig(train_scale=(1.0, 1.0))


def draw(augment: AugmentConfig, box: BoxConfig = STILL, ids: np.ndarray = IDS, epoch: int = 0):
    return draw_augmentation(
        BOXES[: len(ids)], ids, SIZE, augment, box, seed=1, stage="preliminary", epoch=epoch
    )


def only(**settings) -> AugmentConfig:
    return NOTHING.model_copy(update=settings)


def test_nothing_switched_on_changes_nothing():
    drawn = draw(NOTHING)
    np.testing.assert_allclose(drawn.matrices, crop_matrix(BOXES, SIZE), atol=1e-12)
    np.testing.assert_allclose(drawn.colour, np.tile(np.eye(3, 4), (FACES, 1, 1)), atol=1e-6)
    assert not np.concatenate([drawn.flip, drawn.jpeg, drawn.occlude]).any()


def test_scale_covers_its_range():
    zoom = draw(NOTHING, BoxConfig(train_scale=(1.1, 1.5))).matrices[:, 0, 0]
    scale = SIZE / 80 / zoom
    assert scale.min() == pytest.approx(1.1, abs=0.01)
    assert scale.max() == pytest.approx(1.5, abs=0.01)


def test_rotation_covers_plus_and_minus_twenty_degrees():
    matrices = draw(only(rotation=20.0)).matrices
    degrees = np.rad2deg(np.arctan2(matrices[:, 0, 1], matrices[:, 0, 0]))
    assert degrees.min() == pytest.approx(-20, abs=0.2)
    assert degrees.max() == pytest.approx(20, abs=0.2)


def test_translation_is_up_to_five_percent_of_the_crop():
    moved = (draw(only(translation=0.05)).matrices - crop_matrix(BOXES, SIZE))[:, :, 2] / SIZE
    np.testing.assert_allclose(moved.min(axis=0), -0.05, atol=1e-3)
    np.testing.assert_allclose(moved.max(axis=0), 0.05, atol=1e-3)


@pytest.mark.parametrize(("name", "share"), [("flip", 0.5), ("jpeg", 0.3), ("occlusion", 0.7)])
def test_chances_are_as_configured(name, share):
    drawn = draw(only(**{name: share}))
    happened = {"flip": drawn.flip, "jpeg": drawn.jpeg, "occlusion": drawn.occlude}[name]
    assert happened.mean() == pytest.approx(share, abs=0.04)


def test_quality_covers_its_range():
    quality = draw(only(jpeg=1.0, jpeg_quality=(20, 100))).quality
    assert (quality.min(), quality.max()) == (20, 100)


def test_brightness_shifts_by_up_to_the_fraction_of_the_range():
    colour = draw(only(brightness=0.3)).colour
    np.testing.assert_allclose(colour[:, :, :3], np.tile(np.eye(3), (FACES, 1, 1)), atol=1e-6)
    assert colour[:, 0, 3].min() == pytest.approx(-0.3 * 255, abs=0.5)
    assert colour[:, 0, 3].max() == pytest.approx(0.3 * 255, abs=0.5)


def test_contrast_keeps_mid_grey():
    colour = draw(only(contrast=0.3)).colour
    np.testing.assert_allclose(colour @ [127.5, 127.5, 127.5, 1], 127.5, atol=1e-4)
    assert colour[:, 0, 0].min() == pytest.approx(0.7, abs=0.01)
    assert colour[:, 0, 0].max() == pytest.approx(1.3, abs=0.01)


def test_saturation_keeps_the_grey_value():
    colour = draw(only(saturation=0.3)).colour
    rgb = np.array([200.0, 100.0, 30.0])
    np.testing.assert_allclose(colour @ [*rgb, 1] @ LUMA, rgb @ LUMA, atol=1e-3)


def test_grayscale_makes_the_channels_equal_in_its_share():
    colour = draw(AugmentConfig(grayscale=0.2)).colour
    grey = (colour == colour[:, :1]).all(axis=(1, 2))
    assert grey.mean() == pytest.approx(0.2, abs=0.03)


def test_patches_lie_inside_and_have_their_sizes():
    drawn = draw(only(occlusion=1.0, occlusion_size=(0.1, 0.4)))
    extents = np.array([patch.shape[:2] for patch in drawn.patches])
    assert (drawn.corners >= 0).all()
    assert (drawn.corners + extents <= SIZE).all()
    assert extents.min() == round(0.1 * SIZE)
    assert extents.max() == round(0.4 * SIZE)
    solid = np.array([np.ptp(patch, axis=(0, 1)).max() == 0 for patch in drawn.patches])
    assert solid.mean() == pytest.approx(0.5, abs=0.05)


def test_patches_of_no_size_are_off():
    assert not draw(only(occlusion=1.0, occlusion_size=(0.0, 0.0))).occlude.any()


def test_switching_one_off_leaves_the_others():
    full, less = draw(AugmentConfig()), draw(AugmentConfig(flip=0.0, grayscale=0.0))
    np.testing.assert_array_equal(full.quality, less.quality)
    np.testing.assert_array_equal(full.corners, less.corners)
    np.testing.assert_array_equal(full.matrices[:, 1], less.matrices[:, 1])


def test_a_sample_draws_the_same_in_any_company_and_anew_each_epoch():
    together, alone = draw(AugmentConfig()), draw(AugmentConfig(), ids=IDS[5:6])
    np.testing.assert_array_equal(together.matrices[5], alone.matrices[0])
    np.testing.assert_array_equal(together.colour[5], alone.colour[0])
    np.testing.assert_array_equal(together.patches[5], alone.patches[0])
    later = draw(AugmentConfig(), epoch=1)
    assert (later.matrices != together.matrices).any(axis=(1, 2)).all()


def test_mild_has_geometry_and_colour_only():
    mild = appearance_config(AugmentConfig(), "mild")
    assert (mild.jpeg, mild.grayscale, mild.occlusion) == (0, 0, 0)
    assert mild.rotation == AugmentConfig().rotation
    assert mild.brightness == AugmentConfig().brightness
    with pytest.raises(ValueError, match="'wild'"):
        appearance_config(AugmentConfig(), "wild")  # type: ignore[arg-type]
