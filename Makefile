# Every command of the project. The work is in scripts/ (standard library only), so that it reads and tests as Python.
#
#   make run [APP=file.py]   build into .venv/<version> and run examples/service.py, or your own program
#   make test                everything: format, lints, types, Rust tests, Python tests, CPython's own asyncio tests
#   make bench [ARGS=...]    yibu beside asyncio and its rivals
#   make bench-guard [ARGS=...]    instructions of the hot paths, counted by callgrind and compared with a baseline (ARGS=--record renews it)
#   make bench-plots         the plots of the documentation, from benchmarks/data
#   make leaks [ARGS=...]    what each path of the API and each test of CPython's leave behind: memory blocks, references, descriptors
#   make fuzz [ARGS=...]     random programs on yibu and on asyncio, until they differ or the time is over
#   make endurance [ARGS=...]    a million connections and ten million messages under random cancellation
#   make downstream [ARGS=...]   test suites of libraries on asyncio and on yibu (ARGS=--help says more)
#   make bench-ecosystem [ARGS=...]    frameworks and clients of servers on yibu, asyncio, uvloop and rloop
#   make load [ARGS=...]     servers of the frameworks under load for a minute each, and how they end, on asyncio and on yibu
#   make sanitize [ARGS=...]    the TLS tests, or those of ARGS, under AddressSanitizer (scripts/sanitize says what it needs)
#   make docs                the documentation's site, into build/site
#   make wheels [ARGS=...]   wheels for every Python and architecture, and the sdist, into build/dist
#   make lint build clean help
#
# PYTHON=...        the interpreter to build for (default: the first suitable python3 on PATH)
# YIBU_PYTHONS=...  more interpreters for `make test`, separated by colons or spaces
PYTHON ?=
APP ?=
ARGS ?=
SCRIPTS = @python=$$(PYTHON="$(PYTHON)" sh scripts/find-python) && "$$python" -m scripts

.PHONY: help run test bench bench-ecosystem bench-guard bench-plots fuzz leaks endurance downstream load sanitize lint docs wheels build clean
help:
	@sed -n 's/^# \{0,1\}//p' $(firstword $(MAKEFILE_LIST))
run:
	$(SCRIPTS) run $(APP) $(ARGS)
test lint docs build clean bench-plots bench bench-ecosystem bench-guard fuzz leaks endurance downstream load wheels:
	$(SCRIPTS) $@ $(ARGS)
sanitize:
	@$(if $(filter -h --help,$(ARGS)),scripts/sanitize --help; exit;) PYTHON="$(PYTHON)" PYTEST_DISABLE_PLUGIN_AUTOLOAD=1 scripts/sanitize python -m pytest -q -p no:cacheprovider $(or $(ARGS),tests/unit/test_sslproto.py tests/unit/test_sslproto_connections.py)
