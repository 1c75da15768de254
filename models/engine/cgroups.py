"""Where Linux keeps the limits of this process: the folders of its control groups, version 2 and 1."""

from __future__ import annotations

from pathlib import Path


def control_group_folders(root: Path, controller: str) -> list[Path]:
    """Folders of the process's own group and of all above it.

    Args:
        root: where /proc and /sys are looked for.
        controller: ``cpu`` or ``memory``; version 1 has a tree for each.
    """
    try:
        lines = (root / "proc/self/cgroup").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return []
    folders: list[Path] = []
    for line in lines:
        _, _, rest = line.partition(":")
        controllers, _, group = rest.partition(":")
        if controllers and controller not in controllers.split(","):
            continue
        mount = root / "sys/fs/cgroup" / (controller if controllers else "")
        # Inside a container the path may be the host's, which is not mounted: the parents are.
        folder = mount / group.lstrip("/")
        folders += [folder, *(parent for parent in folder.parents if parent.is_relative_to(mount))]
    return folders
