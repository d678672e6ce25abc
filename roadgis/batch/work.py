"""Executing one step of one unit: predicting its probability or tracing its lines."""

from __future__ import annotations

import os
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from rasterio.windows import Window as RasterWindow

from roadgis.batch.failures import PASSING, ChangedSheetError, MissingSheetError, code_of
from roadgis.batch.leases import here
from roadgis.batch.plan import CountyPlan, read_plan
from roadgis.batch.storage import county_folder
from roadgis.batch.store import ResultStore, Step, county_grid
from roadgis.batch.units import Unit, neighbours_key
from roadgis.dataset_names import is_remote
from roadgis.errors import InputError, OutputError
from roadgis.imagery.grid import Grid, Window
from roadgis.probability.cutting import Cutting
from roadgis.probability.prediction import predict_block
from roadgis.probability.raster import RasterProbability
from roadgis.probability.source import NO_DATA
from roadgis.vectorization import trace_block
from roadgis.vectorization.pixel_graph import PixelGraph

_LEVELS = NO_DATA - 1


@dataclass(frozen=True)
class Task:
    """A step of a unit.

    Attributes
    ----------
    step : str
        Name of the step.
    unit : Unit
        The unit.
    key : str
        Key of the result.
    around : mapping of str to str
        For tracing: keys of the predicted units within reach, by name.
    attempts : int
        Number of this attempt, from 1.
    """

    step: Step
    unit: Unit
    key: str
    around: Mapping[str, str] = field(default_factory=dict)
    attempts: int = 1

    @property
    def name(self) -> str:
        """Name of the task's lease."""
        return f"{self.step}.{self.unit.name}"


@dataclass(frozen=True)
class UnitOutcome:
    """Outcome of a task.

    Attributes
    ----------
    task : Task
        The task.
    code : str
        Empty if it succeeded, else an error code, see :mod:`roadgis.batch.failures`.
    message : str
        Cause and remedy.
    stops : bool
        Whether the run has to stop.
    """

    task: Task
    code: str = ""
    message: str = ""
    stops: bool = False

    @property
    def passing(self) -> bool:
        """Whether a retry may succeed."""
        return self.code in PASSING


def traced_key(plan: CountyPlan, unit: Unit, around: Mapping[str, str]) -> str:
    """Return the key of the traced lines of a unit; `around` as in :class:`Task`."""
    row, col, height, width = plan.covered
    core, reach = unit.core, plan.reach_px
    edges = (
        min(core.row - row, reach),
        min(core.col - col, reach),
        min(row + height - core.row - core.height, reach),
        min(col + width - core.col - core.width, reach),
    )
    return neighbours_key(unit.key, around, edges, plan.tracing)


