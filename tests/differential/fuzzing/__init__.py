"""Random programs, run on asyncio and on yibu, whose traces must be equal.

`choices` says what programs may be made of, `grammar` draws them, `world` is what they see while they run,
with `wires` and `lost`; `overriding` replaces methods of asyncio's classes, `mended` mends a few of its
errors, `implementations` says on what they run, `comparison` compares two runs, `shrinking` makes a program
smaller that still differs.
"""
