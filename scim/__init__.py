"""A SCIM 2.0 service provider (RFC 7643, RFC 7644) that keeps its data in Azure Table Storage.

Nothing in this package knows Azure Functions: function_app.py hands it requests and takes its responses.
docs/architecture.md shows the floors; imports only ever run downwards.
"""

__version__ = "0.1.0"
"""The version whose changes CHANGELOG.md lists (semantic versioning)."""
