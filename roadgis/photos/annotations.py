"""Convert a folder of annotated photographs (IDD, Cityscapes) to index masks."""

from __future__ import annotations

import logging
import os
import struct
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from rasterio.errors import RasterioError

from roadgis.arrays import Bytes, Ints
from roadgis.atomic import atomic_path, make_folder
from roadgis.errors import DataError, OutputError
from roadgis.imagery.dataset_pool import open_dataset
from roadgis.photos.label_classes import CLASSES_FILE, IGNORE, LabelClasses, parse_classes
from roadgis.photos.polygon_json import PolygonDocument, draw_polygons
from roadgis.progress import Progress, no_progress, scaled

_LOG = logging.getLogger(__name__)

_PATTERN = "*_polygons.json"
_ENDINGS = ("_gtFine_polygons.json", "_gtCoarse_polygons.json", "_polygons.json", ".json")
_ANNOTATION_FOLDERS = ("gtFine", "gtCoarse")
_IMAGE_FOLDER = "leftImg8bit"
_IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg")
_SHOWN = 40
# Share of the check of all annotations in the progress.
_CHECK_SHARE = 0.2

# Neighbouring classes differ in hue and lightness; the colours repeat, darker.
_HUES = (
    *((214, 84, 63), (79, 160, 214), (242, 196, 70), (108, 178, 92), (158, 104, 190)),
    *((240, 146, 60), (64, 186, 176), (226, 120, 170), (150, 118, 84), (190, 200, 90)),
    *((90, 110, 200), (180, 180, 180)),
)


def _palette() -> Bytes:
    table = np.zeros((256, 3), np.uint8)
    for index in range(1, 255):
        turn, place = divmod(index - 1, len(_HUES))
        table[index] = np.array(_HUES[place]) * 0.86**turn
    table[255] = 255
    return table


#: Colour of each index, uint8 (256, 3): 0 is black, 255 (ignored) is white.
MASK_PALETTE = _palette()


T = TypeVar("T")


@dataclass(frozen=True)
class IndexMasks:
    """The written masks.

    Attributes
    ----------
    paths : tuple of Path
        Sorted.
    names : tuple of str
        Class names by index.
    pixels : dict of str to int
        Pixels of each class, and of ``ignored`` (255).
    skipped : int
        Outlines left out because they have fewer than three points.
    """

    paths: tuple[Path, ...]
    names: tuple[str, ...]
    pixels: dict[str, int]
    skipped: int


def polygons_to_masks(
    source: Path | str,
    output: Path | str,
    classes: str | Sequence[str],
    *,
    ignore: str | Sequence[str] = (),
    overwrite: bool = False,
    workers: int | None = None,
    progress: Progress = no_progress,
) -> IndexMasks:
    """Draw all annotations under a folder as index masks.

    All annotations are read and checked before the first mask is written.

    Parameters
    ----------
    source : Path or str
        A folder with ``*_polygons.json`` at any depth, or one such file.
    output : Path or str
        Folder for the masks; subfolders of `source` are kept. ``a/NAME_gtFine_polygons.json`` gives
        ``a/NAME_mask.png``, one band of class indices with a palette. ``classes.json`` next to them
        names the indices.
    classes : str or sequence of str
        ``road,sidewalk,vehicle=car+truck``; see :func:`roadgis.photos.label_classes.parse_classes`.
    ignore : str or sequence of str
        Labels of pixels that become 255.
    workers : int, optional
        Threads. Default: number of cores, at most 8.

    Raises
    ------
    InputError
        If `classes` is invalid.
    DataError
        If there are no annotations, one is damaged, none has one of the labels, or an image has
        another size than its annotation.
    OutputError
        If a mask exists and `overwrite` is not set, or one cannot be written.
    Cancelled
        If `progress` raises it; finished masks are kept.
    """
    chosen = parse_classes(classes, ignore)
    files, root = _annotations(Path(source))
    targets = _targets(files, root, Path(output), overwrite)
    threads = workers or min(8, os.cpu_count() or 1)
    with ThreadPoolExecutor(threads, "roadgis-labels") as pool:
        labels: Counter[str] = Counter()
        skipped = 0
        checked = scaled(progress, 0.0, _CHECK_SHARE)
        for counts, few in _each(pool, _check, files, checked, "checking annotations"):
            labels.update(counts)
            skipped += few
        _require_labels(chosen, labels, str(source))
        if skipped:
            _LOG.warning("%d outlines with fewer than three points are left out.", skipped)
        pixels = np.zeros(256, np.int64)

        def draw(pair: tuple[Path, Path]) -> Ints:
            return _write_mask(*pair, chosen, overwrite)

        make_folder(Path(output))
        chosen.write(Path(output) / CLASSES_FILE)
        pairs = list(zip(files, targets, strict=True))
        drawn = scaled(progress, _CHECK_SHARE, 1.0)
        for counted in _each(pool, draw, pairs, drawn, "drawing masks"):
            pixels += counted
    counts_of = {name: int(pixels[i]) for i, name in enumerate(chosen.names)}
    return IndexMasks(
        tuple(targets), chosen.names, {**counts_of, "ignored": int(pixels[IGNORE])}, skipped
    )


