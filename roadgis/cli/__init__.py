"""The command line: `commands`, one module each and imported when called, and what they share."""

from __future__ import annotations

import importlib

import click

from roadgis._version import __version__
from roadgis.cli.group import Group
from roadgis.cli.shell import run

__all__ = ["cli", "main"]

_COMMANDS = {
    "batch": "Map a county of many sheets on several processes or machines.",
    "calibrate": "Calibrate the probabilities of a trained model.",
    "clean": "Clean and node an existing line layer.",
    "compare": "Compare a road network with a base network.",
    "describe": "Describe all commands and their options, for other programs.",
    "evaluate": "Score a road network against ground truth.",
    "export": "Write a trained model as ONNX with its card.",
    "extract": "Extract the road network from imagery.",
    "info": "Describe imagery, and check whether it can be used.",
    "labels": "Make training masks from road layers or annotations.",
    "model": "List and describe models, or give an ONNX file a card.",
    "predict": "Predict road probability as a Cloud Optimized GeoTIFF.",
    "serve": "Map page: scenes to roads in a browser; videos too.",
    "synthesize": "Make a synthetic scene with exact road truth.",
    "test": "Score a model on labelled scenes, with a report.",
    "threshold": "Choose a model's threshold on validation scenes.",
    "train": "Train a road model.",
    "vectorize": "Make a road network from a probability raster or mask.",
    "video": "Segment each frame of a video.",
}


class _LazyGroup(Group):
    """A group that lists commands without importing them, so that ``--help`` is fast."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module = importlib.import_module(f"roadgis.cli.commands.{cmd_name}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(sorted(_COMMANDS.items()))


@click.command(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, "-V", "--version", prog_name="roadgis")
def cli() -> None:
    """Road centrelines from aerial imagery.

    \b
    roadgis extract scene.tif -o roads.geojson
    roadgis extract sheets/*.tif -o county.gpkg --aoi county.geojson
    """  # noqa: D301 - click reads the backspace


def main() -> None:
    """Run the command line and exit with its status."""
    run(cli)
