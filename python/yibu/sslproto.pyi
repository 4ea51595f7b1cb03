# To a type checker this module is asyncio's: the native classes say so themselves.
from asyncio.sslproto import *
from asyncio.sslproto import _SSLProtocolTransport as _SSLProtocolTransport
