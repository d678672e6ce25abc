"""The application: pages, API and their errors."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import AsyncIterator
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.responses import FileResponse, JSONResponse, Response
from fastapi.staticfiles import StaticFiles

from roadgis._version import __version__
from roadgis.options.web import WebOptions
from roadgis.web.api import jobs_api, map_api
from roadgis.web.api.access import COOKIE, Access, content_policy, same_token
from roadgis.web.api.context import Context
from roadgis.web.api.models import Login
from roadgis.web.api.uploads import UploadError
from roadgis.web.pool import Pool
from roadgis.web.queue import Queue
from roadgis.web.store import Store

_STATIC = Path(__file__).parents[1] / "static"


def create_app(options: WebOptions) -> FastAPI:
    """Return the ASGI application of the map page.

    Parameters
    ----------
    options : WebOptions
        Where its jobs lie, and its limits. Only one server may use the folder.
    """

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with _opened(options) as context:
            app.state.context = context
            yield

    app = FastAPI(
        title="roadgis",
        version=__version__,
        summary="Road networks from aerial imagery",
        # Their pages load scripts from elsewhere.
        docs_url=None,
        redoc_url=None,
        openapi_url="/api/openapi.json",
        lifespan=lifespan,
    )
    app.include_router(jobs_api.router, tags=["jobs"])
    app.include_router(map_api.router, tags=["map"])
    app.mount("/static", StaticFiles(directory=_STATIC), name="static")
    _add_pages(app, options)

    @app.exception_handler(UploadError)
    async def refused(request: Request, error: UploadError) -> JSONResponse:
        return JSONResponse({"detail": str(error)}, error.status)

    names = {"localhost", options.host.lower(), socket.gethostname().lower()}
    policy = content_policy(options.base_map)
    app.add_middleware(Access, host_names=names, token=options.token, policy=policy)
    return app


def _add_pages(app: FastAPI, options: WebOptions) -> None:
    @app.get("/", include_in_schema=False)
    def page() -> FileResponse:
        return FileResponse(_STATIC / "index.html", headers={"Cache-Control": "no-cache"})

    @app.get("/login", include_in_schema=False)
    def login_page() -> FileResponse:
        return FileResponse(_STATIC / "login.html", headers={"Cache-Control": "no-cache"})

    @app.post("/login", include_in_schema=False)
    def login(shown: Login) -> Response:
        if options.token is None or not same_token(shown.token.strip(), options.token):
            return JSONResponse({"detail": "This is not the token that the server printed."}, 401)
        response = Response(status_code=204)
        response.set_cookie(COOKIE, options.token, httponly=True, samesite="strict")
        return response


@contextlib.asynccontextmanager
async def _opened(options: WebOptions) -> AsyncIterator[Context]:
    root = options.root / "jobs"
    root.mkdir(parents=True, exist_ok=True)
    store, pool = Store(options.root / "jobs.sqlite"), Pool()
    queue = Queue(store, root, options, pool)
    context = Context(options, store, queue, pool, root)
    try:
        queue.start()
        yield context
    finally:
        await queue.close()
        context.tile_threads.shutdown(wait=False, cancel_futures=True)
        pool.close()
        store.close()
