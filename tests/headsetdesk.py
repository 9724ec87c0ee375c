"""A desk of mocked USB devices (umockdev), for what goes through the system's own libraries.

A story that needs it runs in a process of its own, in which all of /sys and /dev is the desk's:

    seen = play(_story)  # _story(desk: Desk) -> object, a function of a test module; what it returns comes as JSON
"""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

import pytest

from tests.headsetbed import Model, Plug, cards

ROOT: Final = Path(__file__).resolve().parent.parent

needs_umockdev = pytest.mark.skipif(
    sys.platform != "linux" or shutil.which("umockdev-wrapper") is None,
    reason="umockdev mocks the USB devices here: install what Debian calls umockdev",
)


def blocks(plug: Plug) -> list[str]:
    """Describe it to umockdev, parents first."""
    model, number = plug.model, plug.number
    ids = f"{model.vendor:04x}/{model.product:x}/{model.release:x}"
    face = f"E: DEVTYPE=usb_interface\nE: SUBSYSTEM=usb\nE: PRODUCT={ids}\n"
    usb = f"""P: {plug.usb}
N: bus/usb/001/{number + 2:03d}
E: DEVNAME=/dev/bus/usb/001/{number + 2:03d}
E: DEVTYPE=usb_device
E: SUBSYSTEM=usb
E: PRODUCT={ids}
A: idVendor={model.vendor:04x}\\n
A: idProduct={model.product:04x}\\n
A: bcdDevice={model.release:04x}\\n
A: manufacturer={model.maker}\\n
A: product={model.name}\\n
A: serial={model.serial}\\n
"""
    audio = f"P: {plug.usb}/{plug.port}:1.0\n{face}A: bInterfaceClass=01\\n\n"
    buttons = f"P: {plug.face}\n{face}A: bInterfaceNumber=03\\n\nA: bInterfaceClass=03\\n\n"
    hid = f"""P: {plug.hid}
E: SUBSYSTEM=hid
E: HID_ID=0003:{model.vendor:08X}:{model.product:08X}
E: HID_NAME={model.maker} {model.name}
E: HID_UNIQ={model.serial}
E: HID_PHYS=usb-0000:00:14.0-2/input3
H: report_descriptor={model.descriptor.hex().upper()}
"""
    hidraw = f"""P: {plug.hidraw}
N: hidraw{number}
E: DEVNAME=/dev/hidraw{number}
E: MAJOR=245
E: MINOR={number}
E: SUBSYSTEM=hidraw
A: dev=245:{number}\\n
L: device=../../../{plug.hid.rsplit("/", 1)[1]}
"""
    return [usb, *([audio] if model.audio else []), buttons, hid, hidraw]


