"""Signal handlers on a loop, their order with other callbacks, and what is left after them."""

import asyncio
import signal

log = []


async def main():
    loop = asyncio.get_running_loop()
    arrived = asyncio.Event()
    loop.add_signal_handler(signal.SIGUSR1, log.append, "usr1")
    loop.add_signal_handler(signal.SIGUSR2, lambda: (log.append("usr2"), arrived.set()))
    signal.raise_signal(signal.SIGUSR1)
    signal.raise_signal(signal.SIGUSR2)
    log.append("raised")
    await arrived.wait()
    log.append(loop.remove_signal_handler(signal.SIGUSR1))
    log.append(loop.remove_signal_handler(signal.SIGUSR1))
    log.append(signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL)


asyncio.run(main())
log.append(signal.getsignal(signal.SIGUSR2) is signal.SIG_DFL)
log.append(signal.getsignal(signal.SIGINT) is signal.default_int_handler)
print(*log, sep="\n")
