"""The engine's own Python environment: made, checked and removed.

Standard library only and no QGIS import, so that it can be tested on any Python. It lies outside
the plugin's folder, because QGIS replaces that one with each update.
"""

import json
import os
import shutil
import subprocess  # nosec B404
import sys
import time
from pathlib import Path

from . import description, runner

__all__ = [
    "PINNED",
    "base_interpreter",
    "find_python",
    "install",
    "managed_python",
    "managed_root",
    "probe",
    "remove",
]

#: Requirement that is installed by default.
PINNED = f"roadgis=={description.VERSION}"
#: File that marks the folder and has the state of the installation.
STATE = "roadgis-engine.json"
#: Approximate number of packages, for the progress.
_PACKAGES = 32
_OFFLINE = (
    "Temporary failure in name resolution",
    "Name or service not known",
    "getaddrinfo failed",
    "Network is unreachable",
    "Failed to establish a new connection",
    "nodename nor servname",
    "ProxyError",
    "ConnectTimeoutError",
    "NewConnectionError",
    "Max retries exceeded",
    "Connection refused",
    "CERTIFICATE_VERIFY_FAILED",
)


def managed_root():
    """Return the folder of the managed environment, made or not."""
    chosen = os.environ.get("ROADGIS_ENGINE_DIR")
    if chosen:
        return Path(chosen)
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local"))
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Application Support"
    else:
        base = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    return base / "roadgis" / "engine"


def managed_python(root=None):
    """Return the interpreter of the managed environment, a Path, made or not."""
    root = managed_root() if root is None else Path(root)
    if sys.platform == "win32":
        return root / "env" / "Scripts" / "python.exe"
    return root / "env" / "bin" / "python"


def find_python(setting=""):
    """Return the interpreter to run the engine with, and where it was named.

    Looked for in the variable ``ROADGIS_PYTHON``, the plugin's setting, the managed environment.

    Returns
    -------
    tuple of (str, str)
        Absolute path, and "ROADGIS_PYTHON", "setting" or "managed".

    Raises
    ------
    runner.EngineError
        If there is none.
    """
    for name, where in ((os.environ.get("ROADGIS_PYTHON"), "ROADGIS_PYTHON"), (setting, "setting")):
        if name and name.strip():
            path = Path(name.strip()).expanduser()
            if not path.is_file():
                raise runner.EngineError(
                    f"{where} names {path}, which is not a file.",
                    "Name the python program of an environment with roadgis "
                    "(bin/python, or python.exe on Windows).",
                )
            return os.path.abspath(path), where
    path = managed_python()
    if path.is_file() and _state(managed_root()).get("complete"):
        return os.path.abspath(path), "managed"
    raise runner.EngineError(
        "roadgis is not set up yet.",
        "Run 'Set up roadgis' in the toolbox once (it needs the internet), or choose an "
        "interpreter with roadgis in Settings > Options > Processing > Providers > roadgis.",
    )


def base_interpreter():
    """Return the Python program of QGIS; `sys.executable` is QGIS itself there."""
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    if sys.platform == "win32":
        names = ["python.exe", "python3.exe"]
        folders = [Path(sys.base_prefix)]
    else:
        names = [f"python{version}", "python3", "python"]
        folders = [Path(sys.base_prefix) / "bin", Path(sys.base_exec_prefix) / "bin"]
    for folder in folders:
        for name in names:
            if (folder / name).is_file():
                return str(folder / name)
    found = shutil.which(f"python{version}") or shutil.which("python3")
    if found:
        return found
    raise runner.EngineError(
        "No Python program was found to make an environment with.",
        "Install Python 3.10 or newer, and name it in the parameter 'Python to make it with'.",
    )


def install(requirement="", *, base="", root=None, on_progress=None, on_log=None, is_canceled=None):
    """Create the managed environment, or resume an interrupted setup.

    Parameters
    ----------
    requirement : str
        A wheel, a folder, or a requirement of pip; by default the pinned version from PyPI.
    base : str
        Python program that creates it; by default that of QGIS.
    root : str or Path, optional
        Folder; by default :func:`managed_root`.
    on_progress, on_log, is_canceled
        As in :func:`runner.run`.

    Returns
    -------
    str
        The environment's interpreter.

    Raises
    ------
    runner.EngineError
        With a hint, if it cannot be created; downloads are kept for the next attempt.
    """
    root = managed_root() if root is None else Path(root)
    report = _Report(on_progress or _nothing, on_log or _nothing, is_canceled or _never)
    wanted = _requirement(requirement)
    _claim(root)
    state = _state(root)
    state.pop("complete", None)
    python = managed_python(root)
    if not (python.is_file() and state.get("environment")):
        report.progress(1, "Making an environment")
        shutil.rmtree(root / "env", ignore_errors=True)
        _make(base or base_interpreter(), root / "env", report)
        state["environment"] = True
        _write_state(root, state)
    report.progress(5, f"Installing {wanted}")
    command = [str(python), "-I", "-m", "pip", "install", "--disable-pip-version-check"]
    command += ["--no-input", "--progress-bar", "off", "--cache-dir", str(root / "downloads")]
    _run([*command, wanted], report)
    if requirement:
        # A wheel that was built again has the same version, which pip would skip.
        _run([*command, "--force-reinstall", "--no-deps", wanted], report)
    report.progress(95, "Checking")
    found = runner.describe(str(python))
    runner.check_fit(found["protocol"], found["version"], description.VERSION)
    state.update(complete=True, requirement=wanted, version=found.get("version"))
    _write_state(root, state)
    shutil.rmtree(root / "downloads", ignore_errors=True)
    report.progress(100, f"roadgis {found.get('version')} is ready")
    return str(python)


