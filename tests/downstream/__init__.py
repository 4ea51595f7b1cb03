"""The test suites of libraries built on asyncio, run on asyncio and on yibu and compared test by test.

`__main__.py` is the command; `suites.py` says how each suite is run, `pins.toml` which version of what.
"""
