"""The filter and path language of RFC 7644 §3.4.2.2 and §3.5.2: text -> tree -> predicate. No storage in it."""
