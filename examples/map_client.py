"""Extract roads through the API of `roadgis serve`: python map_client.py SCENE.tif ROADS.gpkg."""

import json
import sys
import time
import urllib.parse
import urllib.request
from pathlib import Path

SERVER = "http://127.0.0.1:8000/api"
if len(sys.argv) != 3:
    sys.exit(__doc__)
scene, output = Path(sys.argv[1]), Path(sys.argv[2])


def call(method: str, path: str, body: bytes = b"", kind: str = "application/json") -> bytes:
    """Return the body of a response."""
    request = urllib.request.Request(SERVER + path, body, {"Content-Type": kind}, method=method)
    with urllib.request.urlopen(
        request
    ) as answer:  # with a token, add "Authorization": "Bearer TOKEN"
        return bytes(answer.read())


def wait(job: str, state: str) -> None:
    """Wait until a job has a state."""
    while (found := json.loads(call("GET", job)))["state"] != state:
        if found["state"] in ("failed", "cancelled"):
            sys.exit(found["message"])
        time.sleep(1)


job = "/jobs/" + json.loads(call("POST", "/jobs", b'{"kind": "roads"}'))["jobID"]
call("PUT", f"{job}/files/{urllib.parse.quote(scene.name)}", scene.read_bytes())
call("POST", f"{job}/check")
wait(job, "ready")
call("POST", f"{job}/execution", b"{}")
wait(job, "done")
output.write_bytes(call("GET", f"{job}/download/gpkg"))
