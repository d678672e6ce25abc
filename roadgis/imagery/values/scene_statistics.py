"""Statistics measured once over a whole scene, which decide how every pixel is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from roadgis.imagery.values.look import Look
from roadgis.imagery.values.normalization import Normalization
from roadgis.imagery.values.stretch import Stretch


@dataclass(frozen=True)
class SceneStatistics:
    """Statistics of a scene; a scene opened with them does not measure its own.

    Attributes
    ----------
    scalings : mapping of (str, int) to Stretch
        Stretch of each data type and number of channels.
    normalization : Normalization or None
        How the bands are normalized; None where they are not.
    look : Look or None
        Look of the scene before normalization.
    """

    scalings: Mapping[tuple[str, int], Stretch] = field(default_factory=dict)
    normalization: Normalization | None = None
    look: Look | None = None

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values that hold every digit."""
        return {
            "scalings": [
                [dtype, channels, list(s.low), list(s.high)]
                for (dtype, channels), s in self.scalings.items()
            ],
            "normalization": None if self.normalization is None else asdict(self.normalization),
            "look": None if self.look is None else asdict(self.look),
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> SceneStatistics:
        """Return what :meth:`to_json` was made from."""
        normal, look = values["normalization"], values["look"]
        return cls(
            {
                (dtype, channels): Stretch(tuple(low), tuple(high))
                for dtype, channels, low, high in values["scalings"]
            },
            None if normal is None else Normalization(**{k: tuple(v) for k, v in normal.items()}),
            None if look is None else Look(**look),
        )
