"""Run the cases and print the failures: ``python -m tests.fuzz``; needs Linux."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import os
import pkgutil
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import roadgis
from tests.fuzz.cases import FULL, KINDS, SHORT, prepared
from tests.fuzz.judge import contents, verdict
from tests.fuzz.run import Child, start
from tests.fuzz.seeds import make_seeds

_SHOWN = 3


def main() -> int:
    """Return 0 if no case failed."""
    options = _options()
    _load()
    counts = SHORT if options.short else FULL
    wanted = [(kind, number) for kind in KINDS if options.kind in (None, kind)
              for number in range(counts[kind]) if options.case in (None, number)]  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="roadgis-fuzz-") as name:
        root = Path(name) if options.keep is None else options.keep
        (root / "seeds").mkdir(parents=True, exist_ok=True)
        _made_seeds(root)
        began = time.monotonic()
        done: Counter[str] = Counter()
        refused: Counter[str] = Counter()
        found: dict[str, list[str]] = {}
        for (kind, number), status, what, command in _each(wanted, root, options):
            done[kind] += 1
            refused[kind] += status in (1, 2)
            if what:
                found.setdefault(what, []).append(f"{kind} {number}: {command}")
                print(f"{kind} {number}: {what}", file=sys.stderr, flush=True)
            if options.case is not None:
                print((root / f"{kind}-{number}.txt").read_text(errors="replace"))
                print(command, "->", status, what)
    for kind, count in done.items():
        print(f"{kind}: {count} cases, {refused[kind]} refused with a message")
    print(f"seed {options.seed}, {time.monotonic() - began:.0f} s, {len(found)} kinds of finding")
    for what, commands in sorted(found.items()):
        print(f"{len(commands)} x {what}", *commands[:_SHOWN], sep="\n    ")
    return 1 if found else 0


def _load() -> None:
    """Import what commands import when they need it, once before the children are forked."""
    names = [module.name for module in pkgutil.walk_packages(roadgis.__path__, "roadgis.")]
    used = ("onnxruntime", "pyarrow.parquet", "scipy.special", "matplotlib.pyplot")
    for name in (*names, *used):
        if not name.endswith("__main__"):
            # Commands that need tensorflow are left out.
            with contextlib.suppress(ImportError):
                importlib.import_module(name)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--short", action="store_true", help="the 60 cases of the test suite")
    parser.add_argument("--kind", choices=list(KINDS), help="cases of one kind only")
    parser.add_argument("--case", type=int, help="this number only, with what it prints")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--keep", type=Path, help="folder for the inputs, which then stay")
    return parser.parse_args()


def _made_seeds(root: Path) -> None:
    """Make the seeds in a child: GDAL and others start threads, which are lost in forks."""

    def work() -> int:
        make_seeds(root / "seeds")
        return 0

    shutil.rmtree(root / "seeds")
    (root / "seeds").mkdir()
    printed = root / "seeds.txt"
    child = start(work, printed)
    while (status := child.ended()) is None:
        time.sleep(0.01)
    if status:
        sys.exit(f"The seeds could not be made:\n{printed.read_text(errors='replace')}")


def _each(
    wanted: list[tuple[str, int]], root: Path, options: argparse.Namespace
) -> Iterator[tuple[tuple[str, int], int, str, str]]:
    """Yield each case with its exit status, the reason of its failure, and its command."""
    waiting, running = wanted[::-1], dict[tuple[str, int], Child]()
    while waiting or running:
        while waiting and len(running) < options.jobs:
            case = waiting.pop()
            running[case] = _started(case, root, options.seed)
        for case, child in list(running.items()):
            status = child.ended()
            if status is not None:
                del running[case]
                yield case, status, *_judged(case, status, root, keep=options.keep is not None)
        time.sleep(0.002)


def _started(case: tuple[str, int], root: Path, seed: int) -> Child:
    kind, number = case
    folder = root / f"{kind}-{number}"
    shutil.rmtree(folder, ignore_errors=True)

    def work() -> int:
        command, run = prepared(kind, number, seed, root / "seeds", folder)
        about = {"command": command, "before": contents(folder)}
        folder.with_suffix(".json").write_text(json.dumps(about), errors="surrogateescape")
        return run()

    return start(work, folder.with_suffix(".txt"))


def _judged(case: tuple[str, int], status: int, root: Path, *, keep: bool) -> tuple[str, str]:
    folder = root / "{}-{}".format(*case)
    printed = folder.with_suffix(".txt").read_text(errors="replace")
    about = folder.with_suffix(".json")
    if not about.exists():
        return f"the case could not be made: {printed.strip()[-200:]}", ""
    told = json.loads(about.read_text(errors="surrogateescape"))
    what = verdict(status, printed, told["before"], folder)
    if not keep:
        shutil.rmtree(folder, ignore_errors=True)
    return what, told["command"]


if __name__ == "__main__":
    sys.exit(main())
