"""`python -m dev.chaos`: identity providers at work while the table, the network and the process fail.

Several clients provision over HTTP into processes of the app, whose clocks are apart (app.py, clock.py). Each reaches
Azurite through a proxy of its own, which injects faults by a seed (faults.py, proxy.py). The processes and Azurite are
killed and started again on the way (machines.py, failures.py).

Two kinds of work are done at once. Resources that one client writes to, each knowing what was acknowledged and what has
an unknown outcome (model.py, client.py, work.py). And a few that all clients of a tenant write to without waiting for
each other (rival.py, changes.py), where every request is kept with its times and its outcome (contest.py). Whenever the
clients rest, and at the end (run.py), what is there is held against both (verify.py, judge.py, order.py).
"""
