"""The command line as a process: exit status, messages, progress, signals."""

from __future__ import annotations

import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

from tests.factories.models import failing_model, save_model, tiny_model
from tests.factories.rasters import texture, write_raster
from tests.factories.roads import painted, write_net

ENV = {**os.environ, "COLUMNS": "200"}


def start(*arguments: object, **keywords: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "roadgis", *map(str, arguments)],
        text=True, env=ENV, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **keywords,
    )  # fmt: skip


def call(*arguments: object, status: int = 0) -> subprocess.CompletedProcess[str]:
    process = start(*arguments)
    out, err = process.communicate(timeout=120)
    assert process.returncode == status, err
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("model") / "tiny.onnx")


@pytest.fixture(scope="module")
def big(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a scene of 7 x 4 blocks of 768 px."""
    image = painted((3000, 5000), [(0, y, 5000, y + 300, 8) for y in range(200, 2600, 300)])
    return write_raster(tmp_path_factory.mktemp("big") / "big.tif", image, compress="deflate")


def test_extract_prints_the_result_on_stderr_and_nothing_on_stdout(
    tmp_path: Path, model: Path
) -> None:
    scene = write_net(tmp_path / "net.tif")
    result = call("extract", scene, "-m", model, "-o", tmp_path / "roads.geojson")
    assert result.stdout == ""
    assert "roads.geojson: " in result.stderr
    assert " km, " in result.stderr
    assert "\r" not in result.stderr  # no bar on a pipe
    features = json.loads((tmp_path / "roads.geojson").read_text())["features"]
    assert len(features) > 8


def test_jsonl_is_one_object_per_line_from_hello_to_result(tmp_path: Path, model: Path) -> None:
    scene = write_net(tmp_path / "net.tif")
    result = call("extract", scene, "-m", model, "-o", tmp_path / "r.gpkg", "--progress", "jsonl")
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert lines[0]["type"] == "hello"
    assert lines[-1]["type"] == "result"
    assert lines[-1]["outputs"] == [str(tmp_path / "r.gpkg")]
    assert lines[-1]["edges"] > 8
    percents = [line["percent"] for line in lines if line["type"] == "progress"]
    assert percents == sorted(percents)
    assert percents[-1] == 100


def test_jsonl_reports_an_error_as_a_line(tmp_path: Path) -> None:
    result = call(
        "extract", tmp_path / "no.tif", "-o", tmp_path / "r.gpkg", "--progress", "jsonl", status=1
    )
    last = json.loads(result.stdout.splitlines()[-1])
    assert last["type"] == "error"
    assert "no.tif" in last["text"]


def test_progress_bar_in_a_terminal_shows_rate_and_time(
    tmp_path: Path, model: Path, big: Path
) -> None:
    main, side = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "roadgis", "extract", str(big), "-m", str(model),
         "-o", str(tmp_path / "r.gpkg"), "--block-px", "768"],
        env={**ENV, "TERM": "xterm"}, stdout=subprocess.DEVNULL, stderr=side,
    )  # fmt: skip
    os.close(side)
    text = b""
    while True:
        try:
            chunk = os.read(main, 65536)
        except OSError:
            break
        if not chunk:
            break
        text += chunk
    os.close(main)
    assert process.wait() == 0
    assert b"of 15.0 Mpx" in text or b"of 15" in text
    assert b"Mpx/s" in text
    assert b"left" in text


def chunks(work: Path) -> dict[Path, int]:
    """Return the finished chunks of a work directory with their modification times."""
    # rglob fails: the run makes and removes folders for unfinished files.
    return {path: path.stat().st_mtime_ns for path in work.glob("chunks-*/*/0*.tif")}


def interrupted(big: Path, model: Path, output: Path, number: int) -> tuple[int, str]:
    """Start an extract, send a signal once some blocks are written, return status and stderr."""
    process = start("extract", big, "-m", model, "-o", output, "--block-px", 768, "--workers", 1)
    work = output.with_name(output.name + ".roadgis-work")
    limit = time.monotonic() + 60
    while process.poll() is None and len(chunks(work)) < 3:
        assert time.monotonic() < limit
        time.sleep(0.002)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    return process.returncode, err


@pytest.mark.parametrize(
    ("number", "status"),
    [(signal.SIGKILL, -9), (signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)],
)
def test_extract_that_was_stopped_leaves_no_output_and_resumes_to_the_same_network(
    tmp_path: Path, model: Path, big: Path, number: int, status: int
) -> None:
    output = tmp_path / "roads.geojson"
    found, err = interrupted(big, model, output, number)
    assert found == status, err
    assert not output.exists()
    if status > 0:
        assert "run the same command again to resume" in err
    work = tmp_path / "roads.geojson.roadgis-work"
    kept = chunks(work)
    assert len(kept) >= 3
    call("extract", big, "-m", model, "-o", output, "--block-px", 768, "--keep-work")
    assert all(path.stat().st_mtime_ns == then for path, then in kept.items())
    call("extract", big, "-m", model, "-o", tmp_path / "whole.geojson", "--block-px", 1536)
    whole, resumed = (json.loads(p.read_text()) for p in (tmp_path / "whole.geojson", output))
    assert whole["features"] == resumed["features"]


def test_extract_under_nohup_continues_when_the_terminal_closes(
    tmp_path: Path, model: Path
) -> None:
    scene = write_net(tmp_path / "net.tif")
    program = (
        "import os, signal, sys\n"
        "signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
        "from roadgis.cli import shell\n"
        "status = shell.exit_status\n"
        "shell.exit_status = lambda c: (os.kill(os.getpid(), signal.SIGHUP), status(c))[1]\n"
        "from roadgis.cli import main\n"
        "main()\n"
    )
    arguments = ["extract", scene, "-m", model, "-o", tmp_path / "r.geojson"]
    done = subprocess.run([sys.executable, "-c", program, *arguments], env=ENV, check=False)
    assert done.returncode == 0


def test_quiet_prints_errors_only(tmp_path: Path, model: Path) -> None:
    green = write_raster(tmp_path / "green.tif", painted((200, 200), []))
    arguments = ["-m", model, "-o", tmp_path / "r.geojson", "-q"]
    result = call("extract", green, *arguments)  # without a road, which is reported differently
    assert (result.stdout, result.stderr) == ("", "")
    result = call("extract", green, *arguments, status=1)
    assert result.stdout == ""
    assert result.stderr.startswith("Error: ")


def bad_inputs(folder: Path) -> dict[str, tuple[list[object], str]]:
    """Return arguments after ``extract`` and a part of the message, by kind of error."""
    good = write_net(folder / "good.tif")
    tiny = tiny_model(folder / "tiny.onnx")
    text = folder / "text.tif"
    text.write_text("no raster")
    truncated = folder / "truncated.tif"
    noise = np.random.default_rng(0).integers(0, 255, (3, 700, 700), np.uint8)
    whole = write_raster(folder / "whole.tif", noise)
    truncated.write_bytes(whole.read_bytes()[:400_000])
    no_crs = write_raster(folder / "nocrs.tif", painted((100, 100), []), crs=None)
    one = write_raster(folder / "two.tif", np.zeros((2, 100, 100), np.uint8))
    coarse = write_raster(folder / "coarse.tif", painted((100, 100), []), pixel=5.0)
    nocard = tiny_model(folder / "nocard.onnx", card=False)
    away = folder / "away.geojson"
    away.write_text(
        '{"type":"Polygon","coordinates":[[[10,10],[10.1,10],[10.1,10.1],[10,10.1],[10,10]]]}'
    )
    exists = folder / "exists.gpkg"
    exists.write_text("mine")
    broken = folder / "broken.onnx"
    broken.write_bytes(b"\x08\x07garbage")
    bad = failing_model(folder / "bad.onnx", "shape")
    out: list[object] = ["-o", folder / "out.geojson"]
    m: list[object] = ["-m", tiny]
    return {
        "not a raster": ([text, *m, *out], "text.tif"),
        "truncated": ([truncated, *m, *out], "truncated.tif"),
        "no CRS": ([no_crs, *m, *out], "--assume-crs"),
        "too few bands": ([one, *m, *out], "band"),
        "band that is not there": ([good, *m, *out, "--bands", "1,2,7"], "7"),
        "bands other than numbers": ([good, *m, *out, "--bands", "red"], "--bands"),
        "too coarse": ([coarse, *m, *out], "--force-gsd"),
        "unknown model": ([good, "-m", folder / "nowhere.onnx", *out], "nowhere.onnx"),
        "model without card": ([good, "-m", nocard, *out], "card"),
        "broken model": ([good, "-m", broken, *out], "broken.onnx"),
        "model of another shape": ([good, "-m", bad, *out], "tile at row"),
        "threshold": ([good, *m, *out, "--threshold", "1.5"], "threshold is 1.5"),
        "unknown suffix": ([good, *m, "-o", folder / "roads.xyz"], ".geojson"),
        "no folder": ([good, *m, "-o", folder / "no" / "roads.gpkg"], "roads.gpkg"),
        "existing": ([good, *m, "-o", exists], "--overwrite"),
        "AOI elsewhere": ([good, *m, *out, "--aoi", away], "outside of the imagery"),
        "no AOI file": ([good, *m, *out, "--aoi", folder / "no.geojson"], "no.geojson"),
        "tile": ([good, *m, *out, "--tile-px", "13"], "--tile-px is 13"),
        "block": ([good, *m, *out, "--block-px", "1000"], "multiple of 768"),
        "probability suffix": ([good, *m, *out, "--probability", folder / "p.png"], ".tif"),
        "invalid CRS": ([no_crs, *m, *out, "--assume-crs", "EPSG:0"], "EPSG:0"),
    }


CASES = [
    "not a raster", "truncated", "no CRS", "too few bands", "band that is not there",
    "bands other than numbers", "too coarse", "unknown model", "model without card",
    "broken model", "model of another shape", "threshold", "unknown suffix", "no folder",
    "existing", "AOI elsewhere", "no AOI file", "tile", "block", "probability suffix",
    "invalid CRS",
]  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_extract_of_bad_input_ends_with_status_1_a_message_and_no_file(
    tmp_path: Path, case: str
) -> None:
    cases = bad_inputs(tmp_path)
    assert list(cases) == CASES
    arguments, message = cases[case]
    before = {p.name for p in tmp_path.iterdir()}
    result = call("extract", *arguments, status=1)
    assert result.stderr.startswith("Error: ")
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert (tmp_path / "exists.gpkg").read_text() == "mine"
    after = {p.name for p in tmp_path.iterdir() if not p.name.endswith(".roadgis-work")}
    assert after == before


def test_wrong_usage_has_status_2() -> None:
    result = call("extract", status=2)
    assert "Usage: roadgis extract" in result.stderr


def test_extract_of_two_distant_scenes_warns(tmp_path: Path, model: Path) -> None:
    a = write_net(tmp_path / "a.tif")
    b = write_net(tmp_path / "b.tif", x0=503_000.0)
    result = call("extract", a, b, "-m", model, "-o", tmp_path / "r.gpkg")
    assert "Warning" in result.stderr
    one = call("extract", a, "-m", model, "-o", tmp_path / "one.gpkg")
    roads = [int(r.stderr.split("gpkg: ")[1].split()[0]) for r in (result, one)]
    assert roads[0] == 2 * roads[1]


def test_predict_and_vectorize_give_the_network_of_extract(tmp_path: Path, model: Path) -> None:
    scene = write_net(tmp_path / "net.tif", seed=1)
    call("extract", scene, "-m", model, "-o", tmp_path / "a.geojson")
    call("predict", scene, "-m", model, "-o", tmp_path / "p.tif")
    call("vectorize", tmp_path / "p.tif", "-o", tmp_path / "b.geojson")
    a, b = (json.loads((tmp_path / name).read_text()) for name in ("a.geojson", "b.geojson"))
    # A probability raster does not know the sheets.
    assert {f["properties"].pop("source") for f in a["features"]} == {"net.tif"}
    assert {f["properties"].pop("source") for f in b["features"]} == {None}
    assert a["features"] == b["features"]


def test_info_describes_and_prints_json(tmp_path: Path) -> None:
    scene = write_net(tmp_path / "net.tif")
    assert "32632" in call("info", scene).stdout
    facts = json.loads(call("info", scene, "--json").stdout)
    assert facts["valid_share"] > 0


def test_info_ends_with_a_verdict_and_an_estimated_time(tmp_path: Path, model: Path) -> None:
    scene = write_net(tmp_path / "net.tif")
    last = call("info", scene, "-m", model).stdout.splitlines()[-1]
    assert re.fullmatch(
        r"Usable: yes\. Extracting the roads of 0\.3 Mpx takes about \d+ (s|min) on this machine, "
        r"and 1 MB of disk space\.",
        last,
    )
    facts = json.loads(call("info", scene, "-m", model, "--json").stdout)
    assert facts["usable"] is True
    assert facts["reason"] is None
    assert 0 < facts["estimated_seconds"] < 600


def test_info_states_the_size_of_a_tiny_scene(tmp_path: Path, model: Path) -> None:
    scene = write_raster(tmp_path / "a.tif", texture(100, 120))
    last = call("info", scene, "-m", model).stdout.splitlines()[-1]
    assert "the roads of 0.012 Mpx takes" in last


@pytest.mark.parametrize("case", ["coarse", "cut", "huge", "no CRS", "no file", "no model"])
def test_info_rejects_the_imagery_that_extract_rejects_with_the_same_message(
    tmp_path: Path, model: Path, case: str
) -> None:
    scene, options = write_net(tmp_path / "net.tif"), ["-m", model]
    if case == "coarse":
        scene = write_net(tmp_path / "coarse.tif", pixel=9.0)
    elif case == "cut":
        scene.write_bytes(scene.read_bytes()[:400_000])
    elif case == "huge":
        options += ["--max-mpx", "0.1"]
    elif case == "no CRS":
        scene = write_net(tmp_path / "none.tif", crs=None)
    elif case == "no file":
        scene = tmp_path / ("a" * 300 + ".tif")
    elif case == "no model":
        options = ["-m", tmp_path / "none.onnx"]
    output = tmp_path / "roads.gpkg"
    refusal = call("extract", scene, *options, "-o", output, status=1).stderr
    facts = json.loads(call("info", scene, *options, "--json", status=1).stdout)
    assert facts["usable"] is False
    assert refusal == f"Error: {facts['reason']}\n"
    # It is described as far as possible, although it cannot be used.
    assert ("inputs" in facts) == (case == "coarse")
    if case == "coarse":
        last = call("info", scene, *options, status=1).stdout.splitlines()[-1]
        assert last == f"Usable: no. {facts['reason']}"


def test_output_names_of_240_letters_are_written(tmp_path: Path, model: Path) -> None:
    scene, name = write_net(tmp_path / "net.tif"), "a" * 235
    outputs = tmp_path / f"{name}.gpkg", tmp_path / f"{name}.tiff"
    call("extract", scene, "-m", model, "-o", outputs[0], "--probability", outputs[1])
    assert sorted(tmp_path.iterdir()) == sorted([*outputs, scene])


def test_output_names_that_are_too_long_are_rejected_before_the_run(
    tmp_path: Path, model: Path
) -> None:
    scene, name = write_net(tmp_path / "net.tif"), "a" * 295
    for arguments in (
        ("extract", scene, "-m", model, "-o", tmp_path / f"{name}.gpkg"),
        ("predict", scene, "-m", model, "-o", tmp_path / f"{name}.tiff"),
        ("extract", scene, "-m", model, "-o", tmp_path / "a.gpkg",
         "--probability", tmp_path / f"{name}.tiff"),
    ):  # fmt: skip
        said = call(*arguments, status=1).stderr
        assert "the name is too long" in said
        assert "Traceback" not in said
    assert [path.name for path in tmp_path.iterdir()] == ["net.tif"]


def test_input_names_that_are_too_long_are_an_error(tmp_path: Path) -> None:
    name = "a" * 300
    for arguments in (
        ("info", f"{name}.tif"),
        ("vectorize", f"{name}.tif", "-o", tmp_path / "a.gpkg"),
        ("clean", f"{name}.gpkg", "-o", tmp_path / "a.gpkg"),
        ("model", "info", f"{name}.onnx"),
    ):
        result = call(*arguments, status=1)
        assert name in result.stdout + result.stderr
        assert "Traceback" not in result.stderr


def test_model_info_prints_the_card(model: Path) -> None:
    card = json.loads(call("model", "info", model, "--json").stdout)
    assert card["name"] == "tiny"
    assert "tiny.onnx" in call("model", "info", model).stdout


def test_model_info_describes_the_bundled_model_in_a_few_lines() -> None:
    lines = call("model", "info").stdout.splitlines()
    assert len(lines) <= 18
    words = [line[:13].strip() for line in lines]
    assert [word for word in words if word] == [  # the other lines are a table of places
        *("Model", "File", "Finds", "Pixel size", "Threshold", "Scores"),
        *("Trained on", "Licence", "Attribution"),
    ]


def test_model_info_shows_the_scores_of_each_place_and_the_terms(tmp_path: Path) -> None:
    model = tiny_model(
        tmp_path / "m.onnx",
        gsd_range_m=(0.3, 1.2),
        licence="CC BY-SA 4.0",
        attribution=("Imagery: A.", "Labels: B."),
        recipe={"secret": 1},
        scores={
            "places": [
                {"place": "Las Vegas", "gsd_m": 0.76, "f1": 0.921, "precision": 0.9},
                {"place": "Japan", "gsd_m": 0.3, "f1": 0.6549},
            ]
        },
    )
    lines = call("model", "info", model).stdout.splitlines()
    assert lines[0].startswith("Model        tiny 1 (0.0 MB)")
    assert lines[2:] == [
        "Finds        road in red, green, blue imagery",
        "Pixel size   0.3 to 1.2 m",
        "Threshold    0.5",
        "Scores       place      pixel size (m)  F1     precision",
        "             Las Vegas  0.76            0.921  0.9",
        "             Japan      0.3             0.655",
        "Trained on   none: made in code",
        "Licence      CC BY-SA 4.0",
        "Attribution  Imagery: A. Labels: B.",
    ]
    assert json.loads(call("model", "info", model, "--json").stdout)["attribution"] == [
        *("Imagery: A.", "Labels: B.")
    ]


def test_model_list_shows_installed_models_and_extract_finds_them_by_name(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    shutil.copy(model, folder / "mine.onnx")
    (folder / "._mine.onnx").write_bytes(b"not a model")
    monkeypatch.setitem(ENV, "ROADGIS_MODELS", str(folder))
    shown = call("model", "list").stdout
    assert "default  (bundled: roadgis-roads 9, 0.4 to 1.2 m)" in shown
    assert "massachusetts  (bundled: roadgis-roads-1m 6, 1 m)" in shown
    assert "mine  (installed: tiny 1, 1 m)" in shown
    listed = [json.loads(line) for line in call("model", "list", "--json").stdout.splitlines()]
    assert [(one["name"], one["kind"]) for one in listed] == [
        ("default", "bundled"),
        ("massachusetts", "bundled"),
        ("mine", "installed"),
    ]
    scene = write_net(tmp_path / "net.tif")
    call("extract", scene, "-m", "mine", "-o", tmp_path / "r.gpkg")
    assert (tmp_path / "r.gpkg").is_file()


def test_extract_names_the_bands_that_a_model_expects(tmp_path: Path) -> None:
    from onnx import helper

    from tests.factories.models import tiny_card

    nodes = [helper.make_node("Identity", ["image"], ["road"])]
    path = tmp_path / "five.onnx"
    card = tiny_card(bands=("a", "b", "c", "d", "e"), mean=(0.0,) * 5, std=(1.0,) * 5)
    save_model(path, nodes, card, inputs=("N", "H", "W", 5))
    scene = write_net(tmp_path / "net.tif")
    result = call("extract", scene, "-m", path, "-o", tmp_path / "r.gpkg", status=1)
    assert "band" in result.stderr


def test_synthesize_writes_a_scene_and_its_truth(tmp_path: Path) -> None:
    call("synthesize", "-o", tmp_path / "t.tif", "--truth", tmp_path / "t.geojson", "--size", 512)
    with rasterio.open(tmp_path / "t.tif") as dataset:
        assert dataset.shape == (512, 512)
    assert json.loads((tmp_path / "t.geojson").read_text())["features"]


def test_synthesize_writes_a_varied_scene(tmp_path: Path) -> None:
    call("synthesize", "-o", tmp_path / "v.tif", "--style", "varied", "--size", 128, "--gsd", 0.5)
    with rasterio.open(tmp_path / "v.tif") as dataset:
        assert dataset.shape == (128, 128)
        assert dataset.res == (0.5, 0.5)


def test_synthesize_writes_a_training_set(tmp_path: Path) -> None:
    wanted = ["--scenes", 2, "--size", 96, "--gsd", "0.5-0.6", "--line-width", 7]
    result = call("synthesize", "-o", tmp_path / "set", *wanted)
    assert "2 scenes written" in result.stderr
    for name in ("images", "masks"):
        files = sorted((tmp_path / "set" / name).iterdir())
        assert [path.name for path in files] == ["000000.tif", "000001.tif"]
        for path in files:
            with rasterio.open(path) as dataset:
                assert 0.5 <= dataset.res[0] <= 0.6


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        (["--gsd", "0.3-1.2"], "a range of --gsd needs --scenes"),
        (["--gsd", "fine"], "'fine' is not a number or a range"),
        (["--line-width", 7], "--line-width needs --scenes"),
        (["--scenes", 2, "--truth", "t.geojson"], "takes no --truth"),
        (["--scenes", 2, "--style", "town"], "varied scenes only"),
    ],
)
def test_synthesize_names_incompatible_options(
    tmp_path: Path, wanted: list[Any], said: str
) -> None:
    result = call("synthesize", "-o", tmp_path / "x", *wanted, status=2)
    assert said in result.stderr
    assert not list(tmp_path.iterdir())


def limit_files(size: int) -> Any:
    """Return a function that keeps a child process from writing files larger than `size` bytes."""
    import resource

    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


@pytest.mark.skipif(sys.platform == "win32", reason="file size limits are POSIX")
@pytest.mark.parametrize("size", [300, 30_000])
def test_extract_on_a_full_disk_ends_with_a_message_and_no_file(
    tmp_path: Path, model: Path, size: int
) -> None:
    # The smaller limit stops the mosaic, the larger one the roads.
    image = painted((600, 600), [(0, y, 600, y + 20, 6) for y in range(20, 580, 20)])
    scene = write_raster(tmp_path / "scene.tif", image)
    output = tmp_path / "roads.gpkg"
    process = start("extract", scene, "-m", model, "-o", output, preexec_fn=limit_files(size))
    _, err = process.communicate(timeout=120)
    assert process.returncode == 1, err
    assert "Error: " in err
    assert "Traceback" not in err
    names = {p.name for p in tmp_path.iterdir()}
    assert names <= {"scene.tif", "roads.gpkg.roadgis-work"}
    # With free space again, the same command succeeds.
    call("extract", scene, "-m", model, "-o", output)
    assert output.stat().st_size > 30_000


def test_extract_treats_nan_pixels_as_nodata(tmp_path: Path, model: Path) -> None:
    image = painted((300, 300), [(0, 100, 300, 100, 8)]).astype(np.float32) / 255
    image[:, :, 150:] = np.nan
    scene = write_raster(tmp_path / "nan.tif", image)
    call("extract", scene, "-m", model, "-o", tmp_path / "r.geojson")
    call("info", scene)
