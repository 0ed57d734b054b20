"""``python -m runsink``: the same as the command ``runsink``."""

from entrypoints.cli import main

if __name__ == "__main__":
    main()
