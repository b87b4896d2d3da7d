"""What Entra would make of a rehearsal: escrow and quarantine by the rules that it publishes.

* Quarantine at once: the credentials are refused, or a search is answered with 404.
* Quarantine by numbers: from 5,000 failed exports on, when more than 40 % of all exports failed; above 40,000 failed
  exports; from 60,000 when failed references (managers, members) are counted in.
* Escrow: a failed export is tried again after 6, 12 and 24 hours, then daily, until 28 days have passed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from dev.rehearse.results import Escrowed, Verdict, number_of

EVALUATED_FROM = 5_000
SHARE = 0.40
MOST_FAILURES = 40_000
MOST_WITH_REFERENCES = 60_000
RETRIES = "after 6, 12 and 24 hours, then once a day, for 28 days"


@dataclass
class Tally:
    """Exports of all cycles: attempts to write an object, and to write a reference from one to another."""

    exports: int = 0
    failed: int = 0
    references: int = 0
    failed_references: int = 0
    requests: int = 0
    unauthorized: int = 0
    probe_unauthorized: bool = False
    search_not_found: bool = False
    recovered: int = 0
    escrow: dict[tuple[str, str], Escrowed] = field(default_factory=dict)

    def attempt(self, *, reference: bool) -> None:
        self.references += reference
        self.exports += not reference

    def fail(self, key: str, operation: str, subject: str, code: str, *, reference: bool) -> None:
        """An export failed. `key` tells the object whatever it is called now, `subject` is what an admin calls it."""
        self.failed_references += reference
        self.failed += not reference
        before = self.escrow.get((key, operation))
        self.escrow[key, operation] = Escrowed(subject, operation, code, before.tries + 1 if before else 1)

    def succeed(self, key: str, operation: str) -> None:
        self.recovered += self.escrow.pop((key, operation), None) is not None

    def drop(self, key: str, *operations: str) -> None:
        """Nothing is to be written any more: what is in escrow leaves it without having succeeded."""
        for operation in operations:
            self.escrow.pop((key, operation), None)


def quarantine(tally: Tally) -> list[str]:
    """Why the job would be quarantined; empty where it would not."""
    reasons = []
    if tally.probe_unauthorized or (tally.requests and tally.unauthorized > tally.requests / 2):
        reasons.append("The credentials are refused (401 or 403): EncounteredQuarantineException, at once.")
    if tally.search_not_found:
        reasons.append(
            "A search is answered with 404: a SCIM compliance issue, EncounteredQuarantineException, at once."
        )
    share = tally.failed / tally.exports if tally.exports else 0.0
    if tally.failed >= EVALUATED_FROM and share > SHARE:
        reasons.append(f"{tally.failed:,} exports failed, {share:.0%} of all: EncounteredEscrowProportionThreshold.")
    if tally.failed > MOST_FAILURES:
        reasons.append(f"{tally.failed:,} exports failed: more than {MOST_FAILURES:,}.")
    if tally.failed + tally.failed_references >= MOST_WITH_REFERENCES:
        total = tally.failed + tally.failed_references
        reasons.append(f"{total:,} exports failed, references counted in: {MOST_WITH_REFERENCES:,} or more.")
    return reasons


def judge(tally: Tally, failures: int, skipped: Sequence[str] = ()) -> Verdict:
    """The verdict; `failures` are all that the rehearsal found, checks of the test suites included. `skipped` are the
    checks that were not made."""
    reasons, escrow = quarantine(tally), sorted(tally.escrow.values(), key=lambda e: (e.operation, e.subject))
    lines = [
        f"{tally.exports:,} exports of users and groups, {tally.failed:,} failed; "
        f"{tally.references:,} of references, {tally.failed_references:,} failed."
    ]
    if escrow:
        lines.append(f"In escrow at the end: {number_of(len(escrow), 'change')}. Entra tries them again {RETRIES}.")
    if tally.recovered:
        lines.append(f"{tally.recovered:,} failed at first and went through in a later cycle.")
    if skipped:
        named = "; ".join(skipped)
        lines.append(f"{number_of(len(skipped), 'check')} could not be made here: {named}.")
    share = tally.failed / tally.exports if tally.exports else 0.0
    if share > SHARE and not reasons:
        lines.append(
            f"{share:.0%} of the exports failed. Entra judges this from {EVALUATED_FROM:,} failures on: with a "
            f"directory of some {EVALUATED_FROM / share:,.0f} objects like these, the job would be quarantined."
        )
    elif not reasons:
        lines.append("No rule for quarantine is met.")
    else:
        lines.append("In quarantine, cycles come once a day; after four weeks the job is switched off.")
    headline = _headline(bool(reasons), len(escrow), failures, tally, skipped=bool(skipped))
    return Verdict(headline, lines, reasons, escrow, tally.recovered)


def _headline(stopped: bool, escrow: int, failures: int, tally: Tally, *, skipped: bool) -> str:
    if stopped:
        return "Entra would stop provisioning: the job would be quarantined."
    if escrow:
        return f"Entra would go on provisioning, but {number_of(escrow, 'change')} would not arrive."
    if failures and tally.exports:
        return "Entra would go on provisioning, but not everything would be right in the target."
    if failures:
        return "Not everything that Entra does would work."
    if not tally.exports:
        return "What was played went well."
    return "Entra would provision this target without trouble" + (", as far as it was played." if skipped else ".")
