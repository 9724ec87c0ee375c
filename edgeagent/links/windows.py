"""What Windows tells and psutil does not: the commit charge, and which audio endpoints there are.

Written after the documents named here and not tried on a Windows machine. It opens no device: the list of endpoints is
read from the registry, which a service in session 0 may read and which needs no COM.
"""

from __future__ import annotations

import ctypes
import sys
from typing import Final

_ENDPOINTS: Final = r"SOFTWARE\Microsoft\Windows\CurrentVersion\MMDevices\Audio"
_ACTIVE: Final = 1
"""DEVICE_STATE_ACTIVE (mmdeviceapi.h): present and enabled; a jack without a plug is not."""
_SIZE: Final = ctypes.c_size_t


class _Performance(ctypes.Structure):
    """PERFORMANCE_INFORMATION of psapi.h; commit figures are in pages."""

    _fields_ = (
        ("cb", ctypes.c_uint32), ("commit_total", _SIZE), ("commit_limit", _SIZE), ("commit_peak", _SIZE),
        ("physical_total", _SIZE), ("physical_available", _SIZE), ("system_cache", _SIZE), ("kernel_total", _SIZE),
        ("kernel_paged", _SIZE), ("kernel_nonpaged", _SIZE), ("page_size", _SIZE), ("handles", ctypes.c_uint32),
        ("processes", ctypes.c_uint32), ("threads", ctypes.c_uint32),
    )  # fmt: skip


def commit_percent() -> float:
    """Return how much of what Windows can promise is promised, %: at 100 programs fail, whatever memory is free.

    Raises:
        OSError: Windows does not say.
        NotImplementedError: this is no Windows.
    """
    if sys.platform != "win32":
        raise NotImplementedError
    found = _Performance(cb=ctypes.sizeof(_Performance))
    if not ctypes.WinDLL("psapi", use_last_error=True).GetPerformanceInfo(ctypes.byref(found), found.cb):
        raise ctypes.WinError(ctypes.get_last_error())
    return 100.0 * float(found.commit_total) / max(float(found.commit_limit), 1.0)


def endpoints(flow: str) -> int:
    """Count the audio endpoints in use, `flow` being Capture or Render.

    Raises:
        OSError: the registry does not say.
        NotImplementedError: this is no Windows.
    """
    if sys.platform != "win32":
        raise NotImplementedError
    import winreg

    access = winreg.KEY_READ | winreg.KEY_WOW64_64KEY
    active = 0
    with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, f"{_ENDPOINTS}\\{flow}", 0, access) as folder:
        for number in range(winreg.QueryInfoKey(folder)[0]):
            with winreg.OpenKey(folder, winreg.EnumKey(folder, number), 0, access) as endpoint:
                active += (winreg.QueryValueEx(endpoint, "DeviceState")[0] & 0xF) == _ACTIVE
    return active
