"""A missing road between two clicks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import shapely
from pyproj import Transformer

from roadgis.errors import InputError
from roadgis.web.route import route
from tests.factories.rasters import write_raster

X, Y = 500_000.0, 5_000_000.0
THERE = Transformer.from_crs(32633, 4326, always_xy=True)


def bend(tmp_path: Path, size: int = 300) -> Path:
    """Write a faint road: down 20 px from the left side, then along the bottom to the right."""
    values = np.zeros((1, size, size), np.uint8)
    values[0, :, 18:23] = 80
    values[0, size - 22 : size - 17, 18:] = 80
    return write_raster(
        tmp_path / "p.tif",
        values,
        crs="EPSG:32633",
        x0=X,
        y0=Y,
        nodata=255,
    )


def at(col: float, row: float) -> tuple[float, float]:
    lon, lat = THERE.transform(X + col, Y - row)
    return lon, lat


def metres(line: list[list[float]]) -> shapely.LineString:
    x, y = THERE.transform(*np.array(line).T, direction="INVERSE")
    return shapely.linestrings(x - X, Y - y)


def test_route_follows_the_probability(tmp_path: Path) -> None:
    found = metres(route(bend(tmp_path), at(20, 5), at(290, 280)))
    assert found.coords[0] == pytest.approx((20, 5), abs=0.01)
    assert found.coords[-1] == pytest.approx((290, 280), abs=0.01)
    road = shapely.LineString([(20.5, 5), (20.5, 280.5), (290, 280.5)])
    assert shapely.hausdorff_distance(found, road) < 8  # the corner is rounded
    assert found.length == pytest.approx(road.length, rel=0.03)


def test_route_over_a_wide_area_reads_it_coarser(tmp_path: Path) -> None:
    found = metres(route(bend(tmp_path, 1500), at(20, 5), at(1490, 1480)))
    assert found.length == pytest.approx(1475 + 1470, rel=0.03)


def test_route_between_neighbours_is_a_line(tmp_path: Path) -> None:
    found = metres(route(bend(tmp_path), at(20.2, 5.2), at(20.8, 5.8)))
    assert found.length < 2


def test_route_outside_of_the_imagery_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Click inside"):
        route(bend(tmp_path), at(20, 5), at(400, 5))
