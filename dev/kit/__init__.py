"""What the tools in dev/ share: a SCIM client, and what it sends."""
