"""The test suite: a specification that asyncio and yibu both pass; conftest.py says how one is chosen."""
