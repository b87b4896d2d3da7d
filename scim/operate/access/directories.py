"""From which directory of an identity provider a tenant's admins sign in: Entra calls its id `tid`.

The settings may say so, and come first. Otherwise an admin does who was invited by a link and signs in from the
directory: two rows, so that a directory has one tenant and a tenant one directory, whoever comes at the same time.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping

from scim.store import properties, shared_keys
from scim.store.shared_keys import SHARED
from scim.store.table import Partition, Refused, Table, Write
from scim.store.transactions import commit_surely, remove_rows


class Directories:
    """Which directory is whose; `fixed` are those of the settings, by tenant. Every method raises TableUnavailable."""

    def __init__(self, table: Table, fixed: Mapping[str, str]) -> None:
        self._shared = Partition(table, SHARED)
        self._fixed = fixed
        self._tenants = {directory: tenant for tenant, directory in fixed.items()}

    async def find_tenant(self, directory: str) -> str | None:
        """Return the tenant whose admins sign in from a directory; None if none does."""
        if directory in self._tenants:
            return self._tenants[directory]
        row = await self._shared.read(shared_keys.directory_key(directory))
        tenant = str(row.values["tenant"]) if row else None
        return None if tenant in self._fixed else tenant  # the settings name another one for it

    async def find_directory(self, tenant: str) -> str | None:
        """Return the directory that a tenant's admins sign in from; None if there is none yet."""
        if tenant in self._fixed:
            return self._fixed[tenant]
        row = await self._shared.read(shared_keys.directory_of_key(tenant))
        return str(row.values["directory"]) if row else None

    async def bind(self, directory: str, tenant: str) -> bool:
        """Have a tenant's admins sign in from a directory; whether they do now. False if the directory is another
        tenant's, or the tenant has another one."""
        if tenant not in self._fixed and directory not in self._tenants:
            values = {"v": properties.FORMAT, "directory": directory, "tenant": tenant}
            writes = [
                Write("insert", shared_keys.directory_key(directory), values),
                Write("insert", shared_keys.directory_of_key(tenant), values),
            ]
            try:
                await commit_surely(self._shared, writes)
            except Refused:  # one of the rows is there, perhaps from our own first try
                pass
        return await self.find_tenant(directory) == tenant

    async def list(self) -> AsyncIterator[tuple[str, str]]:
        """The tenants and their directories, those of the settings first."""
        for tenant, directory in self._fixed.items():
            yield tenant, directory
        async for page in self._shared.pages(*shared_keys.directories_range()):
            for row in page:
                if row.values["tenant"] not in self._fixed and row.values["directory"] not in self._tenants:
                    yield str(row.values["tenant"]), str(row.values["directory"])

    async def release(self, tenant: str) -> bool:
        """Have nobody sign in for a tenant from the directory that an admin named; whether there was one."""
        row = await self._shared.read(shared_keys.directory_of_key(tenant))
        if row is None:
            return False
        await remove_rows(self._shared, [shared_keys.directory_key(str(row.values["directory"])), row.key])
        return True
