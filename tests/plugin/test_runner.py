"""The plugin's runner with real child processes, on any Python."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

PLUGIN = Path(__file__).resolve().parents[2] / "qgis_plugin"
if not PLUGIN.is_dir():
    pytest.skip("qgis_plugin/ is not in the source distribution", allow_module_level=True)
sys.path.insert(0, str(PLUGIN))

from roadgis_qgis import description, progress, runner  # noqa: E402

posix = pytest.mark.skipif(sys.platform == "win32", reason="the fake engine is a shell script")
Fake = Callable[[str], str]

HELLO = 'say(type="hello", protocol=1, version="0.1.0", pid=os.getpid(), watches_stdin=True)\n'
START = """
import json, os, signal, subprocess, sys, time
def say(**line):
    print(json.dumps(line), flush=True)
"""


@pytest.fixture
def fake(tmp_path: Path) -> Fake:
    """Replace the engine by a program, which gets the arguments of the interpreter."""

    def make(program: str) -> str:
        source = tmp_path / "engine.py"
        source.write_text(START + textwrap.dedent(program), encoding="utf-8")
        path = tmp_path / "python"
        path.write_text(f'#!/bin/sh\nexec "{sys.executable}" -I -u "{source}" "$@"\n')
        path.chmod(0o755)
        return str(path)

    return make


def gone(pid: int, seconds: float = 8.0) -> bool:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        except FileNotFoundError:
            return True
        if state == "Z":
            return True
        time.sleep(0.05)
    return False


@posix
def test_run_reports_progress_log_and_result_in_order(fake: Fake) -> None:
    python = fake(
        HELLO
        + """
say(type="progress", percent=10, text="predicting: 1.0 of 10.0 Mpx")
say(type="log", level="warning", text="grüße")
print("not JSON")
say(type="of the future", text="ignored")
say(type="result", outputs=["a"], argv=sys.argv[1:])
"""
    )
    told: list[tuple[Any, ...]] = []
    result = runner.run(
        python,
        ["extract", "ä b.tif"],
        on_progress=lambda percent, text: told.append((percent, text)),
        on_log=lambda level, text: told.append((level, text)),
    )
    assert told == [
        (10.0, "predicting: 1.0 of 10.0 Mpx"),
        ("warning", "grüße"),
        ("info", "not JSON"),
    ]
    assert result["outputs"] == ["a"]
    start = ["-I", "-u", "-X", "utf8", "-m", "roadgis"]
    assert result["argv"] == [*start, "extract", "ä b.tif", "--progress", "jsonl"]


@posix
def test_run_ignores_percent_values_other_than_numbers(fake: Fake) -> None:
    python = fake(
        HELLO
        + """
say(type="progress", percent=10, text="a")
for percent in ("soon", None, [1], {}, float("nan"), 10 ** 400, float("inf"), -5, 1e9, "55"):
    say(type="progress", percent=percent, text="b")
say(type="progress", text={"not": "text"})
say(type="result")
"""
    )
    told: list[tuple[float, str]] = []
    runner.run(python, ["extract"], on_progress=lambda percent, text: told.append((percent, text)))
    assert [percent for percent, _ in told] == [10, 10, 10, 10, 10, 10, 10, 100, 0, 100, 55, 55]
    assert told[-1][1] == "{'not': 'text'}"


@posix
def test_run_logs_lines_other_than_json_objects_as_text(fake: Fake) -> None:
    python = fake(
        HELLO
        + r"""
for line in (b'[1, 2]', b'"type"', b'3', b'{"type": ["log"]}', b'[' * 100000, b'gr\xfc\xdfe',
             b'{"type": "log", "text": "half a pair \\ud800"}'):
    sys.stdout.buffer.write(line + b"\n")
sys.stdout.flush()
say(type="result", outputs=[])
"""
    )
    told: list[str] = []
    runner.run(python, ["extract"], on_log=lambda level, text: told.append(text))
    assert told[:3] == ["[1, 2]", '"type"', "3"]
    assert told[3] == "[" * 10_000 + " ..."
    assert told[4:] == ["gr\ufffd\ufffde", "half a pair ?"]


@posix
def test_run_truncates_a_huge_line_and_reads_the_next_ones(fake: Fake) -> None:
    python = fake(
        HELLO
        + """
for _ in range(40):
    sys.stdout.write("x" * (1 << 20))
