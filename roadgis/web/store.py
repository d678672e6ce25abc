"""Jobs and corrections in one SQLite file."""

from __future__ import annotations

import datetime
import json
import secrets
import sqlite3
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

JobKind = Literal["roads", "video"]
JobState = Literal[
    "uploading", "checking", "ready", "queued", "running", "done", "failed", "cancelled"
]
#: States in which nothing is left to do for the server.
ENDED: tuple[JobState, ...] = ("done", "failed", "cancelled")
#: What OGC API - Processes calls each state.
OGC_STATUS: dict[str, str] = {
    "uploading": "accepted",
    "checking": "accepted",
    "ready": "accepted",
    "queued": "accepted",
    "running": "running",
    "done": "successful",
    "failed": "failed",
    "cancelled": "dismissed",
}
_FIELDS = ("facts", "settings", "result", "inputs", "warnings")
_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS jobs (
  id TEXT PRIMARY KEY, kind TEXT NOT NULL, name TEXT NOT NULL, state TEXT NOT NULL,
  percent REAL NOT NULL DEFAULT 0, text TEXT NOT NULL DEFAULT '', created REAL NOT NULL,
  started REAL, ended REAL, queued REAL, {", ".join(f"{name} TEXT" for name in _FIELDS)}
);
CREATE TABLE IF NOT EXISTS edits (
  id INTEGER PRIMARY KEY AUTOINCREMENT, job TEXT NOT NULL REFERENCES jobs(id) ON DELETE CASCADE,
  action TEXT NOT NULL, edge INTEGER, network INTEGER NOT NULL, geometry TEXT,
  user TEXT NOT NULL, time REAL NOT NULL
);
CREATE INDEX IF NOT EXISTS edits_of_job ON edits (job);
"""


@dataclass(frozen=True)
class Job:
    """A job.

    Attributes
    ----------
    id : str
        Cannot be guessed.
    kind : {"roads", "video"}
        Kind of result.
    name : str
        Display name; never used as a path.
    state : str
        See :data:`JobState`.
    percent : float
        Share done, 0..100.
    text : str
        Current step, or why it failed.
    created, queued, started, ended : float or None
        Seconds since 1970.
    facts : dict
        Output of ``roadgis info``.
    settings : dict
        Settings of the run.
    result : dict
        Counts and networks, once there are any.
    inputs : list of dict
        ``name`` and ``path`` of each file; the path is never shown.
    warnings : list of str
        Warnings of the engine.
    """

    id: str
    kind: JobKind
    name: str
    state: JobState
    created: float
    percent: float = 0.0
    text: str = ""
    queued: float | None = None
    started: float | None = None
    ended: float | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    result: dict[str, Any] = field(default_factory=dict)
    inputs: list[dict[str, str]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Edit:
    """One correction.

    Attributes
    ----------
    id : int
        In the order in which they were made.
    action : {"accept", "reject", "redraw", "draw"}
        Kind of the correction.
    edge : int or None
        The edge, in `network`; None for a road that was drawn.
    network : int
        Number of the network that the user saw.
    geometry : list of [lon, lat]
        The edge as it was; of ``redraw`` and ``draw`` the new line.
    user : str
        Who.
    time : float
        When, seconds since 1970.
    """

    id: int
    action: str
    edge: int | None
    network: int
    geometry: list[list[float]]
    user: str
    time: float


def iso(seconds: float) -> str:
    """Return a time as ISO 8601 in UTC."""
    moment = datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc)
    return moment.isoformat(timespec="seconds")


class Store:
    """The table of jobs; safe to use from several threads.

    Parameters
    ----------
    path : Path
        The SQLite file; made when missing.
    """

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._db.row_factory = sqlite3.Row
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.execute("PRAGMA foreign_keys=ON")
        self._db.executescript(_SCHEMA)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    def _run(self, statement: str, values: Iterable[Any] = ()) -> list[sqlite3.Row]:
        with self._lock:
            return self._db.execute(statement, tuple(values)).fetchall()

    def add(self, kind: JobKind, name: str) -> Job:
        """Make a job."""
        job = Job(secrets.token_urlsafe(12), kind, name, "uploading", time.time())
        self._run(
            "INSERT INTO jobs (id, kind, name, state, created) VALUES (?, ?, ?, ?, ?)",
            (job.id, kind, name, job.state, job.created),
        )
        return job

    def get(self, identifier: str) -> Job | None:
        """Return a job, or None."""
        found = self._run("SELECT * FROM jobs WHERE id = ?", (identifier,))
        return _job(found[0]) if found else None

    def all(self, *states: JobState) -> list[Job]:
        """Return the jobs in some states (default: any), the newest first."""
        wanted = states or get_args(JobState)
        marks = ", ".join("?" * len(wanted))
        return [
            _job(row)
            for row in self._run(
                f"SELECT * FROM jobs WHERE state IN ({marks}) ORDER BY created DESC", wanted
            )
        ]

    def count(self, *states: JobState) -> int:
        """Return how many jobs are in some states."""
        marks = ", ".join("?" * len(states))
        rows = self._run(f"SELECT count(*) FROM jobs WHERE state IN ({marks})", states)
        return int(rows[0][0])

    def update(self, identifier: str, **values: Any) -> Job | None:
        """Change a job, and return it; None when it is gone."""
        names = ", ".join(f"{name} = ?" for name in values)
        given = [json.dumps(v) if k in _FIELDS else v for k, v in values.items()]
        self._run(f"UPDATE jobs SET {names} WHERE id = ?", (*given, identifier))
        return self.get(identifier)

    def change_state(self, identifier: str, old: Iterable[JobState], new: JobState) -> bool:
        """Change the state of a job that is in one of some states; return whether it was."""
        old = tuple(old)
        marks = ", ".join("?" * len(old))
        rows = self._run(
            f"UPDATE jobs SET state = ? WHERE id = ? AND state IN ({marks}) RETURNING id",
            (new, identifier, *old),
        )
        return bool(rows)

    def next_queued(self) -> Job | None:
        """Return the job that has waited the longest."""
        found = self._run("SELECT * FROM jobs WHERE state = 'queued' ORDER BY queued LIMIT 1")
        return _job(found[0]) if found else None

    def remove(self, identifier: str) -> None:
        """Remove a job and its corrections."""
        self._run("DELETE FROM jobs WHERE id = ?", (identifier,))

    def add_edit(
        self,
        job: str,
        action: str,
        edge: int | None,
        network: int,
        geometry: list[list[float]],
        user: str,
    ) -> Edit:
        """Store a correction."""
        now = time.time()
        rows = self._run(
            "INSERT INTO edits (job, action, edge, network, geometry, user, time) "
            "VALUES (?, ?, ?, ?, ?, ?, ?) RETURNING id",
            (job, action, edge, network, json.dumps(geometry), user, now),
        )
        return Edit(int(rows[0][0]), action, edge, network, geometry, user, now)

    def edits(self, job: str) -> list[Edit]:
        """Return the corrections of a job, oldest first."""
        return [
            Edit(
                row["id"],
                row["action"],
                row["edge"],
                row["network"],
                json.loads(row["geometry"]),
                row["user"],
                row["time"],
            )
            for row in self._run("SELECT * FROM edits WHERE job = ? ORDER BY id", (job,))
        ]

    def undo(self, job: str) -> int | None:
        """Remove the last correction of a job, and return its id; None when there is none."""
        rows = self._run(
            "DELETE FROM edits WHERE id = (SELECT max(id) FROM edits WHERE job = ?) RETURNING id",
            (job,),
        )
        return int(rows[0][0]) if rows else None


def _job(row: sqlite3.Row) -> Job:
    values = {key: row[key] for key in row.keys()}  # noqa: SIM118 - a Row iterates over values
    for name in _FIELDS:
        text = values.pop(name)
        if text is not None:
            values[name] = json.loads(text)
    return Job(**values)
