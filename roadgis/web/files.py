"""Paths of a job's files."""

from __future__ import annotations

import shutil
from pathlib import Path

from roadgis.web.store import Job


def example_file(name: str) -> Path | None:
    """Return a file of the examples, of the package or of a clone; None where it is missing."""
    package = Path(__file__).parents[1]
    for folder in (package / "web" / "examples", package.parent / "examples"):
        if (folder / name).is_file():
            return folder / name
    return None


class JobFiles:
    """The folder of a job.

    Parameters
    ----------
    root : Path
        The folder of all jobs.
    job : Job
        Which one.
    """

    def __init__(self, root: Path, job: Job) -> None:
        self.folder = root / job.id
        self.job = job

    @property
    def inputs(self) -> Path:
        """Folder of uploaded imagery or the uploaded video."""
        return self.folder / "inputs"

    @property
    def shown(self) -> list[Path]:
        """VRTs of the imagery with overviews, for the map."""
        return [self.folder / "shown" / f"{number}.vrt" for number in range(len(self.sheets()))]

    def sheets(self) -> list[Path]:
        """Return the imagery, in the order of the facts."""
        return [Path(text) for text in self.job.facts.get("paths", [])]

    @property
    def work(self) -> Path:
        """The engine's work directory, with the probability mosaic."""
        return self.folder / "work"

    @property
    def networks(self) -> Path:
        """Folder of the networks, ``N.gpkg``; 0 is the run's."""
        return self.folder / "networks"

    @property
    def exports(self) -> Path:
        """Folder of files made for downloads."""
        return self.folder / "exports"

    @property
    def base(self) -> Path:
        """Folder of the layer to compare with."""
        return self.folder / "base"

    @property
    def probability(self) -> Path:
        """The probability as a Cloud Optimized GeoTIFF."""
        return self.folder / "probability.tif"

    @property
    def live(self) -> Path:
        """The finished part of the probability, while a run lasts."""
        return self.folder / "live.vrt"

    @property
    def live_roads(self) -> Path:
        """Roads of the finished part."""
        return self.folder / "live.gpkg"

    @property
    def comparison(self) -> Path:
        """Missing, extra and moved lines."""
        return self.folder / "comparison.json"

    def network(self, number: int) -> Path:
        """Return the file of a network."""
        return self.networks / f"{number}.gpkg"

    def difference(self, number: int) -> Path:
        """Return the file of the lines added and removed since the previous network."""
        return self.networks / f"{number}.difference.json"

    @property
    def video(self) -> Path:
        """The segmented video or picture."""
        kind = self.job.facts.get("kind", "video")
        return self.folder / ("result.png" if kind == "picture" else "result.webm")

    def paths(self) -> list[Path]:
        """Return the input files."""
        return [Path(entry["path"]) for entry in self.job.inputs]

    def make(self) -> None:
        """Make the folders."""
        for folder in (self.inputs, self.networks, self.exports, self.base):
            folder.mkdir(parents=True, exist_ok=True)

    def remove(self) -> None:
        """Remove everything."""
        shutil.rmtree(self.folder, ignore_errors=True)
