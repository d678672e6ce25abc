"""Planning a county again, keeping results that are still valid."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from roadgis.atomic import hidden_prefix, make_folder
from roadgis.batch.board import Board
from roadgis.batch.plan import PLAN, CountyPlan, read_plan, write_plan
from roadgis.batch.planning import make_plan
from roadgis.batch.sheets import absolute_sources, county_sheets
from roadgis.batch.storage import county_address, storage
from roadgis.batch.store import STEPS, ResultStore
from roadgis.errors import OutputError
from roadgis.locks import LOCK, take_lock
from roadgis.sources.location import counted


@dataclass(frozen=True)
class Updated:
    """Summary of an update.

    Attributes
    ----------
    units : int
        Number of units in the new plan.
    kept : int
        Number of units whose results are still valid.
    changed, added, removed : tuple of str
        Names of sheets.
    notes : tuple of str
        Sentences for the user.
    """

    units: int
    kept: int
    changed: tuple[str, ...]
    added: tuple[str, ...]
    removed: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def text(self) -> str:
        """The summary as text."""
        parts = [
            f"{counted(names)} {what}"
            for what, names in (
                ("changed", self.changed), ("added", self.added), ("removed", self.removed),
            )
            if names
        ]  # fmt: skip
        head = ", ".join(parts) or "no sheet has changed"
        return " ".join(
            [f"{head}; {self.kept} of {self.units} units are kept, {self.units - self.kept} are to "
             "be done.", *self.notes]
        )  # fmt: skip

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in dataclasses.asdict(self).items()
        }


def plan_county(folder: Path, plan: CountyPlan) -> int:
    """Write a plan into a folder; return the number of units that are already done.

    Parameters
    ----------
    folder : Path
        A new or empty folder, or that of a county; results that are not valid any more are removed.
    plan : CountyPlan
        The new plan.

    Raises
    ------
    OutputError
        If the folder contains other files, or cannot be written.
    """
    check_county_folder(folder)
    make_folder(folder)
    lock = take_lock(folder / LOCK, timeout_s=10.0)
    if lock is None:
        raise OutputError(
            f"{county_address(folder)}: another process is planning this county. Wait until it "
            "ends."
        )
    try:
        store = ResultStore(folder)
        store.make()
        write_plan(folder, plan)
        board = Board(plan, store)
        traced = list(board.traced_keys())
        store.prune(
            {
                "predicted": {f"{unit.name}.{unit.key}" for unit in plan.units},
                "traced": {f"{unit.name}.{key}" for unit, key in traced},
            }
        )
        return sum(board.is_traced(unit, key) for unit, key in traced)
    finally:
        lock.release()


def check_county_folder(folder: Path) -> None:
    """Check before the work that a county can be planned into a folder.

    Raises
    ------
    OutputError
        If the folder contains other files.
    """
    if not storage(folder).exists(PLAN) and _holds_others(folder):
        raise OutputError(
            f"{county_address(folder)}: contains files and is not the folder of a county: it has "
            f"no {PLAN}. Nothing was written to it. Choose a new or an empty folder with -o."
        )


def _holds_others(folder: Path) -> bool:
    """Return whether a folder without a plan holds files other than those of a killed 'plan'."""
    own = {LOCK, *STEPS, "failed", "leases"}
    hidden = hidden_prefix(folder / PLAN)
    return any(name not in own and not name.startswith(hidden) for name in storage(folder).names())


def update_county(
    folder: Path, sources: Sequence[str] | None = None, *, restat: bool = False
) -> Updated:
    """Plan a county again after its sheets have changed.

    Parameters
    ----------
    sources : sequence of str, optional
        Sources of all sheets; by default those of the previous plan.
    restat : bool
        Measure the statistics of the imagery again instead of keeping them.

    Raises
    ------
    SceneError, ReadError
        If no sheet can be used.
    """
    before = read_plan(folder)
    source = absolute_sources(sources or before.source)
    after = make_plan(
        county_sheets(source, before.settings.options),
        before.settings,
        source,
        statistics=None if restat else before.statistics,
    )
    kept = plan_county(folder, after)
    old = {sheet["name"]: sheet["digest"] for sheet in before.facts["record"]["sheets"]}
    new = {sheet["name"]: sheet["digest"] for sheet in after.facts["record"]["sheets"]}
    return Updated(
        units=len(after.units),
        kept=kept,
        changed=tuple(name for name in new if name in old and old[name] != new[name]),
        added=tuple(name for name in new if name not in old),
        removed=tuple(name for name in old if name not in new),
        notes=_notes(before, after, restat=restat),
    )


def _notes(before: CountyPlan, after: CountyPlan, *, restat: bool) -> tuple[str, ...]:
    notes = []
    if before.version != after.version:
        notes.append(
            "Another version of roadgis made the previous plan: all units are computed again."
        )
    if before.facts["record"]["reading"] != after.facts["record"]["reading"]:
        notes.append(
            "The pixel grid or the statistics of the imagery have changed: all units are computed "
            "again."
        )
    measured = before.statistics.normalization is not None or before.statistics.scalings
    if measured and not restat:
        notes.append(
            "The statistics that normalize the imagery are those of the first plan; --restat "
            "measures them again."
        )
    return tuple(notes)
