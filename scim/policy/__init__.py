"""Policies: what an identity provider's writes mean for the product, as the vendor says for each tenant.

A policy never makes a request fail that is right by SCIM, but for what the vendor protects (guard.py). All else is
decided where changes become events, by the sequencer of the change feed, which is the only one that writes what follows
from them: so it is exact without a lock in a request (deciding.py, seats.py, holding.py). The client gets its 2xx; the
vendor's application is told what counts.
"""
