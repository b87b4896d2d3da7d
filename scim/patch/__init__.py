"""PATCH (RFC 7644 §3.5.2): entra.py reads a PATCH body in any dialect, apply.py applies it to a document."""
