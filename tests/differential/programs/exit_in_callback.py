"""SystemExit in a callback leaves run_forever; the loop can be used again before the program ends."""

import asyncio
import sys

loop = asyncio.new_event_loop()
loop.call_soon(sys.exit, 9)
loop.call_soon(print, "next callback")
try:
    loop.run_forever()
except SystemExit as error:
    print("left with", error.code, loop.is_running())
loop.call_soon(loop.stop)
loop.run_forever()
loop.call_soon(sys.exit, 11)
try:
    loop.run_forever()
finally:
    loop.close()