class County:
    """A county opened for processing; thread-safe.

    Parameters
    ----------
    threads : int, optional
        Number of CPU threads for inference; all cores by default.
    device : {"auto", "cpu", "cuda"}
        Device of the model.
    """

    def __init__(
        self,
        folder: Path,
        plan: CountyPlan,
        *,
        threads: int | None = None,
        device: Literal["auto", "cpu", "cuda"] = "auto",
    ) -> None:
        plan.check_version()
        self.plan = plan
        self.store = ResultStore(folder)
        self._masks: RasterProbability | None = None
        self._segmenter: Any = None
        if plan.of_masks:
            self._masks = plan.masks()
            self.scene = self._masks.scene
        else:
            self._segmenter = plan.load_model(threads=threads, device=device)
            self.scene = plan.scene()
            self._cutting = Cutting.of(
                self.scene, self._segmenter.card, plan.settings.options.predict
            )
        if self.scene.record().to_json() != plan.facts["record"]:
            raise InputError(
                "The area of interest differs from the planned one: its file has changed, or is "
                "not the same here. Run 'roadgis batch update'."
            )

    def close(self) -> None:
        """Close all files."""
        self.scene.close()

    def predict(self, task: Task) -> None:
        """Predict and store the probability of a unit."""
        started, unit = (_now(), time.monotonic()), task.unit
        self._check_sheets(unit)
        down, right = self.scene.origin
        core = unit.core.shifted(-down, -right)
        values = predict_block(self.scene, self._segmenter, core, self._cutting)
        if values is not None and bool((values == NO_DATA).all()):
            values = None
        valid = 0 if values is None else int((values != NO_DATA).sum())
        self.store.write_probability(
            self.plan, unit, values, _record(task, started, valid_px=valid)
        )

    def trace(self, task: Task) -> None:
        """Trace and store the lines of a unit."""
        started = _now(), time.monotonic()
        unit, plan = task.unit, self.plan
        source: RasterProbability | UnitProbability
        if self._masks is not None:
            self._check_sheets(unit)
            source = self._masks
        else:
            near = [other for other in plan.around[unit.row, unit.col] if other.name in task.around]
            source = UnitProbability(plan, self.store, [unit, *near])
        row, col, height, width = plan.covered
        core = unit.core.shifted(-row, -col).intersection(Window(0, 0, height, width))
        more: dict[str, Any] = {}
        if self._masks is None:
            valid = self.store.record("predicted", unit, unit.key)["valid_px"]
        else:
            valid = 0 if core.is_empty else int((source.read(core) != NO_DATA).sum())
            more["valid_px"] = valid
        graph = None
        if valid and not core.is_empty:
            graph = trace_block(source, core, plan.vectorize)
        record = _record(task, started, **_measured(graph, width, plan.gsd_m), **more)
        self.store.write_traced(plan, unit, task.key, graph, record)

    def _check_sheets(self, unit: Unit) -> None:
        """Check that the local files of a unit's sheets have the planned size and time."""
        for sheet in (self.scene.sheets[number] for number in unit.sheets):
            for part in sheet.stamp:
                if len(part) != 3 or is_remote(str(part[0])):
                    continue
                name, size, changed = part
                if os.path.isdir(name):
                    continue
                try:
                    status = os.stat(name)
                except FileNotFoundError as error:
                    raise MissingSheetError(
                        f"{name}: does not exist any more. Put it back, or run 'roadgis batch "
                        "update'."
                    ) from error
                if [status.st_size, status.st_mtime_ns] != [size, changed]:
                    raise ChangedSheetError(
                        f"{name}: has changed since it was planned. Run 'roadgis batch update'."
                    )


