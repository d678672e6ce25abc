"""Distance of networks from the lines of perfect masks."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import shapely

from roadgis.evaluation.apls import apls_score
from roadgis.options.cleaning import CleanOptions
from roadgis.raster_pipeline import vectorize
from tests.factories.networks import DrawnNetwork, drawn_network
from tests.factories.roads import ArraySource, ring, road


def found_lines(
    mask: npt.NDArray[np.uint8], options: CleanOptions | None = None
) -> npt.NDArray[np.object_]:
    """Vectorize a mask; lines in pixels from the upper left corner."""
    edges = vectorize(ArraySource(mask), clean=options).edges
    out = shapely.transform(edges, lambda xy: (xy - (500_000.0, 5_000_000.0)) * [1.0, -1.0])
    return np.asarray(out, object)


def nodes_of(lines: npt.NDArray[np.object_]) -> tuple[shapely.MultiPoint, shapely.MultiPoint]:
    """Return junctions and dead ends."""
    ends = shapely.get_coordinates(shapely.get_point(np.repeat(lines, 2), [0, -1] * len(lines)))
    xy, count = np.unique(ends.round(6), axis=0, return_counts=True)
    return shapely.MultiPoint(xy[count > 2]), shapely.MultiPoint(xy[count == 1])


def off_truth(drawn: DrawnNetwork, found: npt.NDArray[np.object_]) -> npt.NDArray[np.float64]:
    """Return the distances from the truth of points at each half pixel."""
    points = np.concatenate(
        [shapely.line_interpolate_point(line, np.arange(0, line.length, 0.5)) for line in found]
    )
    return np.asarray(shapely.distance(points, shapely.union_all(drawn.truth)), np.float64)


@pytest.mark.parametrize("caps", ["flat", "round"])
@pytest.mark.parametrize("width", [5, 9, 14])
@pytest.mark.parametrize("kind", ["grid", "stars", "roundabouts", "mixed", "parallels"])
def test_vectorize_of_perfect_masks_lies_on_the_drawn_lines(
    kind: str, width: float, caps: str
) -> None:
    drawn = drawn_network(kind, width, caps, seed=0)
    found = found_lines(drawn.mask)
    assert np.sqrt((off_truth(drawn, found) ** 2).mean()) < 0.5
    for true, got in zip(nodes_of(drawn.truth), nodes_of(found), strict=True):
        assert len(true.geoms) == len(got.geoms)
        if len(true.geoms):
            assert shapely.hausdorff_distance(true, got) < max(5.0, 0.6 * width)
    assert apls_score(drawn.truth, found).apls > 0.95


@pytest.mark.parametrize("radius", [15.0, 25.0, 50.0])
def test_smoothing_does_not_shrink_curves(radius: float) -> None:
    mask = ring((200, 200), 100, 100, radius, 7)
    # Chords lie within the circle, so simplification is left out.
    (line,) = found_lines(mask, CleanOptions(tolerance_m=0.01))
    points = shapely.line_interpolate_point(line, np.arange(0, line.length, 0.25))
    away = shapely.distance(points, shapely.Point(100, 100))
    assert np.abs(away - radius).max() < 0.6
    assert away.mean() == pytest.approx(radius, abs=0.3)


@pytest.mark.parametrize("width", [6, 8, 12])
def test_vectorize_keeps_right_angles(width: float) -> None:
    half = width / 2
    found = found_lines(
        road((200, 200), (20, 50, 120 + half, 50, width), (120, 50 - half, 120, 180, width))
    )
    assert len(found) == 1
    assert shapely.get_num_points(found[0]) == 3
    assert found[0].coords[1] == pytest.approx((120, 50), abs=1.0)


def test_vectorize_places_flat_and_round_road_ends() -> None:
    line = shapely.LineString([(40.3, 60.2), (160.7, 120.4)])
    for caps in ("flat", "round"):
        surface = shapely.buffer(line, 4.5, cap_style=caps, quad_segs=32)
        y, x = np.mgrid[:200, :200] + 0.5
        mask = np.where(shapely.contains_xy(surface, x, y), 254, 0).astype(np.uint8)
        (found,) = found_lines(mask)
        assert shapely.hausdorff_distance(found, line) < 1.0


def test_vectorize_places_junctions_at_acute_angles() -> None:
    angle = np.radians(30)
    array = road(
        (300, 300),
        (20, 150, 280, 150, 8),
        (120, 150, 120 + 150 * np.cos(angle), 150 - 150 * np.sin(angle), 8),
    )
    junctions, tips = nodes_of(found_lines(array))
    assert len(junctions.geoms) == 1
    assert len(tips.geoms) == 3
    assert shapely.distance(junctions, shapely.Point(120, 150)) < 3.0
