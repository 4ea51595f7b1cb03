"""Libraries that need no server of another project: they talk to themselves, or to files."""

import pytest

pytestmark = pytest.mark.time_limit(90)


@pytest.mark.parametrize("library", ["httpx", "websockets", "grpc"])
def test_both_ends(work_with, library):
    work_with("httpx aiohttp" if library == "httpx" else library, f"on_{library}")


def test_aiofiles(work_with, tmp_path):
    work_with("aiofiles", "on_aiofiles", None, str(tmp_path))


def test_aiosqlite(work_with, tmp_path):
    work_with("aiosqlite", "on_aiosqlite", None, str(tmp_path / "numbers"))
