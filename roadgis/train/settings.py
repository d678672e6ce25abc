"""All settings of a training run, as one YAML file that a run writes and can be started from."""

from __future__ import annotations

import dataclasses
import difflib
import types
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args, get_type_hints

from roadgis.atomic import atomic_path
from roadgis.errors import InputError, MissingExtraError
from roadgis.plain_values import converted, shown
from roadgis.train.data.data_set import DataSet
from roadgis.train.schedule import SCHEDULES, Schedule

__all__ = [
    "CardSettings",
    "DataSettings",
    "NetworkSettings",
    "OptimizationSettings",
    "TrainSettings",
    "read_settings",
    "read_settings_values",
    "settings_from_dict",
    "settings_to_dict",
    "write_settings",
]

#: Of longer names no similar one is looked for.
_LONGEST_NAME = 100

#: How numbers are held while training; the saved model is float32 in any case.
Precision = Literal["float32", "mixed_bfloat16", "mixed_float16"]


@dataclass(frozen=True)
class DataSettings:
    """What is learned from.

    Attributes
    ----------
    folders : tuple of Path
        Folders of image and mask pairs.
    images : tuple of Path
        Georeferenced imagery, labelled by `roads`.
    roads : Path or None
        Vector layer of road lines or polygons, or a raster mask, in any CRS.
    layer : str or None
        Of `roads`, when it has several.
    label_width_m : float or None
        Width of lines that have none of their own, metres.
    label_width_field : str or None
        Field with the width of a line, metres.
    area : Path or None
        Polygons within which `roads` is complete; the rest is left out.
    validation : tuple of Path
        Folders of pairs to score on after each epoch; never trained on.
    hold_out : float
        Share of the training data that is held out for validation, in blocks.
    sets : tuple of DataSet
        Several data sets with shares and pixel sizes of their own, in place of `folders`, `images`
        and `validation`; in a settings file only.
    normalize_to : tuple of two floats, or None
        Mean and standard deviation, 0..255, that each band of a scene is brought to before
        anything else, in training and in use; see :class:`roadgis.model.card.ModelCard`.
    classes : tuple of str
        ``("road",)`` for road or not; else the names of the mask values, the first for all the
        rest.
    road : str
        Which class is road.
    gsd_m : float
        Ground sampling distance, metres per pixel. Pairs must have it; georeferenced imagery
        is brought to it.
    gsd_range_m : tuple of two floats, or None
        Smallest and largest ground sampling distance of georeferenced imagery: within it, imagery
        keeps its own, beyond it the nearest bound counts. None for `gsd_m` alone.
    crop_px, batch : int
        Side of the crops, and how many make a step.
    road_share : float
        Share of road that half of the crops must reach.
    augmentation : Path or None
        YAML list in place of the built-in one.
    workers : int
        Threads that prepare batches.
    """

    folders: tuple[Path, ...] = ()
    images: tuple[Path, ...] = ()
    roads: Path | None = None
    layer: str | None = None
    label_width_m: float | None = None
    label_width_field: str | None = None
    area: Path | None = None
    validation: tuple[Path, ...] = ()
    hold_out: float = 0.0
    sets: tuple[DataSet, ...] = ()
    normalize_to: tuple[float, float] | None = None
    classes: tuple[str, ...] = ("road",)
    road: str = "road"
    gsd_m: float = 1.0
    gsd_range_m: tuple[float, float] | None = None
    crop_px: int = 256
    batch: int = 8
    road_share: float = 0.02
    augmentation: Path | None = None
    workers: int = 2

    def __post_init__(self) -> None:
        if self.batch < 1 or self.crop_px < 1 or self.workers < 1:
            raise InputError("batch, crop_px and workers must be at least 1.")
        if not 0 <= self.hold_out < 1:
            raise InputError(f"hold_out is {self.hold_out}, expected a share from 0 to below 1.")
        if not self.gsd_m > 0:
            raise InputError(f"gsd_m is {self.gsd_m}, expected a positive number of metres.")
        bounds = self.gsd_range_m
        if bounds is not None and not 0 < bounds[0] <= bounds[1]:
            raise InputError(
                f"gsd_range_m is {list(bounds)}, expected the smallest and the largest pixel size "
                "in metres."
            )
        if not self.classes or len(set(self.classes)) != len(self.classes):
            raise InputError(f"classes are {self.classes}, expected names that differ.")
        if self.normalize_to is not None and not (
            0 <= self.normalize_to[0] <= 255 and 0 < self.normalize_to[1] <= 255
        ):
            raise InputError(
                f"normalize_to is {list(self.normalize_to)}, expected a mean and a standard "
                "deviation, 0 to 255."
            )
        if self.sets and (self.folders or self.images or self.validation or self.hold_out):
            raise InputError(
                "Found data sets (sets) together with folders, images, validation or hold_out. "
                "Make each of them one of the sets."
            )
        if not self.images and self.roads is None:
            self._refuse_what_needs_roads()

    @property
    def working_gsd_m(self) -> float | tuple[float, float]:
        """The pixel size to read georeferenced imagery at, or the range its own may lie in."""
        return self.gsd_m if self.gsd_range_m is None else self.gsd_range_m

    def _refuse_what_needs_roads(self) -> None:
        """Say so rather than leave out what only counts for imagery with a road layer."""
        given = [
            option
            for option, value in (
                ("--labels-layer", self.layer),
                ("--label-width", self.label_width_m),
                ("--label-width-field", self.label_width_field),
                ("--area", self.area),
            )
            if value is not None
        ]
        if given:
            raise InputError(
                f"Found {' and '.join(given)} without imagery; expected with it what it is about: "
                "georeferenced imagery with --images, and its roads with --labels."
            )


