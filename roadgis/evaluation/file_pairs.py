"""Pair proposals with truths: two files, or two folders of files with equal stems."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from roadgis.dataset_names import display_name
from roadgis.errors import InputError
from roadgis.vector_files.reading import is_dataset_folder

#: Suffixes of the files that are read from a folder.
_SUFFIXES = (
    ".gpkg",
    ".geojson",
    ".json",
    ".fgb",
    ".parquet",
    ".geoparquet",
    ".shp",
    ".gml",
    ".kml",
    ".gdb",
)


@dataclass(frozen=True)
class FilePair:
    """A proposal and its truth.

    Attributes
    ----------
    name : str
        The common stem, or the name of the proposal when only two files were given.
    proposal, truth : Path or str
        Files; as given, where two were given, which may be URLs.
    """

    name: str
    proposal: Path | str
    truth: Path | str


def find_pairs(proposal: Path | str, truth: Path | str) -> list[FilePair]:
    """Pair the files of proposals with those of truths.

    Parameters
    ----------
    proposal, truth : Path or str
        Two files or URLs, or two folders.

    Returns
    -------
    list of FilePair
        By name.

    Raises
    ------
    InputError
        If one is a folder and the other is not, a folder holds two files of one stem, or a
        truth has no proposal. A proposal without truth is one of those as well.
    """
    # A Path made from a URL has lost a slash.
    folders = [os.path.isdir(side) and not is_dataset_folder(side) for side in (proposal, truth)]
    if not any(folders):
        return [
            FilePair(os.path.basename(display_name(str(proposal).rstrip("/"))), proposal, truth)
        ]
    proposal, truth = Path(proposal), Path(truth)
    if not all(folders):
        folder, other = (proposal, truth) if folders[0] else (truth, proposal)
        raise InputError(
            f"{folder} is a folder and {other} is not. Expected two files, or two folders with "
            "files of equal stems."
        )
    ours, theirs = _by_stem(truth), _by_stem(proposal)
    if not ours:
        raise InputError(f"{truth}: found no vector file, expected {', '.join(_SUFFIXES)}.")
    alone = sorted(ours.keys() ^ theirs.keys())
    if alone:
        shown = ", ".join(str(ours.get(stem) or theirs[stem]) for stem in alone[:5])
        more = f" and {len(alone) - 5} more" if len(alone) > 5 else ""
        raise InputError(
            f"Found files without a partner of the same stem in the other folder: {shown}{more}. "
            "Expected a proposal for each truth; for a place where nothing was found, a file "
            "without lines."
        )
    return [FilePair(stem, theirs[stem], ours[stem]) for stem in sorted(ours)]


def _by_stem(folder: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in _SUFFIXES or path.name.startswith("."):
            continue
        if path.stem in found:
            raise InputError(
                f"{folder}: found {found[path.stem].name} and {path.name}, which have one stem. "
                "Expected one file for each place; remove one, or name the files one by one."
            )
        found[path.stem] = path
    return found
