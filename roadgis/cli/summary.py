"""Report the network that a command has written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from roadgis.cli.shell import Shell

#: Number of skipped sheets in the text; the JSON result has all.
_NAMED = 5


def report_network(sh: Shell, network: Any, outputs: Sequence[Path]) -> None:
    """Report the size of a RoadNetwork as the result of a command; the first output holds it."""
    length_m = float(network.length_m.sum())
    bridges = int(network.bridged.sum())
    parts = [
        _count(len(network), "road"),
        f"{length_m / 1000:.2f} km",
        _count(len(network.nodes), "node"),
    ]
    if bridges:
        parts.append(_count(bridges, "bridged gap"))
    skipped = network.provenance.get("skipped", {})
    if skipped:
        parts.append(skipped_text(skipped))
    sh.result(
        f"{outputs[0]}: {', '.join(parts)}",
        outputs=[str(path) for path in outputs],
        edges=len(network),
        nodes=len(network.nodes),
        length_m=round(length_m, 1),
        bridged=bridges,
        **({"skipped": skipped} if skipped else {}),
        **({} if network.why_empty is None else {"why_empty": network.why_empty.to_dict()}),
    )


def skipped_text(skipped: Mapping[str, str]) -> str:
    """Return number and names of the skipped sheets, given as a reason for each name."""
    names = list(skipped)
    more = len(names) - _NAMED
    shown = ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")
    return f"{_count(len(names), 'sheet')} skipped ({shown})"


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
