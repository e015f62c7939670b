"""The module that `python -m lasem` runs."""

from lasem.cli import main

main()
