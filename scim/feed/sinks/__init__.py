"""Sinks: where the vendor's application is told of events, instead of asking for them (docs/application.md).

A webhook gets the events themselves, in order; the doorbell is a queue that is told which tenant has news. Only the
operator sets sinks up. `document.py` says what a sink is and where it is kept; `state.py` how far a webhook has come
with a tenant; `messages.py` what is sent and how it is signed; `client.py` how, and to which addresses alone;
`webhooks.py` delivers; `doorbell.py` rings.
"""
