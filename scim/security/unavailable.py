"""What whoever looks up callers raises if it cannot tell: the client is to come again, and is not refused."""


class SecretsUnavailable(Exception):
    """The source of connections or keys does not answer; what it would say is not known."""
