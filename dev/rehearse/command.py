"""The command line: its options, what they default to, and what is wrong with them."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from dev.rehearse.auth import ClientCredentials, Credentials, Federation, SecretToken
from dev.rehearse.client import TIMEOUT
from dev.rehearse.dialect import Dialect
from dev.rehearse.scenarios import CATALOGUE
from dev.rehearse.stage import Options

_DESCRIPTION = """\
Plays Microsoft Entra ID's provisioning service against a SCIM 2.0 endpoint, and says what would happen: what would be
refused and with which text in Entra's log, what would silently be lost, and whether the job would be quarantined.

Use a test tenant. Users and groups are made, changed, compared and deleted again, all of them with rehearsal.example in
their names; nothing else in the target is written to."""

_EPILOG = """\
examples:
  python -m dev.rehearse https://app.example/scim scim_secret
  SCIM_TOKEN=scim_secret python -m dev.rehearse https://app.example/scim --html rehearsal.html
  SCIM_CLIENT_SECRET=s python -m dev.rehearse https://app.example/scim --token-endpoint https://app.example/oauth2/token --client-id entra
  python -m dev.rehearse URL TOKEN --scenario initial-cycle --users 2000 --groups 100 --rate 0

exit code: 0 no failure and no difference, 1 some, 2 not begun, 130 interrupted (after cleaning up)"""  # noqa: E501


@dataclass(frozen=True)
class Command:
    """What the command line asks for."""

    url: str
    credentials: Credentials
    options: Options
    scenarios: list[str]
    rate: float
    timeout: float
    html: Path | None
    json: Path | None
    junit: Path | None
    keep: bool
    i_know: bool


def parse(arguments: Sequence[str] | None = None) -> Command:
    """Read the command line; a wrong one ends the process with code 2 and a text that names the option."""
    parser = _parser()
    given = parser.parse_args(arguments)
    if given.list:
        for entry in CATALOGUE:
            print(f"{entry.name:<21}{entry.title}")
        print("\nThe verdict, escrow and quarantine by Entra's rules, is given at the end of every rehearsal.")
        parser.exit()
    if not given.url:
        parser.error("URL is missing: the tenant URL as it is entered in Entra, such as https://app.example/scim")
    if urlsplit(given.url).scheme not in ("http", "https") or not urlsplit(given.url).netloc:
        parser.error(f"URL must begin with https:// or http://, not {given.url!r}")
    return Command(
        given.url,
        _credentials(parser, given),
        Options(
            users=given.users,
            groups=given.groups,
            cycles=given.cycles,
            seed=given.seed,
            dialects=_dialects(given.dialect, given.url),
            parallel=given.parallel,
            deletion_threshold=given.deletion_threshold,
            members_per_patch=given.members_per_patch,
        ),
        given.scenario,
        given.rate,
        given.timeout,
        given.html,
        given.json,
        given.junit,
        given.keep,
        given.i_know,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m dev.rehearse",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add(
        "url",
        metavar="URL",
        nargs="?",
        help="the tenant URL as it is entered in Entra, such as https://app.example/scim",
    )
    add("token", metavar="TOKEN", nargs="?", help="the secret token, without the word Bearer; or set SCIM_TOKEN")
    add("--list", action="store_true", help="list the scenarios and end")
    _add_play(parser)
    pace = parser.add_argument_group("pace")
    pace.add_argument("--rate", type=float, default=25.0, help="requests a second at the most; 0 for no limit (25)")
    pace.add_argument("--parallel", type=_number(1), default=8, metavar="P", help="requests at the same time (8)")
    pace.add_argument("--timeout", type=float, default=TIMEOUT, help=f"seconds to wait for an answer ({TIMEOUT:.0f})")
    _add_credentials(parser)
    reports = parser.add_argument_group("reports, beside the tables on the terminal")
    reports.add_argument("--html", type=Path, metavar="FILE", help="one page with everything, for people")
    reports.add_argument("--json", type=Path, metavar="FILE", help="everything, for programs")
    reports.add_argument("--junit", type=Path, metavar="FILE", help="JUnit XML, a test case for each check, for CI")
    safety = parser.add_argument_group("safety")
    safety.add_argument("--keep", action="store_true", help="leave what was made in the target")
    safety.add_argument("--i-know", action="store_true", help="play although the target holds users already")
    return parser


def _add_play(parser: argparse.ArgumentParser) -> None:
    what = parser.add_argument_group("what is played")
    names = [entry.name for entry in CATALOGUE]
    what.add_argument(
        "--scenario", metavar="NAME", action="append", default=[], choices=names, help="only this one; may be repeated"
    )
    what.add_argument("--users", type=_number(1), default=40, metavar="N", help="users of the directory (40)")
    what.add_argument("--groups", type=_number(0), default=8, metavar="M", help="groups of the directory (8)")
    what.add_argument("--cycles", type=_number(0), default=3, metavar="K", help="incremental cycles (3)")
    what.add_argument("--seed", type=int, default=1, metavar="S", help="decides names, values and changes (1)")
    what.add_argument(
        "--dialect",
        choices=("legacy", "flag", "both"),
        help="Entra's PATCH dialect: the default one, the one of ?aadOptscim062020 in the tenant URL, or both, one "
        "after the other over the same changes (both; flag where the URL has the parameter)",
    )
    what.add_argument(
        "--deletion-threshold",
        type=_number(1),
        default=5,
        metavar="T",
        help="deletions that Entra lets pass at once (5)",
    )
    what.add_argument(
        "--members-per-patch", type=_number(1), default=100, metavar="M", help="members in one PATCH of a group (100)"
    )


def _add_credentials(parser: argparse.ArgumentParser) -> None:
    oauth = parser.add_argument_group("OAuth 2.0 in place of TOKEN")
    oauth.add_argument(
        "--oauth", action="store_true", help="the token endpoint beside the tenant URL: its /scim is /oauth2/token"
    )
    oauth.add_argument("--token-endpoint", metavar="URL", help="where access tokens are fetched")
    oauth.add_argument("--client-id", metavar="ID", help="the client id that the vendor's portal shows")
    oauth.add_argument("--client-secret", metavar="SECRET", help="its secret; or set SCIM_CLIENT_SECRET")
    oauth.add_argument(
        "--credentials", choices=("header", "body", "both"), default="body", help="how id and secret are sent (body)"
    )
    oauth.add_argument(
        "--assertion-file",
        type=Path,
        metavar="FILE",
        help="a JWT in place of the secret (workload identity federation)",
    )


def _credentials(parser: argparse.ArgumentParser, given: argparse.Namespace) -> Credentials:
    if given.oauth and not given.token_endpoint:
        base = given.url.partition("?")[0].rstrip("/")
        if not base.endswith("/scim"):
            parser.error("--oauth needs a URL that ends with /scim; give --token-endpoint for another target")
        given.token_endpoint = f"{base.removesuffix('/scim')}/oauth2/token"
    token = given.token or os.environ.get("SCIM_TOKEN", "")
    if not given.token_endpoint:
        if given.client_id or given.client_secret or given.assertion_file:
            parser.error("--client-id, --client-secret and --assertion-file need --token-endpoint")
        if not token:
            parser.error(
                "TOKEN is missing: give it after the URL, or in SCIM_TOKEN; or use --oauth or --token-endpoint"
            )
        if token.lower().startswith("bearer "):
            parser.error("TOKEN is entered without the word Bearer, as in Entra")
        return SecretToken(token)
    if given.token:
        parser.error("TOKEN and --token-endpoint exclude each other")
    if not given.client_id:
        parser.error("--token-endpoint needs --client-id")
    if given.assertion_file:
        return Federation(given.token_endpoint, given.client_id, assertion_file=given.assertion_file)
    secret = given.client_secret or os.environ.get("SCIM_CLIENT_SECRET", "")
    if not secret:
        parser.error("--token-endpoint needs --client-secret (or SCIM_CLIENT_SECRET), or --assertion-file")
    return ClientCredentials(given.token_endpoint, given.client_id, secret=secret, how=given.credentials)


def _dialects(chosen: str | None, url: str) -> tuple[Dialect, ...]:
    flagged = any(name.lower() == "aadoptscim062020" for name in parse_qs(urlsplit(url).query, keep_blank_values=True))
    match chosen or ("flag" if flagged else "both"):
        case "legacy":
            return ("legacy",)
        case "flag":
            return ("flag",)
        case _:
            return ("legacy", "flag")


class _number:
    """An integer from a least value on."""

    def __init__(self, least: int) -> None:
        self._least = least

    def __call__(self, text: str) -> int:
        number = int(text)
        if number < self._least:
            raise argparse.ArgumentTypeError(f"must be {self._least} or more")
        return number

    def __repr__(self) -> str:
        return "number"
