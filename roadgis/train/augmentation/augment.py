"""Augmentation of training crops by a list of transforms.

The default list is ``augmentation.yaml`` next to this module. Transforms and parameters are those
of albumentations and of :mod:`roadgis.train.augmentation.weather`.
"""

from __future__ import annotations

import copy
import difflib
import inspect
import os
import random
import threading
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from roadgis.errors import InputError, MissingExtraError, how_to_install
from roadgis.train.data.labelled_scene import FILL, IGNORE, Bytes

_DEFAULT = "augmentation.yaml"
_GROUPS = ("OneOf", "Sequential", "SomeOf")
_PROBE_PX = 256


class Augmentation:
    """Transforms a crop and its labels together; thread-safe.

    Parameters
    ----------
    transforms : sequence
        Transforms of albumentations.
    settings : list
        Plain values that describe `transforms`.
    """

    def __init__(self, transforms: Sequence[Any], settings: list[Any]) -> None:
        self._transforms = list(transforms)
        self._settings = settings
        # A transform holds its random state, so each thread has its own copy.
        self._local = threading.local()

    @property
    def settings(self) -> list[Any]:
        """The list of transforms as plain values, for YAML and JSON (a copy)."""
        return copy.deepcopy(self._settings)

    def __call__(
        self, image: Bytes, labels: Bytes, rng: np.random.Generator
    ) -> tuple[Bytes, Bytes]:
        """Return an augmented pair.

        Parameters
        ----------
        labels : ndarray of uint8, shape (H, W)
            Class indices; 255 where invalid.
        rng : numpy.random.Generator
            Source of all randomness.

        Returns
        -------
        image, labels : ndarrays as given
            Pixels without image (before, or moved in from outside) are middle grey, the fill value
            of prediction, and labelled 255.
        """
        if labels.shape != image.shape[:2]:
            raise InputError(
                f"Found labels of shape {labels.shape} for an image of {image.shape}; expected "
                f"{image.shape[:2]}, one class index per pixel."
            )
        blank = labels == IGNORE
        if blank.any():
            blank &= (image == FILL).all(axis=2)
        masks = np.dstack([labels, blank.astype(np.uint8) * np.uint8(IGNORE)])
        compose = self._compose()
        compose.set_random_state(rng, random.Random(int(rng.integers(2**31))))
        result = compose(image=np.array(image, order="C"), mask=masks)
        image, masks = result["image"], result["mask"]
        # Colour changes and noise also affect blank pixels, which have a fixed value in
        # prediction.
        empty = masks[..., 1] == IGNORE
        if empty.any():
            image[empty] = FILL
        return image, np.ascontiguousarray(masks[..., 0])

    def _compose(self) -> Any:
        if not hasattr(self._local, "compose"):
            self._local.compose = _compose(copy.deepcopy(self._transforms))
        return self._local.compose


def load_augmentation(path: Path | None = None) -> Augmentation:
    """Read a list of transforms.

    Parameters
    ----------
    path : Path, optional
        A YAML list of ``- Name: {parameter: value, p: probability}``. Default: the list that comes
        with roadgis. An empty list (``[]``) disables augmentation.

    Raises
    ------
    InputError
        If the file cannot be read or an entry is invalid; names file and line.
    """
    if path is None:
        text = (
            resources.files("roadgis.train.augmentation")
            .joinpath(_DEFAULT)
            .read_text(encoding="utf-8")
        )
    else:
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(
                f"{path}: cannot be read as a list of transforms ({error}). Name a YAML file."
            ) from error
    return _parse(text, str(path or _DEFAULT))


def _parse(text: str, name: str) -> Augmentation:
    import_albumentations()
    import yaml

    try:
        data, root = yaml.safe_load(text), yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = name if mark is None else f"{name}, line {mark.line + 1}"
        problem = getattr(error, "problem", None) or error
        raise InputError(f"{where}: is not valid YAML ({problem}).") from error
    if not isinstance(data, list):
        kind = "nothing" if data is None else f"a {type(data).__name__}"
        raise InputError(
            f"{name}, line 1: found {kind}, expected a list of '- Name: {{p: 0.5}}'; write [] for "
            "no augmentation."
        )
    lines = [node.start_mark.line + 1 for node in root.value]
    return _build([(f"{name}, line {n}", item) for n, item in zip(lines, data, strict=True)])


def _build(entries: Iterable[tuple[str, Any]]) -> Augmentation:
    known = _known_transforms()
    transforms, settings = [], []
    for where, entry in entries:
        name, parameters = _name_and_parameters(entry, where)
        transform = _make(name, parameters, where, known)
        _try_out(transform, where, name)
        transforms.append(transform)
        settings.append({name: copy.deepcopy(parameters)})
    return Augmentation(transforms, settings)