def remove(root=None):
    """Remove the managed environment; returns whether there was one.

    Raises
    ------
    runner.EngineError
        If the folder holds other things, or cannot be removed.
    """
    root = managed_root() if root is None else Path(root)
    if not root.exists():
        return False
    if not (root / STATE).is_file():
        raise runner.EngineError(
            f"{root} was not made by this plugin (it holds no {STATE}), so it is not removed."
        )
    try:
        shutil.rmtree(root)
    except OSError as error:
        raise runner.EngineError(
            f"{root} cannot be removed ({error.strerror}).",
            "Close other QGIS windows that run roadgis, and try again.",
        ) from error
    return True


def probe(python, timeout_s=60):
    """Return versions of the engine's dependencies as texts, and ``cuda``, a bool.

    Raises
    ------
    runner.EngineError
        If the interpreter cannot be run.
    """
    try:
        done = subprocess.run(  # nosec B603
            [python, "-I", "-X", "utf8", "-c", _PROBE],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=timeout_s,
            env=runner.clean_environment(),
            check=False,
            **runner.without_window(),
        )
        return json.loads(done.stdout.decode("utf-8").splitlines()[-1])
    except (OSError, subprocess.TimeoutExpired, ValueError, IndexError) as error:
        raise runner.EngineError(
            f"{python} did not report its versions.",
            "Run 'Set up roadgis' with the action 'Update'.",
        ) from error


_PROBE = """
import importlib.metadata, json, platform
facts = {"python": platform.python_version(), "cuda": False}
for name in ("onnxruntime", "onnxruntime-gpu", "numpy", "rasterio", "pyogrio"):
    try:
        facts[name] = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        pass
try:
    import onnxruntime
    facts["cuda"] = "CUDAExecutionProvider" in onnxruntime.get_available_providers()
except ImportError as error:
    facts["onnxruntime"] = f"cannot be loaded: {error}"
print(json.dumps(facts))
"""


def _requirement(requirement):
    if not requirement:
        return PINNED
    if requirement.startswith("-"):
        raise runner.EngineError(
            f"{requirement} begins with a dash.", "Name a wheel (.whl) or a folder."
        )
    path = Path(requirement).expanduser()
    if path.exists():
        return os.path.abspath(path)
    if "/" in requirement or os.sep in requirement or requirement.endswith(".whl"):
        raise runner.EngineError(
            f"{requirement} does not exist.", "Name a wheel (.whl) or a folder with roadgis."
        )
    return requirement


def _claim(root):
    """Create the folder, or check that this plugin made it."""
    if root.exists() and any(root.iterdir()) and not (root / STATE).is_file():
        raise runner.EngineError(
            f"{root} holds other files.", "Choose another folder in ROADGIS_ENGINE_DIR."
        )
    try:
        root.mkdir(parents=True, exist_ok=True)
        if not (root / STATE).is_file():
            _write_state(root, {})
    except OSError as error:
        raise runner.EngineError(f"{root} cannot be written ({error.strerror}).") from error


def _make(base, folder, report):
    try:
        _run([base, "-I", "-m", "venv", str(folder)], report)
    except runner.EngineError as error:
        if "ensurepip" in error.message():
            raise runner.EngineError(
                f"{base} cannot make environments: its package venv is missing.",
                "On Debian and Ubuntu: sudo apt install python3-venv",
                error.log,
            ) from error
        raise


def _run(command, report):
    """Run a program; its lines go to the log, its packages to the progress."""
    tail = []
    packages = 0
    try:
        process = subprocess.Popen(  # nosec B603
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=runner.clean_environment(),
            **runner.without_window(),
        )
    except OSError as error:
        raise runner.EngineError(
            f"{command[0]} cannot be started ({error.strerror}).",
            "Name another Python in the parameter 'Python to make it with'.",
        ) from error
    try:
        for line in runner.lines(process, report.is_canceled):
            tail = [*tail, line][-runner.TAIL_LINES :]
            report.log("info", line)
            if line.startswith("Collecting "):
                packages += 1
                report.progress(min(80, 5 + 75 * packages / _PACKAGES), line)
            elif line.startswith("Installing collected"):
                report.progress(85, "Installing the packages")
    except BaseException:
        runner.stop(process)
        raise
    finally:
        process.stdout.close()
        process.stdin.close()
    if process.returncode:
        text = "\n".join(tail)
        hint = ""
        if any(words in text for words in _OFFLINE):
            hint = (
                "The package index could not be reached. Check the internet connection and the "
                "proxy, or name a wheel (.whl) that was downloaded elsewhere."
            )
        elif "No matching distribution" in text or "requires a different Python" in text:
            hint = (
                "There is no roadgis for this Python. It needs Python 3.10 to 3.13: name one in "
                "the parameter 'Python to make it with', or name a wheel."
            )
        elif "No space left" in text:
            hint = "The disk is full: about 1 GB is needed."
        name = "pip" if "pip" in command else Path(command[0]).name
        raise runner.EngineError(f"{name} ended with exit status {process.returncode}.", hint, tail)


def _state(root):
    try:
        state = json.loads((root / STATE).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return state if isinstance(state, dict) else {}


def _write_state(root, state):
    partial = root / (STATE + ".partial")
    text = json.dumps({**state, "changed": time.strftime("%Y-%m-%d")})
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, root / STATE)


class _Report:
    def __init__(self, progress, log, is_canceled):
        self.progress = progress
        self.log = log
        self.is_canceled = is_canceled


def _nothing(*_arguments):
    pass


def _never():
    return False
