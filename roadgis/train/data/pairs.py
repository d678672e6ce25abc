"""Pairing of images and masks in folders of common layouts."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from roadgis.errors import DataError

_IMAGE_FOLDERS = ("images", "sat", "image", "input")
_MASK_FOLDERS = ("masks", "map", "mask", "labels")
#: Image folder of Cityscapes and IDD, with one folder per city or drive inside.
_STREET_FOLDER = "leftImg8bit"
_SUFFIXES = frozenset({".tif", ".tiff", ".png", ".jpg", ".jpeg", ".jp2"})
# Name endings of images and masks that differ within a pair.
_ENDINGS = re.compile(r"(_leftImg8bit|_gtFine_\w+|_mask|_sat)$")
#: Name ending of masks in a folder shared with the images (DeepGlobe).
_MASK_ENDING = "_mask"
_SPLITS = {
    "train": ("train", "training"),
    "valid": ("valid", "val", "validation"),
    "test": ("test", "testing"),
}


@dataclass(frozen=True)
class Pair:
    """An image and its mask.

    Attributes
    ----------
    name : str
        File name of the image without endings such as ``_leftImg8bit``, with its folders inside the
        image folder: ``munich/munich_000001``.
    """

    name: str
    image: Path
    mask: Path


def find_pairs(folder: Path) -> list[Pair]:
    """Pair the images and masks of a folder by their names.

    Parameters
    ----------
    folder : Path
        One of:

        - holds a folder ``images``, ``sat``, ``image`` or ``input`` and a folder ``masks``,
          ``map``, ``mask`` or ``labels``; file types may differ;
        - holds images and masks together, named ``1_sat.jpg`` (or ``1.jpg``) and ``1_mask.png``,
          as DeepGlobe has them;
        - holds images itself, next to a folder of the same name with ``_labels`` at its end;
        - holds ``leftImg8bit`` (Cityscapes, IDD) and ``masks`` with the same folders inside, or
          is one of the folders inside ``leftImg8bit``.

    Raises
    ------
    DataError
        If a folder is missing or empty, or an image and its mask do not pair.
    """
    image_folder, mask_folder, deep = _folders(folder)
    together = image_folder == mask_folder
    images = _files(image_folder, deep, masks=False if together else None)
    masks = _files(mask_folder, deep, masks=True if together else None)
    alone = sorted(set(images) ^ set(masks))
    if alone:
        without = [name for name in alone if name in images]
        what = f"{len(without)} images without a mask, {len(alone) - len(without)} masks without"
        needed = (
            "Every image (1_sat.jpg) needs one mask (1_mask.png)"
            if together
            else f"Every image in {image_folder.name} needs one mask in {mask_folder.name}"
        )
        raise DataError(
            f"{folder}: {len(alone)} files have no partner of the same name ({what} an image), "
            f"first {alone[:5]}. {needed}; remove or rename the others."
        )
    return [Pair(name, images[name], masks[name]) for name in sorted(images)]


def find_splits(folder: Path) -> dict[str, Path]:
    """Return the training, validation and test folders of a data set.

    Parameters
    ----------
    folder : Path
        Such as the top folder of the Massachusetts roads, Cityscapes or IDD.

    Returns
    -------
    dict of str to Path
        Those of ``train``, ``valid`` and ``test`` that exist, as for :func:`find_pairs`; empty
        without splits.
    """
    top = folder / _STREET_FOLDER if (folder / _STREET_FOLDER).is_dir() else folder
    found = {}
    for split, names in _SPLITS.items():
        here = next((top / name for name in names if (top / name).is_dir()), None)
        if here is not None:
            found[split] = here
    return found


def _folders(folder: Path) -> tuple[Path, Path, bool]:
    """Return the image and mask folders, and whether they have subfolders."""
    if not folder.is_dir():
        raise DataError(
            f"{folder}: found no folder of images; the folder does not exist. Check its name."
        )
    street = _street_folders(folder)
    if street is not None:
        return (*street, True)
    images = _first(folder, _IMAGE_FOLDERS)
    masks = _first(folder, _MASK_FOLDERS)
    sibling = folder.with_name(f"{folder.name}_labels")
    if images is None and masks is None and sibling.is_dir():
        return folder, sibling, False
    if images is None and masks is None and any(map(_is_mask, _listed(folder, deep=False))):
        return folder, folder, False
    for found, names, what in ((images, _IMAGE_FOLDERS, "images"), (masks, _MASK_FOLDERS, "masks")):
        if found is None:
            raise DataError(
                f"{folder}: found no folder of {what}; expected one named "
                f"{' or '.join(names)} in it{_hint(folder)}."
            )
    assert images is not None
    assert masks is not None
    return images, masks, False


def _street_folders(folder: Path) -> tuple[Path, Path] | None:
    """Return image and mask folder of the Cityscapes layout, or None."""
    images = folder / _STREET_FOLDER
    if not images.is_dir():
        images = folder
        if _STREET_FOLDER not in folder.parts:
            return None
    parts = list(images.parts)
    last = len(parts) - 1 - parts[::-1].index(_STREET_FOLDER)
    top, inside = Path(*parts[:last]), Path(*parts[last + 1 :])
    masks = _first(top, _MASK_FOLDERS)
    if masks is None:
        raise DataError(
            f"{folder}: found {_STREET_FOLDER} but no folder of masks next to it. Make one from "
            f"the polygons first: roadgis labels {top / 'gtFine'} -o {top / 'masks'} --classes ..."
        )
    if not (masks / inside).is_dir():
        raise DataError(
            f"{folder}: found no masks for it; expected the folder {masks / inside}. Make the "
            "masks of all parts with roadgis labels."
        )
    return images, masks / inside


def _first(folder: Path, names: tuple[str, ...]) -> Path | None:
    return next((folder / name for name in names if (folder / name).is_dir()), None)


def _hint(folder: Path) -> str:
    parts = [str(path) for path in find_splits(folder).values()]
    return f", or one of its parts in its place: {', '.join(parts)}" if parts else ""


def _is_mask(path: Path) -> bool:
    return path.stem.endswith(_MASK_ENDING)


def _listed(folder: Path, deep: bool) -> list[Path]:
    """Return the image files of a folder, without hidden ones."""
    return sorted(
        path
        for path in (folder.rglob("*") if deep else folder.iterdir())
        if path.suffix.lower() in _SUFFIXES and path.name[0] != "." and path.is_file()
    )


def _files(folder: Path, deep: bool, masks: bool | None) -> dict[str, Path]:
    """Return the image files of a folder by pair name; `masks` selects in a shared folder."""
    files: dict[str, Path] = {}
    for path in _listed(folder, deep):
        if masks is not None and _is_mask(path) != masks:
            continue
        stem = _ENDINGS.sub("", path.stem)
        name = (path.parent.relative_to(folder) / stem).as_posix()
        if name in files:
            raise DataError(
                f"{path.parent}: found both {files[name].name} and {path.name}; "
                "expected one file of each name. Remove one of them."
            )
        files[name] = path
    if not files:
        raise DataError(f"{folder}: found no image file; expected {sorted(_SUFFIXES)}.")
    return files