def _name_and_parameters(entry: Any, where: str) -> tuple[str, dict[str, Any]]:
    if isinstance(entry, str):
        return entry, {}
    if isinstance(entry, Mapping) and len(entry) == 1:
        ((name, parameters),) = entry.items()
        if parameters is None:
            return str(name), {}
        if isinstance(parameters, Mapping):
            return str(name), {str(key): value for key, value in parameters.items()}
    raise InputError(f"{where}: found {entry!r}, expected one transform as 'Name: {{p: 0.5}}'.")


def _make(name: str, parameters: dict[str, Any], where: str, known: Mapping[str, Any]) -> Any:
    """Build one transform; pixels from outside get the fill value and are ignored."""
    if name not in known:
        raise InputError(f"{where}: unknown transform {name!r}.{_near(name, known)}")
    kind = known[name]
    accepted = [key for key in inspect.signature(kind.__init__).parameters if key != "self"]
    for key in parameters:
        if key not in accepted:
            near = _near(key, accepted)
            raise InputError(
                f"{where}: {name} has no parameter {key!r}.{near} It takes {', '.join(accepted)}."
            )
    chance = parameters.get("p", 0.5)
    if isinstance(chance, bool) or not isinstance(chance, int | float) or not 0 <= chance <= 1:
        raise InputError(f"{where}: p of {name} is {chance!r}, expected a number from 0 to 1.")
    if name in _GROUPS:
        inner = parameters.get("transforms")
        if not isinstance(inner, list) or not inner:
            raise InputError(f"{where}: {name} needs 'transforms', a list of transforms.")
        made = [_make(*_name_and_parameters(item, where), where, known) for item in inner]
        return _call(kind, {**parameters, "transforms": made}, where, name)
    values = {key: _frozen(value) for key, value in parameters.items()}
    if "border_mode" in accepted and "border_mode" not in values:
        values = {"fill": FILL, "fill_mask": IGNORE, "border_mode": 0, **values}
    # Some transforms apply a single number to the first channel only.
    for key, channels in (("fill", 3), ("fill_mask", 2)):
        if isinstance(values.get(key), int | float):
            values[key] = (values[key],) * channels
    return _call(kind, {key: values[key] for key in accepted if key in values}, where, name)


def _frozen(value: Any) -> Any:
    return tuple(_frozen(item) for item in value) if isinstance(value, list) else value


def _call(kind: Callable[..., Any], values: dict[str, Any], where: str, name: str) -> Any:
    try:
        with warnings.catch_warnings():
            # albumentations warns about some values and then uses its defaults.
            warnings.simplefilter("error", UserWarning)
            return kind(**values)
    except (ValueError, TypeError, UserWarning) as error:
        raise InputError(f"{where}: {name} cannot be made: {error}") from error


def _near(name: str, names: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(names), n=3, cutoff=0.6)
    return f" Did you mean {' or '.join(near)}?" if near else ""


def _known_transforms() -> dict[str, Any]:
    from roadgis.train.augmentation.weather import weather_transforms

    albumentations = import_albumentations()
    found = {name: getattr(albumentations, name) for name in dir(albumentations)}
    bases = (albumentations.ImageOnlyTransform, albumentations.DualTransform)
    return {
        name: kind
        for name, kind in [*found.items(), *weather_transforms().items()]
        if name in _GROUPS or (inspect.isclass(kind) and issubclass(kind, bases))
        if kind not in bases
    }


def _compose(transforms: Sequence[Any]) -> Any:
    albumentations = import_albumentations()
    # 0 is nearest neighbour: class indices must not be mixed.
    return albumentations.Compose(transforms, mask_interpolation=0)


def _try_out(transform: Any, where: str, name: str) -> None:
    """Run a transform once, so that an unsuitable one fails before training."""
    import cv2

    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (_PROBE_PX, _PROBE_PX, 3), np.uint8)
    labels = np.zeros((_PROBE_PX, _PROBE_PX), np.uint8)
    labels[::2] = 1
    probe = copy.deepcopy(transform)
    probe.p = 1.0
    try:
        result, moved = Augmentation([probe], [])(image, labels, rng)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, cv2.error) as error:
        raise InputError(
            f"{where}: {name} does not work on an image and labels alone ({error})."
        ) from error
    if result.shape != image.shape or result.dtype != np.uint8 or moved.shape != labels.shape:
        raise InputError(
            f"{where}: {name} makes {result.dtype} of shape {result.shape} out of uint8 of "
            f"{image.shape}; expected a transform that keeps size and type."
        )
    if not np.isin(moved, (0, 1, IGNORE)).all():
        raise InputError(
            f"{where}: {name} turns the classes 0 and 1 into others; set its mask fill to 255."
        )


def import_albumentations() -> Any:
    """Import albumentations without its update check and with one OpenCV thread."""
    # It looks for a newer version online when imported, unless disabled.
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
    try:
        import albumentations
        import cv2
    except ImportError as error:
        raise MissingExtraError(
            f"Training needs albumentations, which is not installed ({error}). "
            f"{how_to_install('train')}"
        ) from error
    cv2.setNumThreads(1)  # the model needs the cores
    return albumentations
