"""Device URLs: what an operator writes, what comes of it, and secrets that never show."""

# ruff: noqa: E501 - a table has one row a line

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeagent.endpoint import AUTH, PRIV, Endpoint, EndpointError, needed, parse, secret
from edgeagent.mistakes import nearest

WORD = "correct horse"


@pytest.fixture(autouse=True)
def _no_secrets_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    for name in ("SNMP_AUTH", "SNMP_PRIV", "UPS_A"):
        monkeypatch.delenv(f"EDGEAGENT_{name}", raising=False)


def keep(folder: Path, mode: int = 0o600, **secrets: str) -> Path:
    for name, value in secrets.items():
        file = folder / name.replace("_", "-")
        file.write_text(value + "\n", encoding="utf-8")
        file.chmod(mode)
    return folder


@pytest.mark.parametrize(
    ("url", "expected", "spelled", "medium"),
    [
        pytest.param("snmp://192.0.2.7", Endpoint("snmp", "192.0.2.7", 161, options={"version": "2c"}), "snmp://192.0.2.7:161?version=2c", "snmp", id="SNMP with nothing else"),
        pytest.param("snmp://ups-a.example:1161?version=1", Endpoint("snmp", "ups-a.example", 1161, options={"version": "1"}), "snmp://ups-a.example:1161?version=1", "snmp", id="SNMP v1, port"),
        pytest.param("snmp://[2001:db8::7]", Endpoint("snmp", "2001:db8::7", 161, options={"version": "2c"}), "snmp://[2001:db8::7]:161?version=2c", "snmp", id="IPv6"),
        pytest.param("snmp://u@h?auth=none", Endpoint("snmp", "h", 161, user="u", options={"version": "3", "auth": "none", "priv": "none"}), "snmp://u@h:161?auth=none&version=3&priv=none", "snmp", id="v3 noAuthNoPriv"),
        pytest.param("snmp://u@h?auth=none&context=bay", Endpoint("snmp", "h", 161, user="u", options={"version": "3", "auth": "none", "priv": "none", "context": "bay"}), "snmp://u@h:161?auth=none&context=bay&version=3&priv=none", "snmp", id="v3 context"),
        pytest.param("modbus://h?unit=10", Endpoint("modbus", "h", 502, options={"unit": "10"}), "modbus://h:502?unit=10", "modbus://h:502", id="Modbus TCP"),
        pytest.param("MODBUS://h:1502?unit=0", Endpoint("modbus", "h", 1502, options={"unit": "0"}), "modbus://h:1502?unit=0", "modbus://h:1502", id="capitals"),
        pytest.param("modbus+rtuovertcp://h:4001?unit=5", Endpoint("modbus+rtuovertcp", "h", 4001, options={"unit": "5"}), "modbus+rtuovertcp://h:4001?unit=5", "modbus+rtuovertcp://h:4001", id="RTU over TCP"),
        pytest.param("modbus+tls://h?unit=1&ca=ca.crt", Endpoint("modbus+tls", "h", 802, options={"unit": "1", "ca": "ca.crt"}), "modbus+tls://h:802?unit=1&ca=ca.crt", "modbus+tls://h:802", id="Modbus over TLS"),
        pytest.param("modbus+rtu:///dev/ttyUSB0?unit=1&parity=e", Endpoint("modbus+rtu", path="/dev/ttyUSB0", options={"unit": "1", "parity": "E", "baud": "9600", "stopbits": "1", "bytesize": "8"}), "modbus+rtu:///dev/ttyUSB0?unit=1&parity=E&baud=9600&stopbits=1&bytesize=8", "modbus+rtu:/dev/ttyUSB0", id="RTU"),
        pytest.param("serial:///dev/tty%20S0?baud=300", Endpoint("serial", path="/dev/tty S0", options={"baud": "300", "parity": "N", "stopbits": "1", "bytesize": "8"}), "serial:///dev/tty S0?baud=300&parity=N&stopbits=1&bytesize=8", "serial:/dev/tty S0", id="serial line"),
        pytest.param("host://", Endpoint("host"), "host://", "host://:0", id="this machine"),
        pytest.param("seat://a017", Endpoint("seat", "a017"), "seat://a017", "seats", id="a seat"),
        pytest.param("seat://a017?service=crm", Endpoint("seat", "a017", options={"service": "crm"}), "seat://a017?service=crm", "seats", id="a service from a seat"),
        pytest.param("service+tcp://h:5061", Endpoint("service+tcp", "h", 5061), "service+tcp://h:5061", "service", id="TCP"),
        pytest.param("service+http://h", Endpoint("service+http", "h", 80, "/"), "service+http://h:80/", "service", id="web page"),
        pytest.param("service+https://crm.example/health%20check?status=204&text=%E6%AD%A3%E5%B8%B8&query=deep%3D1", Endpoint("service+https", "crm.example", 443, "/health%20check", options={"status": "204", "text": "正常", "query": "deep=1"}), "service+https://crm.example:443/health%20check?status=204&text=正常&query=deep=1", "service", id="web page over TLS"),
        pytest.param("service+dns://192.0.2.53/?name=crm.example", Endpoint("service+dns", "192.0.2.53", 53, options={"name": "crm.example"}), "service+dns://192.0.2.53:53?name=crm.example", "service", id="name server"),
        pytest.param("icmp://192.0.2.17", Endpoint("icmp", "192.0.2.17"), "icmp://192.0.2.17", "icmp", id="echo"),
        pytest.param("icmp://[2001:db8::7]", Endpoint("icmp", "2001:db8::7"), "icmp://[2001:db8::7]", "icmp", id="echo over IPv6"),
        pytest.param("ami://edge@pbx?endpoint=1017", Endpoint("ami", "pbx", 5038, user="edge", options={"endpoint": "1017"}), "ami://edge@pbx:5038?endpoint=1017", "ami://edge@pbx:5038", id="Asterisk"),
        pytest.param("ami+tls://edge@pbx?endpoint=1017&ca=ca.pem", Endpoint("ami+tls", "pbx", 5039, user="edge", options={"endpoint": "1017", "ca": "ca.pem"}), "ami+tls://edge@pbx:5039?endpoint=1017&ca=ca.pem", "ami+tls://edge@pbx:5039", id="Asterisk over TLS"),
        pytest.param("service+sip://2001@[2001:db8::7]", Endpoint("service+sip", "2001:db8::7", 5060, user="2001"), "service+sip://2001@[2001:db8::7]:5060", "service", id="SIP"),
    ],
)  # fmt: skip
def test_a_url_is_taken_apart(
    url: str, expected: Endpoint, spelled: str, medium: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGEAGENT_AMI", WORD)
    found = parse(url)
    secrets = {"community": "public"} if expected.options.get("version") in ("1", "2c") else {}
    if found.protocol == "ami":
        secrets = {"ami": WORD}
    assert found == Endpoint(
        expected.scheme, expected.host, expected.port, expected.path, expected.user, expected.options, secrets
    )
    assert str(found) == spelled
    assert found.medium == medium
    family = {"seat": "host", "icmp": "service"}.get(expected.scheme)
    assert found.protocol == (family or expected.scheme.partition("+")[0])


def test_units_of_one_gateway_share_a_medium() -> None:
    one, two, other = (parse(f"modbus://h:{port}?unit={unit}") for port, unit in ((502, 1), (502, 2), (503, 1)))
    assert one.medium == two.medium != other.medium
    assert (one.unit, two.unit) == (1, 2)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        pytest.param("192.0.2.7", '"192.0.2.7" is not a URL; write for example snmp://192.0.2.7?version=2c&community=…', id="no scheme"),
        pytest.param("smnp://h", 'unknown scheme "smnp", did you mean "snmp"?', id="scheme"),
        pytest.param("telnet://h", 'unknown scheme "telnet" (known: snmp, modbus, modbus+rtuovertcp, modbus+tls, modbus+rtu, serial, host, seat, service+tcp, service+http, service+https, service+dns, service+sip, icmp, ami, ami+tls)', id="another scheme"),
        pytest.param("snmp://", "a host is missing: snmp://host?…", id="no host"),
        pytest.param("snmp://h:99999", "Port out of range 0-65535", id="port"),
        pytest.param("snmp://h?comunity=x", 'unknown option "comunity", did you mean "community"?', id="option"),
        pytest.param("snmp://h?version=2c&version=1", 'option "version" stands twice', id="option twice"),
        pytest.param("snmp://h?version=2", 'unknown SNMP version "2", did you mean "2c"?', id="version"),
        pytest.param("snmp://h?engine=pysmp", 'unknown SNMP engine "pysmp", did you mean "pysnmp"?', id="engine"),
        pytest.param("snmp://h?version=3", "SNMPv3 needs a user: snmp://user@host?version=3", id="v3 without a user"),
        pytest.param("snmp://u:pw123456@h", "a password may not stand in the URL; use auth_secret and priv_secret", id="password"),
        pytest.param("snmp://u@h?auth=SHA-257", 'unknown auth protocol "SHA-257", did you mean "SHA-256"?', id="auth"),
        pytest.param("snmp://u@h?priv=AES-128-CFB", 'unknown priv protocol "AES-128-CFB", did you mean "AES-128"?', id="priv"),
        pytest.param("snmp://u@h?auth=none&priv=DES", "privacy without authentication does not exist in SNMPv3: set auth or priv=none", id="priv without auth"),
        pytest.param("snmp://u@h", 'secret "snmp-auth" is missing: no systemd credential, no EDGEAGENT_SNMP_AUTH', id="no secret"),
        pytest.param("snmp://u@h?auth=none&community=topsecret", 'option "community" does not go with version=3', id="community with v3"),
        pytest.param("snmp://h?auth=SHA-256", 'option "auth" does not go with version=2c', id="auth without v3"),
        pytest.param("snmp://h?community=x&community_secret=y", "both community and community_secret stand there; keep one", id="two communities"),
        pytest.param("snmp://h?community_secret=ups-a", 'secret "ups-a" is missing: no systemd credential, no EDGEAGENT_UPS_A', id="no community"),
        pytest.param("modbus://h", "the unit id is missing: ?unit=1 (there is no default, gateways differ)", id="no unit"),
        pytest.param("modbus://h?unit=256", "unit=256 is not a whole number from 0 to 255", id="unit"),
        pytest.param("modbus://h?unit=one", "unit=one is not a whole number from 0 to 255", id="unit in words"),
        pytest.param("modbus://?unit=1", "a host is missing: modbus://host?unit=1", id="Modbus without a host"),
        pytest.param("modbus://h?unit=1&baud=9600", 'unknown option "baud" (known: unit)', id="baud on TCP"),
        pytest.param("modbus+rtu://dev/ttyUSB0?unit=1", "write the port's full path after three slashes: modbus+rtu:///dev/serial/by-id/…", id="two slashes"),
        pytest.param("modbus+rtu:///dev/ttyUSB0?unit=1&parity=X", 'parity "X" is none of N, E, O', id="parity"),
        pytest.param("modbus+rtu:///dev/ttyUSB0?unit=1&baud=fast", "baud=fast is not a whole number from 50 to 4000000", id="baud"),
        pytest.param("seat://", "write the seat alone: seat://a017", id="no seat"),
        pytest.param("seat://a017:80", "write the seat alone: seat://a017", id="seat with a port"),
        pytest.param("seat://a017?service=CRM", '"CRM" is no name of a service: 1 to 20 of a-z, 0-9 and -', id="no name of a service"),
        pytest.param("seat://a017?service=", '"" is no name of a service: 1 to 20 of a-z, 0-9 and -', id="service without a name"),
        pytest.param("seat://a_017", '"a_017" is no id of a seat: 1 to 40 of a-z, 0-9 and -', id="no id of a seat"),
        pytest.param("service+tcp://h", "the port is missing: service+tcp://h:443 (TCP has no default)", id="no port"),
        pytest.param("service+tcp://:5061", "a host is missing: service+tcp://host", id="service without a host"),
        pytest.param("service+sip://h/x", "service+sip has no path: service+sip://h:5060", id="path"),
        pytest.param("service+https://u@h", "only a SIP address has a user", id="user of a web page"),
        pytest.param("service+http://h/a b", "the path may hold printable ASCII only; percent-encode the rest", id="blank in a path"),
        pytest.param("service+http://h?query=a%0d%0aHost:%20x", "query may hold printable ASCII only; percent-encode the rest", id="a second line in a query"),
        pytest.param("service+sip://a%0d%0ab@h", "the user may hold printable ASCII only; percent-encode the rest", id="a second line in a user"),
        pytest.param("service+http://h?status=2000", "status=2000 is not a whole number from 100 to 599", id="status"),
        pytest.param("service+http://h?ca=x", 'unknown option "ca" (known: query, status, text)', id="ca without TLS"),
        pytest.param("icmp://", "write the host alone: icmp://host (an echo has no port)", id="echo of nothing"),
        pytest.param("icmp://h:7", "write the host alone: icmp://host (an echo has no port)", id="echo with a port"),
        pytest.param("ami://pbx?endpoint=1", "write user and host of the Asterisk: ami://user@host?endpoint=1017", id="Asterisk without a user"),
        pytest.param("ami://u@pbx", "the phone is missing: ?endpoint=1017, as the Asterisk names it", id="no phone"),
        pytest.param("ami://u%0d%0aAction@pbx?endpoint=1", "the user may hold printable ASCII only", id="a second action in a user"),
        pytest.param("ami://u@pbx?endpoint=1&ami_secret=pbx-2", 'secret "pbx-2" is missing: no systemd credential, no EDGEAGENT_PBX_2', id="no secret of an Asterisk"),
        pytest.param("service+dns://h", "the name to ask for is missing: service+dns://resolver?name=crm.example", id="no name"),
        pytest.param("service+dns://h?name=a..b", 'name "a..b" is no domain name; write others than ASCII ones as xn--… (RFC 1035 §2.3)', id="name"),
        pytest.param("modbus+rtu:///dev/ttyUSB0?unit=1&stopbits=3", "stopbits=3 is not a whole number from 1 to 2", id="stop bits"),
    ],
)  # fmt: skip
def test_a_wrong_url_says_what_would_be_right(url: str, message: str) -> None:
    with pytest.raises(EndpointError) as caught:
        parse(url)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("written", "standard"),
    [
        ("md5", "MD5"),
        ("sha", "SHA-1"),
        ("SHA1", "SHA-1"),
        ("sha-256", "SHA-256"),
        ("SHA256", "SHA-256"),
        ("sha_512", "SHA-512"),
    ],
)
def test_authentication_is_spelled_one_way(tmp_path: Path, written: str, standard: str) -> None:
    found = parse(f"snmp://u@h?auth={written}&priv=none", keep(tmp_path, snmp_auth=WORD))
    assert found.options["auth"] == standard
    assert standard in AUTH


