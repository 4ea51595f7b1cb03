"""The smallest program: asyncio by another name.

python examples/hello.py
"""

import yibu as asyncio


async def greet(name: str, delay: float) -> str:
    await asyncio.sleep(delay)
    return f"hello, {name}"


async def main() -> None:
    print(*await asyncio.gather(greet("world", 0.2), greet("异步", 0.1)), sep="\n")
    print("from", asyncio.get_running_loop())


asyncio.run(main())