class Desk:
    """The USB ports of a workstation, in a umockdev testbed; for a process that runs under `umockdev-wrapper`."""

    def __init__(self) -> None:
        self._lib = ctypes.CDLL("libumockdev.so.0")
        for name in ("new", "get_root_dir", "add_device"):
            getattr(self._lib, f"umockdev_testbed_{name}").restype = ctypes.c_void_p
        self._bed = ctypes.c_void_p(self._lib.umockdev_testbed_new())
        self._next = 0
        self.plugs: dict[str, Plug] = {}
        root = self._lib.umockdev_testbed_get_root_dir(self._bed)
        self.root = Path(ctypes.string_at(root).decode())
        self.now = 1000.0

    def clock(self) -> float:
        return self.now

    def _call(self, name: str, *args: str) -> None:
        error = ctypes.c_void_p()
        words = [arg.encode() for arg in args]
        if not getattr(self._lib, f"umockdev_testbed_{name}")(self._bed, *words, ctypes.byref(error)):
            raise RuntimeError(f"umockdev: {name} {args}")

    def plug(self, model: Model, port: str = "1-2") -> Plug:
        """Plug a model in; each time it becomes another hidraw, as umockdev asks for a number of its own."""
        plug = self.plugs[port] = Plug(model, port, self._next)
        self._next += 1
        for block in blocks(plug):
            self._call("add_from_string", f"{block}\n")
        size = len(model.descriptor)
        described = size.to_bytes(4, "little") + model.descriptor.ljust(4096, b"\0")
        ioctl = self.root / f"hidraw{plug.number}.ioctl"
        ioctl.write_text(
            f"@DEV /dev/hidraw{plug.number}\nHIDIOCGRDESCSIZE 0 {size.to_bytes(4, 'little').hex().upper()}\n"
            f"HIDIOCGRDESC 0 {described.hex().upper()}\n",
            encoding="ascii",
        )
        self._call("load_ioctl", f"/dev/hidraw{plug.number}", str(ioctl))
        return plug

    def unplug(self, port: str = "1-2") -> None:
        plug = self.plugs.pop(port)
        for block in reversed(blocks(plug)):
            path = block.split("\n", 1)[0].removeprefix("P: ")
            self._lib.umockdev_testbed_uevent(self._bed, f"/sys{path}".encode(), b"remove")
            self._lib.umockdev_testbed_remove_device(self._bed, f"/sys{path}".encode())

    def says(self, plug: Plug, dialogue: Iterable[tuple[str, bytes]]) -> None:
        """Let the device take ("w") and give ("r") these reports in this order, once."""
        lines = [f"d 0 /dev/hidraw{plug.number}"]
        lines += [f"{way} {1 if way == 'r' else 0} {_escaped(data)}" for way, data in dialogue]
        script = self.root / f"hidraw{plug.number}.script"
        script.write_bytes("\n".join(lines).encode("latin-1") + b"\n")
        self._call("load_script", f"/dev/hidraw{plug.number}", str(script))

    def battery(self, name: str, parent: str | None = None, **attributes: str) -> str:
        """Add a battery of a device, below a device of sysfs where one is named."""
        path = f"{parent or '/devices/virtual'}/power_supply/{name}"
        lines = "".join(f"A: {key}={value}\\n\n" for key, value in attributes.items())
        self._call("add_from_string", f"P: {path}\nE: SUBSYSTEM=power_supply\nE: POWER_SUPPLY_NAME={name}\n{lines}\n")
        return f"/sys{path}"

    def set(self, path: str, name: str, value: str) -> None:
        self._lib.umockdev_testbed_set_attribute(self._bed, path.encode(), name.encode(), f"{value}\n".encode())

    def remove(self, path: str) -> None:
        self._lib.umockdev_testbed_remove_device(self._bed, path.encode())

    def serial(self, name: str, port: str) -> None:
        """Add a serial device: on the USB bus, as all that count are."""
        usb = f"/devices/pci0000:00/0000:00:14.0/usb1/{port}"
        self._call(
            "add_from_string",
            f"P: {usb}\nE: DEVTYPE=usb_device\nE: SUBSYSTEM=usb\nA: idVendor=0b0e\\n\n"
            "A: idProduct=1017\\n\nA: bNumInterfaces=1\\n\n\n"
            f"P: {usb}/{port}:1.0\nE: DEVTYPE=usb_interface\nE: SUBSYSTEM=usb\nA: bInterfaceNumber=00\\n\n\n"
            f"P: {usb}/{port}:1.0/tty/{name}\nN: {name}\nE: DEVNAME=/dev/{name}\nE: SUBSYSTEM=tty\n"
            f"E: MAJOR=166\nE: MINOR=0\nA: dev=166:0\\n\nL: device=../../../{port}:1.0\n\n",
        )

    def cards(self, *plugs: Plug) -> None:
        """Let ALSA list a sound card for each of these."""
        cards(self.root / "proc", plugs)


def _escaped(data: bytes) -> str:
    return "".join(f"^{chr(octet + 64)}" if octet < 32 else "^`" if octet == 0x5E else chr(octet) for octet in data)


def play(story: Callable[[Desk], object]) -> Any:  # noqa: ANN401 - JSON
    """Run a story in a process of its own, in which all of /sys and /dev is its desk's."""
    name = f"{story.__module__}:{story.__name__}"
    ran = subprocess.run(
        ["umockdev-wrapper", sys.executable, "-m", "tests.headsetdesk", name],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    if ran.returncode:
        pytest.fail(f"{name} ended with {ran.returncode}:\n{ran.stderr}")
    return json.loads(ran.stdout)


if __name__ == "__main__":
    module, _, function = sys.argv[1].partition(":")
    json.dump(getattr(importlib.import_module(module), function)(Desk()), sys.stdout)
    sys.stdout.flush()
    os._exit(0)  # umockdev's emulators stand in the way of an orderly end
