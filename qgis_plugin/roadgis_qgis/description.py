"""The engine's own description of its commands, as data for parameters and arguments.

Standard library only and no QGIS import. ``engine.json`` is what ``roadgis describe --json``
prints, reduced by :func:`reduced`; ``qgis_plugin/describe.py`` writes it.
"""

import json
import re
from pathlib import Path

__all__ = [
    "COMMANDS",
    "VERSION",
    "Option",
    "arguments",
    "options",
    "overwriting",
    "reduced",
    "worded",
    "worded_hint",
]

#: Commands of the engine that the plugin offers.
COMMANDS = (
    *("extract", "predict", "vectorize", "clean", "evaluate", "compare"),
    *("batch plan", "batch run", "batch merge"),
)
#: Options that the plugin sets itself.
_OWN = {
    "sources", "output", "assume_crs", "overwrite", "work_dir", "aoi", "as_json", "layer",
    "truth_layer", "base_layer", "lines", "proposal", "truth", "roads", "base",
    "county",
}  # fmt: skip

#: Short names for the dialogs; others are made from the option's name.
LABELS = {
    "apls": "APLS",
    "asset": "STAC asset",
    "band": "Band",
    "bands": "Band numbers",
    "bbox": "Area of STAC items and web map services",
    "blank": "Treat pure white or black as nodata",
    "block_px": "Side of the blocks",
    "buffer": "Maximum distance of matching roads",
    "cache_dir": "Cache folder for tiles",
    "confidence_field": "Field with the confidence",
    "dask": "Dask scheduler",
    "date_field": "Field with the date of a sheet",
    "datetime": "Time of STAC items",
    "device": "Device",
    "flips": "Average over mirrored tiles",
    "force_gsd": "Accept imagery that is too coarse",
    "frame": "Position of the results",
    "from_masks": "The sheets are road masks or probability",
    "gap": "Maximum length of a gap",
    "gsd": "Pixel size",
    "imagery_licence": "Licence of a web map service",
    "junction_radius": "Maximum distance of matching junctions",
    "lease_s": "Seconds without a sign of life before units are taken over",
    "keep_fields": "Fields to keep",
    "keep_work": "Keep the work directory",
    "max_controls": "APLS: maximum number of control points",
    "max_distance": "Maximum distance between lines of the same road",
    "max_failures": "Maximum number of failed units",
    "max_gap": "Maximum length of gaps to bridge",
    "max_mpx": "Maximum size of a run in megapixels",
    "max_offset": "Maximum offset between the networks",
    "max_road_width": "Maximum road width",
    "max_separation": "Maximum distance of two carriageways",
    "merge_carriageways": "Merge two carriageways into one line",
    "min_component": "Minimum length of a connected component",
    "min_dangle": "Minimum length of dead ends, in road widths",
    "min_length": "Minimum length of a part with its own class",
    "model": "Model",
    "on_error": "Sheets that cannot be read",
    "order": "Sheet on top",
    "recursive": "Search folders inside folders",
    "request_rate": "Maximum number of requests per second",
    "csv": "Scores as a table",
    "errors": "Hits, misses and false roads",
    "image": "Imagery behind the maps of the report",
    "model_activation": "Model: activation to apply",
    "model_classes": "Model: names of the classes",
    "model_gsd": "Model: pixel size of training",
    "model_layout": "Model: axis order of the input",
    "model_margin": "Model: border to discard",
    "model_mean": "Model: mean of the bands",
    "model_range": "Model: range of the values",
    "model_road": "Model: class that is road",
    "model_std": "Model: standard deviation of the bands",
    "model_threshold": "Model: threshold",
    "model_tile_px": "Model: side of the tiles",
    "moved": "Distance from which a road counts as moved",
    "no_bridge": "Do not bridge gaps",
    "no_offset": "Do not estimate the offset",
    "no_rule": "Cleaning rules to turn off",
    "node_crossings": "Make junctions where lines cross",
    "nodata": "Nodata value",
    "nodata_is": "Nodata pixels are",
    "partial": "Merge although units are not done",
    "probability": "Road probability",
    "report": "Report",
    "restart": "Discard the blocks of an interrupted run",
    "retry": "Number of retries",
    "road_value": "Values that are road",
    "scale": "Factor from value to probability",
    "seed": "Random seed",
    "shard": "Part of the county",
    "simplify": "Maximum deviation of simplified lines",
    "smooth": "Smoothing along each line",
    "snap": "Snapping distance of line ends",
    "spacing": "APLS: spacing of the control points",
    "speed_field": "Field with the speed",
    "threads": "CPU threads for inference",
    "threshold": "Threshold",
    "unit_px": "Side of a unit",
    "tile_px": "Maximum side of a tile",
    "topo_hole": "TOPO: maximum distance of matching holes and marbles",
    "topo_interval": "TOPO: spacing of holes and marbles",
    "topo_radius": "TOPO: distance to walk from each seed",
    "topo_seeds": "TOPO: maximum number of seed points",
    "width": "Road width where unknown",
    "width_field": "Field with the width",
    "workers": "Threads for reading and vectorizing",
}
#: Where the same option has another meaning.
_LABELS_OF = {
    ("batch run", "workers"): "Number of processes",
    ("evaluate", "snap"): "APLS: maximum distance of a control point",
    ("evaluate", "width"): "Road width for IoU",
    ("clean", "probability"): "Road probability, as evidence",
}
#: Names used in QGIS for options of the engine that are not parameters there.
_INSTEAD = {
    "--aoi": "'Area'",
    "--assume-crs": "a CRS in the layer's properties",
    "--work-dir": "folder for the output",
}
_UNITS = {"m": "metres", "px": "pixels", "deg": "degrees", "MB": "MB"}


