"""The change feed: every change of a tenant in one gap-free order, for the application that was bought to have it.

`backlog.py` tells which rows of the outbox may go into the log, and in which order; `sequencer.py` moves them; `log.py`
reads, and forgets what is old; `events.py` says what an event is; `following.py` does all of it behind the requests.
"""
