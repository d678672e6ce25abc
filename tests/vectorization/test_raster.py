"""Raster operations against plain reference implementations."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from skimage.morphology import thin as reference_thin

from roadgis.vectorization.bitplanes import (
    closed,
    dilated,
    east,
    eroded,
    pack,
    pixels,
    unpack,
    west,
)
from roadgis.vectorization.mask import connected_boxes, without_wide
from roadgis.vectorization.radii import Radii
from roadgis.vectorization.thinning import measure_widths, nearest, thin


def _blobs(seed: int, sigma: float, share: float) -> npt.NDArray[np.bool_]:
    field = ndimage.gaussian_filter(np.random.default_rng(seed).random((150, 192)), sigma)
    return np.asarray(field > np.quantile(field, 1 - share))


def _disc(radius: float) -> npt.NDArray[np.bool_]:
    reach = int(radius)
    y, x = np.ogrid[-reach : reach + 1, -reach : reach + 1]
    return np.asarray(x * x + y * y <= radius * radius)


blobs = st.builds(_blobs, st.integers(0, 9999), st.floats(0.3, 6), st.floats(0.1, 0.8))


@given(image=blobs)
@settings(max_examples=20)
def test_packed_bits_keep_every_pixel_and_its_neighbours(image: npt.NDArray[np.bool_]) -> None:
    plane = pack(image)
    assert np.array_equal(unpack(plane), image)
    assert np.array_equal(np.stack(pixels(plane), axis=1), np.argwhere(image))
    assert np.array_equal(unpack(east(plane))[:, :-1], image[:, 1:])
    assert np.array_equal(unpack(west(plane))[:, 1:], image[:, :-1])


@given(image=blobs)
@settings(max_examples=20)
def test_connected_boxes_equal_scipy(image: npt.NDArray[np.bool_]) -> None:
    expected = ndimage.find_objects(ndimage.label(image)[0])
    boxes = [[rows.start, rows.stop, cols.start, cols.stop] for rows, cols in expected]
    assert sorted(connected_boxes(image)) == sorted(boxes)


def test_connected_boxes_of_an_empty_image_are_empty() -> None:
    assert connected_boxes(np.zeros((3, 4), bool)) == []


@given(image=blobs, radius=st.sampled_from([1, 1.5, 2, 3.7, 8]))
@settings(max_examples=20)
def test_disc_operations_equal_scipy(image: npt.NDArray[np.bool_], radius: float) -> None:
    disc = _disc(radius)
    plane = pack(image)
    grown = ndimage.binary_dilation(image, disc)
    assert np.array_equal(unpack(dilated(plane, radius)), grown)
    assert np.array_equal(
        unpack(eroded(plane, radius)), ndimage.binary_erosion(image, disc, border_value=1)
    )
    assert np.array_equal(
        unpack(closed(plane, radius)), ndimage.binary_erosion(grown, disc, border_value=1)
    )


@given(image=blobs, iterations=st.sampled_from([1, 2, 5, 60]))
@settings(max_examples=25)
def test_thinning_equals_scikit_image(image: npt.NDArray[np.bool_], iterations: int) -> None:
    expected = reference_thin(image, max_num_iter=iterations)
    assert np.array_equal(unpack(thin(pack(image), iterations)), expected)


@given(image=blobs)
@settings(max_examples=15)
def test_distances_equal_the_exact_distance_transform(image: npt.NDArray[np.bool_]) -> None:
    padded = np.pad(image, 20)
    rows, cols = np.nonzero(padded)
    found, offset = nearest(padded.astype(np.uint8), 0, rows, cols, 15)
    exact = ndimage.distance_transform_edt(padded)[rows, cols]
    near = exact <= 15
    assert found[near] == pytest.approx(exact[near], rel=1e-6)
    assert np.isinf(found[~near]).all()
    assert not padded[rows[near] + offset[near, 0], cols[near] + offset[near, 1]].any()


@given(
    seed=st.integers(0, 9999),
    sigma=st.floats(2, 12),
    share=st.floats(0.3, 0.95),
    radius=st.integers(3, 24),
)
@settings(max_examples=40)
def test_remove_wide_equals_an_opening_of_the_whole(
    seed: int, sigma: float, share: float, radius: int
) -> None:
    image = _blobs(seed, sigma, share)
    radii = Radii(wide=radius, closing=0, rim=0)
    # Discs must fit into the raster.
    cores = ndimage.binary_erosion(image, _disc(radius))
    expected = image & ~ndimage.binary_dilation(cores, _disc(radius + radii.wide_margin))
    assert np.array_equal(unpack(without_wide(pack(image), radii)), expected)


@pytest.mark.parametrize("width", range(2, 13))
def test_middle_is_found_on_either_side_of_an_even_width(width: int) -> None:
    image = np.zeros((64, 64), np.uint8)
    image[30 : 30 + width] = 1
    true_middle = 30 + (width - 1) / 2
    for row in {30 + (width - 1) // 2, 30 + width // 2}:
        at = measure_widths(image, np.array([row]), np.array([30]), 15)
        assert at.width.tolist() == [width]
        assert row + at.d_row[0] == pytest.approx(true_middle)
        assert at.d_col.tolist() == [0]


@pytest.mark.parametrize("wide", [2, 5, 30, 100])
def test_halo_is_the_sum_of_all_radii(wide: int) -> None:
    radii = Radii(wide=wide, closing=2, rim=8)
    mask = 2 * 2 + 2 * wide + radii.wide_margin
    assert radii.halo >= mask + 2 * radii.iterations + 2
    assert radii.halo >= mask + wide + 3 + 2


def test_halo_suffices_to_thin_the_widest_road_in_any_direction() -> None:
    radii = Radii(wide=15, closing=0, rim=0)
    y, x = np.mgrid[:256, :256] - 128
    for degrees in range(0, 180, 15):
        angle = np.radians(degrees)
        band = pack(np.abs(x * np.sin(angle) - y * np.cos(angle)) <= 14.9)
        bounded, full = thin(band, radii.iterations), thin(band, 500)
        middle = slice(64, 192)
        assert np.array_equal(unpack(bounded)[middle, middle], unpack(full)[middle, middle])
