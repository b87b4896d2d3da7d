"""The noun `tenants`."""

from __future__ import annotations

import click

from scim.operate.tool.command import Noun


@click.group("tenants", cls=Noun)
def group() -> None:
    """A tenant's life: what there is, backup and restore, erasure, a move to another account.

    A tenant is one customer: all rows of one partition of the table. Table Storage has no backup and no way to delete a
    partition, so these commands are how both are done. Whoever runs them needs the role Storage Table Data Reader on
    the storage account, and Storage Table Data Contributor for what writes.
    """
