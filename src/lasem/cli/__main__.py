"""The module that `python -m lasem.cli` runs."""

from lasem.cli import main

main()
