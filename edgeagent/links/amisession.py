"""What is said to an Asterisk and what it says, without a socket: login, lists, changes (Asterisk Manager Interface).

Only reads are ever asked for: Challenge, Login, PJSIPShowEndpoints, PJSIPShowContacts, Ping. Of a phone nothing is kept
but its name and the state of each of its contacts: no calls, no numbers, no user agents. Times: s of a steady clock.

Lists are asked for once a minute. In between ContactStatus events tell what changes, where the account may read them
(`read = system` in manager.conf); the lists themselves need `write = system` or `reporting`, and change nothing.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sized
from enum import Enum, auto
from typing import Final

from edgeagent.readings import Missing, Raw

REFRESH: Final = 60.0
"""s between two lists of all phones."""
QUIET: Final = 10.0
"""s of silence after which the PBX is pinged, and after a question without an answer given up."""
_MOST: Final = 65_536
"""Bytes of one message; real ones have less than two thousand."""
_CONTACTS: Final = 100_000
"""Phones of one list, and contacts of one phone."""
_BANNER: Final = b"Asterisk Call Manager/"
_END: Final = b"\r\n\r\n"
_STATES: Final[Mapping[str, bool | None]] = {"reachable": True, "unreachable": False}
"""What a contact's state says of the phone: qualified or not; all other states do not tell."""
_AOR: Final = re.compile(r";@|@@|/")
"""What divides an address of record from the rest of a contact's object name."""


class Lost(Exception):
    """The conversation is over: `missing` is what that says of all phones."""

    def __init__(self, missing: Missing, why: str) -> None:
        super().__init__(why)
        self.missing = missing


class _Phase(Enum):
    BANNER = auto()
    CHALLENGE = auto()
    LOGIN = auto()
    ENDPOINTS = auto()
    CONTACTS = auto()
    READY = auto()


