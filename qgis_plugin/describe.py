#!/usr/bin/env python3
"""Write roadgis_qgis/engine.json from an engine: describe.py [PYTHON]."""

import json
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
TARGET = HERE / "roadgis_qgis" / "engine.json"


def main():
    """Ask the engine and write what the plugin keeps of it."""
    python = sys.argv[1] if len(sys.argv) > 1 else sys.executable
    command = [python, "-I", "-X", "utf8", "-m", "roadgis", "describe", "--json"]
    facts = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    if not TARGET.exists():
        # What follows reads it.
        TARGET.write_text('{"version": "0", "commands": []}', encoding="utf-8")
    sys.path.insert(0, str(HERE))
    from roadgis_qgis.description import reduced

    text = json.dumps(reduced(facts), ensure_ascii=False, indent=1, sort_keys=True)
    TARGET.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
