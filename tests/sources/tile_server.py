"""A local web map server: XYZ, TMS, WMS and WMTS of one image."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import numpy as np
from affine import Affine
from rasterio.io import MemoryFile

HALF = math.pi * 6378137.0
TILE = 256


class Service:
    """A service of one image in web mercator, at one zoom level.

    Attributes
    ----------
    image : ndarray of uint8, shape (3, height, width)
        Starts at pixel (row, col) of the zoom level; empty elsewhere.
    requests : list of str
        Requests received.
    failures : int
        Number of first requests to answer with status 503.
    """

    def __init__(self, image: Any, zoom: int, row: int, col: int) -> None:
        self.image, self.zoom, self.row, self.col = image, zoom, row, col
        self.requests: list[str] = []
        self.failures = 0
        self.url = ""

    @property
    def pixel(self) -> float:
        """Return the pixel size in the units of web mercator."""
        return 2 * HALF / (TILE * 2**self.zoom)

    def part(self, row: int, col: int, height: int, width: int) -> bytes | None:
        """Return a rectangle of the zoom level as PNG with alpha; None if it is empty."""
        return self.picture(np.arange(row, row + height), np.arange(col, col + width))

    def picture(self, rows: Any, cols: Any) -> bytes | None:
        """Return the pixels of these rows and columns of the zoom level."""
        rows, cols = rows - self.row, cols - self.col
        in_rows = (rows >= 0) & (rows < self.image.shape[1])
        in_cols = (cols >= 0) & (cols < self.image.shape[2])
        if not in_rows.any() or not in_cols.any():
            return None
        height, width = len(rows), len(cols)
        pixels = np.zeros((4, height, width), np.uint8)
        inside = np.ix_(in_rows, in_cols)
        pixels[3][inside] = 255
        for band in range(3):
            pixels[band][inside] = self.image[band][np.ix_(rows[in_rows], cols[in_cols])]
        profile = {"driver": "PNG", "width": width, "height": height, "count": 4, "dtype": "uint8"}
        with MemoryFile() as file:
            # A transform avoids a warning, although PNG does not store it.
            with file.open(**profile, transform=Affine.translation(1, 1)) as target:
                target.write(pixels)
            return bytes(file.read())

    def answer(self, path: str) -> bytes | None:
        """Return the picture that a request asks for."""
        parts = urlsplit(path)
        given = {key.lower(): value for key, value in parse_qsl(parts.query)}
        kind, *place = parts.path.strip("/").removesuffix(".png").split("/")
        if kind == "wms":
            west, _, east, north = map(float, given["bbox"].split(","))
            width, height = int(given["width"]), int(given["height"])
            assert given["layers"] == "ortho"
            assert abs((east - west) / width / self.pixel - 1) < 0.02, "another scale"
            size = (east - west) / width
            x = west + (np.arange(width) + 0.5) * size
            y = north - (np.arange(height) + 0.5) * size
            rows, cols = (HALF - y) // self.pixel, (x + HALF) // self.pixel
            return self.picture(rows.astype(int), cols.astype(int))
        z, x, y = map(int, place)
        if z != self.zoom:
            return None
        if kind == "tms":
            y = 2**z - 1 - y
        return self.part(y * TILE, x * TILE, TILE, TILE)

    def capabilities(self) -> bytes:
        """Return the WMTS capabilities, with all levels up to the image's."""
        matrices = "".join(
            f"<TileMatrix><ows:Identifier>{z}</ows:Identifier>"
            f"<ScaleDenominator>{2 * HALF / (TILE * 2**z) / 0.00028!r}</ScaleDenominator>"
            f"<TopLeftCorner>{-HALF!r} {HALF!r}</TopLeftCorner>"
            f"<TileWidth>{TILE}</TileWidth><TileHeight>{TILE}</TileHeight>"
            f"<MatrixWidth>{2**z}</MatrixWidth><MatrixHeight>{2**z}</MatrixHeight></TileMatrix>"
            for z in range(self.zoom + 2)
        )
        template = f"{self.url}/xyz/{{TileMatrix}}/{{TileCol}}/{{TileRow}}.png"
        return (
            '<Capabilities xmlns="http://www.opengis.net/wmts/1.0" '
            'xmlns:ows="http://www.opengis.net/ows/1.1" '
            'xmlns:xlink="http://www.w3.org/1999/xlink" version="1.0.0"><Contents><Layer>'
            "<ows:Title>Ortho</ows:Title><ows:Identifier>ortho</ows:Identifier>"
            '<Style isDefault="true"><ows:Identifier>default</ows:Identifier></Style>'
            "<Format>image/png</Format><TileMatrixSetLink><TileMatrixSet>mercator</TileMatrixSet>"
            "</TileMatrixSetLink>"
            f'<ResourceURL format="image/png" resourceType="tile" template="{template}"/></Layer>'
            "<TileMatrixSet><ows:Identifier>mercator</ows:Identifier>"
            "<ows:SupportedCRS>urn:ogc:def:crs:EPSG::3857</ows:SupportedCRS>"
            f"{matrices}</TileMatrixSet></Contents></Capabilities>"
        ).encode()


@contextmanager
def tile_server(service: Service) -> Iterator[Service]:
    """Serve until the block ends; the service has its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if "capabilities" in self.path.lower():
                self._send(200, service.capabilities(), "text/xml")
                return
            service.requests.append(self.path)
            if service.failures > 0:
                service.failures -= 1
                self._send(503, b"busy", "text/plain")
                return
            picture = service.answer(self.path)
            if picture is None:
                self._send(404, b"nothing here", "text/plain")
            else:
                self._send(200, picture, "image/png")

        def _send(self, status: int, body: bytes, kind: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            with suppress(BrokenPipeError):  # GDAL closes the connection early
                self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        service.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield service
        finally:
            server.shutdown()
            thread.join()
