"""The platform itself: roles, room on the disk, the object store."""

from __future__ import annotations

import asyncio
import secrets
import shutil

from opsplane.ops.check import Finding, Part, Scene

FREE_SHARE, FREE_BYTES = 0.05, 1 << 30


class Roles:
    """Every engine and role is healthy."""

    name, needs, daily = "roles", (), False

    async def look(self, scene: Scene) -> list[Finding]:
        """One finding for each that is not, but for engines that do not answer: those have one already."""
        return [
            Finding(
                check=self.name,
                severity="critical",
                summary=f"The {role.kind} {role.name} is {role.health}.",
                evidence={"name": role.name, "health": role.health, "restarts": role.restarts},
                repair=scene.start(role.name),
                runbook="docs/runbooks/role-down.md",
                since=role.since,
            )
            for role in scene.roles
            if role.health != "healthy" and role.name not in scene.absent
        ]


class Disk:
    """There is room where the installation's data is: `free` bytes, or `share` of a smaller disk."""

    name, needs, daily = "disk", (), False

    def __init__(self, free: int = FREE_BYTES, share: float = FREE_SHARE) -> None:
        self._free = free
        self._share = share

    async def look(self, scene: Scene) -> list[Finding]:
        """A finding when there is less of both."""
        usage = await asyncio.to_thread(shutil.disk_usage, scene.state)
        if usage.free > min(self._free, usage.total * self._share):
            return []
        return [
            Finding(
                check=self.name,
                severity="critical",
                summary=f"Only {usage.free >> 20} MiB are free below {scene.state}.",
                evidence={"freeBytes": usage.free, "totalBytes": usage.total},
                repair=scene.command("doctor"),
                runbook="docs/runbooks/disk-full.md",
                first="Make room on the volume; what takes it stands in the runbook.",
            )
        ]


class Objects:
    """The object store takes a small object, gives it back as it was, and forgets it."""

    name, daily = "object store", True
    needs: tuple[Part, ...] = ("objects",)

    async def look(self, scene: Scene) -> list[Finding]:
        """A finding when one of the three fails."""
        fault = await self._fault(scene)
        if fault is None:
            return []
        step, error = fault
        return [
            Finding(
                check=self.name,
                severity="critical",
                summary=f"The object store could not {step} a small object.",
                evidence={"step": step, "error": error},
                repair=scene.command("doctor"),
                runbook="docs/runbooks/object-store.md",
            )
        ]

    async def _fault(self, scene: Scene) -> tuple[str, str] | None:
        store, key, content = scene.objects, f"checks/{secrets.token_hex(8)}", secrets.token_bytes(64)
        if store is None:
            return "reach", "No store was opened."
        step = "write"
        try:
            await store.put(key, content)
            step = "give back"
            found = await store.read(key)
            step = "delete"
            await store.delete(key)
            left = await store.head(key)
        except Exception as error:  # noqa: BLE001  whatever a store raises is the evidence
            return step, f"{type(error).__name__}: {error}"
        if found != content:
            return "give back", f"{len(found)} other bytes came back than the {len(content)} written."
        return ("delete", "It is still there.") if left is not None else None