@dataclass(frozen=True)
class NetworkSettings:
    """What learns; see :class:`roadgis.train.architectures.ArchitectureOptions`.

    Attributes
    ----------
    architecture, backbone, depth, encoder_units, subpixel, decoder_filters, batch_norm
        Of the network. They are taken from the model where `init` names one.
    encoder_weights
        Those of the encoder at the start, where `init` names no model.
    init : str or None
        A trained model to start from: "default", a ``.keras`` file or a run's folder.
    frozen_epochs : int
        Epochs at the start in which the encoder is left as it is.
    """

    architecture: str = "unet"
    backbone: str = "resnet18"
    depth: int | None = None
    encoder_units: tuple[int, ...] | None = None
    subpixel: bool = False
    decoder_filters: tuple[int, ...] | None = None
    batch_norm: bool = True
    encoder_weights: str | None = None
    init: str | None = None
    frozen_epochs: int = 0

    def __post_init__(self) -> None:
        if self.frozen_epochs < 0:
            raise InputError(f"frozen_epochs is {self.frozen_epochs}, expected 0 or more.")


@dataclass(frozen=True)
class OptimizationSettings:
    """How it learns.

    Attributes
    ----------
    loss : str
        See :data:`roadgis.train.losses.LOSSES`; None takes bce_jaccard, for several classes
        cce_jaccard.
    class_weights : tuple of float, optional
        One for each class (of a binary network: other, road); see
        :func:`roadgis.train.losses.build_loss`.
    edge_smoothing : float
        How much less than certain the loss expects pixels beside another class to be, 0 to
        below 0.5.
    cldice_weight : float
        Of the clDice term, in losses that have one.
    direction_weight : float
        Of the error in the direction of roads, which the network then also learns to tell;
        0 for none. See :mod:`roadgis.train.direction`.
    steps : int
        Length of the run, a multiple of `epoch_steps`.
    epoch_steps : int
        Steps between two validations and checkpoints.
    schedule, peak_rate, warmup_steps, decay_steps
        See :func:`roadgis.train.schedule.learning_rate`.
    weight_decay : float
        Of AdamW.
    clip_norm : float
        Largest norm of the gradient.
    ema : float
        Momentum of the moving average of the weights, which is what is validated and kept;
        0 for none. In short runs it is less, so that the average reaches back over a tenth of
        the run at most.
    precision : {"float32", "mixed_bfloat16", "mixed_float16"}
        bfloat16 pays on processors with AVX512-BF16.
    plateau_epochs : int
        Epochs without a better validation score after which the rate is cut to `plateau_factor`
        of it (ReduceLROnPlateau); 0 for never. With schedule "constant" only.
    plateau_factor : float
        See above.
    stop_epochs : int
        Epochs without a better score after which the run stops (EarlyStopping); 0 for never.
    keep : {"best", "last"}
        Which weights become the model: those of the best validation score, or the last ones.
        Without validation the last ones.
    seed : int
        Of weights, crops and augmentation.
    tensorboard : bool
        Write event files into the run's folder.
    """

    loss: str | None = None
    class_weights: tuple[float, ...] | None = None
    edge_smoothing: float = 0.0
    cldice_weight: float = 0.5
    direction_weight: float = 0.0
    steps: int = 6000
    epoch_steps: int = 200
    schedule: Schedule = "trapezoid"
    peak_rate: float = 1e-3
    warmup_steps: int = 200
    decay_steps: int = 3600
    weight_decay: float = 1e-3
    clip_norm: float = 1.0
    ema: float = 0.998
    precision: Precision = "float32"
    plateau_epochs: int = 0
    plateau_factor: float = 0.1
    stop_epochs: int = 0
    keep: Literal["best", "last"] = "best"
    seed: int = 1
    tensorboard: bool = False

    def __post_init__(self) -> None:
        if self.epoch_steps < 1 or self.steps < 1 or self.steps % self.epoch_steps:
            raise InputError(
                f"steps is {self.steps}, expected a multiple of epoch_steps ({self.epoch_steps}), "
                "both at least 1."
            )
        if self.schedule not in SCHEDULES:
            raise InputError(f"schedule is {self.schedule!r}, expected one of {SCHEDULES}.")
        if self.precision not in get_args(Precision):
            raise InputError(f"precision is {self.precision!r}, expected one of {Precision}.")
        if self.keep not in ("best", "last"):
            raise InputError(f"keep is {self.keep!r}, expected 'best' or 'last'.")
        if not 0 <= self.ema < 1:
            raise InputError(f"ema is {self.ema}, expected 0 (none) to below 1.")
        if not self.direction_weight >= 0:
            raise InputError(f"direction_weight is {self.direction_weight}, expected 0 or more.")
        if not self.peak_rate > 0:
            raise InputError(f"peak_rate is {self.peak_rate}, expected a positive number.")
        if not 0 < self.plateau_factor < 1:
            raise InputError(f"plateau_factor is {self.plateau_factor}, expected 0 to 1.")
        if self.plateau_epochs and self.schedule != "constant":
            raise InputError(
                f"plateau_epochs cuts a constant rate, but the schedule is {self.schedule!r}. "
                "Use --schedule constant, or leave plateau_epochs out."
            )


