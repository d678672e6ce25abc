"""A synthetic town: picture, road mask and exact centrelines."""

from __future__ import annotations

from functools import cached_property

from pyproj import CRS
from pyproj.exceptions import CRSError

from roadgis.arrays import Bools, Bytes
from roadgis.errors import InputError
from roadgis.imagery.grid import Grid, Window
from roadgis.network.network import RoadNetwork
from roadgis.options.synthetic import TownOptions
from roadgis.synthetic.layout import Layout
from roadgis.synthetic.render import Renderer


class Town:
    """A town seen from above, computed on demand.

    Raises
    ------
    InputError
        If the CRS is unknown or not projected in metres.
    """

    def __init__(self, options: TownOptions) -> None:
        self.options = options
        self.grid = Grid(
            projected_crs(options.crs),
            options.x0,
            options.y0,
            options.gsd_m,
            options.width_px,
            options.height_px,
        )
        self._layout = Layout(options)
        self._renderer = Renderer(self._layout)

    def render(self, window: Window) -> Bytes:
        """Return the picture of a window, uint8 (height, width, 3).

        The window may extend beyond the grid, as the town has no border. A window equals the same
        part of :attr:`image` exactly.
        """
        return self._renderer.image(window)

    def render_mask(self, window: Window) -> Bools:
        """Return which pixels of a window are asphalt of roads, bool (height, width)."""
        return self._renderer.mask(window)

    @cached_property
    def image(self) -> Bytes:
        """The whole picture, uint8 (height, width, 3)."""
        return self.render(self.grid.window)

    @cached_property
    def road_mask(self) -> Bools:
        """Pixels whose centre is asphalt of roads (not car parks and drives), (height, width)."""
        return self.render_mask(self.grid.window)

    @cached_property
    def centerlines(self) -> RoadNetwork:
        """The road centrelines, noded, in the grid's CRS.

        Cut at the frame; `width_m` is the width of the asphalt; no confidence.
        """
        return self._layout.network()


def make_town(options: TownOptions | None = None) -> Town:
    """Return the town of the options; equal options give equal towns.

    Parameters
    ----------
    options : TownOptions, optional
        Default: 1400 by 1400 pixels of 1 m.

    Raises
    ------
    InputError
        If the CRS is unknown or not projected in metres.
    """
    return Town(TownOptions() if options is None else options)


def projected_crs(text: str) -> CRS:
    """Return a CRS that is projected and in metres.

    Raises
    ------
    InputError
        If it is unknown or another CRS.
    """
    try:
        crs = CRS.from_user_input(text)
    except CRSError as error:
        raise InputError(
            f"The scene's CRS {text!r} is not known. Give a projected CRS in metres, such as "
            "EPSG:32619."
        ) from error
    if not crs.is_projected or crs.axis_info[0].unit_name != "metre":
        raise InputError(
            f"The scene's CRS {crs.name} is not projected in metres. Give a projected CRS in "
            "metres, such as EPSG:32619."
        )
    return crs
