"""Servers, each with the line of docs/guide that puts it on yibu."""

import os
import shutil
from pathlib import Path

import pytest

from tests.ecosystem.conftest import PACKAGE_ROOT

AUTO = Path(__file__).parents[3] / "packages" / "yibu-auto"

pytestmark = pytest.mark.time_limit(120)


@pytest.mark.parametrize("framework", ["plain", "fastapi", "starlette", "litestar", "quart", "sanic"])
def test_frameworks_under_uvicorn(serve, framework):
    application, packages = ("plain", "") if framework == "plain" else (f"on_{framework}", framework)
    serve(f"uvicorn {packages}", f"-m uvicorn --loop yibu:new_event_loop --port PORT {application}:app")


def test_uvicorn_workers(serve):
    serve("uvicorn", "-m uvicorn --loop yibu:new_event_loop --workers 2 --port PORT plain:app")


def test_uvicorn_with_yibu_installed(serve):
    """`auto` would take uvloop, which is there."""
    serve("uvicorn uvloop", "-m yibu -m uvicorn --loop asyncio --port PORT plain:app")
    serve("uvicorn uvloop", "-m yibu --uvloop-alias -m uvicorn --port PORT plain:app")


@pytest.mark.parametrize(
    ("packages", "command"),
    [
        ("uvicorn", "uvicorn --loop uvloop --port PORT plain:app"),
        ("hypercorn", "hypercorn --worker-class uvloop --bind 127.0.0.1:PORT plain:app"),
        ("granian", "granian --interface asgi --loop uvloop --port PORT plain:app"),
        ("gunicorn", "gunicorn -k asgi --asgi-loop uvloop -b 127.0.0.1:PORT plain:app"),
        ("gunicorn aiohttp", "gunicorn -k aiohttp.GunicornUVLoopWebWorker -b 127.0.0.1:PORT on_aiohttp:app"),
    ],
)
def test_servers_that_name_uvloop(serve, packages, command):
    gunicorn = {"GUNICORN_CMD_ARGS": "--no-control-socket"}
    serve(packages, f"-m yibu --uvloop-alias -m {command}", **gunicorn)


def test_program_that_names_uvloop(serve):
    serve("uvicorn", "names_uvloop.py PORT")


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


def test_gunicorn_s_configuration(serve, tmp_path):
    """A worker class that knows nothing of yibu."""
    configuration = tmp_path / "configuration.py"
    configuration.write_text("def post_fork(server, worker):\n    import yibu\n\n    yibu.install()\n")
    command = f"-m gunicorn -c {configuration} -k aiohttp.GunicornWebWorker --bind 127.0.0.1:PORT"
    serve("gunicorn aiohttp", f"{command} --no-control-socket on_aiohttp:app")


def test_granian(serve):
    serve("granian", "-m yibu -m granian --interface asgi --loop asyncio --port PORT plain:app")


def test_granian_s_registry(serve):
    serve("granian", "granian_loop.py PORT")


def test_aiohttp(serve):
    serve("aiohttp", "on_aiohttp.py PORT")


def test_sanic_s_own_server(serve):
    """In one process: with a worker it overhears a SIGTERM soon after the start, on any loop."""
    command = "-m yibu -m sanic on_sanic:app --no-motd --single-process --port PORT"
    serve("sanic", command, SANIC_USE_UVLOOP="false")


@pytest.mark.parametrize("framework", ["tornado", "twisted"])
def test_programs_that_serve(serve, framework):
    serve(framework, f"on_{framework}.py PORT")


@pytest.mark.parametrize(("value", "loop"), [("1", "asyncio"), ("uvloop", "auto")])
def test_whole_container(serve, tmp_path, value, loop):
    """`YIBU_INSTALL=1`, read by the files of packages/yibu-auto when each interpreter starts."""
    for name in "yibu_auto.py", "yibu_auto.pth":
        shutil.copy(AUTO / name, tmp_path)
    (tmp_path / "sitecustomize.py").write_text(f"import site\n\nsite.addsitedir({str(tmp_path)!r})\n")
    path = os.pathsep.join((PACKAGE_ROOT, str(tmp_path)))
    command = f"-m uvicorn --loop {loop} --workers 2 --port PORT plain:app"
    serve("uvicorn", command, YIBU_INSTALL=value, PYTHONPATH=path)
