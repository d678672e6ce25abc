"""The plugin's managed environment, created with a small engine from a wheel."""

from __future__ import annotations

import base64
import hashlib
import json
import sys
import zipfile
from pathlib import Path

import pytest

PLUGIN = Path(__file__).resolve().parents[2] / "qgis_plugin"
if not PLUGIN.is_dir():
    pytest.skip("qgis_plugin/ is not in the source distribution", allow_module_level=True)
sys.path.insert(0, str(PLUGIN))

from roadgis_qgis import description, environment, runner  # noqa: E402

posix = pytest.mark.skipif(sys.platform == "win32", reason="paths of POSIX")


def wheel(folder: Path, version: str = description.VERSION, protocol: int = 1) -> Path:
    """Make a wheel of a roadgis with `describe` only."""
    told = json.dumps({"protocol": protocol, "version": version, "models": []})
    info = f"roadgis-{version}.dist-info"
    contents = {
        "roadgis/__init__.py": "",
        "roadgis/__main__.py": f"print({told!r})\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: roadgis\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = ""
    for name, text in contents.items():
        digest = hashlib.sha256(text.encode()).digest()
        code = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        record += f"{name},sha256={code},{len(text.encode())}\n"
    contents[f"{info}/RECORD"] = record + f"{info}/RECORD,,\n"
    path = folder / f"roadgis-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in contents.items():
            archive.writestr(name, text)
    return path


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    place = tmp_path / "the engine's é place"
    monkeypatch.setenv("ROADGIS_ENGINE_DIR", str(place))
    monkeypatch.delenv("ROADGIS_PYTHON", raising=False)
    # Tests do not use the package index.
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    return place


def test_environment_of_a_wheel_is_installed_found_updated_and_removed(
    root: Path, tmp_path: Path
) -> None:
    percents: list[float] = []
    python = environment.install(
        str(wheel(tmp_path)), base=sys.executable, on_progress=lambda p, _: percents.append(p)
    )
    assert environment.find_python() == (python, "managed")
    assert percents == sorted(percents)
    assert percents[-1] == 100
    assert runner.describe(python)["version"] == description.VERSION
    assert not (root / "downloads").exists()
    # Again, with a rebuilt wheel of the same version.
    assert environment.install(str(wheel(tmp_path)), base=sys.executable) == python
    assert environment.remove()
    assert not root.exists()
    assert not environment.remove()
    with pytest.raises(runner.EngineError, match="not set up"):
        environment.find_python()


def test_install_rejects_an_engine_of_another_version(root: Path, tmp_path: Path) -> None:
    with pytest.raises(runner.EngineError, match="Update the plugin"):
        environment.install(str(wheel(tmp_path, protocol=99)), base=sys.executable)
    with pytest.raises(runner.EngineError, match="not set up"):
        environment.find_python()


def test_install_without_the_internet_gives_a_hint(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "1")
    with pytest.raises(runner.EngineError, match="internet connection") as caught:
        environment.install(base=sys.executable)
    assert caught.value.log
    # Finished parts are kept: the next attempt resumes.
    assert environment.managed_python().exists()


def test_install_that_is_cancelled_leaves_no_installation(root: Path, tmp_path: Path) -> None:
    with pytest.raises(runner.EngineCanceled):
        environment.install(str(wheel(tmp_path)), base=sys.executable, is_canceled=lambda: True)
    with pytest.raises(runner.EngineError, match="not set up"):
        environment.find_python()
    environment.install(str(wheel(tmp_path)), base=sys.executable)
    assert environment.find_python()[1] == "managed"


def test_environment_of_the_user_is_neither_used_nor_removed(root: Path, tmp_path: Path) -> None:
    root.mkdir()
    (root / "thesis.txt").write_text("years of work")
    with pytest.raises(runner.EngineError, match="holds other files"):
        environment.install(str(wheel(tmp_path)), base=sys.executable)
    with pytest.raises(runner.EngineError, match="not removed"):
        environment.remove()
    assert (root / "thesis.txt").exists()


@pytest.mark.parametrize("name", ["gone.whl", "some/folder"])
def test_install_reports_a_missing_source(root: Path, name: str) -> None:
    with pytest.raises(runner.EngineError, match="does not exist"):
        environment.install(name, base=sys.executable)
    assert not root.exists()


def test_install_reports_a_base_other_than_python(root: Path, tmp_path: Path) -> None:
    with pytest.raises(runner.EngineError, match="Python to make it with"):
        environment.install(str(wheel(tmp_path)), base=str(tmp_path / "none"))


def test_find_python_prefers_the_variable_to_the_setting(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    setting = tmp_path / "setting"
    setting.touch()
    assert environment.find_python(str(setting)) == (str(setting), "setting")
    variable = tmp_path / "variable"
    variable.touch()
    monkeypatch.setenv("ROADGIS_PYTHON", str(variable))
    assert environment.find_python(str(setting)) == (str(variable), "ROADGIS_PYTHON")
    variable.unlink()
    with pytest.raises(runner.EngineError, match="ROADGIS_PYTHON names"):
        environment.find_python(str(setting))


@posix
def test_managed_root_is_in_the_folder_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ROADGIS_ENGINE_DIR", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", "/data")
    monkeypatch.setattr(sys, "platform", "linux")
    assert environment.managed_root() == Path("/data/roadgis/engine")


def test_probe_reports_the_versions_of_an_environment() -> None:
    found = environment.probe(sys.executable)
    assert found["python"].startswith("3.")
    assert isinstance(found["cuda"], bool)
    assert "rasterio" in found


def test_pinned_version_is_that_of_the_bundled_description() -> None:
    assert environment.PINNED.split("==") == ["roadgis", description.VERSION]
    # The user's parameter becomes an argument of pip: it may not be an option.
    with pytest.raises(runner.EngineError, match="begins with a dash"):
        environment.install("--index-url=http://elsewhere", base=sys.executable)
