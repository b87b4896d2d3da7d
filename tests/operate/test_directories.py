"""`python -m scim console directories|release`: whose people sign in to the console from which directory."""

from __future__ import annotations

from scim.app import Application
from scim.operate.access.directories import Directories
from tests.operate.conftest import Operator
from tests.support import Client


async def test_directories_are_listed_and_released(
    operator: Operator, application: Application, client: Client
) -> None:
    tenant, directories = client.tenant, Directories(application.table, {})
    directory = f"directory of {tenant}"
    assert await directories.bind(directory, tenant)
    assert {"tenant": tenant, "directory": directory} in await operator.tool("console", "directories")
    assert directory in await operator.run("console", "directories")
    assert "Nobody signs in" in await operator.run("console", "release", tenant)
    assert await directories.find_tenant(directory) is None
    assert f"{tenant} has named no directory" in await operator.refused("console", "release", tenant)


async def test_an_erased_tenant_has_no_directory(operator: Operator, application: Application, client: Client) -> None:
    tenant, directories = client.tenant, Directories(application.table, {})
    directory = f"directory of {tenant}"
    assert await directories.bind(directory, tenant)
    await operator.run("tenants", "erase", tenant, "--confirm", tenant)
    assert await directories.find_tenant(directory) is None
    assert await directories.bind(directory, "another-tenant")
    await directories.release("another-tenant")
