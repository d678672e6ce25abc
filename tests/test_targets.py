"""No command writes to its inputs, under any of their names."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner

from roadgis.cli import cli
from roadgis.cli.parameters import FilePath
from roadgis.errors import InputError, OutputError
from roadgis.overwriting import check_not_input, input_files
from tests.factories.rasters import write_raster

VRT = (
    '<VRTDataset rasterXSize="4" rasterYSize="4"><VRTRasterBand dataType="Byte" band="1">'
    '<SimpleSource><SourceFilename relativeToVRT="{relative}">{name}</SourceFilename>'
    "<SourceBand>1</SourceBand></SimpleSource></VRTRasterBand></VRTDataset>"
)


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    return write_raster(tmp_path / "in" / "scene.tif", np.zeros((3, 4, 4), np.uint8))


def assert_rejected(outputs: list[Path], *inputs: object) -> None:
    with pytest.raises(InputError, match="is an input as well"):
        check_not_input(outputs, inputs)  # type: ignore[arg-type]


def test_check_not_input_recognizes_inputs_by_name_link_and_hard_link(
    tmp_path: Path, scene: Path
) -> None:
    symbolic, hard = tmp_path / "symbolic.tif", tmp_path / "hard.tif"
    symbolic.symlink_to(scene)
    os.link(scene, hard)
    for name in (scene, symbolic, hard, Path(os.path.relpath(scene))):
        assert_rejected([name], scene)
        assert_rejected([scene], name)
    check_not_input([tmp_path / "other.tif"], [scene, "https://example.org/a.tif", "default"])


def test_check_not_input_recognizes_inputs_by_url_and_through_a_missing_folder(
    tmp_path: Path, scene: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(scene.parent)
    for name in (f"file://{scene}", f"file:{scene}", "file://scene.tif"):
        assert_rejected([scene], name)
    for name in (f"vrt://{scene}?bands=1", "vrt://scene.tif?bands=1,2,3", f"/vsizip/{scene}/a"):
        assert_rejected([scene], name)
    assert_rejected([scene.parent / "new" / ".." / "scene.tif"], scene)
    check_not_input([scene.parent / "new" / ".." / "other.tif"], [f"file://{scene}"])


def test_check_not_input_recognizes_sources_of_virtual_rasters_at_any_depth(
    tmp_path: Path, scene: Path
) -> None:
    inner, outer = tmp_path / "inner.vrt", tmp_path / "outer.vrt"
    inner.write_text(VRT.format(relative=1, name="in/scene.tif"))
    outer.write_text(VRT.format(relative=0, name=inner))
    assert list(input_files(outer)) == [str(outer), str(inner), str(tmp_path / "in/scene.tif")]
    assert_rejected([scene], outer)
    layer = tmp_path / "layer.vrt"
    layer.write_text(
        '<OGRVRTDataSource><OGRVRTLayer name="a"><SrcDataSource relativeToVRT="1">in/scene.tif'
        "</SrcDataSource></OGRVRTLayer></OGRVRTDataSource>"
    )
    assert_rejected([scene], layer)


def test_check_not_input_recognizes_files_of_folders_patterns_and_archives(
    tmp_path: Path, scene: Path
) -> None:
    other = tmp_path / "other.tif"
    os.link(scene, other)
    assert_rejected([other], (scene.parent, "raster"))
    assert_rejected([other], f"{scene.parent}/*.tif")
    assert_rejected([scene], f"/vsizip/{scene}/inside.tif")
    assert_rejected([scene], (tmp_path, "folder"))
    check_not_input([other], [(scene.parent, "vector")])


def test_check_not_input_rejects_a_raster_in_a_folder_of_inputs(scene: Path) -> None:
    for source in (scene.parent, f"{scene.parent}/*.tif"):
        with pytest.raises(InputError, match="would be an input of the next run"):
            check_not_input([scene.parent / "new.tif"], [(source, "raster")])
        check_not_input([scene.parent / "new.gpkg"], [(source, "raster")])
        check_not_input([scene.parent.parent / "new.tif"], [(source, "raster")])


def test_check_not_input_rejects_two_outputs_of_one_name(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="one name for two outputs"):
        check_not_input([tmp_path / "a", tmp_path / "x" / ".." / "a"], [])


def leaves(command: click.Command, name: str) -> list[tuple[str, click.Command]]:
    if not isinstance(command, click.Group):
        return [(name, command)]
    return [leaf for sub in command.commands.values() for leaf in leaves(sub, f"{name} {sub.name}")]


def cases() -> list[tuple[str, str, str]]:
    """Return command, input parameter and output parameter, for all pairs."""
    found = []
    context = click.Context(cli)
    for name in cli.list_commands(context):
        command_or_group = cli.get_command(context, name)
        assert command_or_group is not None
        for full, command in leaves(command_or_group, name):
            kinds = {p.name: p.type for p in command.params if isinstance(p.type, FilePath)}
            read = [p for p, kind in kinds.items() if kind.direction == "in"]
            written = [
                p for p, k in kinds.items() if k.direction == "out" and k.content != "folder"
            ]
            found += [(full, str(a), str(b)) for a in read for b in written]
    return found


@pytest.mark.parametrize(("name", "read", "written"), cases())
def test_commands_never_overwrite_their_inputs(
    tmp_path: Path, name: str, read: str, written: str
) -> None:
    target = tmp_path / "file.tif"
    target.write_text("precious")
    link = tmp_path / "link.tif"
    link.symlink_to(target)
    command = dict(leaves(cli.get_command(None, name.split()[0]), name.split()[0]))[name]  # type: ignore[arg-type]
    arguments = name.split()
    options = []
    for parameter in command.params:
        value = {read: target, written: link}.get(parameter.name or "")
        if value is None and parameter.required:
            is_path = isinstance(parameter.type, FilePath)
            value = tmp_path / (f"{parameter.name}.gpkg" if is_path else "else")
        if value is not None and isinstance(parameter, click.Option):
            options += [parameter.opts[0], str(value)]
        elif value is not None:
            arguments.append(str(value))
    if any("--overwrite" in parameter.opts for parameter in command.params):
        options.append("--overwrite")
    result = CliRunner().invoke(cli, [*arguments, *options])
    assert isinstance(result.exception, InputError), result.output
    assert "is an input as well" in str(result.exception)
    assert target.read_text() == "precious"


def test_commands_reject_an_output_name_that_is_too_long(tmp_path: Path, scene: Path) -> None:
    output = tmp_path / ("a" * 300 + ".geojson")
    result = CliRunner().invoke(cli, ["extract", str(scene), "-o", str(output)])
    assert isinstance(result.exception, OutputError)
    assert "the name is too long" in str(result.exception)


def test_extract_rejects_its_scene_as_output(tmp_path: Path, scene: Path) -> None:
    before = scene.read_bytes()
    result = subprocess.run(
        [sys.executable, "-m", "roadgis", "extract", scene, "-o", tmp_path / "x.geojson",
         "--probability", scene, "--overwrite"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 1
    assert "is an input as well" in result.stderr
    assert scene.read_bytes() == before
