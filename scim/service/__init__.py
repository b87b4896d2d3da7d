"""The operations of RFC 7644 §3: one async function each, from a request to a response."""
