"""The settings of a county: options of ``extract``, model, and the side of units."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from roadgis.batch.codec import dataclass_from_json
from roadgis.batch.units import UNIT_PX
from roadgis.errors import InputError
from roadgis.options.extraction import ExtractOptions
from roadgis.options.model import ModelDescription
from roadgis.options.probability_raster import RasterOptions


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
