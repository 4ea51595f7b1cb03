"""Unit tests, one file per module of asyncio (CPython's names), run on whichever implementation is chosen."""
