"""Child processes: output, exit codes, signals, and a child that cannot be started."""

import asyncio
import sys


async def run(*arguments, data=None):
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await process.communicate(data)
    print(process.returncode, output, errors)


async def main():
    await run("-c", "print('hello')")
    await run("-c", "import sys; sys.stdout.write(sys.stdin.read().upper()); sys.exit(3)", data=b"shout")
    await run("-c", "import sys; print('bad', file=sys.stderr); sys.exit(1)")
    process = await asyncio.create_subprocess_shell("exit 5")
    print(await process.wait())
    process = await asyncio.create_subprocess_exec("sleep", "1000")
    process.terminate()
    print(await process.wait(), process.returncode)
    process = await asyncio.create_subprocess_exec("sleep", "1000")
    process.kill()
    print(await process.wait())
    try:
        await asyncio.create_subprocess_exec("/nonexistent/program")
    except FileNotFoundError as error:
        print(error)
    results = await asyncio.gather(*[asyncio.create_subprocess_shell(f"exit {code}") for code in range(4)])
    print([await process.wait() for process in results])


asyncio.run(main())
