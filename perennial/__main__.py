"""`python -m perennial`: the same as the command `perennial`."""

from perennial.cli import main

main()