class Session:
    """One session with one PBX, from its first line on. `receive` and `due` return what to send."""

    def __init__(self, user: str, secret: str, now: float) -> None:
        self._user, self._secret = user, secret
        self._phase = _Phase.BANNER
        self._buffer = b""
        self._action = 0
        self._since, self._waits = now, True
        self._listed = now
        self._endpoints: set[str] | None = None
        self._contacts: dict[str, dict[str, bool | None]] | None = None
        self._names: set[str] = set()
        self._coming: dict[str, dict[str, bool | None]] = {}

    @property
    def ready(self) -> bool:
        """Tell whether all phones have been listed at least once."""
        return self._contacts is not None

    def phone(self, endpoint: str) -> dict[str, Raw]:
        """Return what is known of a phone: registered, reachable (0, 1). One that the PBX does not have is absent."""
        states = (self._contacts or {}).get(endpoint, {}).values()
        if not states and self._endpoints is not None and endpoint not in self._endpoints:
            return {"registered": Missing.ABSENT, "reachable": Missing.ABSENT}
        told = [state for state in states if state is not None]
        reachable = int(any(told)) if any(told) or (told and len(told) == len(states)) else Missing.NULL
        return {"registered": int(bool(states)), "reachable": reachable}

    def due(self, now: float) -> bytes:
        """Return what has to be said by now.

        Raises:
            Lost: when the PBX has not answered for too long.
        """
        if self._waits and now - self._since >= QUIET:
            raise Lost(Missing.TIMEOUT, "it does not answer")
        if self._phase is _Phase.READY and now - self._listed >= REFRESH:
            return self._list(_Phase.ENDPOINTS, "PJSIPShowEndpoints", now)
        if self._phase is _Phase.READY and not self._waits and now - self._since >= QUIET:
            return self._say("Ping", now)
        return b""

    def receive(self, data: bytes, now: float) -> bytes:
        """Take what came, however it is cut, and return the answer to it.

        Raises:
            Lost: for what no Asterisk says, or when it does not let us in.
        """
        self._buffer += data
        said = b""
        if self._phase is _Phase.BANNER:
            line, end, rest = self._buffer.partition(b"\r\n")
            if not (line[: len(_BANNER)] == _BANNER[: len(line)] and len(line) < 200):
                raise Lost(Missing.MALFORMED, "it is no Asterisk manager")
            if not end:
                return b""
            self._buffer, self._phase = rest, _Phase.CHALLENGE
            said = self._say("Challenge", now, "AuthType: MD5")
        *messages, self._buffer = self._buffer.split(_END)
        if len(self._buffer) > _MOST:
            raise Lost(Missing.MALFORMED, "a message has no end")
        for message in messages:
            self._since = now
            said += self._take(message, now)
        return said

    def _say(self, action: str, now: float, *lines: str) -> bytes:
        self._action += 1
        self._since, self._waits = now, True
        head = (f"Action: {action}", f"ActionID: {self._action}", *lines, "", "")
        return "\r\n".join(head).encode("ascii")

    def _list(self, phase: _Phase, action: str, now: float) -> bytes:
        self._phase, self._listed = phase, now
        self._names, self._coming = set(), {} if phase is _Phase.CONTACTS else self._coming
        return self._say(action, now)

    def _take(self, message: bytes, now: float) -> bytes:
        kind, _, rest = message.lstrip(b"\r\n").partition(b"\r\n")
        if kind.startswith(b"Response:"):
            return self._respond(_fields(message), now)
        event = kind.removeprefix(b"Event:").strip()
        if event == b"ContactStatus" and self._contacts is not None:
            self._change(_fields(rest))
        elif event == b"EndpointList" and self._phase is _Phase.ENDPOINTS:
            _bound(self._names)
            self._names.add(_fields(rest).get("objectname", ""))
        elif event == b"ContactList" and self._phase is _Phase.CONTACTS:
            _note(self._coming, _fields(rest))
        elif event in (b"EndpointListComplete", b"ContactListComplete") and self._ours(_fields(rest)):
            return self._complete(now)
        return b""

    def _ours(self, fields: Mapping[str, str]) -> bool:
        return fields.get("actionid") == str(self._action)

    def _respond(self, fields: Mapping[str, str], now: float) -> bytes:
        if not self._ours(fields):
            return b""
        self._waits = False
        good = fields.get("response") in ("Success", "Pong")
        if self._phase is _Phase.CHALLENGE:
            if not good or not fields.get("challenge"):
                raise Lost(Missing.DENIED, f"it gives no challenge: {fields.get('message', '')}")
            self._phase = _Phase.LOGIN
            key = hashlib.md5((fields["challenge"] + self._secret).encode(), usedforsecurity=False).hexdigest()
            return self._say("Login", now, "AuthType: MD5", f"Username: {self._user}", f"Key: {key}", "Events: system")
        if self._phase is _Phase.LOGIN:
            if not good:
                raise Lost(Missing.DENIED, f"it does not let {self._user} in: {fields.get('message', '')}")
            return self._list(_Phase.ENDPOINTS, "PJSIPShowEndpoints", now)
        if good:
            self._waits = self._phase is not _Phase.READY
            return b""
        return self._refused(fields.get("message", ""), now)

    def _refused(self, message: str, now: float) -> bytes:
        """Go on without a list: an empty one is told as an error, and so is one that this account may not read."""
        if message.lower().startswith("no "):
            return self._complete(now)
        if self._phase is _Phase.ENDPOINTS:
            self._endpoints = None
            return self._list(_Phase.CONTACTS, "PJSIPShowContacts", now)
        if self._phase is _Phase.CONTACTS:
            raise Lost(Missing.DENIED, f"it does not list contacts for {self._user}: {message}")
        return b""

    def _complete(self, now: float) -> bytes:
        """Believe a list that is whole, and go on to the next one."""
        self._waits = False
        if self._phase is _Phase.ENDPOINTS:
            self._endpoints = self._names - {""} or None  # a PBX that has just started knows none yet
            return self._list(_Phase.CONTACTS, "PJSIPShowContacts", now)
        if self._phase is _Phase.CONTACTS:
            self._contacts, self._coming, self._phase = self._coming, {}, _Phase.READY
        return b""

    def _change(self, fields: Mapping[str, str]) -> None:
        """Take a change, into the list that is coming as well: it may have passed this contact already."""
        for book in (self._contacts, self._coming if self._phase is _Phase.CONTACTS else None):
            if book is not None:
                _note(book, fields)


def _note(book: dict[str, dict[str, bool | None]], fields: Mapping[str, str]) -> None:
    """Write down the state of a contact, by its phone and its address."""
    name = fields.get("endpoint") or fields.get("endpointname") or fields.get("aor")
    name = name or _AOR.split(fields.get("objectname", ""), maxsplit=1)[0]
    contact = fields.get("uri", "")
    state = (fields.get("contactstatus") or fields.get("status") or "").lower()
    if not name:
        return
    contacts = book.setdefault(name, {})
    _bound(book)
    _bound(contacts)
    if state == "removed":
        contacts.pop(contact, None)
    elif state == "updated":  # registered anew; what it was stays so
        contacts.setdefault(contact, None)
    else:
        contacts[contact] = _STATES.get(state)


def _bound(known: Sized) -> None:
    if len(known) > _CONTACTS:
        raise Lost(Missing.MALFORMED, "a list has no end")


def _fields(message: bytes) -> dict[str, str]:
    """Take a message apart: the first value of each key, keys in small letters."""
    fields: dict[str, str] = {}
    for line in message.decode("utf-8", "replace").split("\r\n"):
        key, colon, value = line.partition(":")
        if colon:
            fields.setdefault(key.strip().lower(), value.strip())
    return fields
