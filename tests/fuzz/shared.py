"""What many targets need: folders that live as long as the process does, the catalogue and a site, read once."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path

from edgeagent import driverfiles, resources, sitefiles
from edgeagent.catalog import Catalog
from edgeagent.config import Site


def folder() -> Path:
    """Make one. It is taken away at the end, unless a fuzzer ends the process by force: then its parent does that."""
    made = Path(tempfile.mkdtemp(prefix="fuzz-"))
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    return made


@cache
def catalog() -> Catalog:
    return driverfiles.load([resources.drivers()])


@cache
def site() -> Site:
    return sitefiles.load(resources.examples(), resources.drivers())
