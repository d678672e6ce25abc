"""Options of cleaning a network, and the settings that they make."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from roadgis.cli.lengths import metres_option

__all__ = ["clean_options", "cleaning_options"]

#: What ``--no-rule`` can turn off: fields of :class:`roadgis.network.options.RuleOptions`.
_RULES = ("patchy", "uneven", "winding")


def _metres(name: str, help_text: str) -> Callable[[Any], Any]:
    return metres_option(name, help_text, least=0.0)


#: In the order in which help lists them.
cleaning_options = (
    _metres(
        "--max-gap",
        "Longest gap that is bridged, metres; bridges are marked in the output.  [default: 30]",
    ),
    click.option("--no-bridge", is_flag=True, help="Bridge no gaps."),
    _metres(
        "--min-component",
        "Shortest connected piece that is kept, metres of line in all; unsure metres count "
        "less.  [default: 60]",
    ),
    click.option(
        "--min-dangle",
        type=click.FloatRange(0),
        default=None,
        metavar="WIDTHS",
        help="Shortest dead end that is kept, in widths of the road it leaves.  [default: 2.5]",
    ),
    click.option(
        "--merge-carriageways",
        is_flag=True,
        help="Make one line of the two carriageways of a road.",
    ),
    _metres(
        "--max-separation",
        "Distance between the middles of two such carriageways, at most, metres.  [default: 30]",
    ),
    click.option(
        "--no-rule",
        type=click.Choice([*_RULES, "all"]),
        multiple=True,
        help="Turn off a rule of cleaning; may be given several times.",
    ),
    _metres(
        "--smooth",
        "How far along a line its shape is averaged (a standard deviation), metres; 0 for not "
        "at all.  [default: 3]",
    ),
    _metres("--simplify", "Largest deviation when lines are simplified, metres.  [default: 0.5]"),
)


def clean_options(values: dict[str, Any]) -> Any:
    """Make :class:`roadgis.network.options.CleanOptions` from a command's values.

    Options that are not given keep the library's defaults, which stand in one place there.
    """
    from roadgis.network.options import BridgeOptions, CleanOptions, ParallelOptions, RuleOptions

    groups: dict[str, dict[str, Any]] = {"bridge": {}, "parallels": {}}
    off = values.get("no_rule") or ()
    if values.get("max_gap") is not None:
        groups["bridge"]["max_gap_m"] = values["max_gap"]
    if values.get("no_bridge"):
        groups["bridge"]["max_gap_m"] = 0.0
    if values.get("merge_carriageways"):
        groups["parallels"]["merge_carriageways"] = True
    if values.get("max_separation") is not None:
        groups["parallels"]["max_separation_m"] = values["max_separation"]
    plain = {
        field: values[name]
        for field, name in (
            ("min_component_m", "min_component"),
            ("dangle_factor", "min_dangle"),
            ("smooth_m", "smooth"),
            ("tolerance_m", "simplify"),
        )
        if values.get(name) is not None
    }
    return CleanOptions(
        **plain,
        bridge=BridgeOptions(**groups["bridge"]),
        parallels=ParallelOptions(**groups["parallels"]),
        rules=RuleOptions(**dict.fromkeys(_RULES if "all" in off else off, False)),
    )
