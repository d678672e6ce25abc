"""Whether a scene looks like the imagery that a model was trained on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from roadgis.imagery.values.look import Look
from roadgis.model.card import ModelCard

#: Of a scene that is nothing like the training imagery, confidence keeps this share.
_LEAST_FACTOR = 0.3


@dataclass(frozen=True)
class Likeness:
    """Comparison of a scene with the training imagery.

    Attributes
    ----------
    outside : mapping of str to tuple of three floats
        Figures of :class:`~roadgis.imagery.values.look.Look` outside the range of the training
        imagery: the scene's value, and the lowest and highest one in training.
    confidence_factor : float
        Factor for the confidence of roads: 1 within the range, lower outside.
    """

    outside: Mapping[str, tuple[float, float, float]]
    confidence_factor: float

    @property
    def text(self) -> str | None:
        """A sentence for users; None where the scene is like the training imagery."""
        if not self.outside:
            return None
        facts = ", ".join(
            f"{name} {value:.3g} (in training {low:.3g} to {high:.3g})"
            for name, (value, low, high) in self.outside.items()
        )
        return (
            f"The imagery is unlike what the model was trained on: {facts}. Expect missing and "
            f"false roads and check the result; confidence is multiplied by "
            f"{self.confidence_factor:.2f}."
        )


def likeness(card: ModelCard, look: Look | None) -> Likeness:
    """Compare a scene with a model's training imagery.

    Parameters
    ----------
    card : ModelCard
        Has the range of each figure in `looks`; without, every scene is like it.
    look : Look or None
        The scene's, at the pixel size that the model sees.
    """
    outside = {}
    factor = 1.0
    if look is not None:
        for name, (low, high) in card.looks.items():
            value = getattr(look, name)
            if not low <= value <= high:
                outside[name] = (value, low, high)
                ratio = value / low if value < low else high / value
                factor = min(factor, max(ratio, _LEAST_FACTOR))
    return Likeness(outside, round(factor, 3))
