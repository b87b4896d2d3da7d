"""`python -m scim tenants`: a module for each verb, whose `command` is added to the group here."""

from scim.operate.tool.tenants.group import group

__all__ = ["group"]
