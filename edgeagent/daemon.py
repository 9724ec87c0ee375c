"""The agent's own process: what `edgeagent run` is once the site is read. Loads nothing that reads files."""

from __future__ import annotations

import asyncio
import sys

from edgeagent import log
from edgeagent.agent import Agent
from edgeagent.config import Site
from edgeagent.handover import read_again
from edgeagent.statefolder import Occupied


def run(site: Site, level: str) -> int:
    """Run the agent of a site, with a log from `level` on, until it is told to stop; return the exit code."""
    log.setup(level)
    try:
        agent = Agent(site, read_again)
    except Occupied as error:
        sys.stderr.write(f"edgeagent: {error}\n")
        return 1
    try:
        return asyncio.run(agent.run())
    except KeyboardInterrupt:
        return 130
