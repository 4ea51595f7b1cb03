"""Servers, each with the line of docs/guide that puts it on yibu."""

import pytest

pytestmark = pytest.mark.time_limit(120)


@pytest.mark.parametrize("framework", ["plain", "fastapi", "starlette", "litestar", "quart", "sanic"])
def test_frameworks_under_uvicorn(serve, framework):
    application, packages = ("plain", "") if framework == "plain" else (f"on_{framework}", framework)
    serve(f"uvicorn {packages}", f"-m uvicorn --loop yibu:new_event_loop --port PORT {application}:app")


def test_uvicorn_workers(serve):
    serve("uvicorn", "-m uvicorn --loop yibu:new_event_loop --workers 2 --port PORT plain:app")


def test_uvicorn_that_names_uvloop(serve):
    serve("uvicorn", "-m yibu --uvloop-alias -m uvicorn --loop uvloop --port PORT plain:app")


@pytest.mark.parametrize("application", ["plain", "on_quart", "on_fastapi"])
def test_hypercorn(serve, application):
    packages = f"hypercorn {application.removeprefix('on_')}".removesuffix("plain")
    serve(packages, f"-m yibu -m hypercorn --bind 127.0.0.1:PORT {application}:app")


@pytest.mark.parametrize(
    ("worker", "packages", "application"),
    [
        ("ASGIWorker", "gunicorn.workers.gasgi", "plain:app"),
        ("UvicornWorker", "uvicorn_worker", "plain:app"),
        ("AiohttpWorker", "aiohttp", "on_aiohttp:app"),
    ],
)
def test_gunicorn(serve, worker, packages, application):
    serve(
        f"gunicorn {packages}",
        f"-m gunicorn -k yibu.gunicorn.{worker} --bind 127.0.0.1:PORT --no-control-socket {application}",
    )


def test_granian(serve):
    serve("granian", "-m yibu -m granian --interface asgi --loop asyncio --port PORT plain:app")


def test_granian_s_registry(serve):
    serve("granian", "granian_loop.py PORT")


def test_aiohttp(serve):
    serve("aiohttp", "on_aiohttp.py PORT")
