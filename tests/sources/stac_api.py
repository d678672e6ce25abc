"""A STAC API with items in memory: stac-fastapi on a local port."""

from __future__ import annotations

import datetime
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import uvicorn
from stac_fastapi.api.app import StacApi
from stac_fastapi.api.models import create_get_request_model, create_post_request_model
from stac_fastapi.types.config import ApiSettings
from stac_fastapi.types.core import BaseCoreClient
from stac_fastapi.types.errors import NotFoundError

try:
    from stac_fastapi.extensions.pagination import TokenPaginationExtension
except ImportError:  # for version 6, the last one for Python 3.10
    from stac_fastapi.extensions.core import TokenPaginationExtension

PAGE = 2


class _Memory(BaseCoreClient):
    """Answers searches from lists, in pages of :data:`PAGE` items."""

    items: Sequence[dict[str, Any]] = ()
    searches: list[dict[str, Any]]

    def _collection(self, name: str) -> dict[str, Any]:
        return {
            "type": "Collection",
            "stac_version": "1.0.0",
            "id": name,
            "description": name,
            "license": "CC0-1.0",
            "links": [],
            "extent": {
                "spatial": {"bbox": [[-180, -90, 180, 90]]},
                "temporal": {"interval": [[None, None]]},
            },
        }

    def all_collections(self, **_: Any) -> Any:
        names = sorted({item["collection"] for item in self.items})
        return {"collections": [self._collection(name) for name in names], "links": []}

    def get_collection(self, collection_id: str, **_: Any) -> Any:
        if collection_id not in {item["collection"] for item in self.items}:
            raise NotFoundError(collection_id)
        return self._collection(collection_id)

    def get_item(self, item_id: str, collection_id: str, **_: Any) -> Any:
        raise NotFoundError(item_id)

    def item_collection(self, collection_id: str, **_: Any) -> Any:
        raise NotFoundError(collection_id)

    def get_search(self, **_: Any) -> Any:
        raise NotFoundError("POST only")

    def post_search(self, search_request: Any, **keywords: Any) -> Any:
        asked = search_request.model_dump(mode="json")
        self.searches.append(asked)
        box, collections = asked.get("bbox"), asked.get("collections")
        found = [
            item
            for item in self.items
            if (not collections or item["collection"] in collections)
            and (not box or _touches(item["bbox"], box))
            and (search_request.start_date is None or _time(item) >= search_request.start_date)
            and (search_request.end_date is None or _time(item) <= search_request.end_date)
        ]
        start = int(asked.get("token") or 0)
        links = []
        if len(found) > start + PAGE:
            url = f"{str(keywords['request'].base_url).rstrip('/')}/search"
            body = {**asked, "token": str(start + PAGE)}
            links = [
                {"rel": "next", "href": url, "method": "POST", "type": "application/geo+json",
                 "body": {key: value for key, value in body.items() if value is not None}},
            ]  # fmt: skip
        features = found[start : start + PAGE]
        return {"type": "FeatureCollection", "features": features, "links": links}


def _touches(a: Sequence[float], b: Sequence[float]) -> bool:
    return a[0] <= b[2] and a[2] >= b[0] and a[1] <= b[3] and a[3] >= b[1]


def _time(item: dict[str, Any]) -> Any:
    return datetime.datetime.fromisoformat(item["properties"]["datetime"].replace("Z", "+00:00"))


@contextmanager
def stac_api(items: Sequence[dict[str, Any]]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Serve items; yield the URL, and a list of the searches received."""
    extensions = [TokenPaginationExtension()]
    post = create_post_request_model(extensions)
    client = _Memory()
    client.post_request_model = post
    client.items, client.searches = items, []
    api = StacApi(
        settings=ApiSettings(),
        client=client,
        extensions=extensions,
        search_get_request_model=create_get_request_model(extensions),
        search_post_request_model=post,
    )
    server = uvicorn.Server(uvicorn.Config(api.app, port=0, log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}", client.searches
    finally:
        server.should_exit = True
        thread.join()
