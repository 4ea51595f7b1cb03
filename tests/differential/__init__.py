"""The same program run on stock asyncio and on yibu: what it prints, reports and returns must be equal."""
