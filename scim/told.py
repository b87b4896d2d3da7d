"""What whoever reads Entra's log is told about a refusal, word for word: docs/entra.md quotes these texts and says what
to do (`dev/error_table.py` writes its table, a test holds every text to what is really sent).

A text names a rule and a remedy that its reader has: an Entra admin cannot make a secret here, but can ask for one.
"""

from __future__ import annotations

ASK = "ask the operator of this service for a new one"

SEND_TOKEN = "Send the secret token in the header Authorization: Bearer <token>."
UNKNOWN_TOKEN = f"The secret token is not known here: copy it again, whole, or {ASK}."
CREDENTIAL_EXPIRED = f"This credential of connection {{name}} expired on {{at}}: {ASK}."
CONNECTION_EXPIRED = "Connection {name} expired on {at}: ask the operator of this service to prolong it."
CREDENTIAL_REPLACED = "This credential of connection {name} was revoked on {at}: use the new one."
CREDENTIAL_REVOKED = f"This credential of connection {{name}} was revoked on {{at}}: {ASK}."
CONNECTION_REVOKED = f"Connection {{name}} was revoked on {{at}}: {ASK}."
CLIENT_SECRET = (
    "This is the client secret of connection {name}, not a secret token: enter it in Entra as the client secret, with "
    "client id {name}."
)
ACCESS_TOKEN_EXPIRED = "The access token expired on {at}: get a new one from the token endpoint."
ENTRA_TOKEN = (
    "The token is not one of this service. If no secret token is entered, Entra sends one of its own: enter a secret "
    "token, or ask the operator to allow Entra's for this tenant."
)
READ_ONLY = "Connection {name} may only read: ask the operator of this service for one that may write."
OPERATORS_CONNECTION = (
    "Connection {name} is the operator's own application's and has no tenant here: it reads a tenant at "
    "/tenants/<tenant>/scim."
)
PAUSED = (
    "Connection {name} was paused on {at}. Nothing is lost: its operator resumes it, and provisioning is then "
    "restarted in Entra."
)

SEND_CLIENT = (
    "Send the client id with a client secret, in the Authorization header or in the body; for workload identity "
    "federation, with a client assertion instead."
)
UNKNOWN_CLIENT = f"The client id or the client secret is not known here: copy both again, whole, or {ASK}."
SECRET_TOKEN = "Connection {name} takes its key as a secret token, not as a client secret."
OTHER_SCOPE = "The only scope is {scope}: enter it, or none."

NO_ADDRESS = "There is nothing at {path}: the tenant URL ends with /scim, so it is {url}."
BEHIND_URL = "There is nothing at {path}: the tenant URL ends with /scim, without {extra} behind it, so it is {url}."
TAKEN = "{path} {value} is already taken{owner}: match on it, or send another value."
WRONG_TYPE = "{path} must be {wanted}, not {found}; correct the attribute mapping."
REQUIRED = "{path} is required and has no value; map a source attribute that is never empty."
READ_ONLY_ATTRIBUTE = "{path} is read only; take it out of the attribute mapping."
TOO_MANY_READ = "The search reads more than {limit} resources: {remedy}."
MATCH_ON = "match on userName, externalId, an e-mail or id"
MEDIA_TYPE = "Content-Type {type} is not read; send application/scim+json."
