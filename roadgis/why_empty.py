"""Why a network has no edges: what the input held, and which step removed it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

NODATA_ADVICE = "another --nodata, if data are read as nodata"


@dataclass(frozen=True)
class Removed:
    """Lines that a step removed.

    Attributes
    ----------
    what : str
        Kind of line, for messages.
    metres : float
        Their length.
    advice : str
        Option that keeps them.
    """

    what: str
    metres: float
    advice: str


@dataclass(frozen=True)
class RasterFacts:
    """Facts about the raster that lines were traced from.

    Attributes
    ----------
    nodata_share : float
        Share of the pixels without data, 0..1.
    highest : float or None
        Highest probability; None where all is nodata.
    threshold : float or None
        Probability from which a pixel is road; None in a mask.
    road_m2, wide_m2 : float
        Area above the weak threshold, and the part of it that exceeds the maximum road width.
    """

    nodata_share: float
    highest: float | None
    threshold: float | None
    road_m2: float
    wide_m2: float

    @property
    def is_low(self) -> bool:
        """Whether no pixel reaches the threshold."""
        if self.threshold is None or self.highest is None:
            return False
        return self.highest < self.threshold


@dataclass(frozen=True)
class WhyEmpty:
    """Why a network holds no road.

    Attributes
    ----------
    lines_m : float
        Length of the lines that were traced or given, metres.
    removed : tuple of Removed
        One for each step that removed something.
    raster : RasterFacts or None
        The raster; None where lines were given.
    """

    lines_m: float
    removed: tuple[Removed, ...] = ()
    raster: RasterFacts | None = None

    @property
    def advice(self) -> tuple[str, ...]:
        """Options to try, the one for the step that removed most first."""
        return tuple(dict.fromkeys([*self._of_raster(), *self._of_steps()]))

    def _of_steps(self) -> list[str]:
        ranked = sorted(self.removed, key=lambda step: -step.metres)
        facts = self.raster
        # Masks and given lines have no threshold; a low probability has its own advice.
        by_threshold = facts is not None and facts.threshold is not None and not facts.is_low
        return [s.advice for s in ranked if by_threshold or "--threshold" not in s.advice]

    def _of_raster(self) -> list[str]:
        facts = self.raster
        if facts is None:
            return []
        if facts.highest is None:
            return [NODATA_ADVICE]
        if facts.is_low:
            # Slightly lower, because stored probabilities are rounded.
            lower = int(facts.highest * 95) / 100
            return [f"--threshold {lower:g}"] if lower > 0 else []
        return ["a larger --max-road-width"] if facts.wide_m2 > facts.road_m2 / 2 else []

    @property
    def text(self) -> str:
        """The reason in full sentences."""
        parts = [*self._raster_texts(), *self._line_texts()]
        if self.advice:
            parts.append(f"What may help: {'; '.join(self.advice)}.")
        return " ".join(parts)

    def _raster_texts(self) -> list[str]:
        facts = self.raster
        if facts is None:
            return []
        if facts.highest is None:
            return ["The whole raster is nodata."]
        texts = [f"{facts.nodata_share:.1%} of the raster is nodata"]
        if facts.threshold is not None:
            texts[0] += (
                f"; the highest probability is {facts.highest:.2f}, the threshold "
                f"{facts.threshold:.2f}."
            )
        else:
            texts[0] += "." if facts.highest else "; no pixel of the mask is road."
        if facts.wide_m2:
            texts.append(
                f"Of {facts.road_m2:.0f} m² of road, {facts.wide_m2:.0f} m² are wider than roads."
            )
        return texts

    def _line_texts(self) -> list[str]:
        if not self.lines_m:
            return ["No line was traced." if self.raster else "The input has no lines."]
        removed = ", ".join(f"{step.metres:.0f} m as {step.what}" for step in self.removed)
        return [f"{self.lines_m:.0f} m of lines; removed: {removed or 'all, as too short'}."]

    def to_dict(self) -> dict[str, Any]:
        """Return the reason as JSON values."""
        return {**asdict(self), "removed": [asdict(step) for step in self.removed],
                "advice": list(self.advice), "text": self.text}  # fmt: skip