def _each(
    pool: ThreadPoolExecutor,
    work: Callable[..., T],
    items: Sequence[object],
    progress: Progress,
    text: str,
) -> Iterator[T]:
    """Yield results in order; cancel the rest on an error."""
    futures = [pool.submit(work, item) for item in items]
    try:
        for number, future in enumerate(futures):
            progress(number / len(futures), f"{text}: {number} of {len(futures)}")
            yield future.result()
        progress(1.0, f"{text}: {len(futures)} of {len(futures)}")
    finally:
        for future in futures:
            future.cancel()


def _annotations(source: Path) -> tuple[list[Path], Path]:
    """Return the annotation files, and the root of their folders."""
    if source.is_file():
        return [source], source.parent
    if not source.is_dir():
        raise DataError(f"{source}: does not exist. Check the path.")
    files = sorted(path for path in source.rglob(_PATTERN) if path.is_file())
    if not files:
        raise DataError(
            f"{source}: found no {_PATTERN} in it or below. Expected the annotations of IDD or "
            "Cityscapes, such as gtFine/train/0/000000_gtFine_polygons.json."
        )
    return files, source


def _targets(files: Sequence[Path], root: Path, output: Path, overwrite: bool) -> list[Path]:
    targets: dict[Path, Path] = {}
    for file in files:
        target = output / file.parent.relative_to(root) / f"{_stem(file)}_mask.png"
        if target in targets:
            raise DataError(
                f"{targets[target]} and {file} would both give {target}. Convert them one folder "
                "at a time."
            )
        targets[target] = file
    existing = [path for path in targets if path.exists()]
    if existing and not overwrite:
        raise OutputError(
            f"{existing[0]}: exists ({len(existing)} of {len(targets)} masks do). Choose "
            "another folder, or replace them with --overwrite."
        )
    return list(targets)


def _stem(file: Path) -> str:
    """Return the common part of the names of annotation, image and mask."""
    ending = next((end for end in _ENDINGS if file.name.endswith(end)), "")
    return file.name.removesuffix(ending)


def _check(file: Path) -> tuple[Counter[str], int]:
    document = PolygonDocument.read(file)
    image = _image_of(file)
    if image is not None:
        try:
            with open_dataset(str(image), None) as dataset:
                size = (dataset.height, dataset.width)
        except RasterioError as error:
            raise DataError(
                f"{image}: is not an image that can be opened ({error}). Copy it again, or remove "
                f"{file.name}."
            ) from error
        if size != (document.height, document.width):
            raise DataError(
                f"{file}: says that the image has {document.width} x {document.height} px, but "
                f"{image} has {size[1]} x {size[0]}. Use images and annotations of one size; do "
                "not scale the images beforehand."
            )
    return document.label_counts, document.skipped


def _image_of(file: Path) -> Path | None:
    """Return the photograph of an annotation, if it is in its usual place."""
    stem = _stem(file)
    folders = [file.parent]
    parts = list(file.absolute().parent.parts)
    for name in _ANNOTATION_FOLDERS:
        if name in parts:
            place = len(parts) - 1 - parts[::-1].index(name)
            folders.append(Path(*parts[:place], _IMAGE_FOLDER, *parts[place + 1 :]))
    names = [f"{stem}{middle}{suffix}" for middle in (f"_{_IMAGE_FOLDER}", "")
             for suffix in _IMAGE_SUFFIXES]  # fmt: skip
    paths = (folder / name for folder in folders for name in names)
    return next((path for path in paths if path.is_file()), None)


def _require_labels(classes: LabelClasses, present: Counter[str], source: str) -> None:
    missing = [label for label in classes.index_of if label not in present]
    if missing:
        shown = ", ".join(f"{name} ({count:,})" for name, count in present.most_common(_SHOWN))
        more = f" and {len(present) - _SHOWN} more" if len(present) > _SHOWN else ""
        raise DataError(
            f"{source}: no outline has the label {', '.join(map(repr, missing))}. The labels "
            f"present are {shown or 'none'}{more}. Name some of these with --classes and --ignore."
        )


def _write_mask(file: Path, target: Path, classes: LabelClasses, overwrite: bool) -> Ints:
    """Draw and write one mask; return the count of each value, (256,)."""
    mask = draw_polygons(PolygonDocument.read(file), classes)
    make_folder(target.parent)
    with atomic_path(target, overwrite=overwrite) as partial:
        write_index_png(mask, partial)
    return np.bincount(mask.ravel(), minlength=256)


def write_index_png(mask: Bytes, path: Path) -> None:
    """Write class indices as a PNG with 8 bits and a palette.

    Not through GDAL, which changes process-wide state: masks are written in threads.
    """
    height, width = mask.shape
    # Filter type of each row: none.
    rows = np.zeros((height, width + 1), np.uint8)
    rows[:, 1:] = mask
    header = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    with path.open("wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n")
        for kind, data in (
            (b"IHDR", header),
            (b"PLTE", MASK_PALETTE.tobytes()),
            (b"IDAT", zlib.compress(rows.tobytes(), 6)),
            (b"IEND", b""),
        ):
            file.write(struct.pack(">I", len(data)) + kind + data)
            file.write(struct.pack(">I", zlib.crc32(kind + data)))
