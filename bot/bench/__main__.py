"""`python -m bot.bench`."""

from __future__ import annotations

import sys

from bot.bench import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