class UnitProbability:
    """Stored probability of units as a :class:`roadgis.probability.source.ProbabilitySource`.

    Parameters
    ----------
    units : iterable of Unit
        Predicted units; all other pixels are nodata.

    Attributes
    ----------
    grid : Grid
        Grid of all mapped pixels.
    """

    def __init__(self, plan: CountyPlan, store: ResultStore, units: Any) -> None:
        self.grid: Grid = county_grid(plan)
        self._store = store
        self._origin = plan.covered[:2]
        self._unit_px = plan.unit_px
        self._units: dict[tuple[int, int], Unit] = {(unit.row, unit.col): unit for unit in units}
        self._blank: dict[str, bool] = {}

    def read(self, window: Window) -> npt.NDArray[np.uint8]:
        """Return the probability in a window; 255 is nodata."""
        result = np.full((window.height, window.width), NO_DATA, np.uint8)
        inside = window.intersection(self.grid.window)
        if inside.is_empty:
            return result
        down, right = self._origin
        inside, window = inside.shifted(down, right), window.shifted(down, right)
        size = self._unit_px
        for row in range(inside.row // size, -(-inside.end_row // size)):
            for col in range(inside.col // size, -(-inside.end_col // size)):
                unit = self._units.get((row, col))
                if unit is None or self._is_blank(unit):
                    continue
                shared = unit.core.intersection(inside)
                if not shared.is_empty:
                    result[shared.slices_in(window)] = self._read_unit(unit, shared)
        return result

    def _is_blank(self, unit: Unit) -> bool:
        if unit.name not in self._blank:
            record = self._store.record("predicted", unit, unit.key)
            self._blank[unit.name] = record["valid_px"] == 0
        return self._blank[unit.name]

    def _read_unit(self, unit: Unit, window: Window) -> npt.NDArray[np.uint8]:
        part = RasterWindow(
            window.col - unit.core.col, window.row - unit.core.row, window.width, window.height
        )
        with self._store.probability(unit) as dataset:
            values: npt.NDArray[np.uint8] = dataset.read(1, window=part)
        return values


def _measured(graph: PixelGraph | None, width: int, gsd_m: float) -> dict[str, Any]:
    """Return length and mean confidence of the skeleton of a unit, before cleaning."""
    if graph is None or not len(graph.id):
        return {"traced_px": 0, "traced_km": 0.0, "confidence": None}
    down, right = (np.abs(np.subtract(*pair)) for pair in zip(
        *(np.divmod(graph.links[:, side], width) for side in (0, 1)), strict=True
    ))  # fmt: skip
    length_m = float(np.hypot(down, right).sum()) * gsd_m
    confidence = float(graph.probability.mean()) / _LEVELS
    return {
        "traced_px": len(graph.id),
        "traced_km": round(length_m / 1000, 4),
        "confidence": round(confidence, 4),
    }


def _record(task: Task, started: tuple[str, float], **values: Any) -> dict[str, Any]:
    began, at = started
    return {
        "worker": here(),
        "started": began,
        "seconds": round(time.monotonic() - at, 3),
        "attempts": task.attempts,
        **values,
    }


def _now() -> str:
    return datetime.now().astimezone().isoformat(timespec="seconds")


#: The county that is open in this process, with the arguments that it was opened with.
_open: list[tuple[tuple[str, str, int | None, str], County]] = []


def _opened(folder: str, plan_id: str, threads: int | None, device: Any) -> County:
    """Open a county, once per process."""
    call = (folder, plan_id, threads, device)
    if not _open or _open[0][0] != call:
        close_opened()
        local = county_folder(folder)
        plan = read_plan(local)
        if plan.plan_id != plan_id:
            raise InputError("The plan has changed while it was worked on. Run the command again.")
        _open.append((call, County(local, plan, threads=threads, device=device)))
    return _open[0][1]


def open_here(folder: str, plan_id: str, threads: int | None = None, device: str = "auto") -> str:
    """Open a county in this process for the tasks that follow; return the name of the worker.

    Raises
    ------
    RoadgisError
        If this process has another version of roadgis or of the model, or no such folder.
    """
    _opened(folder, plan_id, threads, device)
    return here()


def close_opened() -> None:
    """Close the county that is open in this process."""
    while _open:
        _open.pop()[1].close()


def do_task(
    folder: str, plan_id: str, task: Task, threads: int | None = None, device: str = "auto"
) -> UnitOutcome:
    """Do a task in this process and return its outcome; errors are returned, not raised.

    Parameters
    ----------
    folder, plan_id : str
        Address of the county, and identifier of the plan of the task.
    task : Task
        The task.
    threads, device
        As in :class:`County`.
    """
    try:
        county = _opened(folder, plan_id, threads, device)
    except Exception as error:
        return UnitOutcome(task, "start", str(error), stops=True)
    try:
        if task.step == "predicted":
            county.predict(task)
        else:
            county.trace(task)
    except OutputError as error:
        return UnitOutcome(task, "write", str(error), stops=True)
    except Exception as error:
        code = code_of(error) or "fault"
        text = str(error)
        if code == "fault":
            text = f"{type(error).__name__}: {error}\n{traceback.format_exc(limit=-3)}"
        return UnitOutcome(task, code, text)
    return UnitOutcome(task)
