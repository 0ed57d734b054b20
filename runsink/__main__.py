"""Run the command ``runsink`` as ``python -m runsink``."""

from entrypoints.cli import main

if __name__ == "__main__":
    main()
