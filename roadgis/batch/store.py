"""The files of a county: results named after everything that determines them.

::

    FOLDER/county.json              the plan
    FOLDER/predicted/UNIT.KEY.tif   probability of a unit; absent if it has no valid pixel
    FOLDER/predicted/UNIT.KEY.json  its record, written last: its presence means done
    FOLDER/traced/UNIT.KEY.npz      skeleton of a unit; absent if it has no road
    FOLDER/traced/UNIT.KEY.json     its record
    FOLDER/failed/STEP.UNIT.KEY.json  the last failure of a step
    FOLDER/leases/STEP.UNIT         worker of a step, see roadgis.batch.leases
    FOLDER/units.stac.json, model.stac.json  STAC Items of units and model, see roadgis.batch.items
    FOLDER/merged.json              path of the network merged last, bridged share of its units
    FOLDER/units.gpkg, .parquet     status of all units, derived from the files above
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from rasterio.errors import RasterioError

from roadgis.atomic import atomic_path, make_folder, remove_leftovers
from roadgis.batch.codec import crs_of
from roadgis.batch.plan import CountyPlan
from roadgis.batch.storage import storage
from roadgis.batch.units import Unit
from roadgis.errors import OutputError, ReadError, RoadgisError
from roadgis.imagery.grid import Grid, Window
from roadgis.network.centerlines import RoadEnds
from roadgis.plain_values import parse_json
from roadgis.probability.chunks import checked_chunk, write_chunks
from roadgis.vectorization.pixel_graph import PixelGraph

Step = Literal["predicted", "traced"]
#: Steps of a unit, in order.
STEPS: tuple[Step, ...] = ("predicted", "traced")
_MERGED = "merged.json"
_LEFTOVER = re.compile(r"\.(.+)\.(?:[a-z0-9_]{8}\.partial|placing)")
_AGAIN = "Remove it, and run 'roadgis batch run' again."


@dataclass(frozen=True)
class Failure:
    """The last failure of a step of a unit.

    Attributes
    ----------
    code : str
        Error code, see :mod:`roadgis.batch.failures`.
    message : str
        Cause and remedy.
    permanent : bool
        Whether a retry cannot succeed until the input changes.
    attempts : int
        Number of attempts since the unit was planned or reset.
    worker : str
        Host and process.
    finished : str
        Time of the failure, ISO 8601.
    """

    code: str
    message: str
    permanent: bool
    attempts: int = 1
    worker: str = ""
    finished: str = ""


class ResultStore:
    """Result files of one county."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._storage = storage(folder)

    def make(self) -> None:
        """Create missing folders, and remove partial files of killed runs."""
        for name in (*STEPS, "failed", "leases"):
            make_folder(self.folder / name)
        for name in (*STEPS, "failed", "."):
            for entry in os.scandir(self.folder / name):
                match = _LEFTOVER.fullmatch(entry.name)
                if match:
                    remove_leftovers(self.folder / name / match[1])

    def done(self, step: Step) -> set[str]:
        """Return ``UNIT.KEY`` of all finished results of a step."""
        return {name[: -len(".json")] for name in self._names(step) if name.endswith(".json")}

    def failed(self) -> set[str]:
        """Return ``STEP.UNIT.KEY`` of all failures."""
        return {name[: -len(".json")] for name in self._names("failed") if name.endswith(".json")}

    def _names(self, folder: str) -> Iterator[str]:
        return (name for name in self._storage.names(folder) if not name.startswith("."))

    def has(self, step: Step, unit: Unit, key: str) -> bool:
        """Return whether a step of a unit is finished."""
        return self._storage.exists(_name(step, unit, key, ".json"))

    def fetch_records(self, done: Mapping[Step, Iterable[str]]) -> None:
        """Download the records of results at once, if the county is in an object store.

        Parameters
        ----------
        done : mapping
            ``UNIT.KEY`` of results, by step.
        """
        self._storage.fetch(f"{step}/{name}.json" for step, names in done.items() for name in names)

    def fetch_traced(self, names: Iterable[str]) -> None:
        """Download the skeletons ``UNIT.KEY`` at once, if the county is in an object store."""
        self._storage.fetch(f"traced/{name}.npz" for name in names)

    def record(self, step: Step, unit: Unit, key: str) -> dict[str, Any]:
        """Return the record of a finished step.

        Raises
        ------
        ReadError
            If the record is missing or damaged.
        """
        name = _name(step, unit, key, ".json")
        try:
            self._storage.fetch([name])
            record: dict[str, Any] = parse_json((self.folder / name).read_bytes())
            return record
        except ReadError:
            raise
        except (OSError, ValueError) as error:
            place = self._storage.place(name)
            raise ReadError(f"{place}: cannot be read ({error}). {_AGAIN}") from error

    def failure(self, step: Step, unit: Unit, key: str) -> Failure | None:
        """Return the last failure of a step, or None."""
        try:
            return Failure(**parse_json(self._storage.read(_failed(step, unit, key))))
        except (OSError, ValueError, TypeError):
            return None

    def fail(self, step: Step, unit: Unit, key: str, failure: Failure) -> None:
        """Record a failure."""
        self._write_json(_failed(step, unit, key), asdict(failure))

    def forgive(self, step: Step, unit: Unit, key: str) -> None:
        """Remove the record of a failure, if it exists."""
        self._storage.remove(_failed(step, unit, key))

    def write_probability(
        self,
        plan: CountyPlan,
        unit: Unit,
        values: npt.NDArray[np.uint8] | None,
        record: Mapping[str, Any],
    ) -> None:
        """Write a unit's probability and its record.

        Parameters
        ----------
        unit : Unit
            The unit.
        values : ndarray of uint8, shape of the unit's core, or None
            Probability; None if no pixel is valid.
        record : mapping
            JSON values.

        Raises
        ------
        OutputError
            If the disk is full or the folder cannot be written.
        """
        name = _name("predicted", unit, unit.key, ".tif")
        path = self.folder / name
        try:
            if values is not None:
                write_chunks([(path, values, unit_grid(plan, unit), f"{unit.name} {unit.key}")])
                self._storage.publish(name)
        except (OSError, RasterioError) as error:
            if isinstance(error, RoadgisError):
                raise
            raise OutputError(
                f"{path}: the probability cannot be written ({error}). Free some space and run "
                "'roadgis batch run' again; finished units are kept."
            ) from error
        self._write_json(_name("predicted", unit, unit.key, ".json"), record)

    @contextlib.contextmanager
    def probability(self, unit: Unit) -> Iterator[Any]:
        """Open the probability of a unit as a dataset that covers its core.

        Raises
        ------
        ReadError
            If the file is missing or damaged, or belongs to another result.
        """
        name = _name("predicted", unit, unit.key, ".tif")
        path = self.folder / name
        with contextlib.suppress(FileNotFoundError):
            self._storage.fetch([name])
        if not path.exists():
            raise ReadError(
                f"{self._storage.place(name)}: the file is missing although the unit is done. "
                f"Remove the record next to it, {path.with_suffix('.json').name}, and run "
                "'roadgis batch run' again."
            )
        shape = unit.core.height, unit.core.width
        with checked_chunk(path, shape, f"{unit.name} {unit.key}", _AGAIN) as dataset:
            yield dataset

    def write_traced(
        self,
        plan: CountyPlan,
        unit: Unit,
        key: str,
        graph: PixelGraph | None,
        record: Mapping[str, Any],
    ) -> None:
        """Write the skeleton of a unit (None if it has no road) and its record."""
        name = _name("traced", unit, key, ".npz")
        if graph is not None:
            arrays = {name: getattr(graph, name) for name in graph._fields if name != "ends"}
            arrays |= {f"ends_{name}": getattr(graph.ends, name) for name in graph.ends._fields}
            # Ids count on the grid; another plan of the same units may have another one.
            row, col, _, width = plan.covered
            with atomic_path(self.folder / name) as partial, partial.open("wb") as file:
                np.savez_compressed(
                    file, allow_pickle=False, grid=np.array([row, col, width]), **arrays
                )
            self._storage.publish(name)
        self._write_json(_name("traced", unit, key, ".json"), record)

    def traced(self, plan: CountyPlan, unit: Unit, key: str) -> PixelGraph:
        """Return the skeleton of a unit, with pixel ids on the grid of the plan.

        Raises
        ------
        ReadError
            If the file is missing or damaged.
        """
        file = _name("traced", unit, key, ".npz")
        try:
            self._storage.fetch([file])
            with np.load(self.folder / file, allow_pickle=False) as arrays:
                found = {name: arrays[name] for name in arrays.files}
        except ReadError:
            raise
        except (OSError, ValueError, KeyError, EOFError) as error:
            raise ReadError(
                f"{self._storage.place(file)}: the traced lines cannot be read ({error}). Remove "
                f"it and the record next to it, {unit.name}.{key}.json, and run 'roadgis batch "
                "run' again."
            ) from error
        row, col, width = found.pop("grid").tolist()
        here_row, here_col, _, here_width = plan.covered
        down, right = row - here_row, col - here_col

        def renumbered(ids: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
            rows, cols = np.divmod(ids, width)
            return np.asarray((rows + down) * here_width + cols + right, np.int64)

        ends = RoadEnds(**{name: found.pop(f"ends_{name}") for name in RoadEnds._fields})
        found["id"], found["links"] = renumbered(found["id"]), renumbered(found["links"])
        return PixelGraph(**found, ends=ends._replace(id=renumbered(ends.id)))

    def write_merged(self, network: Path, bridged_share: Mapping[str, float]) -> None:
        """Record the network that was merged last.

        Parameters
        ----------
        network : Path
            Its file.
        bridged_share : mapping
            Bridged share of the length of roads by ``UNIT.KEY``; units without roads are left out.
        """
        values = {"network": str(network.absolute()), "bridged_share": dict(bridged_share)}
        self._write_json(_MERGED, values)

    def merged(self) -> tuple[Path | None, dict[str, float]]:
        """Return what :meth:`write_merged` recorded; None and no shares before the first merge."""
        try:
            found = parse_json(self._storage.read(_MERGED))
            return Path(found["network"]), dict(found.get("bridged_share", {}))
        except (OSError, ValueError, KeyError, TypeError, ReadError):
            return None, {}

    def prune(self, wanted: Mapping[Step, Iterable[str]]) -> int:
        """Remove results whose ``UNIT.KEY`` is not wanted; return their number."""
        removed = 0
        for step, names in wanted.items():
            keep = set(names)
            obsolete = [
                f"{step}/{name}"
                for name in self._names(step)
                if name.endswith((".json", ".npz", ".tif")) and name.rpartition(".")[0] not in keep
            ]
            # Records first: without its record a result does not count.
            records = [name for name in obsolete if name.endswith(".json")]
            self._storage.remove(*records)
            self._storage.remove(*(name for name in obsolete if not name.endswith(".json")))
            removed += len(records)
        return removed

    def _write_json(self, name: str, values: Mapping[str, Any]) -> None:
        with atomic_path(self.folder / name) as partial:
            partial.write_text(json.dumps(values) + "\n", encoding="utf-8")
        self._storage.publish(name)


def _name(step: Step, unit: Unit, key: str, suffix: str) -> str:
    return f"{step}/{unit.name}.{key}{suffix}"


def _failed(step: Step, unit: Unit, key: str) -> str:
    return f"failed/{step}.{unit.name}.{key}.json"


def county_grid(plan: CountyPlan) -> Grid:
    """Return the grid of all mapped pixels."""
    return _part(plan, Window(*plan.covered))


def unit_grid(plan: CountyPlan, unit: Unit) -> Grid:
    """Return the grid of the core of a unit."""
    return _part(plan, unit.core)


def _part(plan: CountyPlan, window: Window) -> Grid:
    """Return the grid of a window on the lattice."""
    x0, y0, width, height = plan.facts["grid"]
    row, col = plan.facts["origin"]
    whole = Grid(crs_of(plan.facts["crs"]), x0, y0, plan.gsd_m, width, height)
    return whole.part(Window(window.row - row, window.col - col, window.height, window.width))
