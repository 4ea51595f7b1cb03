# To a type checker this module is asyncio's: the native classes say so themselves.
from asyncio.mixins import _global_lock as _global_lock
from asyncio.mixins import _LoopBoundMixin as _LoopBoundMixin
