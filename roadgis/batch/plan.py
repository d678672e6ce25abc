"""The plan of a county: everything that determines its results, in one JSON file."""

from __future__ import annotations

import dataclasses
import json
import logging
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from roadgis._version import __version__
from roadgis.atomic import atomic_path
from roadgis.batch.codec import dataclass_from_json, raster_from_json, raster_to_json
from roadgis.batch.sheets import BadSheet, inspected
from roadgis.batch.silence import silenced
from roadgis.batch.units import UNIT_PX, Unit, digest, imagery_units, mask_units, units_around
from roadgis.errors import InputError, ReadError, SceneError
from roadgis.imagery.dataset_pool import bound_block_cache
from roadgis.imagery.raster import Raster
from roadgis.imagery.scene import Scene, compose_scene
from roadgis.imagery.values.scene_statistics import SceneStatistics
from roadgis.model.card import ModelCard
from roadgis.model.runtime import Segmenter, load_model
from roadgis.options.extraction import ExtractOptions
from roadgis.options.imagery import SceneOptions
from roadgis.options.model import ModelDescription
from roadgis.options.probability_raster import RasterOptions
from roadgis.options.vectorization import VectorizeOptions
from roadgis.plain_values import parse_json
from roadgis.probability.encoding import Decoder
from roadgis.probability.prediction import Cutting
from roadgis.probability.raster import RasterProbability, open_probability
from roadgis.sources import Sheet
from roadgis.vectorization.radii import radii_of

_LOG = logging.getLogger(__name__)

PLAN = "county.json"
_FORMAT = 1
#: Default of --max-mpx; counties are larger than the imagery of one run of ``extract``.
_MAX_MPX = 1e9


@dataclass(frozen=True)
class PlanSettings:
    """Settings of a county.

    Attributes
    ----------
    options : ExtractOptions
        Options of ``extract``; those of the work directory are ignored.
    model : str or None
        Model, as for :func:`roadgis.load_model`; ignored with masks.
    description : ModelDescription
        Description of a model without a card.
    masks : RasterOptions or None
        How masks are read, if the sheets are masks.
    unit_px : int
        Side of a unit, pixels.
    """

    options: ExtractOptions = field(default_factory=ExtractOptions)
    model: str | None = None
    description: ModelDescription = field(default_factory=ModelDescription)
    masks: RasterOptions | None = None
    unit_px: int = UNIT_PX

    def __post_init__(self) -> None:
        chunk = self.options.predict.chunk_px
        if self.unit_px < chunk or self.unit_px % chunk:
            raise InputError(
                f"--unit-px is {self.unit_px}, expected a multiple of {chunk}, such as {3 * chunk}."
            )

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        values = dataclasses.asdict(self)
        for name in ("work_dir", "restart", "keep_work"):
            values["options"].pop(name)
        cache = self.options.sources.cache_dir
        values["options"]["sources"]["cache_dir"] = cache and str(Path(cache).absolute())
        aoi = self.options.scene.aoi
        if aoi is not None and not isinstance(aoi, (str, Path)):
            raise InputError("The area of interest of a county has to be a file.")
        values["options"]["scene"]["aoi"] = None if aoi is None else str(Path(aoi).absolute())
        plain: dict[str, Any] = json.loads(json.dumps(values))
        return plain

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> PlanSettings:
        """Rebuild the settings from the output of :meth:`to_json`."""
        masks = values["masks"]
        return cls(
            dataclass_from_json(ExtractOptions, values["options"]),
            values["model"],
            dataclass_from_json(ModelDescription, values["description"]),
            None if masks is None else dataclass_from_json(RasterOptions, masks),
            values["unit_px"],
        )