print()
say(type="result", outputs=["a"])
"""
    )
    told: list[str] = []
    result = runner.run(python, ["extract"], on_log=lambda level, text: told.append(text))
    assert result["outputs"] == ["a"]
    assert [len(text) for text in told] == [10_004]


@posix
@pytest.mark.parametrize("end", ["", "\\n"], ids=["one line", "lines"])
def test_run_with_endless_output_can_be_stopped(fake: Fake, end: str) -> None:
    import resource

    python = fake(HELLO + f'while True: os.write(1, b"x" * 5000 + b"{end}")')
    until = time.monotonic() + 3
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(runner.EngineCanceled):
        runner.run(python, ["extract"], on_log=lambda *_: time.sleep(0.001),
                   is_canceled=lambda: time.monotonic() > until)  # fmt: skip
    grown_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown_kb < 100_000


@posix
def test_describe_that_never_ends_is_stopped(fake: Fake) -> None:
    python = fake('while True: print("x" * 1000)')
    with pytest.raises(runner.EngineError, match="did not answer within 2 s"):
        runner.describe(python, timeout_s=2)


@posix
def test_run_error_has_text_hint_and_log(fake: Fake) -> None:
    python = fake(
        HELLO
        + """
say(type="log", level="info", text="before")
say(type="error", text="It is raining.", hint="Take an umbrella.", kind="SceneError", status=1)
sys.exit(1)
"""
    )
    with pytest.raises(runner.EngineError) as caught:
        runner.run(python, ["extract"])
    assert (caught.value.text, caught.value.hint) == ("It is raining.", "Take an umbrella.")
    assert caught.value.log == ["before"]


@posix
@pytest.mark.parametrize("number", [9, 11, 6])
def test_run_of_a_killed_engine_shows_the_signal_and_the_last_40_lines(
    fake: Fake, number: int
) -> None:
    python = fake(
        HELLO
        + f"""
for at in range(100):
    print("line", at, file=sys.stderr)
sys.stderr.flush()
os.kill(os.getpid(), {number})
"""
    )
    with pytest.raises(runner.EngineError, match=signal.Signals(number).name) as caught:
        runner.run(python, ["extract"])
    assert caught.value.log == [f"line {at}" for at in range(60, 100)]
    assert caught.value.hint


@posix
def test_run_out_of_memory_gives_a_hint(fake: Fake) -> None:
    with pytest.raises(runner.EngineError, match="smaller block size"):
        runner.run(fake('sys.exit("std::bad_alloc")'), ["extract"])


@posix
def test_run_without_a_result_is_an_error(fake: Fake) -> None:
    with pytest.raises(runner.EngineError, match="without a result"):
        runner.run(fake(HELLO), ["extract"])


@posix
@pytest.mark.parametrize(
    ("protocol", "version", "advice"),
    [
        (2, "0.1.0", "Update the plugin"),
        (0, "0.1.0", "Set up"),
        (None, "0.1.0", "Set up"),
        (1, "0.2.0", "Update the plugin"),
        (1, "1.0.0", "Update the plugin"),
        (1, "0.0.9", "Set up"),
    ],
)
def test_run_stops_at_incompatible_versions(
    fake: Fake, protocol: int | None, version: str, advice: str
) -> None:
    python = fake(f'say(type="hello", protocol={protocol}, version="{version}")\ntime.sleep(60)\n')
    started = time.monotonic()
    with pytest.raises(runner.EngineError, match=advice):
        runner.run(python, ["extract"], wanted="0.1.3")
    assert time.monotonic() - started < 10


@pytest.mark.parametrize("version", ["0.1.0", "0.1.9", "0.1.0.dev3+g1234"])
def test_check_fit_ignores_the_patch_version(version: str) -> None:
    runner.check_fit(1, version, "0.1.3")


@posix
def test_cancel_returns_within_a_second_and_ends_grandchildren(fake: Fake) -> None:
    python = fake(
        HELLO
        + """
