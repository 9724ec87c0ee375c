from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from edgeagent.log import JournalFormatter, PlainFormatter, redact

SPEAK = """
import logging, os, sys
if sys.argv[1] == "journal":
    stat = os.fstat(2)
    os.environ["JOURNAL_STREAM"] = f"{stat.st_dev}:{stat.st_ino}"
from edgeagent import log
log.setup("info")
logging.getLogger("edgeagent.links").debug("too quiet")
logging.getLogger("edgeagent.links").warning("no answer from ups-1")
"""


def record(level: int, message: str, *, failed: bool = False) -> logging.LogRecord:
    problem = None
    if failed:
        try:
            raise ValueError("community=s3cret")
        except ValueError:
            problem = sys.exc_info()
    return logging.LogRecord("edgeagent.agent", level, __file__, 1, message, None, problem)


def spoken(stderr: str) -> str:
    """Return what a fresh process writes to stderr, which is a pipe."""
    environ = {**os.environ, "JOURNAL_STREAM": "1:1", "PYTHONPATH": str(Path(__file__).parent.parent)}
    command = [sys.executable, "-c", SPEAK, stderr]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=True, timeout=60)
    assert not done.stdout
    return done.stderr


def test_a_terminal_gets_utc_time_level_and_module() -> None:
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z WARNING  edgeagent\.links: no answer from ups-1\n", spoken("terminal")
    )


def test_the_journal_gets_a_priority_and_no_time() -> None:
    assert spoken("journal") == "<4>edgeagent.links: no answer from ups-1\n"


@pytest.mark.parametrize(
    ("level", "priority"),
    [
        (logging.DEBUG, 7),
        (logging.INFO, 6),
        (logging.WARNING, 4),
        (logging.ERROR, 3),
        (logging.CRITICAL, 2),
        (logging.CRITICAL + 5, 2),
        (logging.INFO + 5, 6),
    ],
)
def test_levels_become_priorities_of_syslog(level: int, priority: int) -> None:
    assert JournalFormatter().format(record(level, "x")) == f"<{priority}>edgeagent.agent: x"


def test_every_line_of_a_traceback_carries_the_priority() -> None:
    lines = JournalFormatter().format(record(logging.ERROR, "the task died", failed=True)).splitlines()
    assert len(lines) > 3
    assert all(line.startswith("<3>") for line in lines)


@pytest.mark.parametrize("formatter", [PlainFormatter(), JournalFormatter()], ids=["plain", "journal"])
def test_a_secret_in_a_traceback_is_masked_too(formatter: logging.Formatter) -> None:
    text = formatter.format(record(logging.ERROR, "the task died", failed=True))
    assert "s3cret" not in text
    assert "community=***" in text


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("snmp://h?version=2c&community=pub lic", "snmp://h?version=2c&community=*** lic"),
        ("snmp://h?community=a&version=2c", "snmp://h?community=***&version=2c"),
        ("Password = 'two words', user=x", "Password = ***, user=x"),
        ('{"password": "p", "user": "u"}', '{"password": ***, "user": "u"}'),
        ("community_secret=snmp-community", "community_secret=snmp-community"),
        ("a community of practice", "a community of practice"),
    ],
    ids=["to the blank", "to the ampersand", "quoted", "as JSON", "a name is no secret", "prose"],
)
def test_secrets_are_masked(text: str, masked: str) -> None:
    assert redact(text) == masked