class Option:
    """One option of an engine's command.

    Attributes
    ----------
    name, parameter : str
        In the engine and in QGIS.
    flag : str
        As on the command line.
    kind : str
        "flag", "choice", "number", "text", "path_in", "path_out" or "count".
    label, help : str
        For dialogs.
    default
        Of the engine, None when it has none or finds it out.
    """

    def __init__(self, command, facts):
        self.name = facts["name"]
        self.parameter = self.name.upper()
        self.flag = max(facts["flags"], key=len, default="")
        self.kind = facts["type"]
        self.choices = facts.get("choices", [])
        self.integer = facts.get("integer", False)
        self.min = facts.get("min")
        self.max = facts.get("max")
        if self.min is not None and facts.get("min_open"):
            # QGIS knows closed ranges only.
            self.min += 1 if self.integer else 0.001
        if self.max is not None and facts.get("max_open"):
            self.max -= 1 if self.integer else 0.001
        self.unit = facts.get("unit", "")
        self.content = facts.get("content", "")
        self.multiple = facts["multiple"]
        self.advanced = facts["advanced"]
        self.default = facts["default"]
        self.default_text = facts["default_text"]
        self.help = facts["help"]
        label = _LABELS_OF.get((command, self.name)) or LABELS.get(self.name)
        self.label = label or self.name.replace("_", " ").capitalize()
        if self.unit:
            self.label += f" [{_UNITS.get(self.unit, self.unit)}]"

    def arguments(self, value):
        """Return the command line's arguments for a value; none for what the engine does anyway.

        Parameters
        ----------
        value
            None or an empty text for nothing; a list for a multiple choice.
        """
        if value is None or value == "" or value == []:
            return []
        if self.kind == "flag":
            return [self.flag] if value else []
        if self.multiple:
            return [part for one in value for part in (self.flag, str(one))]
        if value == self.default:
            return []
        # One argument, so that a value that begins with a dash is not an option.
        return [f"{self.flag}={_text(value)}"]


def _text(value):
    return repr(value) if isinstance(value, float) and not value.is_integer() else _plain(value)


def _plain(value):
    return str(int(value)) if isinstance(value, float) else str(value)


def arguments(command, values):
    """Return the arguments for values by option name, in the engine's order."""
    made = []
    for option in options(command):
        made += option.arguments(values.get(option.name))
    return made


def overwriting(command):
    """Return the argument that lets a command replace files, if it has one."""
    names = {facts["name"] for facts in _command(command)["parameters"]}
    return ["--overwrite"] if "overwrite" in names else []


def options(command, leave_out=()):
    """Return the options of a command that are parameters, a list of :class:`Option`."""
    skipped = _OWN.union(leave_out)
    return [
        Option(command, facts)
        for facts in _command(command)["parameters"]
        if facts["group"] != "shell" and facts["name"] not in skipped
    ]


def worded(command, text):
    """Return a text of the engine with the dialog's names in place of the command line's."""
    names = {option.flag: f"'{option.label}'" for option in options(command)}
    flags = {max(facts["flags"], key=len, default="") for facts in _command(command)["parameters"]}
    names.update((flag, text) for flag, text in _INSTEAD.items() if flag in flags)
    return re.sub(r"--[a-z][a-z-]*[a-z]", lambda found: names.get(found[0], found[0]), text)


def worded_hint(command, text):
    """Return a hint of the engine as :func:`worded`, or nothing if it is about the shell."""
    return "" if text.startswith("'roadgis ") else worded(command, text)


def _command(name):
    return next(facts for facts in ENGINE["commands"] if facts["name"] == name)


def reduced(facts):
    """Return what of ``roadgis describe --json`` the plugin keeps."""
    kept = [command for command in facts["commands"] if command["name"] in COMMANDS]
    return {
        "protocol": facts["protocol"],
        "version": facts["version"],
        # Which of them can be written hangs on the environment.
        "suffixes": [known["suffix"] for known in facts["formats"] if not known["needs"]],
        "commands": sorted(kept, key=lambda command: COMMANDS.index(command["name"])),
    }


def _read():
    path = Path(__file__).with_name("engine.json")
    return json.loads(path.read_text(encoding="utf-8"))


#: The bundled description.
ENGINE = _read()
#: Version of roadgis that the plugin's parameters are of.
VERSION = ENGINE["version"]
