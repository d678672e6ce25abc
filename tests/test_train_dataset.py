"""Training data: what is paired, what is refused, what is blank, and that crops repeat."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import rasterio
from rasterio.errors import NotGeoreferencedWarning

from roadgis.errors import DataError
from roadgis.train.dataset import FILL, CropSampler, Sample, find_pairs, read_sample, read_samples

pytestmark = pytest.mark.filterwarnings(
    f"ignore::{NotGeoreferencedWarning.__module__}.{NotGeoreferencedWarning.__name__}"
)


def write_image(path: Path, bands: npt.NDArray[Any], mask: npt.NDArray[Any] | None = None) -> Path:
    """Write bands (B, H, W), with an internal mask on request."""
    path.parent.mkdir(parents=True, exist_ok=True)
    count, height, width = bands.shape
    with (
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
        rasterio.open(
            path, "w", width=width, height=height, count=count, dtype=bands.dtype.name
        ) as dataset,
    ):
        dataset.write(bands)
        if mask is not None:
            dataset.write_mask(mask)
    return path


def write_pair(folder: Path, stem: str, side: int = 40, seed: int = 0) -> tuple[Path, Path]:
    rng = np.random.default_rng(seed)
    image = rng.integers(10, 240, (3, side, side), np.uint8)
    road = np.zeros((1, side, side), np.uint8)
    road[:, side // 2 - 3 : side // 2 + 3] = 1
    return (
        write_image(folder / "images" / f"{stem}.tif", image),
        write_image(folder / "masks" / f"{stem}.tif", road),
    )


def sample(side: int = 64, seed: int = 0) -> Sample:
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (side, side, 3), np.uint8)
    road = np.zeros((side, side), bool)
    road[side // 2 - 4 : side // 2 + 4] = True
    return Sample(f"s{seed}", image, road, np.ones((side, side), bool))


def test_images_and_masks_pair_by_stem_in_order(tmp_path: Path) -> None:
    for stem in ("b", "a", "c"):
        write_pair(tmp_path, stem)
    (tmp_path / "images" / "notes.txt").write_text("no image")
    pairs = find_pairs(tmp_path)
    assert [(i.stem, m.stem) for i, m in pairs] == [("a", "a"), ("b", "b"), ("c", "c")]
    assert [s.name for s in read_samples([tmp_path])] == ["a", "b", "c"]


def test_other_usual_folder_names_are_found(tmp_path: Path) -> None:
    image, mask = write_pair(tmp_path, "a")
    image.parent.rename(tmp_path / "sat")
    mask.parent.rename(tmp_path / "map")
    assert find_pairs(tmp_path) == [(tmp_path / "sat" / "a.tif", tmp_path / "map" / "a.tif")]


@pytest.mark.parametrize(
    ("gone", "said"),
    [("images", "no folder of images.*images or sat"), ("masks", "no folder of masks")],
)
def test_a_missing_folder_is_named_with_what_it_may_be_called(
    tmp_path: Path, gone: str, said: str
) -> None:
    for path in write_pair(tmp_path, "a"):
        if path.parent.name == gone:
            path.unlink()
            path.parent.rmdir()
    with pytest.raises(DataError, match=said):
        find_pairs(tmp_path)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere"):
        find_pairs(tmp_path / "nowhere")


def test_a_folder_without_images_is_refused(tmp_path: Path) -> None:
    for path in write_pair(tmp_path, "a"):
        path.rename(path.with_suffix(".txt"))
    with pytest.raises(DataError, match="found no image file"):
        find_pairs(tmp_path)


def test_images_without_masks_are_counted_and_named(tmp_path: Path) -> None:
    for stem in ("a", "b", "c"):
        write_pair(tmp_path, stem)
    (tmp_path / "masks" / "b.tif").unlink()
    with pytest.raises(DataError, match=r"1 files have no partner.*\['b'\]"):
        find_pairs(tmp_path)


def test_two_files_of_one_stem_are_refused_because_either_could_be_meant(tmp_path: Path) -> None:
    image, _ = write_pair(tmp_path, "a")
    image.with_suffix(".png").write_bytes(image.read_bytes())
    with pytest.raises(DataError, match=r"a\.png.*a\.tif|a\.tif.*a\.png"):
        find_pairs(tmp_path)


def test_a_mask_of_another_size_is_refused_with_both_sizes(tmp_path: Path) -> None:
    image, mask = write_pair(tmp_path, "a")
    write_image(mask, np.zeros((1, 30, 40), np.uint8))
    with pytest.raises(DataError, match="40 x 30 px, its image 40 x 40 px"):
        read_sample(image, mask)


@pytest.mark.parametrize("values", [(0, 1, 2), (3, 255)])
def test_a_mask_that_is_not_two_valued_is_refused(tmp_path: Path, values: tuple[int, ...]) -> None:
    image, mask = write_pair(tmp_path, "a")
    content = np.resize(np.array(values, np.uint8), (1, 40, 40))
    write_image(mask, content)
    with pytest.raises(DataError, match="found mask values"):
        read_sample(image, mask)


@pytest.mark.parametrize("value", [1, 255])
def test_any_value_but_zero_is_road(tmp_path: Path, value: int) -> None:
    image, mask = write_pair(tmp_path, "a")
    content = np.zeros((1, 40, 40), np.uint8)
    content[0, 5] = value
    write_image(mask, content)
    np.testing.assert_array_equal(np.flatnonzero(read_sample(image, mask).road.any(axis=1)), [5])


def test_images_that_are_not_8_bit_colour_are_refused(tmp_path: Path) -> None:
    image, mask = write_pair(tmp_path, "a")
    for bands in (np.ones((3, 40, 40), np.uint16), np.ones((1, 40, 40), np.uint8)):
        write_image(image, bands)
        with pytest.raises(DataError, match="expected three or more of uint8"):
            read_sample(image, mask)


def test_a_file_that_is_no_image_is_named(tmp_path: Path) -> None:
    image, mask = write_pair(tmp_path, "a")
    image.write_bytes(b"no image")
    with pytest.raises(DataError, match=r"a\.tif: cannot be read as an image"):
        read_sample(image, mask)


def test_masked_pixels_are_invalid_and_filled(tmp_path: Path) -> None:
    image, mask = write_pair(tmp_path, "a")
    valid = np.full((40, 40), 255, np.uint8)
    valid[:, :12] = 0
    write_image(image, np.full((3, 40, 40), 80, np.uint8), valid)
    found = read_sample(image, mask)
    np.testing.assert_array_equal(found.valid, valid > 0)
    assert (found.image[:, :12] == FILL).all()
    assert (found.image[:, 12:] == 80).all()


def test_white_blocks_are_blank_but_white_roofs_are_not(tmp_path: Path) -> None:
    image, mask = write_pair(tmp_path, "a", side=80)
    bands = np.full((3, 80, 80), 80, np.uint8)
    bands[:, :, :20] = 255  # what was not flown
    bands[:, 40:46, 50:60] = 255  # a roof
    write_image(image, bands)
    found = read_sample(image, mask)
    assert not found.valid[:, :20].any()
    assert found.valid[:, 20:].all()


def test_a_crop_depends_on_seed_and_number_alone() -> None:
    samples = [sample(seed=0), sample(seed=1)]
    one = CropSampler(samples, crop_px=32, seed=7)
    other = CropSampler(samples, crop_px=32, seed=7)
    for number in (5, 0, 3):  # asked for in another order
        image, labels = other.crop(number)
        np.testing.assert_array_equal(one.crop(number)[0], image)
        np.testing.assert_array_equal(one.crop(number)[1], labels)
    assert any(
        not np.array_equal(one.crop(n)[0], CropSampler(samples, crop_px=32, seed=8).crop(n)[0])
        for n in range(3)
    )


def test_crops_label_road_only_where_it_is_valid() -> None:
    scene = sample()
    scene.valid[:, :20] = False
    sampler = CropSampler([scene], crop_px=32, seed=0)
    for number in range(20):
        _, labels = sampler.crop(number)
        assert not (labels[..., 0] & ~labels[..., 1] & 1).any()


def test_augmented_crops_repeat_and_keep_labels_binary() -> None:
    pytest.importorskip("albumentations")
    from roadgis.train.augment import aerial_augmentation

    samples = [sample(seed=0)]
    one = CropSampler(samples, crop_px=32, seed=7, augment=aerial_augmentation())
    other = CropSampler(samples, crop_px=32, seed=7, augment=aerial_augmentation())
    one.crop(9)  # another history
    for number in range(12):
        image, labels = one.crop(number)
        again, labels_again = other.crop(number)
        np.testing.assert_array_equal(image, again)
        np.testing.assert_array_equal(labels, labels_again)
        assert set(np.unique(labels)) <= {0, 1}
        assert image.shape == (32, 32, 3)


def test_scenes_smaller_than_a_crop_are_named() -> None:
    with pytest.raises(DataError, match=r"1 scenes are smaller than the crop of 65 px"):
        CropSampler([sample()], crop_px=65, seed=0)


def test_scenes_without_a_valid_pixel_are_refused() -> None:
    scene = sample()
    scene.valid[:] = False
    with pytest.raises(DataError, match="has a valid pixel"):
        CropSampler([scene], crop_px=32, seed=0)