@dataclass(frozen=True)
class CountyPlan:
    """Everything that determines the results of a county.

    Attributes
    ----------
    plan_id : str
        Random identifier; each update makes a new one.
    version : str
        Version of roadgis that made the plan.
    settings : PlanSettings
        Settings of the user.
    source : tuple of str
        Sources that the sheets were listed from.
    rasters : tuple of Raster
        Usable sheets, the topmost first.
    bad_sheets : tuple of BadSheet
        Sheets that cannot be used.
    statistics : SceneStatistics
        Statistics of the imagery of the whole county.
    units : tuple of Unit
        Units, row by row.
    facts : dict
        JSON values: the grid, the record of the scene and, for imagery, ``model`` (name,
        fingerprint, card), for masks ``made_by``, ``threshold`` and ``is_mask``.
    """

    plan_id: str
    version: str
    settings: PlanSettings
    source: tuple[str, ...]
    rasters: tuple[Raster, ...]
    bad_sheets: tuple[BadSheet, ...]
    statistics: SceneStatistics
    units: tuple[Unit, ...]
    facts: dict[str, Any]

    @property
    def of_masks(self) -> bool:
        """Whether the sheets are masks or probability, so that no model is needed."""
        return self.settings.masks is not None

    @cached_property
    def dates(self) -> dict[str, str]:
        """Known acquisition dates, by name of the sheet."""
        return {raster.name: raster.date for raster in self.rasters if raster.date is not None}

    @property
    def card(self) -> ModelCard:
        """Card of the model."""
        return ModelCard.from_json(self.facts["model"]["card"], PLAN)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the model."""
        return str(self.facts["model"]["fingerprint"])

    @property
    def threshold(self) -> float:
        """Probability at and above which a pixel is road."""
        given = self.settings.options.threshold
        known = self.facts["threshold"] if self.of_masks else self.card.threshold
        return float(known) if given is None else given

    @property
    def vectorize(self) -> VectorizeOptions:
        """Options of tracing."""
        return dataclasses.replace(self.settings.options.vectorize, threshold=self.threshold)

    @property
    def unit_px(self) -> int:
        """Side of a unit, pixels: that of the settings, in whole tiles of the model."""
        return int(self.facts["unit_px"])

    @property
    def gsd_m(self) -> float:
        """Pixel size, metres."""
        return float(self.facts["gsd_m"])

    @property
    def covered(self) -> list[int]:
        """Row, column, height and width of the mapped pixels on the lattice."""
        return list(self.facts["covered"])

    @cached_property
    def reach_px(self) -> int:
        """Distance around a unit within which pixels affect its traced lines."""
        radii = radii_of(self.vectorize, self.gsd_m)
        # Windows are widened to whole words; edges are looked along by the widest road.
        return radii.halo + 64 + 2 * radii.wide

    @cached_property
    def around(self) -> dict[tuple[int, int], list[Unit]]:
        """Units within `reach_px` of each unit, by row and column of the unit."""
        return units_around(self.units, self.reach_px, self.unit_px)

    @cached_property
    def tracing(self) -> str:
        """Digest of everything besides probability that determines traced lines."""
        options = dataclasses.asdict(self.vectorize)
        return digest(self.version, options, self.gsd_m, self.facts.get("is_mask", False))

    def scene(self) -> Scene:
        """Compose the scene from the planned sheets, without inspecting them again.

        Warnings about their layout were given when the county was planned.
        """
        bound_block_cache()
        options = self.settings.options.scene
        with silenced("roadgis.imagery.plan"):
            if self.of_masks:
                return compose_scene(self.rasters, band_count=1, align_px=1, options=options)
            card = self.card
            return compose_scene(
                self.rasters,
                gsd_m=card.working_gsd_m,
                band_count=len(card.bands),
                normalize_to=card.normalize_to,
                options=options,
                statistics=self.statistics,
            )

    def masks(self) -> RasterProbability:
        """Open the masks, without inspecting their values again."""
        decoder = self.rasters[0].decoder
        assert isinstance(decoder, Decoder)
        source = RasterProbability(self.scene(), decoder.encoding, self.facts["made_by"])
        source.provenance = self.facts["made_by"]
        source.threshold = float(self.facts["threshold"])
        return source

    def load_model(self, *, threads: int | None = None, device: Any = "auto") -> Segmenter:
        """Load the planned model.

        Raises
        ------
        InputError
            If the model is not the one of the plan.
        """
        segmenter = load_model(
            self.settings.model,
            threads=threads,
            device=device,
            description=self.settings.description,
        )
        if segmenter.fingerprint != self.fingerprint:
            raise InputError(
                f"The model {segmenter.card.name} {segmenter.card.version} here is not the one of "
                f"the plan (sha256 {segmenter.fingerprint[:12]}, planned "
                f"{self.fingerprint[:12]}). Put the planned model in its place, or plan a county "
                "with this one."
            )
        return segmenter

    def check_version(self) -> None:
        """Check that this version of roadgis made the plan.

        Raises
        ------
        InputError
            If another version made it.
        """
        if self.version != __version__:
            raise InputError(
                f"The plan was made by roadgis {self.version}, and this is {__version__}: their "
                "results may differ. Install the same version, or run 'roadgis batch update' with "
                "this one, which computes everything again."
            )


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
    plan = _mask_plan if settings.masks is not None else _imagery_plan
    return plan(list(sheets), settings, tuple(source), statistics)


def _imagery_plan(
    sheets: list[Sheet],
    settings: PlanSettings,
    source: tuple[str, ...],
    statistics: SceneStatistics | None,
) -> CountyPlan:
    segmenter = load_model(settings.model, description=settings.description)
    card, options = segmenter.card, settings.options
    if not card.local:
        _LOG.warning(
            "The model %s is not local: its answers depend on how imagery is cut, so roads may "
            "differ a little at the borders of units, and from those of 'roadgis extract'.",
            card.name,
        )
    found, bad = inspected(
        sheets,
        options.scene,
        len(card.bands),
        options.sources,
        gsd_m=options.scene.gsd_m or card.gsd_m,
    )
    _tell_bad(bad, len(sheets))
    draft = CountyPlan(
        plan_id=secrets.token_hex(8),
        version=__version__,
        settings=settings,
        source=source,
        rasters=found.rasters,
        bad_sheets=tuple(bad),
        statistics=statistics or SceneStatistics(),
        units=(),
        facts={
            "model": {
                "name": f"{card.name} {card.version}",
                "fingerprint": segmenter.fingerprint,
                "card": card.to_json(),
            }
        },
    )
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
        return _completed(draft, scene, units, unit_px)


def _mask_plan(
    sheets: list[Sheet],
    settings: PlanSettings,
    source: tuple[str, ...],
    statistics: SceneStatistics | None,
) -> CountyPlan:
    asked = settings.options.scene
    usable, bad = inspected(sheets, asked, 1, settings.options.sources)
    _tell_bad(bad, len(sheets))
    with open_probability(
        usable.sheets,
        assume_crs=asked.assume_crs,
        max_mpx=asked.max_mpx,
        options=settings.masks,
    ) as found:
        if not isinstance(found, RasterProbability):
            raise SceneError("A work directory cannot be planned. Name the rasters themselves.")
        scene = found.scene
        options = dataclasses.replace(settings.options, scene=scene.options)
        settings = dataclasses.replace(settings, options=options)
        draft = CountyPlan(
            plan_id=secrets.token_hex(8),
            version=__version__,
            settings=settings,
            source=source,
            rasters=scene.given,
            bad_sheets=tuple(bad),
            statistics=scene.statistics,
            units=(),
            facts={
                "made_by": found.provenance,
                "threshold": found.threshold,
                "is_mask": found.is_mask,
                "gsd_m": scene.grid.gsd_m,
            },
        )
        decides = digest(__version__, dataclasses.asdict(found.encoding))
        units = mask_units(scene, scene.record(), draft.reach_px, settings.unit_px, decides)
        return _completed(draft, scene, units, settings.unit_px)


def _completed(draft: CountyPlan, scene: Scene, units: list[Unit], unit_px: int) -> CountyPlan:
    covered, (row, col) = scene.covered, scene.origin
    if not units:
        raise SceneError("No unit of the county holds imagery. Check the area of interest.")
    facts = {
        **draft.facts,
        "unit_px": unit_px,
        "gsd_m": scene.grid.gsd_m,
        "crs": scene.grid.crs.to_wkt(),
        "native_crs": scene.native_crs.to_wkt(),
        "grid": [scene.grid.x0, scene.grid.y0, scene.grid.width, scene.grid.height],
        "origin": [row, col],
        "covered": [covered.row + row, covered.col + col, covered.height, covered.width],
        "record": scene.record().to_json(),
    }
    return dataclasses.replace(draft, statistics=scene.statistics, units=tuple(units), facts=facts)


def _tell_bad(bad: Sequence[BadSheet], count: int) -> None:
    if bad:
        _LOG.warning(
            "%d of %d sheets are left out. Repair them and run 'roadgis batch update'.",
            len(bad),
            count,
        )


def write_plan(folder: Path, plan: CountyPlan) -> None:
    """Write a plan into the folder of a county, replacing the previous plan.

    Raises
    ------
    OutputError
        If the plan cannot be written.
    """
    values = {
        "format": _FORMAT,
        "id": plan.plan_id,
        "roadgis": plan.version,
        "settings": plan.settings.to_json(),
        "source": list(plan.source),
        "bad_sheets": [
            {
                "name": bad.name,
                "message": bad.message,
                "raster": None if bad.raster is None else raster_to_json(bad.raster),
            }
            for bad in plan.bad_sheets
        ],
        "statistics": plan.statistics.to_json(),
        "facts": plan.facts,
        "rasters": [raster_to_json(raster) for raster in plan.rasters],
        "units": [unit.to_json() for unit in plan.units],
    }
    with atomic_path(folder / PLAN) as partial:
        partial.write_text(json.dumps(values) + "\n", encoding="utf-8")


def read_plan(folder: Path) -> CountyPlan:
    """Read the plan of a county.

    Raises
    ------
    ReadError
        If the folder has no plan, or a damaged one.
    """
    path = folder / PLAN
    try:
        values = parse_json(path.read_bytes())
        if values["format"] != _FORMAT:
            raise ValueError(f"format {values['format']}, expected {_FORMAT}")
        return CountyPlan(
            plan_id=values["id"],
            version=values["roadgis"],
            settings=PlanSettings.from_json(values["settings"]),
            source=tuple(values["source"]),
            rasters=tuple(raster_from_json(raster) for raster in values["rasters"]),
            bad_sheets=tuple(
                BadSheet(
                    bad["name"],
                    bad["message"],
                    None if bad["raster"] is None else raster_from_json(bad["raster"]),
                )
                for bad in values["bad_sheets"]
            ),
            statistics=SceneStatistics.from_json(values["statistics"]),
            units=tuple(Unit.from_json(unit) for unit in values["units"]),
            facts=values["facts"],
        )
    except FileNotFoundError as error:
        raise ReadError(
            f"{folder}: found no {PLAN}; expected a folder made by 'roadgis batch plan'."
        ) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ReadError(
            f"{path}: the plan cannot be read ({error}). Plan the county again; results that are "
            "still valid are kept."
        ) from error
