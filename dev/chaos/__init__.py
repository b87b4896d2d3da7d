"""`python -m dev.chaos`: identity providers at work while the table, the network and the process fail.

Several clients provision over HTTP into the app, which runs in a process of its own and reaches Azurite through a proxy
that injects faults by a seed (faults.py, proxy.py). The app and Azurite are killed and started again on the way
(machines.py). Each client knows what was acknowledged and what has an unknown outcome (model.py, requests.py, work.py),
and the run ends with the question whether that is what is there (verify.py).
"""
