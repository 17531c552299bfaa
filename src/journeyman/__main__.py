"""``python -m journeyman``."""

from journeyman.cli.main import main

main()