@dataclass(frozen=True)
class CardSettings:
    """What the model card says beyond what the run knows itself.

    Attributes
    ----------
    name, version : str
        Of the model.
    training_data, licence : str
        What it was learned from, and on what terms it may be used. Where they say nothing and
        the run starts from another model, that model's licence holds.
    attribution : tuple of str
        Whom to credit, one sentence for each source. Those of the model that the run starts
        from, of teachers and of ImageNet weights that come with roadgis are added.
    """

    name: str = "roads"
    version: str = "1"
    training_data: str = ""
    licence: str = ""
    attribution: tuple[str, ...] = ()


@dataclass(frozen=True)
class TrainSettings:
    """All of a run.

    Attributes
    ----------
    data : DataSettings
    network : NetworkSettings
    optimization : OptimizationSettings
    card : CardSettings
    """

    data: DataSettings = field(default_factory=DataSettings)
    network: NetworkSettings = field(default_factory=NetworkSettings)
    optimization: OptimizationSettings = field(default_factory=OptimizationSettings)
    card: CardSettings = field(default_factory=CardSettings)

    def __post_init__(self) -> None:
        if self.optimization.direction_weight and len(self.data.classes) > 1:
            raise InputError(
                f"direction_weight is {self.optimization.direction_weight} with "
                f"{len(self.data.classes)} classes, but directions can be learned along with one "
                "class only, road or not. Leave --direction-weight or --classes out."
            )


def settings_to_dict(settings: TrainSettings, *, paths: bool = True) -> dict[str, Any]:
    """Return the settings as plain values for YAML or JSON.

    Parameters
    ----------
    settings : TrainSettings
        The settings.
    paths : bool
        Whole paths; else file and folder names only, as a model card should not tell where
        on a computer its data lay.
    """

    def plain(value: Any) -> Any:
        if isinstance(value, Path):
            return str(value) if paths else value.name
        if dataclasses.is_dataclass(value):
            return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
        return [plain(item) for item in value] if isinstance(value, tuple) else value

    values = {
        section.name: {
            item.name: plain(getattr(getattr(settings, section.name), item.name))
            for item in dataclasses.fields(getattr(settings, section.name))
        }
        for section in dataclasses.fields(settings)
    }
    for name in ("init", "encoder_weights"):
        if not paths and values["network"][name]:
            values["network"][name] = Path(values["network"][name]).name
    return values


