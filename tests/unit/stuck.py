"""Programs whose tasks all wait, and the tree of tasks that `yibu.ps()` makes of them."""

import asyncio

import yibu


def tree_of(function, name=None):
    """Run the function as a task; the tree when all tasks wait. They are cancelled after that."""

    async def main():
        outer = asyncio.get_running_loop().create_task(function(), name=name)
        for _ in range(10):
            await asyncio.sleep(0)
        tree = yibu.ps()
        pending = asyncio.all_tasks() - {asyncio.current_task()}
        for task in pending:
            task.cancel()
        await asyncio.wait(pending)
        assert outer.done()
        return tree

    with yibu.Runner(loop_factory=yibu.new_event_loop) as runner:
        return runner.run(main())
