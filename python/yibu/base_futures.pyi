# To a type checker this module is asyncio's: the native classes say so themselves.
from asyncio.base_futures import *
from asyncio.base_futures import isfuture as isfuture