@pytest.mark.parametrize(("written", "standard"), [("des", "DES"), ("aes", "AES-128"), ("AES128", "AES-128"), ("aes-256", "AES-256")])  # fmt: skip
def test_privacy_is_spelled_one_way(tmp_path: Path, written: str, standard: str) -> None:
    found = parse(f"snmp://u@h?priv={written}", keep(tmp_path, snmp_auth=WORD, snmp_priv=WORD))
    assert found.options["priv"] == standard
    assert standard in PRIV


# Secrets.


@pytest.mark.parametrize(
    "url",
    [
        f"snmp://h?community={WORD}",
        "snmp://h?version=1&community_secret=ups-a",
        "snmp://u@h",
        "snmp://u@h?auth_secret=ups-a&priv_secret=ups-a",
    ],
)
def test_a_secret_is_kept_and_never_shown(tmp_path: Path, url: str) -> None:
    found = parse(url, keep(tmp_path, ups_a=WORD, snmp_auth=WORD, snmp_priv=WORD))
    assert set(found.secrets.values()) == {WORD}
    assert WORD not in str(found)
    assert WORD not in repr(found)
    assert WORD not in f"{found.options}"


@pytest.mark.parametrize(
    "url",
    [
        f"snmp//h?community={WORD}",
        f"h?community={WORD}",
        f"snmp://h?comunity={WORD}",
        f"snmp://h:port?community={WORD}",
        f"snmp://?community={WORD}",
        f"snmp://h?version=9&community={WORD}",
        f"snmp://u@h?community={WORD}",
        f"snmp://u:{WORD.replace(' ', '')}@h",
        f"modbus://h?community={WORD}",
    ],
)
def test_no_message_shows_a_secret(url: str) -> None:
    with pytest.raises(EndpointError) as caught:
        parse(url)
    assert WORD not in str(caught.value)
    assert WORD.replace(" ", "") not in str(caught.value)


