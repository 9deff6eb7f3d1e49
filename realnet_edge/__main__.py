"""`python -m realnet_edge`."""

from realnet_edge.cli.main import main

main()
