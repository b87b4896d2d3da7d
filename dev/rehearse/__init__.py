"""A rehearsal: Microsoft Entra ID's provisioning service, played against any SCIM 2.0 endpoint.

`python -m dev.rehearse --help` says how. The package is a client on its own: it knows SCIM and what Entra sends, and
nothing of any server. Read it in this order: `directory` (what Entra holds), `mapping` and `dialect` (what it sends of
that), `client` (how), `engine` (when), `compare` (what must be there afterwards), `scenarios`, `validator`, `gallery`
(what is played), `explain` and `verdict` (what it means), `results` (the one model of all that came out, read by the
`report_*` modules).
"""
