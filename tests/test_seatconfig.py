from __future__ import annotations

import re
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from edgeagent import headsets, seatconfig
from edgeagent.broker import Broker
from edgeagent.mistakes import Mistakes
from edgeagent.resources import examples
from edgeagent.seatconfig import load
from tests.rig import invoke
from tests.test_mosquitto import certify

SEAT = '[seat]\nid = "a017"\nsite = "hq"\n'
BROKER = '[broker]\nurl = "mqtt://broker.example"\n'


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CREDENTIALS_DIRECTORY", "RUNTIME_DIRECTORY", "EDGEAGENT_SEAT_PASSWORD", "EDGEAGENT_SITE_SALT"):
        monkeypatch.delenv(name, raising=False)


def write(folder: Path, *parts: str) -> Path:
    file = folder / "seat.toml"
    file.write_text("".join(parts), encoding="utf-8")
    return file


def mistakes(folder: Path, *parts: str) -> list[str]:
    with pytest.raises(Mistakes) as caught:
        load(write(folder, *parts))
    return [str(mistake).removeprefix(f"{folder / 'seat.toml'}:") for mistake in caught.value.found]


def secret(folder: Path, name: str, content: str, mode: int = 0o600) -> None:
    (folder / "secrets").mkdir(exist_ok=True)
    (folder / "secrets" / name).write_text(f"{content}\n")
    (folder / "secrets" / name).chmod(mode)


