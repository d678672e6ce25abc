"""Training data: pairs of image and mask read from folders, and seeded random crops of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import rasterio
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from scipy import ndimage

from roadgis.errors import DataError
from roadgis.train.framework import import_keras

__all__ = [
    "FILL",
    "CropSampler",
    "Sample",
    "crop_dataset",
    "find_pairs",
    "read_sample",
    "read_samples",
]

_IMAGE_FOLDERS = ("images", "sat", "image", "input")
_MASK_FOLDERS = ("masks", "map", "mask", "labels")
_SUFFIXES = frozenset({".tif", ".tiff", ".png", ".jpg", ".jpeg", ".jp2"})
#: Value of invalid pixels: the middle grey that the default scaling turns into zero.
FILL = 115
#: A block of this many pixels a side that is purely white or black is taken for a collar.
_BLANK_SIDE_PX = 15

Augment = Callable[
    [npt.NDArray[np.uint8], npt.NDArray[np.uint8], np.random.Generator],
    tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]],
]


@dataclass(frozen=True)
class Sample:
    """One scene for training.

    Attributes
    ----------
    name : str
        The image file's stem.
    image : ndarray of uint8, shape (H, W, 3)
        Red, green, blue; :data:`FILL` where invalid, as ``predict`` fills what it cannot see.
    road : ndarray of bool, shape (H, W)
        True where the label says road.
    valid : ndarray of bool, shape (H, W)
        False where the image is blank: left out of loss and metric.
    """

    name: str
    image: npt.NDArray[np.uint8]
    road: npt.NDArray[np.bool_]
    valid: npt.NDArray[np.bool_]


def find_pairs(folder: Path) -> list[tuple[Path, Path]]:
    """Pair the images and masks of a folder by the stem of their names.

    Parameters
    ----------
    folder : Path
        Holds a folder of images (``images``, ``sat``) and one of masks (``masks``, ``map``).

    Returns
    -------
    list of (Path, Path)
        Image and mask, sorted by name.

    Raises
    ------
    DataError
        If a folder is missing or empty, or an image and its mask do not pair.
    """
    found = []
    for names, what in ((_IMAGE_FOLDERS, "images"), (_MASK_FOLDERS, "masks")):
        candidates = [folder / name for name in names if (folder / name).is_dir()]
        if not candidates:
            raise DataError(
                f"{folder}: found no folder of {what}; expected one named "
                f"{' or '.join(names)} in it."
            )
        files: dict[str, Path] = {}
        for path in sorted(candidates[0].iterdir()):
            if path.suffix.lower() not in _SUFFIXES:
                continue
            if path.stem in files:
                raise DataError(
                    f"{candidates[0]}: found both {files[path.stem].name} and {path.name}; "
                    "expected one file of each name. Remove one of them."
                )
            files[path.stem] = path
        if not files:
            raise DataError(f"{candidates[0]}: found no image file; expected {sorted(_SUFFIXES)}.")
        found.append(files)
    images, masks = found
    alone = sorted(set(images) ^ set(masks))
    if alone:
        raise DataError(
            f"{folder}: {len(alone)} files have no partner of the same name, first "
            f"{alone[:5]}. Every image needs one mask; remove or rename the others."
        )
    return [(images[stem], masks[stem]) for stem in sorted(images)]


def _read(path: Path) -> tuple[npt.NDArray[Any], npt.NDArray[np.uint8]]:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        try:
            with rasterio.open(path) as dataset:
                return dataset.read(), dataset.dataset_mask()
        except RasterioError as error:
            raise DataError(f"{path}: cannot be read as an image ({error}).") from error


def read_sample(image_path: Path, mask_path: Path) -> Sample:
    """Read one pair into memory.

    Pixels are invalid where the file says so (nodata, alpha, mask band). A file that says
    nothing is searched for blocks of pure white or black, which is how mosaics without a mask
    leave out what was not flown.

    Raises
    ------
    DataError
        If sizes differ, the image is not 8-bit with three bands or more, or the mask is not
        made of two values.
    """
    image, mask = _read(image_path)
    label, _ = _read(mask_path)
    if image.dtype != np.uint8 or image.shape[0] < 3:
        raise DataError(
            f"{image_path}: found {image.shape[0]} bands of {image.dtype}; expected three or "
            "more of uint8. Convert it with gdal_translate."
        )
    if image.shape[1:] != label.shape[1:]:
        raise DataError(
            f"{mask_path}: the mask is {label.shape[2]} x {label.shape[1]} px, its image "
            f"{image.shape[2]} x {image.shape[1]} px; expected the same size."
        )
    values = np.unique(label[0])
    if len(values) > 2 or (len(values) == 2 and values[0] != 0):
        raise DataError(
            f"{mask_path}: found mask values {values[:8].tolist()}; expected 0 and one other "
            "value for road."
        )
    rgb = np.ascontiguousarray(np.moveaxis(image[:3], 0, -1))
    valid = mask > 0
    if valid.all():
        for blank in ((rgb >= 253).all(axis=2), (rgb <= 2).all(axis=2)):
            if blank.mean() > 0.001:
                valid &= (
                    ndimage.grey_opening(np.asarray(blank, np.uint8), (_BLANK_SIDE_PX,) * 2) == 0
                )
    rgb[~valid] = FILL
    return Sample(image_path.stem, rgb, label[0] > 0, valid)


def read_samples(folders: Sequence[Path]) -> list[Sample]:
    """Read all pairs of the folders."""
    return [read_sample(*pair) for folder in folders for pair in find_pairs(folder)]


class CropSampler:
    """Draws random crops, each a function of the seed and its number alone.

    Parameters
    ----------
    samples : sequence of Sample
        Drawn from in proportion to their valid area.
    crop_px : int
        Side of the square crops.
    road_share : float
        Of half of the crops at least this share must be road, so that empty country does not
        drown the rest.
    seed : int
        Of all that is random.
    augment : callable, optional
        Takes and returns image (H, W, 3) and labels (H, W, 2: road, valid; 0 or 1), uint8.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        *,
        crop_px: int,
        seed: int,
        road_share: float = 0.02,
        augment: Augment | None = None,
    ) -> None:
        small = [s.name for s in samples if min(s.road.shape) < crop_px]
        if small:
            raise DataError(
                f"{len(small)} scenes are smaller than the crop of {crop_px} px, first "
                f"{small[:3]}. Choose smaller crops."
            )
        area = np.array([s.valid.sum() for s in samples], np.float64)
        if area.sum() == 0:
            raise DataError(f"None of the {len(samples)} training scenes has a valid pixel.")
        self._samples = list(samples)
        self._chance = area / area.sum()
        self._crop_px = crop_px
        self._road_share = road_share
        self._seed = seed
        self._augment = augment

    def crop(self, number: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
        """Return crop `number`: image (P, P, 3) and labels (P, P, 2), uint8."""
        rng = np.random.default_rng([self._seed, number])
        wants_road = rng.random() < 0.5
        side = self._crop_px
        for _ in range(50):
            sample = self._samples[rng.choice(len(self._samples), p=self._chance)]
            height, width = sample.road.shape
            row = int(rng.integers(0, height - side + 1))
            column = int(rng.integers(0, width - side + 1))
            window = np.s_[row : row + side, column : column + side]
            valid, road = sample.valid[window], sample.road[window]
            if valid.mean() < 0.5:
                continue
            if not wants_road or (road & valid).mean() >= self._road_share:
                break
        image = sample.image[window]
        labels = np.stack([road & valid, valid], axis=-1).astype(np.uint8)
        if self._augment is not None:
            image, labels = self._augment(image, labels, rng)
        return image, labels


def crop_dataset(
    sampler: CropSampler,
    *,
    batch: int,
    steps: int,
    mean: Sequence[float],
    std: Sequence[float],
    first_epoch: int = 0,
    workers: int = 1,
) -> Any:
    """Wrap a sampler as a Keras data generator.

    Parameters
    ----------
    sampler : CropSampler
        Gives the crops.
    batch, steps : int
        Crops in a batch, batches in an epoch.
    mean, std : sequence of float
        Applied to values in 0..1, per band.
    first_epoch : int
        The epoch that a run goes on with; its crops follow on those already seen.
    workers : int
        Threads that prepare batches ahead.

    Returns
    -------
    keras.utils.PyDataset
        Gives (N, P, P, 3) float32 and (N, P, P, 2) float32.
    """
    keras = import_keras()
    offset, scale = np.asarray(mean, np.float32), 1.0 / np.asarray(std, np.float32)

    class CropDataset(keras.utils.PyDataset):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__(workers=workers, use_multiprocessing=False, max_queue_size=6)
            self.epoch = first_epoch

        def __len__(self) -> int:
            return steps

        def __getitem__(self, index: int) -> tuple[Any, Any]:
            first = (self.epoch * steps + index) * batch
            crops = [sampler.crop(number) for number in range(first, first + batch)]
            images = np.stack([image for image, _ in crops]).astype(np.float32)
            labels = np.stack([label for _, label in crops]).astype(np.float32)
            return (images / np.float32(255) - offset) * scale, labels

        def on_epoch_end(self) -> None:
            self.epoch += 1

    return CropDataset()
