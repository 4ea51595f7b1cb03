"""The test suite: a specification that stock asyncio and yibu both pass (see conftest.py for how one is chosen)."""