child = subprocess.Popen(["sleep", "60"])
say(type="log", level="info", text=str(child.pid))
time.sleep(60)
"""
    )
    pids: list[int] = []
    seen: dict[str, float] = {}

    def canceled() -> bool:
        if len(pids) == 2:
            seen.setdefault("at", time.monotonic())
        return len(pids) == 2

    with pytest.raises(runner.EngineCanceled):
        runner.run(
            python,
            ["extract"],
            on_log=lambda _, text: pids.append(int(text)),
            is_canceled=canceled,
            started=pids.append,
        )
    assert time.monotonic() - seen["at"] < 1.0
    assert all(gone(pid) for pid in pids)


@posix
def test_cancel_kills_an_engine_that_does_not_stop_without_blocking(
    fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "KILL_AFTER_S", 1.5)
    python = fake("signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + HELLO + "time.sleep(60)\n")
    pids: list[int] = []
    until = time.monotonic() + 2

    def canceled() -> bool:
        return time.monotonic() > until

    with pytest.raises(runner.EngineCanceled):
        runner.run(python, ["extract"], is_canceled=canceled, started=pids.append)
    assert time.monotonic() - until < 1.0
    assert gone(pids[0], 5)


@posix
def test_cancel_signals_the_engine_only_once(fake: Fake, tmp_path: Path) -> None:
    # A second signal would interrupt the clean-up started by the first.
    python = fake(
        f"""
def note(number, frame):
    with open({str(tmp_path / "signals")!r}, "a") as file:
        file.write("x")
    time.sleep(0.2)
    with open({str(tmp_path / "tidied")!r}, "w") as file:
        file.write("x")
    os._exit(143)
signal.signal(signal.SIGTERM, note)
"""
        + HELLO
        + 'say(type="log", level="info", text="ready")\ntime.sleep(60)\n'
    )
    ready: list[str] = []
    with pytest.raises(runner.EngineCanceled):
        runner.run(
            python,
            ["extract"],
            on_log=lambda _, text: ready.append(text),
            is_canceled=lambda: bool(ready),
        )
    time.sleep(0.5)
    assert (tmp_path / "signals").read_text() == "x"
    assert (tmp_path / "tidied").exists()


def test_run_with_a_missing_interpreter_names_the_set_up(tmp_path: Path) -> None:
    with pytest.raises(runner.EngineError, match="Set up roadgis"):
        runner.run(str(tmp_path / "none"), ["extract"])


@posix
def test_run_with_a_python_without_roadgis_is_an_error(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho 'No module named roadgis' >&2\nexit 1\n")
    python.chmod(0o755)
    with pytest.raises(runner.EngineError, match="not installed in this"):
        runner.describe(str(python))
    with pytest.raises(runner.EngineError, match="not installed in this"):
        runner.run(str(python), ["extract"])


def test_engine_environment_has_no_python_variables_of_qgis() -> None:
    kept = runner.clean_environment(
        {
            "PYTHONHOME": "x", "PYTHONPATH": "x", "PROJ_LIB": "x", "GDAL_DATA": "x",
            "QT_PLUGIN_PATH": "x", "VIRTUAL_ENV": "x", "PATH": "p", "HTTPS_PROXY": "q",
        }
    )  # fmt: skip
    assert kept == {"PATH": "p", "HTTPS_PROXY": "q", "PYTHONUTF8": "1"}


def test_bundled_description_equals_that_of_the_engine() -> None:
    # Written by qgis_plugin/describe.py; run it after a change of options.
    told = runner.describe(sys.executable)
    assert description.reduced(told) == description.ENGINE
    runner.check_fit(told["protocol"], told["version"], description.VERSION)


def test_run_with_the_real_engine(tmp_path: Path) -> None:
    lines = {"type": "LineString", "coordinates": [[10.0, 50.0], [10.01, 50.0]]}
    features = [{"type": "Feature", "properties": {}, "geometry": lines}]
    source = tmp_path / "lines é.geojson"
    source.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    percents: list[float] = []
    result = runner.run(
        sys.executable,
        ["clean", str(source), f"--output={tmp_path / 'out.geojson'}"],
        wanted=description.VERSION,
        on_progress=lambda percent, _: percents.append(percent),
    )
    assert result["edges"] == 1
    assert percents == sorted(percents)
    assert percents[-1] == 100


@posix
def test_engine_ends_when_the_program_that_started_it_is_killed(tmp_path: Path) -> None:
    scene = tmp_path / "scene.tif"
    noise = np.random.default_rng(0).integers(0, 255, (3, 6000, 6000), dtype=np.uint8)
    with rasterio.open(
        scene, "w", driver="GTiff", count=3, height=6000, width=6000, dtype="uint8",
        crs="EPSG:32632", transform=rasterio.Affine(1, 0, 5e5, 0, -1, 5e6),
    ) as target:  # fmt: skip
        target.write(noise)
    program = f"""
