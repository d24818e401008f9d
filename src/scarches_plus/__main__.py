"""Run the command line: ``python -m scarches_plus``."""

from scarches_plus.cli import main

main()