def test_a_secret_comes_from_systemd_then_the_environment_then_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, credentials = tmp_path / "secrets", tmp_path / "credentials"
    folder.mkdir()
    credentials.mkdir()
    assert secret("ups-a", folder) is None
    assert secret("ups-a") is None
    assert secret("ups-a", keep(folder, ups_a="of the folder")) == "of the folder"
    monkeypatch.setenv("EDGEAGENT_UPS_A", "of the environment")
    assert secret("ups-a", folder) == "of the environment"
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(keep(credentials, ups_a="of systemd")))
    assert secret("ups-a", folder) == "of systemd"


def test_a_secret_is_no_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "secrets").mkdir()
    keep(tmp_path, ups_a=WORD)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path / "secrets"))
    assert secret("../ups-a", tmp_path / "secrets") is None


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o620])
def test_a_secret_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    with pytest.raises(EndpointError, match="ups-a may be read by others; chmod 600 it"):
        secret("ups-a", keep(tmp_path, mode, ups_a=WORD))


def test_a_secret_that_is_no_text_is_refused(tmp_path: Path) -> None:
    keep(tmp_path, ups_a=WORD)
    (tmp_path / "ups-a").write_bytes(b"\xff\xfe")
    with pytest.raises(EndpointError, match="ups-a is not UTF-8 text"):
        secret("ups-a", tmp_path)


