"""Programs for every row of features that asyncio users rely on; each test is named after its row."""
