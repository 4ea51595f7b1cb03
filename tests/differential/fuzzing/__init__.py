"""Random programs, run on asyncio and on yibu, whose traces must be equal.

`grammar` says what programs are made of and draws them, `world` is what they see while they run,
`implementations` says on what they run, `comparison` compares two runs, `shrinking` makes a program smaller
that still differs.
"""