def test_a_short_v3_secret_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EndpointError, match=r'"snmp-auth" is shorter than 8 characters \(RFC 3414 §11.2\)'):
        parse("snmp://u@h", keep(tmp_path, snmp_auth="1234567", snmp_priv=WORD))


@given(url=st.text(max_size=60) | st.from_regex(r"(snmp|modbus|modbus\+rtu|serial|host)://[ -~]{0,40}", fullmatch=True))
def test_any_text_is_a_url_or_a_clear_refusal(url: str) -> None:
    try:
        found = parse(url)
    except EndpointError as error:
        assert str(error)  # noqa: PT017 - either way is right
    else:
        assert parse(url) == found


@pytest.mark.parametrize(
    ("word", "hint"),
    [("onn", ', did you mean "on"?'), ("zzz", " (known: off, on)")],
)
def test_the_nearest_word_is_offered_or_all_of_them(word: str, hint: str) -> None:
    assert nearest(word, ("off", "on")) == hint


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        pytest.param("apc", 'did you mean "ats/apc-rack" or "ups/apc-powernet"?', id="the maker"),
        pytest.param("ups/apc", 'did you mean "ups/apc-powernet"?', id="the begin, rather than what looks like it"),
        pytest.param("UPS/PPC", 'did you mean "ups/ppc"?', id="in capitals"),
        pytest.param("dse", 'did you mean "ats/dse-gencomm"?', id="words, not letters amid one"),
        pytest.param("ps", "(known: headset/host, ups/apc-powernet, ups/ppc, ats/apc-rack, ats/dse-gencomm)", id="too short"),
    ],
)  # fmt: skip
def test_a_part_of_a_word_finds_it(word: str, hint: str) -> None:
    assert nearest(word, ("headset/host", "ups/apc-powernet", "ups/ppc", "ats/apc-rack", "ats/dse-gencomm")).endswith(
        hint
    )


def test_a_secret_that_is_nowhere_is_told_with_all_places_where_it_may_be(tmp_path: Path) -> None:
    with pytest.raises(EndpointError) as caught:
        needed("ups-a", tmp_path)
    assert str(caught.value) == (
        f'secret "ups-a" is missing: no systemd credential, no EDGEAGENT_UPS_A, no {tmp_path}/ups-a'
    )
