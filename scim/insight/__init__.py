"""What an operator asks at 2 a.m.: why somebody is not there, what happened, and how a connection does.

Nothing here is loaded for a request that succeeds. `recorder.py` keeps who was refused (`failures.py`, found by
`subjects.py`) and what was counted (`counts.py`) behind the responses; `keeping.py` rolls it up and forgets it after 30
days. `why.py`, `history.py` and `status.py` answer; `python -m scim` and /manage show the same answers.
"""
