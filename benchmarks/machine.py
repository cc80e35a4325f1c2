"""What the figures come from: the machine in words."""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path

__all__ = ["describe"]


def describe() -> dict[str, str]:
    """Processor, cores, memory, kernel, system."""
    processor = re.search(r"^model name\s*:\s*(.+)$", _read("/proc/cpuinfo"), re.MULTILINE)
    virtual = "hypervisor" in _read("/proc/cpuinfo")
    memory = re.search(r"^MemTotal:\s*(\d+)", _read("/proc/meminfo"), re.MULTILINE)
    system = re.search(r'^PRETTY_NAME="?([^"\n]+)', _read("/etc/os-release"), re.MULTILINE)
    return {
        "processor": (processor[1] if processor else platform.processor() or "unknown")
        + (", in a virtual machine" if virtual else ""),
        "cores": f"{len(os.sched_getaffinity(0))} (server and load pinned to different ones)"
        if len(os.sched_getaffinity(0)) > 1
        else "1 (server and load share it: the figures are disturbed)",
        "memory": f"{int(memory[1]) / 2**20:.1f} GiB" if memory else "unknown",
        "Python": f"{platform.python_version()}, built with {platform.python_compiler()}",
        "kernel": platform.release(),
        "system": system[1] if system else platform.system(),
    }


def _read(path: str) -> str:
    file = Path(path)
    return file.read_text() if file.exists() else ""
