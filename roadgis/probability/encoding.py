"""What the stored values of probability rasters and road masks mean: given, or detected."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from roadgis.errors import SceneError
from roadgis.imagery.values.statistics import ValueStatistics, counted_from_white
from roadgis.options.probability_raster import RasterOptions
from roadgis.probability.source import NO_DATA

_FULL = NO_DATA - 1
#: A larger share of a mask than this is never road; the mask is probably inverted.
_MOST_ROAD = 0.6
#: Integers with at most this many values, none above this but perhaps an "ignore" label, look like
#: class numbers.
_FEW_CLASSES, _LAST_CLASS = 16, 50
#: Probability of a raster in which lower values are stored as nodata.
_LOWEST = 0.1
#: A lossy picture of a mask: this share of its dark, of its bright pixels lies within this part of
#: the range from black, from white.
_DARK, _BRIGHT, _NEAR = 0.95, 0.6, 0.125
#: Pictures with a smaller share of coloured pixels are black and white; in those of one colour this
#: share of the coloured pixels has about the same hue.
_FEW_COLOURED, _ONE_HUE = 0.001, 0.999
#: Values that often mean a probability of 1.
_LIKELY = (255.0, 1000.0, 10000.0, 65535.0)


@dataclass(frozen=True)
class Stored:
    """What is known of stored values besides the values: joined over all inputs.

    Attributes
    ----------
    name : str
        The inputs, for messages.
    dtype : str
        The widest type.
    scaled : bool
        Whether a band has scale or offset.
    nodata : tuple of float
        Values that the files declare as nodata.
    picture : bool
        Whether three bands of colour are read.
    lossy : bool
        Whether compression may have changed values.
    """

    name: str
    dtype: str
    scaled: bool = False
    nodata: tuple[float, ...] = ()
    picture: bool = False
    lossy: bool = False

    @property
    def full(self) -> float | None:
        """Largest value of an unsigned type; None for other types and scaled bands."""
        kind = np.dtype(self.dtype)
        return None if self.scaled or kind.kind != "u" else float(np.iinfo(kind).max)


@dataclass(frozen=True)
class Encoding:
    """How values become probability.

    Attributes
    ----------
    what : str
        For people.
    scale : float or None
        Probability = value * scale; None for a mask.
    road_values : tuple of float
        Values that are road.
    cut : float or None
        Value from which a pixel of a lossy picture is road.
    is_mask : bool
        Whether there are two values only: between roads nothing is known.
    background : bool
        Whether pixels without data are not road; else they are unknown.
    from_white : bool
        Whether values of a picture count from white: 0 is white.
    notice : bool
        Whether users should check how the values were understood.
    """

    what: str
    scale: float | None = None
    road_values: tuple[float, ...] = ()
    cut: float | None = None
    is_mask: bool = True
    background: bool = False
    from_white: bool = False
    notice: bool = False

    def stored(self, values: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
        """Return values of any shape as 0..254 = p * 254."""
        if self.scale is not None:
            p = np.nan_to_num(values.astype(np.float64) * self.scale)
            return np.rint(np.clip(p, 0, 1) * _FULL).astype(np.uint8)
        road = values >= self.cut if self.cut is not None else np.isin(values, self.road_values)
        return np.asarray(np.where(road, _FULL, 0), np.uint8)


@dataclass(frozen=True)
class Decoder:
    """The encoding with one raster's band scale and offset.

    Attributes
    ----------
    encoding : Encoding
        Of values in the band's unit.
    scale, offset : float
        Value = stored * scale + offset.
    """

    encoding: Encoding
    scale: float = 1.0
    offset: float = 0.0

    @property
    def is_mask(self) -> bool:
        """Whether there are two values only."""
        return self.encoding.is_mask

    @property
    def background(self) -> bool:
        """Whether pixels without data count as background."""
        return self.encoding.background

    def values(self, pixels: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return one value for each pixel: (C, H, W) to (H, W), in the band's unit."""
        if self.encoding.from_white:
            return counted_from_white(pixels)
        value = np.asarray(pixels[0] if len(pixels) == 1 else pixels.max(axis=0))
        if (self.scale, self.offset) == (1.0, 0.0):
            return value
        return np.asarray(value * self.scale + self.offset, np.float64)

    def stored(self, pixels: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
        """Return pixels (C, H, W) as 0..254 = p * 254, shape (1, H, W)."""
        if pixels.dtype == np.uint8 and len(pixels) == 1:
            table = self.encoding.stored(self.values(np.arange(256, dtype=np.uint8)[None]))
            return np.asarray(table[pixels], np.uint8)
        return self.encoding.stored(self.values(pixels))[None]


def detect_encoding(found: Stored, statistics: ValueStatistics, options: RasterOptions) -> Encoding:
    """Return what values mean, from what the user says or from all of them.

    1. What the user says goes first.
    2. One value besides nodata, or 0 and another value, are a mask.
    3. Few small integers are class numbers: the user has to name the road.
    4. Other values are probabilities, if their range clearly shows the scale.

    Raises
    ------
    SceneError
        If it is not clear. The message says what was found and which option helps.
    """
    if options.scale is not None:
        return _scaled_by_user(found, statistics, options)
    if options.road_values:
        return _road_by_user(found, statistics, options)
    if not statistics.valid:
        return Encoding("nodata everywhere", scale=1.0, background=_nodata(options, default=False))
    if statistics.coloured_share > _FEW_COLOURED:
        return _coloured_mask(found, statistics, options)
    encoding = _as_mask(found, statistics, options)
    if encoding is None:
        _reject_classes(found, statistics)
        encoding = _as_lossy_mask(found, statistics, options)
    if encoding is None and not found.picture:
        encoding = _as_probability(found, statistics, options)
    if encoding is None:
        raise _unclear(found, statistics)
    return encoding


def _nodata(options: RasterOptions, *, default: bool) -> bool:
    return default if options.nodata_is is None else options.nodata_is == "background"


def _scaled_by_user(found: Stored, statistics: ValueStatistics, options: RasterOptions) -> Encoding:
    scale = options.scale
    assert scale is not None
    low, high = statistics.low * scale, statistics.high * scale
    if statistics.valid and (low < -1e-6 or high > 1 + 1e-6):
        raise SceneError(
            f"{found.name}: found values from {statistics.low:g} to {statistics.high:g}; times "
            f"{scale:g} they are {low:g} to {high:g}, expected probabilities from 0 to 1. Correct "
            "--scale."
        )
    return Encoding(
        f"probability, value times {scale:g}",
        scale=scale,
        is_mask=len(statistics.values) == 2,
        background=_nodata(options, default=_low_missing(found, statistics, scale)),
    )


def _road_by_user(found: Stored, statistics: ValueStatistics, options: RasterOptions) -> Encoding:
    known = statistics.values
    road = np.isin(known, options.road_values)
    missing = not statistics.many and not road.any() and len(known) > 0
    there = f"; no pixel has it, the values are {_listed(known)}" if missing else ""
    # Where everything else is nodata, nodata means not road.
    alone = bool(len(known)) and bool(road.all())
    return Encoding(
        f"a mask, road is {_listed(np.array(options.road_values))}{there}",
        road_values=options.road_values,
        background=_nodata(options, default=alone),
        notice=missing,
    )


def _as_mask(found: Stored, statistics: ValueStatistics, options: RasterOptions) -> Encoding | None:
    """Read one value and nodata, or 0 and another value, as a mask."""
    known = statistics.values
    if statistics.many or len(known) > 2 or (len(known) == 2 and known[0] != 0):
        return None
    road = float(known[-1])
    usual = road in (0.0, 1.0, 255.0, found.full)
    alone = len(known) == 1
    # Which value is burned for roads is free, but it is a whole number.
    burned = alone and statistics.missing and road == round(road)
    if not usual and not found.picture and not burned:
        probability = _as_probability(found, statistics, options)
        # Two values, but one of them says how sure the other program is.
        if probability is not None or alone:
            return probability
    background = _nodata(options, default=alone)
    share = statistics.counts[-1] / (statistics.valid + statistics.missing * background)
    if road != 0 and share > _MOST_ROAD:
        other, remedy = "0", "If 0 is road, use --road-value 0"
        if alone:
            other, remedy = "nodata", "If pixels without data are road, give them a value"
        raise SceneError(
            f"{found.name}: {share:.0%} of the pixels have the value {road:g}, the others "
            f"{other}; that much is never road, so the mask is probably inverted. {remedy}; if it "
            f"is right, --road-value {road:g}."
        )
    what = f"a mask, road is {road:g}" if road else "a mask without road: the only value is 0"
    if statistics.missing and background:
        what += ", nodata is not road"
    return Encoding(
        what,
        road_values=(road,) if road else (1.0,),
        background=background,
        notice=not usual or bool(statistics.missing and background),
    )


def _reject_classes(found: Stored, statistics: ValueStatistics) -> None:
    known = statistics.values
    if statistics.many or len(known) > _FEW_CLASSES or (known != np.rint(known)).any():
        return
    label = known[known != (found.full or 255.0)]
    if found.scaled or statistics.low < 0 or not len(label) or label.max() > _LAST_CLASS:
        return
    road = label[-1]
    ignore = (
        "" if len(label) == len(known) else f" and --nodata {known[-1]:g} if that is not a class"
    )
    percent = "" if ignore else " If they are percent, use --scale 0.01."
    raise SceneError(
        f"{found.name}: found the values {_listed(known)}, which look like class numbers. Name "
        f"those that are road, e.g. --road-value {road:g}{ignore}.{percent}"
    )


def _as_lossy_mask(
    found: Stored, statistics: ValueStatistics, options: RasterOptions
) -> Encoding | None:
    """Read a picture whose pixels are nearly black or nearly white as a mask, cut half way."""
    full = found.full
    if not (found.lossy or found.picture) or statistics.many or full is None:
        return None
    known, count = statistics.values, statistics.counts
    half, near = full / 2, _NEAR * full
    bright, dark = count[known >= half].sum(), count[known < half].sum()
    white, black = count[known >= full - near].sum(), count[known <= near].sum()
    if white < _BRIGHT * bright or black < _DARK * dark or not bright or not dark:
        return None
    share = bright / statistics.valid
    if share > _MOST_ROAD:
        raise SceneError(
            f"{found.name}: a picture in black and white that is {share:.0%} white; that much is "
            "never road, so the mask is probably inverted. Invert it and save it without loss, "
            "e.g. as PNG."
        )
    return Encoding(
        f"a picture of a mask with intermediate values; values of {half + 0.5:g} and more are road",
        cut=half,
        background=_nodata(options, default=False),
        notice=True,
    )


def _as_probability(
    found: Stored, statistics: ValueStatistics, options: RasterOptions
) -> Encoding | None:
    divisor = _divisor(found, statistics)
    if divisor is None:
        return None
    background = _nodata(options, default=_low_missing(found, statistics, 1 / divisor))
    what = "probability 0..1" if divisor == 1 else f"probability times {divisor:g}"
    what = "probability in percent" if divisor == 100 else what
    skipped = background and statistics.missing > 0
    return Encoding(
        what + (", nodata is probability 0" if skipped else ""),
        scale=1 / divisor,
        is_mask=len(statistics.values) == 2 and statistics.low == 0,
        background=background,
        notice=divisor not in (1.0, found.full) or skipped,
    )


def _divisor(found: Stored, statistics: ValueStatistics) -> float | None:
    """Return the value that means a probability of 1, if the range says so clearly."""
    low, high = statistics.low, statistics.high
    real = np.dtype(found.dtype).kind == "f" or found.scaled
    if low < (-1e-6 if real else 0):
        return None
    if real and high <= 1 + 1e-6:
        return 1.0
    if not found.scaled and found.full is not None and high >= found.full / 2:
        # What roadgis writes, when its tag is lost.
        ours = found.full == NO_DATA and high <= _FULL and NO_DATA in found.nodata
        return float(_FULL) if ours else found.full
    return high if high in (100.0, 255.0) else None


def _low_missing(found: Stored, statistics: ValueStatistics, scale: float) -> bool:
    """Return whether low probabilities are stored as nodata.

    Either 0 is declared as nodata, or valid pixels differ and none is low: then nodata does not
    mean unknown, it means not road.
    """
    if not statistics.missing:
        return False
    differ = statistics.high > statistics.low
    return 0.0 in found.nodata or (differ and statistics.low * scale >= _LOWEST)


def _coloured_mask(found: Stored, statistics: ValueStatistics, options: RasterOptions) -> Encoding:
    """Read one colour on white or on black as road."""
    white = statistics.from_white
    assert white is not None
    on_black, on_white = statistics.low == 0, white.low == 0
    if statistics.hue_share >= _ONE_HUE and on_black != on_white:
        ground = white if on_white else statistics
        encoding = _as_mask(found, ground, options) or _as_lossy_mask(found, ground, options)
        if encoding is not None:
            return dataclasses.replace(
                encoding,
                what=f"a picture of a mask; what is coloured on {'white' if on_white else 'black'} "
                "is road",
                from_white=on_white,
                notice=True,
            )
    raise SceneError(
        f"{found.name}: found 3 bands, expected one band of probability, or a picture in black "
        "and white, or of one colour on white or black; these show other colours. Choose a band "
        "with --band. To extract roads from imagery use 'roadgis extract'."
    )


def _unclear(found: Stored, statistics: ValueStatistics) -> SceneError:
    low, high = statistics.low, statistics.high
    values = f"found values from {low:g} to {high:g}"
    if not statistics.many and len(statistics.values) <= 8 and len(statistics.values) > 1:
        values = f"found the values {_listed(statistics.values)}"
    if found.scaled:
        values += " after the band's scale and offset"
    if low < 0:
        hint = (
            f"If {_exact(low)} means nodata, use --nodata {_exact(low)}; if values are classes, "
            "name those that are road with --road-value; if they are logits, apply the sigmoid."
        )
    elif found.picture:
        hint = "If one of the three bands is the probability, name it with --band."
    elif high <= 1:
        hint = "Name the value that is road with --road-value."
    else:
        whole = f" of {found.full:g}" if found.full else ""
        hint = f"The largest value is {high:g}{whole}"
        hint += "; is this percent? Use --scale 0.01. " if high <= 100 else ". "
        likely = next((full for full in _LIKELY if high <= full), high)
        hint += (
            f"If {likely:g} means a probability of 1, use --scale {1 / likely:.6g}; if values "
            "are classes, name those that are road with --road-value; if one means nodata, name "
            "it with --nodata."
        )
    return SceneError(
        f"{found.name}: {values}, expected probabilities from 0 to 1, 0 to 255 or over the whole "
        f"range of an unsigned type, or a mask (type {found.dtype}). {hint}"
    )


def _exact(value: float) -> str:
    """Return a number as it can be given to an option."""
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(value)


def _listed(values: Sequence[float] | npt.NDArray[Any]) -> str:
    texts = [f"{value:g}" for value in values[:9]]
    if len(values) > 9:
        return ", ".join(texts[:8]) + ", ..."
    return texts[0] if len(texts) == 1 else ", ".join(texts[:-1]) + " and " + texts[-1]