def certificates(folder: Path) -> None:
    certify(folder, "seat", (x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ca")]), certify(folder, "ca")))
    (folder / "seat.key").chmod(0o600)


def test_the_least_that_is_said_is_which_seat_and_which_broker(tmp_path: Path) -> None:
    found = load(write(tmp_path, SEAT, BROKER))
    assert (found.id, found.site, found.root) == ("a017", "hq", "floor")
    assert found.broker == Broker("broker.example", 1883)
    assert (found.interval, found.probe) == (15.0, 60.0)
    assert (found.softphone, found.services, found.ask, found.reason) == ((), {}, (), None)
    assert found.headsets is found.headset is True


def test_everything_that_can_be_said_is_read(tmp_path: Path) -> None:
    secret(tmp_path, "site-salt", "0123456789abcdef")
    found = load(
        write(
            tmp_path,
            SEAT, 'root = "centre"\ninterval = 20\nprobe = 120\nsalt_secret = "site-salt"\nreason = "why"\n', BROKER,
            '[softphone]\nprocesses = ["phone.exe", "Other Phone"]\n',
            '[headsets]\nwatch = false\nexpected = false\nask = ["jabra", "poly"]\n',
            '[services]\ncrm = "service+https://crm.example/health"\nacd = "service+sip://acd.example"\n',
        )
    )  # fmt: skip
    assert (found.root, found.interval, found.probe, found.salt) == ("centre", 20.0, 120.0, "0123456789abcdef")
    assert found.reason == tmp_path / "why"
    assert found.softphone == ("phone.exe", "Other Phone")
    assert (found.headsets, found.headset, found.ask) == (False, False, ("jabra", "poly"))
    assert {name: str(each) for name, each in found.services.items()} == {
        "crm": "service+https://crm.example:443/health", "acd": "service+sip://acd.example:5060",
    }  # fmt: skip


def test_the_password_is_a_file_that_only_its_owner_reads_or_a_credential(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (SEAT, BROKER, 'username = "a017"\npassword_secret = "seat-password"\n')
    secret(tmp_path, "seat-password", "among friends", 0o644)
    assert mistakes(tmp_path, *text) == [
        f"7: broker.password_secret: {tmp_path}/secrets/seat-password may be read by others; chmod 600 it"
    ]
    secret(tmp_path, "seat-password", "between us")
    assert load(tmp_path / "seat.toml").broker.password == "between us"
    assert "between us" not in repr(load(tmp_path / "seat.toml"))
    given = tmp_path / "credentials"
    given.mkdir()
    (given / "seat-password").write_text("from systemd")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(given))
    assert load(tmp_path / "seat.toml").broker.password == "from systemd"


def test_a_key_that_everybody_may_read_is_no_key(tmp_path: Path) -> None:
    certificates(tmp_path)
    (tmp_path / "seat.key").chmod(0o644)
    text = (SEAT, '[broker]\nurl = "mqtts://b.example"\nca = "ca.crt"\ncert = "seat.crt"\nkey = "seat.key"\n')
    assert mistakes(tmp_path, *text) == [f"8: broker.key: {tmp_path}/seat.key may be read by everybody; chmod 600 it"]
    (tmp_path / "seat.key").chmod(0o600)
    assert load(tmp_path / "seat.toml").broker.key == tmp_path / "seat.key"


def test_the_reason_of_leaving_lies_in_the_runtime_folder_where_systemd_gives_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNTIME_DIRECTORY", "/run/edgeagent-seat")
    assert load(write(tmp_path, SEAT, BROKER)).reason == Path("/run/edgeagent-seat/reason")


def test_without_a_secret_salt_sites_still_hash_apart(tmp_path: Path) -> None:
    here = load(write(tmp_path, SEAT, BROKER)).salt
    assert here != load(write(tmp_path, SEAT.replace('"hq"', '"branch"'), BROKER)).salt
    assert here == load(write(tmp_path, SEAT.replace("a017", "a018"), BROKER)).salt


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (BROKER, ["seat: is missing"]),
        (SEAT, ["broker: is missing"]),
        (SEAT.replace("a017", "A 17") + BROKER, ["2: seat.id: "]),
        (SEAT + "interval = 1\n" + BROKER, ["4: seat.interval: "]),
        (SEAT + "intervall = 20\n" + BROKER, ['4: seat.intervall: unknown key, did you mean "interval"?']),
        (SEAT + BROKER.replace("mqtt:", "mqt:"), ['5: broker.url: unknown scheme "mqt", did you mean "mqtt"']),
        (SEAT + BROKER.replace("mqtt://", "mqtt://a:b@"), ["5: broker.url: user and password do not stand in the URL"]),
        (SEAT + BROKER + 'cert = "seat.crt"\n', ["5: broker.url: ", "6: broker.cert: ", "6: broker.cert: "]),
        (SEAT + BROKER + "[softphone]\nprocesses = []\n", ["7: softphone.processes: "]),
        (SEAT + BROKER + '[softphone]\nprocesses = ["C:\\\\phone.exe"]\n', ["7: softphone.processes"]),
        (SEAT + BROKER + '[headsets]\nask = ["jabbra"]\n', ['7: headsets.ask.0: "jabbra" is not known, did you mean']),
        (SEAT + BROKER + '[services]\ncrm = "snmp://crm"\n', ["7: services.crm: a service is asked here"]),
        (SEAT + BROKER + '[services]\ncrm = "service+https://crm?ca=none.crt"\n', ["7: services.crm: ca: "]),
        (SEAT + BROKER + '[services]\ncrm = "service+tcp://crm"\n', ["7: services.crm: the port is missing"]),
        (SEAT + BROKER + '[services]\n"c.r.m" = "service+dns://x?name=y"\n', ['7: services."c.r.m": ']),
        (SEAT + 'salt_secret = "salt"\n' + BROKER, ['4: seat.salt_secret: secret "salt" is missing']),
        (SEAT + BROKER + '[commands]\nallow = "all"\n', ["6: commands: unknown key"]),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_its_line_and_key(tmp_path: Path, text: str, found: list[str]) -> None:
    told = mistakes(tmp_path, text)
    assert len(told) == len(found), told
    for line, start in zip(told, found, strict=True):
        assert re.sub(r"^\d+: (?=\w+: is missing)", "", line).startswith(start), told


def test_a_salt_that_could_be_tried_out_is_refused(tmp_path: Path) -> None:
    secret(tmp_path, "salt", "short")
    assert mistakes(tmp_path, SEAT, 'salt_secret = "salt"\n', BROKER) == [
        "4: seat.salt_secret: shorter than 16 characters"
    ]


def test_more_services_than_a_report_can_hold_are_refused(tmp_path: Path) -> None:
    services = "".join(f's{number} = "service+tcp://x:{number + 1}"\n' for number in range(9))
    assert mistakes(tmp_path, SEAT, BROKER, "[services]\n", services) == ["6: services: 9 of at most 8"]


def test_all_mistakes_are_told_at_once_and_the_exit_code_is_that_of_a_configuration(tmp_path: Path) -> None:
    file = write(
        tmp_path, '[seat]\nid = "a017"\nsite = "hq"\ncolour = "red"\n', '[broker]\nurl = "http://b"\nca = "none.crt"\n',
        '[services]\ncrm = "service+tcp://crm"\n',
    )  # fmt: skip
    done = invoke("seat", "--config", file, "--once")
    assert done.exit_code == 78
    lines = done.stderr.splitlines()
    assert [line.split(":")[1] for line in lines] == ["4", "6", "7", "9"]
    assert done.stdout == ""


def test_a_file_that_is_not_there_is_a_mistake_too(tmp_path: Path) -> None:
    done = invoke("seat", "--config", tmp_path / "seat.toml", "--once")
    assert done.exit_code == 78
    assert "cannot be read" in done.stderr


def test_the_makers_that_may_be_asked_are_those_whose_words_are_known() -> None:
    assert set(seatconfig.Maker.__args__) == set(headsets.ASKED)  # type: ignore[attr-defined]


def test_the_example_is_in_order_and_so_is_all_that_it_has_in_comments(tmp_path: Path) -> None:
    text = (examples() / "seat" / "seat.toml").read_text(encoding="utf-8")
    shipped = load(write(tmp_path, text))
    assert (shipped.id, shipped.interval) == ("a017", 15.0)
    certificates(tmp_path)
    secret(tmp_path, "mqtt-password", "between us")
    secret(tmp_path, "site-salt", "0123456789abcdef")
    whole = load(write(tmp_path, re.sub(r"(?m)^# (?=\[[a-z]+\]$|[a-z_]+ *=)", "", text)))
    assert whole.softphone
    assert whole.services
    assert whole.ask
    assert whole.broker.password == "between us"
