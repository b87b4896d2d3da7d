"""`python -m scim tenants`: a module for each verb. Importing it adds the verb, in this order."""

# isort: off
import scim.operate.tool.tenants.list_
import scim.operate.tool.tenants.size
import scim.operate.tool.tenants.check
import scim.operate.tool.tenants.reindex
import scim.operate.tool.tenants.export
import scim.operate.tool.tenants.import_
import scim.operate.tool.tenants.move
import scim.operate.tool.tenants.erase  # noqa: F401

# isort: on
from scim.operate.tool.tenants.group import group

__all__ = ["group"]
