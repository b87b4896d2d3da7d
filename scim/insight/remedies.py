"""What whoever manages the provisioning in Entra does about a refusal: the names are those of Entra's own pages."""

from __future__ import annotations

from scim.insight.failures import Failure

MAPPING = "in Entra, open the enterprise application, Provisioning, Attribute mapping"
ON_DEMAND = "Then use Provision on demand for this one: it answers within half a minute."
NEVER_TRIED = (
    "In Entra, open the enterprise application, Provisioning, Provision on demand, and choose this one: it says within "
    "half a minute why it is left out. Usual reasons: it is not assigned to the application (Users and groups; members "
    "of a group inside an assigned group are not taken), a scoping filter leaves it out, its only role is Default "
    "Access, or the next cycle has not come to it (one every 40 minutes, the first may take hours)."
)
NOBODY_CALLS = (
    "In Entra, open the enterprise application, Provisioning: is it started, and not in quarantine? Test connection "
    "must reach this tenant's URL with its credential; here, connections list shows which there are."
)
NOT_IN_GROUP = (
    "In Entra, look whether the group itself is assigned to the application (members of a group inside it are not "
    "taken), whether the user is a direct member of it, and use Provision on demand for the group."
)
_BY_RULE = {
    "unique": "Somebody else has this value already: {why} shows who. Either " + MAPPING + " and match on an attribute "
    "that is the same for both, so that Entra takes over the one that is there, or change the value of one of them.",
    "required": MAPPING[0].upper() + MAPPING[1:] + ": map {attribute} to a source attribute that is never empty, or "
    "give it a default value.",
    "type": MAPPING[0].upper() + MAPPING[1:] + ": {attribute} is mapped to a source of another type; correct it.",
    "value": MAPPING[0].upper()
    + MAPPING[1:]
    + ": correct what {attribute} is mapped to, or the value in the directory.",
    "limit": "Send less: the text names the limit; shorten the value in the directory, or take it out of the mapping.",
    "quota": "The tenant is full: delete what is not needed, or raise its quota here (the text names the setting).",
    "read-only": MAPPING[0].upper() + MAPPING[1:] + ": take {attribute} out of the mapping.",
    "immutable": MAPPING[0].upper() + MAPPING[1:] + ": set {attribute} to apply only during object creation.",
    "syntax": "The request cannot be read: look for an expression in the attribute mapping that makes no valid value.",
}
_BY_STATUS = {
    404: "Entra knows this one by an id that is no longer here. In Entra, Provisioning, Restart provisioning makes it "
    "match anew; for this one alone, use Provision on demand.",
    409: "It was changed by another request at the same moment, or is taken: Entra sends it again by itself.",
    413: "The request is too large: Entra sends a large group in parts; anybody else must split it.",
}
_BY_REASON = {
    "expired": "The credential has expired: have a new key made for connection {connection} (in the console, or with "
    "connections rotate {connection}), enter it in Entra under Provisioning > Connectivity, test the connection, and "
    "start provisioning again if it is in quarantine.",
    "revoked": "The credential was revoked here; what connection {connection} has says when. Have another key made (in "
    "the console, or with connections rotate {connection}), and enter it in Entra under Provisioning > Connectivity.",
    "paused": "Connection {connection} is paused here: resume it (in the console, or with connections resume "
    "{connection}); Entra sends what failed.",
    "read-only": "Connection {connection} may only read: give Entra the credential of one that may write.",
    "wrong-kind": "What was entered in Entra is a credential of another kind: compare it with what connection "
    "{connection} is (in the console, or with connections show {connection}).",
    "mistrusted": "The token is not the one that connection {connection} trusts: compare tenant id, application id and "
    "audience (in the console, or with connections show {connection}).",
}


def find_remedy(failure: Failure) -> str:
    """Return what to do about a failure, in whole sentences."""
    if failure.reason is not None:
        text = _BY_REASON.get(failure.reason, "Compare the credential with what connection {connection} is.")
        return text.format(connection=failure.connection)
    text = _BY_RULE.get(failure.rule or "") or _BY_STATUS.get(failure.status) or "Do what the text says. "
    shown = text.format(attribute=failure.attribute or "the attribute that the text names", why="why")
    return f"{shown.strip()} {ON_DEMAND}"
