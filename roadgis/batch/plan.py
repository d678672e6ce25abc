"""The plan of a county: everything that determines its results, in one JSON file."""

from __future__ import annotations

import dataclasses
import json
import logging
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from roadgis._version import __version__
from roadgis.atomic import atomic_path
from roadgis.batch.codec import raster_from_json, raster_to_json
from roadgis.batch.settings import PlanSettings
from roadgis.batch.sheets import BadSheet
from roadgis.batch.silence import silenced
from roadgis.batch.storage import storage
from roadgis.batch.units import Unit, digest, units_around
from roadgis.errors import InputError, ReadError
from roadgis.imagery.dataset_pool import bound_block_cache
from roadgis.imagery.raster import Raster
from roadgis.imagery.scene import Scene, compose_scene
from roadgis.imagery.values.scene_statistics import SceneStatistics
from roadgis.model.card import ModelCard
from roadgis.model.runtime import Segmenter, load_model
from roadgis.options.vectorization import VectorizeOptions
from roadgis.plain_values import parse_json
from roadgis.probability.encoding import Decoder
from roadgis.probability.raster import RasterProbability
from roadgis.vectorization.radii import radii_of

_LOG = logging.getLogger(__name__)

PLAN = "county.json"
_FORMAT = 1


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
    storage(folder).publish(PLAN)


def read_plan(folder: Path) -> CountyPlan:
    """Read the plan of a county.

    Raises
    ------
    ReadError
        If the folder has no plan, or a damaged one.
    """
    files = storage(folder)
    try:
        values = parse_json(files.read(PLAN))
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
            f"{files.address}: found no {PLAN}; expected a folder made by 'roadgis batch plan'."
        ) from error
    except ReadError:
        raise
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ReadError(
            f"{files.place(PLAN)}: the plan cannot be read ({error}). Plan the county "
            "again; results that are still valid are kept."
        ) from error
