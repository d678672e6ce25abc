"""Planning a county: inspects the sheets and divides their ground into units."""

from __future__ import annotations

import dataclasses
import logging
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from roadgis._version import __version__
from roadgis.batch.plan import CountyPlan
from roadgis.batch.settings import PlanSettings
from roadgis.batch.sheets import BadSheet, inspected
from roadgis.batch.units import Unit, digest, imagery_units, mask_units
from roadgis.errors import SceneError
from roadgis.imagery.scene import Scene, compose_scene
from roadgis.imagery.values.scene_statistics import SceneStatistics
from roadgis.model.runtime import load_model
from roadgis.options.imagery import SceneOptions
from roadgis.probability.cutting import Cutting
from roadgis.probability.raster import RasterProbability, open_probability
from roadgis.sources import Sheet

_LOG = logging.getLogger(__name__)

#: Default of --max-mpx; counties are larger than the imagery of one run of ``extract``.
_MAX_MPX = 1e9


def make_plan(
    sheets: Sequence[Sheet],
    settings: PlanSettings,
    source: Sequence[str] = (),
    *,
    statistics: SceneStatistics | None = None,
) -> CountyPlan:
    """Plan a county.

    Parameters
    ----------
    sheets : sequence of Sheet
        Sheets in the order given.
    settings : PlanSettings
        Settings of the user.
    source : sequence of str
        Sources that the sheets were listed from, for updates.
    statistics : SceneStatistics, optional
        Statistics of an earlier plan; by default they are measured.

    Raises
    ------
    SceneError, ReadError
        If no sheet can be used, or the sheets cannot form one mosaic.
    """
    scene = settings.options.scene
    if scene.max_mpx == SceneOptions.max_mpx:
        scene = dataclasses.replace(scene, max_mpx=_MAX_MPX)
        options = dataclasses.replace(settings.options, scene=scene)
        settings = dataclasses.replace(settings, options=options)
    if settings.masks is not None:
        planned = _mask_plan(sheets, settings)
    else:
        planned = _imagery_plan(sheets, settings, statistics)
    return dataclasses.replace(planned, source=tuple(source))


def _imagery_plan(
    sheets: Sequence[Sheet], settings: PlanSettings, statistics: SceneStatistics | None
) -> CountyPlan:
    segmenter = load_model(settings.model, description=settings.description)
    card, options = segmenter.card, settings.options
    if not card.local:
        _LOG.warning(
            "The model %s is not local: its answers depend on how imagery is cut, so roads may "
            "differ a little at the borders of units, and from those of 'roadgis extract'.",
            card.name,
        )
    gsd_m = options.scene.gsd_m or card.gsd_m
    found, bad = inspected(sheets, options.scene, len(card.bands), options.sources, gsd_m=gsd_m)
    _warn_bad(bad, len(sheets))
    model = {
        "name": f"{card.name} {card.version}",
        "fingerprint": segmenter.fingerprint,
        "card": card.to_json(),
    }
    with compose_scene(
        found.rasters,
        gsd_m=card.working_gsd_m,
        band_count=len(card.bands),
        normalize_to=card.normalize_to,
        options=options.scene,
        statistics=statistics,
    ) as scene:
        cutting = Cutting.of(scene, card, options.predict)
        decides = digest(
            __version__,
            segmenter.fingerprint,
            options.predict.flips,
            None if card.local else cutting.side,
            scene.statistics.to_json(),
        )
        unit_px = cutting.whole_tiles(settings.unit_px)
        units = imagery_units(scene, scene.record(), cutting, unit_px, decides)
        draft = _draft(settings, scene, bad, unit_px, {"model": model})
        return _with_units(draft, units)


def _mask_plan(sheets: Sequence[Sheet], settings: PlanSettings) -> CountyPlan:
    given = settings.options.scene
    usable, bad = inspected(sheets, given, 1, settings.options.sources)
    _warn_bad(bad, len(sheets))
    with open_probability(
        usable.sheets,
        assume_crs=given.assume_crs,
        max_mpx=given.max_mpx,
        options=settings.masks,
    ) as found:
        if not isinstance(found, RasterProbability):
            raise SceneError("A work directory cannot be planned. Name the rasters themselves.")
        scene = found.scene
        options = dataclasses.replace(settings.options, scene=scene.options)
        settings = dataclasses.replace(settings, options=options)
        facts = {
            "made_by": found.provenance,
            "threshold": found.threshold,
            "is_mask": found.is_mask,
        }
        draft = _draft(settings, scene, bad, settings.unit_px, facts)
        decides = digest(__version__, dataclasses.asdict(found.encoding))
        units = mask_units(scene, scene.record(), draft.reach_px, settings.unit_px, decides)
        return _with_units(draft, units)


def _draft(
    settings: PlanSettings,
    scene: Scene,
    bad: Sequence[BadSheet],
    unit_px: int,
    facts: Mapping[str, Any],
) -> CountyPlan:
    """Return a plan without units and sources."""
    grid, covered, (row, col) = scene.grid, scene.covered, scene.origin
    return CountyPlan(
        plan_id=secrets.token_hex(8),
        version=__version__,
        settings=settings,
        source=(),
        rasters=scene.given,
        bad_sheets=tuple(bad),
        statistics=scene.statistics,
        units=(),
        facts={
            **facts,
            "unit_px": unit_px,
            "gsd_m": grid.gsd_m,
            "crs": grid.crs.to_wkt(),
            "native_crs": scene.native_crs.to_wkt(),
            "grid": [grid.x0, grid.y0, grid.width, grid.height],
            "origin": [row, col],
            "covered": [covered.row + row, covered.col + col, covered.height, covered.width],
            "record": scene.record().to_json(),
        },
    )


def _with_units(draft: CountyPlan, units: Sequence[Unit]) -> CountyPlan:
    if not units:
        raise SceneError("No unit of the county has imagery. Check the area of interest.")
    return dataclasses.replace(draft, units=tuple(units))


def _warn_bad(bad: Sequence[BadSheet], count: int) -> None:
    if bad:
        _LOG.warning(
            "%d of %d sheets are left out. Repair them and run 'roadgis batch update'.",
            len(bad),
            count,
        )
