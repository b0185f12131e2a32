"""`python -m opsplane` is the command line."""

from opsplane.cli.main import main

main()
