"""CPython's own asyncio tests, run with another implementation's classes in the place of the stock ones.

The tests are those of the interpreter that runs them (`test.test_asyncio`); nothing of them is kept here.
`python -m tests.conformance --help` says how to use it. How the parts follow one another:

    __main__      the command line
    runner        plans the jobs and runs them side by side: one process per test class
    process       one such process seen from outside: starts it, reads its report, ends it
    child         the same process from inside: patches, loads, runs, reports
    patching        puts the implementation's classes into the stock asyncio package
    fixtures        makes the tests' own set-ups use the implementation's loop
    selection       loads the tests of a module and names them
    exclusions      which tests cannot mean anything for another implementation, and why
    sources         reads the tests' sources for exclusions
    expectations  the known failures, and the judgement on every outcome
    report        what is printed and written
    stock         asyncio itself as an implementation: the calibration, which must pass entirely
    broken        implementations with one defect each, which must not pass
"""
