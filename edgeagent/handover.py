"""How a site goes from the process that reads its files to the agent that watches it: pickled, through memory alone.

Who reads the files holds pydantic, the shapes of all tables and what parsing left, which would stay with the agent for
good. So a process that has read them starts its interpreter anew and becomes the agent (`become`); the site waits in a
file without a name, which lies in memory: it holds secrets. The process keeps its id, so systemd notices nothing. A
running agent has a child read the files again (`read_again`), which answers on its stdout. Nothing is unpickled that
does not carry the seal of this version of the program, whole.
"""

from __future__ import annotations

import asyncio
import contextlib
import copyreg
import hashlib
import io
import logging
import os
import pickle
import sys
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from edgeagent import __version__
from edgeagent.config import Site
from edgeagent.mistakes import Mistake, Mistakes
from edgeagent.rules import Condition

log = logging.getLogger(__name__)

PATIENCE: Final = 120.0
"""s that reading the files again may take: ten thousand devices take a few."""
_SITE: Final = "EDGEAGENT_SITE"
"""Where the site waits: process id, descriptor and level of the log. Of another process's id it means nothing."""
_ASKED: Final = "EDGEAGENT_ASKED"
"""Stands in the environment of the child that only reads."""
_SEAL: Final = f"edgeagent {__version__} on Python {sys.version_info.major}.{sys.version_info.minor}\n".encode()
_DIGEST: Final = hashlib.sha256().digest_size


def _fixed(entries: dict[Any, Any]) -> MappingProxyType[Any, Any]:
    return MappingProxyType(entries)


_PICKLED: Final[Mapping[type, Callable[[Any], Any]]] = {
    **copyreg.dispatch_table,
    Condition: lambda condition: (Condition, (condition.text, condition.root)),
    MappingProxyType: lambda mapping: (_fixed, (dict(mapping),)),
}
"""How those are pickled that cannot be by themselves."""


def pack(found: Site | Mistakes) -> bytes:
    """Write a site, or why there is none, under our seal."""
    file = io.BytesIO()
    pickler = pickle.Pickler(file, pickle.HIGHEST_PROTOCOL)
    pickler.dispatch_table = _PICKLED
    pickler.dump(found.found if isinstance(found, Mistakes) else found)
    body = file.getvalue()
    return b"".join((_SEAL, hashlib.sha256(body).digest(), body))


def unpack(said: bytes) -> Site:
    """Read what `pack` wrote.

    Raises:
        Mistakes: which it wrote in place of a site.
        ValueError: when it did not write this, or another version of it did.
    """
    digest, body = said[len(_SEAL) : len(_SEAL) + _DIGEST], said[len(_SEAL) + _DIGEST :]
    if not said.startswith(_SEAL) or hashlib.sha256(body).digest() != digest:
        raise ValueError("it is no site, or one of another version of edgeagent: after an update, restart the agent")
    found = pickle.loads(body)  # noqa: S301 - our own process wrote it, our own child, and nobody between
    if isinstance(found, Site):
        return found
    raise Mistakes(found)


def become(site: Site, level: str) -> None:
    """Start this process's program anew, as the agent of a site; `level` is that of its log.

    Return where that cannot be: the system gives no file in memory, or the program that was started anew is an older
    one than this and took no notice. The agent then runs where it is read, and is bigger.
    """
    if _waits():
        log.warning("the program that starts edgeagent is older than edgeagent: install it again")
        return
    try:
        waiting = os.memfd_create("edgeagent-site", 0)  # without MFD_CLOEXEC, so that it is inherited
        with os.fdopen(waiting, "wb", closefd=False) as file:
            file.write(pack(site))
        os.environ[_SITE] = f"{os.getpid()}:{waiting}:{level}"
        sys.stdout.flush()
        sys.stderr.flush()
        os.execv(sys.executable, _program())  # noqa: S606 - ourselves
    except OSError as error:
        log.warning("the agent keeps what has read its site: %s", error)


def _waits() -> bool:
    return os.environ.get(_SITE, "").startswith(f"{os.getpid()}:")


def handed() -> tuple[Site, str] | None:
    """Return the site that waits for this process, and the level of its log; None where none does."""
    if not _waits():
        return None
    _, descriptor, level = os.environ.pop(_SITE).split(":")
    with os.fdopen(int(descriptor), "rb") as file:
        file.seek(0)
        return unpack(file.read()), level


def asked() -> bool:
    """Tell whether this process is to read the files, answer and end."""
    return _ASKED in os.environ


async def read_again(within: float = PATIENCE) -> Site:
    """Have a child read the files that this process's words name; polling goes on meanwhile.

    Raises:
        Mistakes: all that is wrong in them, or that the child died, went on for too long or said something else.
    """
    try:
        said = await _told(within)
        return await asyncio.to_thread(unpack, said)
    except Mistakes:
        raise
    except TimeoutError:
        why = f"they are still being read after {within:.0f} s"
    except Exception as error:  # noqa: BLE001 - what cannot be unpickled can say so in every way
        why = str(error)
    raise Mistakes([Mistake("", 0, "", f"the files cannot be read again: {why}")])


async def _told(within: float) -> bytes:
    """Return all that the child said."""
    child = await asyncio.create_subprocess_exec(
        *_program(), env={**os.environ, _ASKED: "1"}, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(within):
            said, _ = await child.communicate()
    finally:
        if child.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                child.kill()
            await child.wait()
    if child.returncode:
        raise ChildProcessError(f"the process that reads them ended with {child.returncode}")
    return said


def _program() -> list[str]:
    """Return the words that this process was started with, those for Python itself among them."""
    return [sys.executable, *sys.orig_argv[1:]]
