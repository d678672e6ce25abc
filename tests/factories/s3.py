"""A local S3 server with one bucket."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

__all__ = ["S3Server", "s3_server"]

BUCKET = "county"


@dataclass(frozen=True)
class S3Server:
    """A running server; `host` is its name and port."""

    host: str

    @property
    def variables(self) -> dict[str, str]:
        """Environment variables with which GDAL and roadgis reach the server."""
        return {
            "AWS_S3_ENDPOINT": self.host,
            "AWS_HTTPS": "NO",
            "AWS_VIRTUAL_HOSTING": "FALSE",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "us-east-1",
        }

    def put(self, name: str, data: bytes = b"", *, method: str = "PUT") -> None:
        """Send a request; without `data` for a bucket."""
        headers = {"Content-Type": "application/octet-stream"}
        request = urllib.request.Request(
            f"http://{self.host}/{name}", data=data, headers=headers, method=method
        )
        with urllib.request.urlopen(request, timeout=60):
            pass

    def clear(self) -> None:
        """Remove all objects."""
        self.put("moto-api/reset", method="POST")
        self.put(BUCKET)


@contextmanager
def s3_server() -> Iterator[S3Server]:
    """Start a server with the empty bucket ``county``."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ
    )
    server = S3Server(f"127.0.0.1:{port}")
    try:
        for _ in range(600):
            try:
                server.put(BUCKET)
                break
            except urllib.error.URLError:
                assert process.poll() is None
                time.sleep(0.1)
        yield server
    finally:
        process.kill()
        process.wait()
