"""What the system says of the processor: its name, its family and its caches."""

import functools
import platform
import re
import subprocess
from pathlib import Path

_SYSTEM = Path("/sys/devices/system/cpu/cpu0/cache")
_UNITS = {"": 1, "K": 2**10, "M": 2**20}


@functools.cache
def caches() -> dict[str, int]:
    """Bytes of the caches that hold data, by level ("L1", "L2", ...); empty where the system does not tell."""
    return _caches_of(_SYSTEM) or _caches_of_darwin()


def first_level_cache() -> int | None:
    """Bytes of the first-level data cache of a core; None where the system does not tell."""
    return caches().get("L1")


def _caches_of(folder: Path) -> dict[str, int]:
    """Sizes from Linux's description of one processor."""
    found = {}
    for index in sorted(folder.glob("index*")):
        try:
            level, kind, size = ((index / name).read_text().strip() for name in ("level", "type", "size"))
        except OSError:
            continue
        parts = re.fullmatch(r"(\d+)([KM]?)", size)
        if kind in ("Data", "Unified") and parts and int(parts[1]):
            found[f"L{level}"] = int(parts[1]) * _UNITS[parts[2]]
    return found


def _caches_of_darwin() -> dict[str, int]:
    """Sizes from macOS."""
    if platform.system() != "Darwin":
        return {}
    found = {}
    for level, name in (("L1", "hw.perflevel0.l1dcachesize"), ("L2", "hw.perflevel0.l2cachesize")):
        try:
            told = subprocess.run(["/usr/sbin/sysctl", "-n", name], capture_output=True, text=True, timeout=5)
            found[level] = int(told.stdout)
        except (OSError, ValueError, subprocess.TimeoutExpired):
            continue
    return found


@functools.cache
def description() -> dict[str, str]:
    """Vendor, family, model and name of the processor as the system tells them; empty where it does not."""
    wanted = {"vendor_id": "vendor", "cpu family": "family", "model": "model", "model name": "name"}
    found: dict[str, str] = {}
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            for line in file:
                key, _, value = line.partition(":")
                if key.strip().lower() in wanted:
                    found.setdefault(wanted[key.strip().lower()], value.strip())
                elif not line.strip() and found:
                    break  # the first processor
    except OSError:
        pass
    return found
