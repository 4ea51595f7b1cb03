# To a type checker this module is asyncio's: the native classes say so themselves.
import sys

if sys.version_info >= (3, 14):
    from asyncio.graph import *
