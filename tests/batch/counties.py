"""Counties made in code, for the tests of batch runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from roadgis.batch.engine import InProcess
from roadgis.batch.merge import Merged, merge_county
from roadgis.batch.plan import CountyPlan, read_plan
from roadgis.batch.planning import make_plan
from roadgis.batch.run import RunSummary, run_county
from roadgis.batch.settings import PlanSettings
from roadgis.batch.update import plan_county
from roadgis.network.network import RoadNetwork
from roadgis.options.extraction import ExtractOptions
from roadgis.options.prediction import PredictOptions
from roadgis.options.vectorization import VectorizeOptions
from roadgis.pipeline import extract_roads
from roadgis.sources import find_sheets
from tests.factories.roads import assert_networks_equal

__all__ = ["OPTIONS", "assert_same", "extracted", "merged", "planned", "ran", "settings"]

#: Small blocks, so that a scene of a few hundred pixels has many units. Narrow roads, so that the
#: reach of tracing is small as well.
OPTIONS = ExtractOptions(
    predict=PredictOptions(block_px=128, chunk_px=64, workers=1),
    vectorize=VectorizeOptions(max_road_width_m=16),
)


def settings(model: Path | None, unit_px: int = 128, **fields: Any) -> PlanSettings:
    return PlanSettings(
        options=OPTIONS, model=None if model is None else str(model), unit_px=unit_px, **fields
    )


def planned(
    folder: Path, sources: Path | Sequence[Path], chosen: PlanSettings, **keywords: Any
) -> CountyPlan:
    """Plan a county in a folder, and return the plan as read back from it."""
    named = [sources] if isinstance(sources, Path) else list(sources)
    plan = make_plan(find_sheets(named), chosen, [str(path) for path in named], **keywords)
    plan_county(folder, plan)
    return read_plan(folder)


def ran(folder: Path, **keywords: Any) -> RunSummary:
    """Run a county in this process."""
    plan = read_plan(folder)
    with InProcess(folder, plan, threads=1) as engine:
        return run_county(folder, plan, engine, **keywords)


def merged(folder: Path, output: Path | None = None, **keywords: Any) -> Merged:
    return merge_county(folder, read_plan(folder), output, **keywords)


def extracted(sources: Any, model: Path, **keywords: Any) -> RoadNetwork:
    """Return the network that ``extract`` makes of the same imagery."""
    return extract_roads(sources, model=model, options=OPTIONS, **keywords)


def assert_same(a: RoadNetwork, b: RoadNetwork) -> None:
    """Assert that two networks are equal to the last bit, attributes included."""
    assert a.crs == b.crs
    assert_networks_equal(a, b)
