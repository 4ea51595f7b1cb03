# To a type checker this module is asyncio's: the native classes say so themselves.
from asyncio.streams import *
from asyncio.streams import FlowControlMixin as FlowControlMixin
