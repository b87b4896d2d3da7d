"""The operator's tool for connections: `python -m scim.connections --help`."""