def settings_from_dict(values: Any, where: str, base: Path | None = None) -> TrainSettings:
    """Make settings from plain values; what is left out keeps its default.

    Parameters
    ----------
    values : mapping
        Sections ``data``, ``network``, ``optimization``, ``card``, each a mapping.
    where : str
        Named in error messages.
    base : Path, optional
        Folder that relative paths start from. Default: the working directory.

    Raises
    ------
    InputError
        If a key is unknown or a value of the wrong type.
    """
    sections = get_type_hints(TrainSettings)
    given = _mapping({} if values is None else values, where)
    _check_names(given, sections, where)
    made = {}
    for name, kind in sections.items():
        made[name] = _section(given.get(name) or {}, kind, f"{where}, {name}", base)
    settings = TrainSettings(**made)
    return settings if base is None else _files_found(settings, base)


def _section(values: Any, kind: Any, where: str, base: Path | None) -> Any:
    """Make a dataclass of settings from names and values."""
    items = _mapping(values, where)
    hints = get_type_hints(kind)
    _check_names(items, hints, where)
    converted = {
        key: _converted(value, hints[key], f"{where}.{key}", base) for key, value in items.items()
    }
    missing = [
        f.name
        for f in dataclasses.fields(kind)
        if f.default is dataclasses.MISSING
        and f.default_factory is dataclasses.MISSING
        and f.name not in converted
    ]
    if missing:
        raise InputError(f"{where}: {', '.join(missing)} is missing.")
    return kind(**converted)


def read_settings(path: Path) -> TrainSettings:
    """Read settings from a YAML file; relative paths start from its folder.

    Raises
    ------
    InputError
        If it cannot be read, is no YAML, or holds unknown keys or wrong values.
    """
    return settings_from_dict(read_settings_values(path), str(path), path.resolve().parent)


def read_settings_values(path: Path) -> Any:
    """Read what a settings file gives, without checks and defaults.

    Raises
    ------
    InputError
        If it cannot be read, or is not YAML.
    """
    yaml = _yaml()
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as a settings file: {error}.") from error
    # Values such as the date 2001-99-99 are errors of the kind ValueError.
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: is not valid YAML: {error}") from error


def write_settings(settings: TrainSettings, path: Path) -> None:
    """Write settings as YAML, with absolute paths, in one step."""
    text = _yaml().safe_dump(settings_to_dict(_absolute(settings)), sort_keys=False, width=100)
    with atomic_path(path) as partial:
        partial.write_text(text, encoding="utf-8")


def _yaml() -> types.ModuleType:
    try:
        import yaml
    except ImportError as error:
        raise MissingExtraError(
            f"Settings files need PyYAML, which is not installed ({error}). "
            "Install it with: pip install 'roadgis[train]'"
        ) from error
    module: types.ModuleType = yaml
    return module


def _files_found(settings: TrainSettings, base: Path) -> TrainSettings:
    """Return settings in which names that may also be files are looked for from `base`."""
    changed: dict[str, Any] = {
        name: str(base / value)
        for name in ("init", "encoder_weights")
        if (value := getattr(settings.network, name)) and (base / value).exists()
    }
    return dataclasses.replace(settings, network=dataclasses.replace(settings.network, **changed))


def _absolute(settings: TrainSettings) -> TrainSettings:
    def absolute(value: Any) -> Any:
        if isinstance(value, Path):
            return value.resolve()
        if isinstance(value, tuple) and value and isinstance(value[0], Path):
            return tuple(item.resolve() for item in value)
        if isinstance(value, tuple) and value and isinstance(value[0], DataSet):
            return tuple(resolved(item) for item in value)
        return value

    def resolved(item: Any) -> Any:
        changed = {f.name: absolute(getattr(item, f.name)) for f in dataclasses.fields(item)}
        return dataclasses.replace(item, **changed)

    settings = dataclasses.replace(settings, data=resolved(settings.data))
    return _files_found(settings, Path.cwd())


def _mapping(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InputError(f"{where}: found {type(value).__name__}, expected names with values.")
    return value


def _check_names(given: dict[str, Any], known: dict[str, Any], where: str) -> None:
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(str(name)[:_LONGEST_NAME], known, 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise InputError(
                f"{where}: found the unknown setting {shown(name)}{hint} Known are "
                f"{', '.join(known)}."
            )


def _converted(value: Any, hint: Any, where: str, base: Path | None) -> Any:
    """Return a plain value as what a field's type says."""
    if hint == tuple[DataSet, ...]:
        if not isinstance(value, list | tuple):
            raise InputError(f"{where} is {shown(value)}, expected a list of data sets.")
        return tuple(
            _section(item, DataSet, f"{where}[{number}]", base) for number, item in enumerate(value)
        )
    try:
        return converted(value, hint, base=base, by_hand=True)
    except ValueError as error:
        raise InputError(f"{where} {error}.") from error
