"""The suites, and how each of them is run. Everything here is a choice of this project, not of the suites."""

from dataclasses import dataclass

# Tests that make no use of an event loop and take long, and such as are told apart by their speed.
_NOT_AIOHTTP_S_LOOP = ("test_http_parser", "test_circular_imports", "test_imports", "test_leaks")
_MEASURING = tuple(
    f"test_benchmarks_{what}"
    for what in (
        "client",
        "client_request",
        "client_response",
        "client_ws",
        "cookie_helpers",
        "cookiejar",
        "http_websocket",
        "http_writer",
        "multipart",
        "web_fileresponse",
        "web_middleware",
        "web_request",
        "web_response",
        "web_urldispatcher",
    )
)
# Several suites run each test on asyncio and on Trio.
_WITHOUT_TRIO = ("-k", "not trio and not uvloop")


@dataclass(frozen=True)
class Suite:
    """How the suite of one library is run by pytest in the folder of its source distribution."""

    # What runs in `make downstream`, and the part of it that runs in `make test` (nothing: not at all).
    tests: tuple[str, ...] = ("tests",)
    quick: tuple[str, ...] = ()
    # Fewer than this that pass on asyncio mean that the suite itself does not run here.
    at_least: int = 1
    quick_at_least: int = 1
    # Plugins of pytest; those that are installed are not loaded by themselves.
    plugins: tuple[str, ...] = ()
    # Further arguments of pytest, which does not see the `addopts` of the suite.
    arguments: tuple[str, ...] = ()
    # Folders of the source distribution that must not hide what is installed.
    hidden: tuple[str, ...] = ()
    # Loggers that the suite's own runner silences.
    silenced: tuple[str, ...] = ()
    # How many tests run side by side; one where they share a server or a port.
    workers: int = 2
    needs_redis: bool = False
    # Seconds that one run may take.
    limit: int = 600


SUITES = {
    "aiohttp": Suite(
        at_least=2800,
        plugins=("pytest_mock",),
        arguments=(
            "-m",
            "not dev_mode and not autobahn and not internal",
            "--ignore=tests/isolated",
            *(f"--ignore=tests/{name}.py" for name in (*_NOT_AIOHTTP_S_LOOP, *_MEASURING)),
        ),
        hidden=("aiohttp",),
        limit=1500,
    ),
    "anyio": Suite(
        quick=("tests/test_taskgroups.py", "tests/test_synchronization.py", "tests/test_to_thread.py"),
        at_least=2000,
        quick_at_least=240,
        plugins=("anyio.pytest_plugin", "pytest_mock"),
        arguments=_WITHOUT_TRIO,
        limit=900,
    ),
    "httpcore": Suite(
        quick=("tests/_async",),
        at_least=130,
        quick_at_least=50,
        plugins=("anyio.pytest_plugin", "pytest_httpbin.plugin", "pytest_trio.plugin"),
        arguments=_WITHOUT_TRIO,
    ),
    "httpx": Suite(at_least=1200, plugins=("anyio.pytest_plugin",), arguments=_WITHOUT_TRIO, workers=1),
    "janus": Suite(
        quick=("tests",),
        at_least=100,
        quick_at_least=100,
        plugins=("pytest_asyncio.plugin", "pytest_codspeed.plugin"),
    ),
    "redis": Suite(
        tests=("tests/test_asyncio",),
        quick=("tests/test_asyncio/test_pipeline.py",),
        at_least=1000,
        quick_at_least=20,
        plugins=("pytest_asyncio.plugin",),
        arguments=(
            "-m",
            "not onlycluster and not redismod and not ssl and not cp_integration and not multidb_integration",
        ),
        workers=1,
        needs_redis=True,
    ),
    "starlette": Suite(at_least=700, plugins=("anyio.pytest_plugin",), arguments=_WITHOUT_TRIO),
    "tornado": Suite(
        tests=("tornado/test",),
        quick=("tornado/test/gen_test.py", "tornado/test/queues_test.py", "tornado/test/ioloop_test.py"),
        at_least=1200,
        quick_at_least=150,
        arguments=("-p", "no:logging", "-W", "ignore::pytest.PytestCollectionWarning"),
        silenced=("tornado.access",),
    ),
    "uvicorn": Suite(
        at_least=1200,
        plugins=("anyio.pytest_plugin", "pytest_mock"),
        arguments=("--ignore=tests/benchmarks",),
    ),
}
