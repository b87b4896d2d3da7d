"""What the sequencer keeps of a policy has room in the head of the log, however much the policy names."""

from __future__ import annotations

from scim.feed.sequencer import Head
from scim.policy.state import UNITS, State, join_state, split_state
from tests.policy.tenant import Tenant


async def test_a_policy_that_names_hundreds_of_groups_is_followed() -> None:
    tenant = Tenant()
    for number in range(400):
        await tenant.create_group(f"group {number}")
    await tenant.sequence()
    grants = [{"group": {"displayName": f"group {number}"}, "roles": ["agent"]} for number in range(400)]
    await tenant.set(grants=grants)
    head = await Head.read(tenant.table, tenant.name)
    assert head is not None and len(head.policy) > UNITS and len(State.load(head.policy).bound) == 400
    await tenant.create("ada")
    assert (await tenant.told())[-1] == "user.created ada"
    assert await tenant.problems() == []
    await tenant.set(grants=grants[:1])
    head = await Head.read(tenant.table, tenant.name)
    assert head is not None and len(State.load(head.policy).bound) == 1
    await tenant.create("bob")
    assert (await tenant.told())[-1] == "user.created bob"
    assert await tenant.problems() == []


def test_a_state_in_parts_is_whole_again() -> None:
    row: dict[str, str | int] = {}
    before = 0
    for length in (0, 10, UNITS, UNITS + 1, 3 * UNITS, UNITS - 1, 0, 2 * UNITS + 5):
        text = "".join(chr(97 + number % 26) for number in range(length))
        row |= split_state(text, before)
        found, before = join_state(row)
        assert found == text
    assert split_state("short") == {"policy": "short"}
