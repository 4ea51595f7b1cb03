# To a type checker this module is asyncio's: the native classes say so themselves.
from asyncio.transports import *
from asyncio.transports import _FlowControlMixin as _FlowControlMixin
