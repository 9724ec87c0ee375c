"""What a record of a device hides, and that it decodes as the device did."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeagent.captures import Capture, object_line
from edgeagent.captures import load as load_capture
from edgeagent.catalog import Driver
from edgeagent.driverfiles import load
from edgeagent.fit import fits
from edgeagent.items import Identify, Item
from edgeagent.masking import IPS, MACS, Known, Mask, shape
from edgeagent.probe import plan_of, read
from edgeagent.readings import Missing, Raw
from edgeagent.record import ROOTS, spelled_answers, spelled_objects
from edgeagent.resources import drivers

pytestmark = pytest.mark.disable_socket

CATALOG: Final = load([drivers()])
SNMP: Final = Known.of([driver for driver in CATALOG.drivers.values() if driver.protocol == "snmp"])
DESCR, OBJECT, NAME = "1.3.6.1.2.1.1.1.0", "1.3.6.1.2.1.1.2.0", "1.3.6.1.2.1.1.5.0"
CONTACT, LOCATION = "1.3.6.1.2.1.1.4.0", "1.3.6.1.2.1.1.6.0"
SERIAL: Final = "1.3.6.1.4.1.318.1.1.1.1.2.3.0"
MODEL: Final = "1.3.6.1.4.1.318.1.1.1.1.1.1.0"
FIRMWARE: Final = "1.3.6.1.4.1.318.1.1.1.1.2.1.0"
RUNTIME: Final = "1.3.6.1.4.1.318.1.1.1.2.2.3.0"
OTHER: Final = "1.3.6.1.4.1.99999.1.1.0"
WALKS: Final = Path(__file__).parent.parent.parent / "shared" / "captures"
Row = tuple[str, int, Raw]


def masked(*rows: Row, secrets: tuple[str, ...] = (), hosts: tuple[str, ...] = (), aside: tuple[Row, ...] = ()) -> str:
    return spelled_objects(rows, Mask(SNMP, secrets, hosts), aside)


def value(text: str, oid: str = OTHER) -> str:
    """Return the value of one line of a record."""
    return next(line.split("|", 2)[2] for line in text.splitlines() if line.startswith(f"{oid}|"))


GIVEN_AWAY: Final = {
    "an IPv4 address": (b"trap to 203.0.113.77 failed", b"203.0.113.77"),
    "a private address behind a word": (b"host_192.168.17.4 up", b"192.168.17.4"),
    "an address in brackets": (b"[10.1.2.3]:161", b"10.1.2.3"),
    "a private address that calls itself a version": (b"version 192.168.3.9", b"192.168.3.9"),
    "an IPv6 address": (b"gateway 2001:db8:17::beef.", b"2001:db8:17::beef"),
    "a link-local address": (b"fe80::2c0:b7ff:fe12:3456", b"fe80::2c0:b7ff:fe12:3456"),
    "a MAC with colons": (b"eth0 00:C0:B7:12:34:56", b"00:C0:B7:12:34:56"),
    "a MAC with dashes": (b"00-c0-b7-12-34-56", b"00-c0-b7-12-34-56"),
    "a MAC with dots": (b"mac 00c0.b712.3456 up", b"00c0.b712.3456"),
    "an e-mail address": (b"call li.wei+ups@floor.example.cn now", b"li.wei+ups@floor.example.cn"),
    "a mail address without a domain": (b"root@nms1", b"root@nms1"),
    "a host name": (b"syslog nms-01.floor3.corp", b"nms-01.floor3.corp"),
    "a host in a URL": (b"http://nms:8080/ups?key=s3cr3t", b"nms:8080/ups?key=s3cr3t"),
    "a phone number": (b"sms +86 138 0000 1234", b"+86 138 0000 1234"),
    "a serial number in a text": (b"HR:5 SN: ZA2215342271 MD:04/18/2022", b"ZA2215342271"),
    "a serial number with its full name": (b"Serial Number: 5A1103T-99", b"5A1103T-99"),
    "something that can only be a serial number": (b"  QS1234567890 ", b"QS1234567890"),
    "something like a serial number among words": (b"ID: 3 , Msg: 9ET08CC50411010", b"9ET08CC50411010"),
    "a Chinese text around an address": ("机房 192.168.9.20 离线".encode(), b"192.168.9.20"),
    "a GBK text around an address": ("机房 192.168.9.20 离线".encode("gbk"), b"192.168.9.20"),
}


@pytest.mark.parametrize(("raw", "secret"), GIVEN_AWAY.values(), ids=GIVEN_AWAY.keys())
def test_a_text_loses_what_gives_a_place_away_and_keeps_its_length(raw: bytes, secret: bytes) -> None:
    mask = Mask(SNMP)
    mask.learn([(OTHER, 4, raw)])
    hidden = mask.value(OTHER, raw)
    assert secret.lower() not in hidden.lower()
    assert len(hidden) == len(raw)
    before, _, after = raw.partition(secret)
    assert hidden.startswith(before)
    assert hidden.endswith(after)


KEPT: Final = (
    b"APC Web/SNMP Management Card (MB:v4.2.9 PF:v2.3.1.1 PN:apc_hw21_aos_2.3.1.1.bin AF1:v2.3.1.1 MN:AP9641 HR:5)",
    b"Smart-UPS 1500 RM", b"UPS 08.3 (ID1047)", b"04/18/2022", b"12:34:56", b"firmware 1.2.3.4", b"1.3.6.1.4.1.318",
    b"Simple Network Management Protocol", b"0001010000000000", b"240", b"-1", b"", b"On Line", "输出正常".encode(),
    b"2022-04-18 12:34:56", b"2001-01-01", b"part 870-10056", b"0x0000FFFF",
    b"999.1.2.3", b"::", b"127.0.0.1", b"AP9640/31", b"SNMP v3: enabled",
)  # fmt: skip


@pytest.mark.parametrize("raw", KEPT)
def test_a_text_that_gives_nothing_away_stays(raw: bytes) -> None:
    mask = Mask(SNMP)
    mask.learn([(OTHER, 4, raw)])
    assert mask.value(OTHER, raw) == raw


@given(st.binary(max_size=60))
def test_masking_keeps_the_length_and_masks_once(raw: bytes) -> None:
    mask = Mask(SNMP, ["operated"])
    mask.learn([(OTHER, 4, raw)])
    once = mask.value(OTHER, raw)
    assert len(once) == len(raw)
    assert len(shape(raw)) == len(raw)
    assert shape(shape(raw)) == shape(raw)


def test_who_where_and_whose_is_hidden_whole() -> None:
    text = masked((CONTACT, 4, b"Li Wei"), (NAME, 4, b"ups-a"), (LOCATION, 4, "三楼机房".encode()))
    assert [line.split("|")[2] for line in text.splitlines()] == ["xxxxxx", "xxxxx", "xxxxxxxxxxxx"]


def test_a_name_is_hidden_wherever_else_it_stands() -> None:
    text = masked(
        (DESCR, 4, b"Linux SRV-UPS-01 5.10.0 #1 SMP armv7l"), (NAME, 4, b"srv-ups-01.floor3.example"),
        (OTHER, 4, b"master srv-ups-01.floor3.example, peer srv-ups-02.floor3.example"),
    )  # fmt: skip
    assert value(text, DESCR) == "Linux XXX-XXX-00 5.10.0 #1 SMP armv7l"
    assert "floor3" not in text
    assert "srv-ups-01" not in text.lower()


def test_a_name_that_is_the_model_s_own_does_not_hide_the_model() -> None:
    text = masked((MODEL, 4, b"Smart-UPS 1500"), (NAME, 4, b"Smart-UPS"), (DESCR, 4, b"Schneider Smart-UPS card"))
    assert value(text, MODEL) == "Smart-UPS 1500"
    assert value(text, DESCR) == "Schneider Smart-UPS card"
    assert value(text, NAME) == "xxxxxxxxx"


def test_model_and_firmware_are_kept() -> None:
    text = masked((MODEL, 4, b"QS1234567890"), (FIRMWARE, 4, b"10.2.3.4"))
    assert (value(text, MODEL), value(text, FIRMWARE)) == ("QS1234567890", "10.2.3.4")


def test_a_serial_number_is_hidden_at_its_object_and_wherever_it_stands() -> None:
    text = masked(
        (SERIAL, 4, b"AS1234567890  "), (OTHER, 4, b"log: unit as1234567890 restarted"),
        (FIRMWARE, 4, b"UPS 08.3/AS1234567890"),
    )  # fmt: skip
    assert "1234567890" not in text
    assert value(text, OTHER) == "log: unit xx0000000000 restarted"
    assert value(text, FIRMWARE) == "UPS 08.3/XX0000000000"
    assert bytes.fromhex(value(text, SERIAL)) == b"XX0000000000  "


def test_a_serial_number_that_is_a_number_is_hidden() -> None:
    text = masked((SERIAL, 2, 98765432), (OTHER, 4, b"unit 98765432"))
    assert "98765432" not in text
    assert value(text, SERIAL) == "1"


def test_secrets_are_hidden_in_values_and_in_indices_whatever_their_case() -> None:
    index = ".".join(str(octet) for octet in b"operated")
    text = masked(
        (OTHER, 4, b"community OPERATED rw"), (f"1.3.6.1.4.1.99999.2.8.{index}", 2, 1), (CONTACT, 4, b"operated"),
        (FIRMWARE, 4, b"operated"), secrets=("operated",),
    )  # fmt: skip
    assert "operated" not in text.lower()
    assert index not in text
    assert value(text) == "community XXXXXXXX rw"


def test_a_short_secret_is_hidden_as_a_word_and_spoils_no_number() -> None:
    text = masked((OTHER, 4, b"get rw, brwd"), (RUNTIME, 4, b"240000"), secrets=("rw", "24", "2400"))
    assert value(text) == "get xx, brwd"
    assert value(text, RUNTIME) == "240000"


def test_addresses_are_hidden_as_values_in_indices_and_as_raw_octets() -> None:
    ip, mac = bytes((10, 20, 30, 40)), bytes.fromhex("00c0b7123456")
    text = masked(
        ("1.3.6.1.4.1.99999.3.1.10.20.30.40", 64, ip), ("1.3.6.1.4.1.99999.3.2.192.168.77.5", 2, 1),
        ("1.3.6.1.4.1.99999.4.1.0.192.183.18.52.86", 4, mac), ("1.3.6.1.4.1.99999.4.2", 4, b"mac=" + mac + b";"),
        ("1.3.6.1.4.1.99999.4.3", 4, b"card 00c0b7123456"), ("1.3.6.1.4.1.99999.4.4", 4, bytes.fromhex("00c0b7aabbcc")),
        ("1.3.6.1.4.1.99999.4.5", 6, "1.3.6.1.4.1.99999.3.1.10.20.30.40"),
        aside=((f"{MACS}.2", 4, mac), (f"{IPS}.10.20.30.40", 64, ip)),
    )  # fmt: skip
    for trace in ("10.20.30.40", "192.168.77", "c0b712", "192.183.18.52", "aabbcc"):
        assert trace not in text, trace
    assert f"{MACS}.2" not in text
    assert "1.3.6.1.4.1.99999.3.1.192.0.2.1|64|192.0.2.1\n" in text
    assert "1.3.6.1.4.1.99999.4.5|6|1.3.6.1.4.1.99999.3.1.192.0.2.1\n" in text


def test_masks_of_addresses_are_told_apart() -> None:
    rows = [(f"1.3.6.1.4.1.99999.3.10.20.30.{host}", 64, bytes((10, 20, 30, host))) for host in (1, 2, 3)]
    assert len(masked(*rows).splitlines()) == 3


def test_masks_and_loopback_addresses_that_say_nothing_stay() -> None:
    addresses = [bytes((0, 0, 0, 0)), bytes((127, 0, 0, 1)), bytes((255, 255, 255, 0))]
    rows = [(f"{OTHER}.{place}", 64, raw) for place, raw in enumerate(addresses)]
    shown = [line.split("|")[2] for line in masked(*rows).splitlines()]
    assert shown == ["0.0.0.0", "127.0.0.1", "255.255.255.0"]


def test_addresses_that_a_driver_asks_for_are_never_renamed() -> None:
    oids = sorted(SNMP.read | SNMP.kept | SNMP.serial_addresses)
    assert len(oids) > 50
    rows: list[Row] = [(oid, 2, 1) for oid in oids]
    hidden = bytes(int(part) for part in oids[0].split(".")[-4:])
    text = masked(*rows, (OTHER, 64, hidden))
    assert {line.split("|")[0] for line in text.splitlines()} >= set(oids)


def test_rows_of_an_alarm_table_stay_as_they_are() -> None:
    rows: list[Row] = [
        (f"1.3.6.1.2.1.33.1.6.2.1.2.{row}", 6, f"1.3.6.1.2.1.33.1.6.3.{alarm}") for row, alarm in ((1, 2), (7, 24))
    ]
    text = masked(*rows, (OTHER, 64, bytes((33, 1, 6, 3))), (f"{OTHER}.1", 64, bytes((1, 6, 3, 2))))
    for oid, tag, raw in rows:
        assert f"{oid}|{tag}|{raw!s}\n" in text


def test_what_a_driver_reads_as_a_word_stays_whatever_the_device_is_called() -> None:
    read = next(oid for oid in sorted(SNMP.read) if oid.startswith("1.3.6.1.4.1.318"))
    text = masked((NAME, 4, b"Normal"), (read, 4, b"normal"))
    assert value(text, read) == "normal"


def test_a_record_is_sorted_and_spells_every_type() -> None:
    rows: list[Row] = [
        ("1.3.6.1.4.1.9.10", 70, 2**64 - 1), ("1.3.6.1.4.1.9.9", 5, b""), ("1.3.6.1.4.1.9.2", 67, 12345),
        ("1.3.6.1.4.1.9.1", 4, b"a|b"), ("1.3.6.1.4.1.9.3", 4, b"\x00\xff"), ("1.3.6.1.4.1.9.4", 68, b"\x9f\x78\x04"),
        ("1.3.6.1.4.1.9.5", 4, b" padded "), ("1.3.6.1.4.1.9.6", 6, "0.0"), ("1.3.6.1.4.1.9.7", 2, -5),
        ("1.3.6.1.4.1.9.8", 2, Missing.MALFORMED),
    ]  # fmt: skip
    assert masked(*rows).splitlines() == [
        "1.3.6.1.4.1.9.1|4|a|b", "1.3.6.1.4.1.9.2|67|12345", "1.3.6.1.4.1.9.3|4x|00ff",
        "1.3.6.1.4.1.9.4|68x|9f7804", "1.3.6.1.4.1.9.5|4x|2070616464656420", "1.3.6.1.4.1.9.6|6|0.0",
        "1.3.6.1.4.1.9.7|2|-5", "1.3.6.1.4.1.9.9|5|", "1.3.6.1.4.1.9.10|70|18446744073709551615",
    ]  # fmt: skip
    assert object_line("1.3.6.1.4.1.9.1", 64, b"abc") == "1.3.6.1.4.1.9.1|64x|616263\n"


def test_what_stands_for_no_serial_number_stays() -> None:
    serial = Item("serial", "text", (OTHER,), type="text", sentinels={"N/A 000": "not-available", -1: "not-fitted"})
    kind = CATALOG.kinds["ups"]
    known = Known.of([Driver("ups/made-up", kind, "snmp", kind.text, "", (Identify(),), (), (serial,))])
    for tag, raw in ((4, b"N/A 000"), (2, -1), (2, 0)):
        mask = Mask(known)
        mask.learn([(OTHER, tag, raw)])
        assert mask.row(OTHER, tag, raw) == (OTHER, tag, raw)
    assert Mask(known).row(OTHER, 4, b"N/A 001") == (OTHER, 4, b"X/X 000")


def registers(*items: Item) -> Known:
    """Know what a made-up Modbus family says of itself."""
    kind = CATALOG.kinds["generator"]
    return Known.of([Driver("generator/made-up", kind, "modbus", kind.text, "", (Identify(),), (), items)])


def words(text: str, first: int = 100) -> dict[str, Raw]:
    """Lay a text into registers, two characters each."""
    raw = text.encode().ljust(len(text) + len(text) % 2)
    return {f"h{first + place // 2}": int.from_bytes(raw[place : place + 2], "big") for place in range(0, len(raw), 2)}


def test_serial_numbers_in_registers_are_hidden_as_text_and_as_number() -> None:
    text = Item("serial", "text", tuple(words("AB-1234")), type="text")
    number = Item("serial", "number", ("h770", "h771"), type="u32", sentinels={0xFFFFFFFF: "not-fitted"})
    known = registers(text, number)
    shown = Mask(known).registers({**words("AB-1234"), "h770": 12, "h771": 34567, "h772": 1})
    assert shown == {**words("XX-0000"), "h770": 0, "h771": 1, "h772": 1}
    assert Mask(known).registers({"h101": 0x2D31, "h771": 34567}) == {"h101": 0x2D30, "h771": 1}
    unknown = {"h770": 0xFFFF, "h771": 0xFFFF}
    assert Mask(known).registers(unknown) == unknown


def test_texts_in_registers_lose_addresses_however_they_are_packed() -> None:
    secret = "gw 192.168.30.7 ok"
    swapped = {address: (int(raw) & 255) << 8 | int(raw) >> 8 for address, raw in words(secret).items()}
    single: dict[str, Raw] = {f"i{40 + place}": ord(letter) for place, letter in enumerate(secret)}
    for packed in (words(secret), swapped, single):
        mask = Mask(registers())
        shown = mask.registers(packed)
        assert shown != packed
        assert shown.keys() == packed.keys()
        assert all(isinstance(raw, int) and 0 <= raw <= 0xFFFF for raw in shown.values())
    assert "".join(chr(int(raw)) for raw in shown.values()) == "gw 000.000.00.0 ok"


def test_numbers_in_registers_stay() -> None:
    answers: dict[str, Raw] = {
        f"h{1024 + place}": raw for place, raw in enumerate((350, 82, 32767, 64, 141, 274, 1500))
    }
    assert Mask(registers()).registers(answers) == answers


def test_texts_of_other_devices_lose_what_gives_them_away() -> None:
    text = spelled_answers(
        {"os.name": "srv at 192.168.1.7", "cpu.percent": 3.5, "I:0": b"SN: AB123456"}, Mask(registers()), "host"
    )
    assert text.splitlines() == [
        "I:0|text|SN: XX000000",
        "cpu.percent|float|3.5",
        "os.name|str|srv at 000.000.0.0",
    ]


@pytest.mark.parametrize("path", sorted(WALKS.glob("*.snmprec")), ids=lambda path: path.stem)
def test_a_masked_walk_of_a_real_device_reads_as_the_device(path: Path, tmp_path: Path) -> None:
    walk = load_capture(path)
    shown = [row for row in _rows(walk) if row[0].startswith(ROOTS)]
    file = tmp_path / path.name
    file.write_text(spelled_objects(shown, Mask(SNMP, ["public"]), _rows(walk)), encoding="utf-8")
    masked = load_capture(file)
    values = (raw for oid, _, raw in shown if oid in SNMP.serial_addresses and isinstance(raw, bytes))
    serials = {raw.decode("latin-1").strip() for raw in values}
    text = file.read_text(encoding="utf-8")
    # One character over and over is no serial number but a sentinel.
    assert [serial for serial in serials if len(serial) > 3 and len(set(serial)) > 1 and serial in text] == []
    assert [oid for oid in masked.objects if ".192.168." in oid] == []
    for driver in CATALOG.drivers.values():
        plan = plan_of(driver)
        if driver.protocol == "snmp" and all(each.startswith(ROOTS) for each in plan.gets):  # what is recorded
            found, wanted = (read(driver, one.answers(plan.gets, plan.walks), 0.0) for one in (masked, walk))
            assert found.readings == wanted.readings, driver.id
            hidden = {"serial", "sysDescr"}
            assert {key: text for key, text in found.identity.items() if key not in hidden} == {
                key: text for key, text in wanted.identity.items() if key not in hidden
            }, driver.id
            assert fits(driver, masked.answers(plan.gets)) == fits(driver, walk.answers(plan.gets)), driver.id


def _rows(capture: Capture) -> list[Row]:
    return [(oid, tag, raw) for oid, (tag, raw) in capture.objects.items()]


def test_the_catalogue_is_what_masking_knows() -> None:
    assert SERIAL in SNMP.serial_addresses
    assert {MODEL, FIRMWARE} <= SNMP.kept
    assert RUNTIME in SNMP.read