import sys
sys.path.insert(0, {str(PLUGIN)!r})
from roadgis_qgis import runner
runner.run(
    {sys.executable!r}, ["predict", {str(scene)!r}, "--output={tmp_path / "p.tif"}"],
    started=lambda pid: print(pid, flush=True), on_progress=lambda p, t: print("at", p, flush=True),
)
"""
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    assert parent.stdout.readline().startswith("at")
    parent.kill()
    parent.wait()
    parent.stdout.close()
    assert gone(pid, 25)
    assert not (tmp_path / "p.tif").exists()


def test_arguments_of_values_leave_out_defaults() -> None:
    options = {option.name: option for option in description.options("extract")}
    assert options["max_gap"].arguments(30.0) == []
    assert options["max_gap"].arguments(12.0) == ["--max-gap=12"]
    assert options["threshold"].arguments(0.45) == ["--threshold=0.45"]
    assert options["threshold"].arguments(None) == []
    assert options["threads"].arguments(2) == ["--threads=2"]
    assert options["flips"].arguments(True) == ["--flips"]
    assert options["flips"].arguments(False) == []
    assert options["nodata"].arguments(-9999.0) == ["--nodata=-9999"]
    assert options["bands"].arguments("") == []
    many = options["no_rule"].arguments(["patchy", "uneven"])
    assert many == ["--no-rule", "patchy", "--no-rule", "uneven"]


def test_description_has_label_and_help_for_every_option() -> None:
    for command in description.COMMANDS:
        options = description.options(command)
        assert options
        labels = [option.label for option in options]
        assert len(set(labels)) == len(labels), command
        for option in options:
            # The only argument is a layer in QGIS, with its own help.
            assert option.help or (command, option.name) == ("vectorize", "probability")
            assert option.name in description.LABELS, option.name


def test_engine_texts_name_the_parameters_of_the_dialog() -> None:
    text = description.worded("extract", "--block-px is 17, expected more. See --help.")
    assert text == "'Side of the blocks [pixels]' is 17, expected more. See --help."


@pytest.mark.parametrize(
    ("command", "text"),
    [
        ("extract", "Take a part with 'Area', or choose another folder for the output."),
        ("vectorize", "Take a part with --aoi, or choose another --work-dir."),
    ],
)
def test_engine_texts_name_parameters_in_place_of_options(command: str, text: str) -> None:
    engine = "Take a part with --aoi, or choose another --work-dir."
    assert description.worded(command, engine) == text


def test_engine_texts_leave_out_hints_about_the_shell() -> None:
    hint = description.worded_hint
    assert hint("vectorize", "'roadgis info' describes the imagery.") == ""
    expected = "Run it with 'Discard the blocks of an interrupted run'."
    assert hint("extract", "Run it with --restart.") == expected


def test_pace_reports_rate_and_remaining_time() -> None:
    clock = iter([0.0, 1.0, 10.0, 20.0])
    pace = progress.Pace(clock=lambda: next(clock))
    assert pace(0, "predicting: 0.0 of 10.0 Mpx") == "predicting: 0.0 of 10.0 Mpx"
    assert "left" not in pace(1, "predicting: 0.1 of 10.0 Mpx")
    text = pace(10, "predicting: 1.0 of 10.0 Mpx")
    assert text == "predicting: 1.0 of 10.0 Mpx, 0.1 Mpx/s, about 2 min left"
    assert pace(100, "done") == "done"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(1, "5 s"), (42, "40 s"), (90, "2 min"), (3000, "50 min"), (9000, "2.5 h")],
)
def test_duration_texts(seconds: float, text: str) -> None:
    assert progress.duration(seconds) == text


def test_plain_modules_of_the_plugin_import_no_qgis() -> None:
    names = ("runner", "environment", "description", "progress")
    program = (
        f"import sys; sys.path.insert(0, {str(PLUGIN)!r}); sys.dont_write_bytecode = True\n"
        + "".join(f"import roadgis_qgis.{name}\n" for name in names)
        + "assert not [m for m in sys.modules if m.split('.')[0] in ('qgis', 'roadgis', 'PyQt5')]"
    )
    subprocess.run([sys.executable, "-I", "-c", program], check=True)


def test_plugin_does_not_import_roadgis() -> None:
    for path in (PLUGIN / "roadgis_qgis").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"^\s*(import|from) roadgis\b", text, re.M), path
    assert os.path.isfile(PLUGIN / "roadgis_qgis" / "LICENSE")
