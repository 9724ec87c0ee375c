"""Where the drivers and the example site lie: inside an installed package, or beside it in a checkout.

Owns these two places and nothing else; reads no file.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

_PACKAGE: Final = Path(__file__).resolve().parent


def drivers() -> Path:
    """Return the folder of kinds and driver files that come with the agent.

    Raises:
        FileNotFoundError: when the installation has lost it.
    """
    return _folder("drivers", "drivers")


def examples() -> Path:
    """Return the folder of the example site: site.toml, procedures, drills, broker configuration.

    Raises:
        FileNotFoundError: when the installation has lost it.
    """
    return _folder("examples", "config")


def _folder(packaged: str, checkout: str) -> Path:
    places = (_PACKAGE / packaged, _PACKAGE.parent / checkout)
    for place in places:
        if place.is_dir():
            return place
    raise FileNotFoundError(f"neither {places[0]} nor {places[1]} is there; install the agent again")
