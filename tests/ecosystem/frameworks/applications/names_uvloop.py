"""A program that asks for uvloop and gets yibu."""

import sys

import yibu

yibu.install(as_uvloop=True)

import uvicorn  # noqa: E402

if __name__ == "__main__":
    uvicorn.run("plain:app", port=int(sys.argv[1]), loop="uvloop")
