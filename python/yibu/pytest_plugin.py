"""The pytest plugin: `pytest --yibu` runs a whole suite on yibu.

Yibu is installed before the first conftest.py is imported, so fixtures, the plugins of pytest-asyncio and
anyio, and the tests themselves get it without naming it. Without `--yibu` the plugin does nothing. pytest
finds it by the entry point `yibu` of the installed package (`pytest -p yibu` where finding is turned off).
"""

from collections.abc import Generator

import pytest

import yibu


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare `--yibu`."""
    group = parser.getgroup("yibu", "asyncio on yibu")
    group.addoption("--yibu", action="store_true", help="run the tests on yibu's asyncio")


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None]:
    """Install yibu, before anything of the suite is imported."""
    if early_config.known_args_namespace.yibu:
        yibu.install()
    return (yield)


def pytest_report_header(config: pytest.Config) -> str | None:
    """Say in the first lines of a run that it is one on yibu."""
    return f"asyncio: yibu {yibu.__version__}" if config.getoption("yibu") else None
