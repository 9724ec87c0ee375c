"""The program: the command line, or the agent where this process has read its site already."""

from __future__ import annotations

import sys

from edgeagent.handover import handed


def main() -> None:
    """Run it."""
    found = handed()
    if found is not None:
        from edgeagent.daemon import run

        sys.exit(run(*found))
    from edgeagent.cli import main as command

    command()


if __name__ == "__main__":
    main()
