"""`python -m dev.run` (what `make run` runs): the app of the current folder with Azurite, until SIGINT or SIGTERM.

Reads `local.settings.json` as the Functions Core Tools do: its Values become environment variables unless the
environment has them already. The first run makes that file, with a fresh API key for each of two tenants, and one for
an application that reads both. The app's table is always the one in Azurite.

* PORT (7071) is where the app listens, TABLE_PORT (10002) where Azurite does.
* MEMORY=1 keeps no data on disk. Without it the run holds a lock on `.azurite`, since two would overwrite each other's
  data. Either way `python -m scim` finds the app and its table by the file that the run keeps in `.azurite/runs`.
* RELOAD=1 starts the app anew when its code, its schemas or its settings change; the data stays.
* LOG=json prints the app's events as it logs them, one JSON object a line, in place of a readable line a request.

Standard output carries one line for each connection, `<tenant> <tenant URL> <token>`, once requests are served; then
what to do next; then one line for each request. An operator's connection has its own name in place of a tenant's, and
`<tenant>` in its URL. The token is `-` if it is not ours to print: a connection without an API key, or with only the
key's sha256. Everything else goes to standard error. What the tool or the console changes in `local.settings.json` is
served a second later.

Exit code 0 after a signal; 1, and one line, if something is missing or in the way, and if Azurite ends by itself.
"""
