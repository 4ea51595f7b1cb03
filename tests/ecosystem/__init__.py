"""Libraries that reach into asyncio do their job on yibu, as the loop of a program and installed."""
