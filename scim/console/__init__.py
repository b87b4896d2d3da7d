"""The console: pages for the operators of all tenants, and for a customer's admin of one.

`visit.py` is what a page is given and answers, `pages/` are the pages, `rendering.py` makes HTML of their templates,
`words.py` has every text that they show. No request to the SCIM service loads any of it.
"""
