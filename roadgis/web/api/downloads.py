"""What a finished job offers to download: one list for the API and the page."""

from __future__ import annotations

from dataclasses import dataclass

from roadgis.output.formats import SUFFIXES, OutputFormat


@dataclass(frozen=True)
class Download:
    """A file that is made of a finished job.

    Attributes
    ----------
    title, about : str
        Words for users.
    ending : str
        Put behind the name of the job.
    media_type : str
        As in the header ``Content-Type``.
    """

    title: str
    about: str
    ending: str
    media_type: str


def _network(suffix: str, kind: OutputFormat) -> Download:
    if kind.parts:
        return Download(kind.name, "zip archive", "-roads.zip", "application/zip")
    return Download(kind.name, kind.about, f"-roads{suffix}", kind.media_type)


#: Formats of the network by the name in the API, the most complete first.
NETWORKS: dict[str, Download] = {
    suffix.lstrip("."): _network(suffix, kind)
    for suffix, kind in sorted(SUFFIXES.items(), key=lambda entry: not entry[1].has_nodes)
    if suffix == next(first for first, same in SUFFIXES.items() if same is kind)
}
#: All downloads by the name in the API.
DOWNLOADS: dict[str, Download] = {
    **NETWORKS,
    "probability": Download(
        "Probability", "Cloud Optimized GeoTIFF", "-probability.tif", "image/tiff"
    ),
    "edits": Download(
        "Corrections", "GeoJSON with user and time", "-corrections.geojson", "application/geo+json"
    ),
    "labels": Download("Training labels", "masks, zip archive", "-labels.zip", "application/zip"),
    "report": Download(
        "QA report", "HTML to print and sign", "-report.html", "text/html; charset=utf-8"
    ),
}
