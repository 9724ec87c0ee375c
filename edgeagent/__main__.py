"""python -m edgeagent."""

from edgeagent.cli import main

main()
