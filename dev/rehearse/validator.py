"""The tests of Microsoft's SCIM Validator, under their titles there and with their pass rules.

The validator speaks the flag dialect and fills every attribute with random letters. Its preview tests are
informational; here they are warnings.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from dev.rehearse import dialect as bodies
from dev.rehearse import expect
from dev.rehearse.bench import Bench, equal, managed_by, members
from dev.rehearse.client import new_guid, resource
from dev.rehearse.compare import read
from dev.rehearse.expect import Refused
from dev.rehearse.explain import wrong
from dev.rehearse.lookup import GROUPS, USERS, members_shown
from dev.rehearse.mapping import MANAGER, Attributes
from dev.rehearse.stage import Stage

Run = Callable[[Bench], Awaitable[None]]


@dataclass(frozen=True)
class Test:
    """A test under its title; an optional one only warns."""

    title: str
    run: Run
    optional: bool = False


TESTS: list[Test] = []


def _test(title: str, *, optional: bool = False) -> Callable[[Run], Run]:
    def register(run: Run) -> Run:
        TESTS.append(Test(title, run, optional))
        return run

    return register


async def play(stage: Stage) -> None:
    """All tests, one after the other; a failure of one does not stop the next."""
    bench = Bench(stage, "validator")
    stage.progress.begin("SCIM Validator", len(TESTS))
    for test in TESTS:
        with stage.trying(test.title, test.title, optional=test.optional):
            await test.run(bench)
        stage.progress.advance()


def _replace(changes: Attributes) -> list[bodies.Body]:
    operations: list[bodies.Body] = bodies.update("flag", changes, changes)["Operations"]
    return operations


@_test("Create a new User")
async def _create_user(bench: Bench) -> None:
    attributes = bench.attributes()
    user = await bench.create_user(attributes)
    equal(await bench.find_user(user), attributes)


@_test("Create a duplicate User")
async def _duplicate_user(bench: Bench) -> None:
    attributes = bench.attributes()
    await bench.create_user(attributes)
    await bench.post(USERS, bodies.create_user(attributes), "Create a user whose userName is taken", 409)


@_test("Filter for an existing user")
async def _filter_user(bench: Bench) -> None:
    await bench.find_user(await bench.create_user())


@_test("Filter for a non-existing user")
async def _filter_no_user(bench: Bench) -> None:
    _nobody(await bench.find(USERS, "userName", new_guid()))


@_test("Filter for an existing user with a different case")
async def _filter_user_case(bench: Bench) -> None:
    user = await bench.create_user()
    await bench.find_one(USERS, "userName", str(user["userName"]).swapcase(), user["id"])


@_test("Patch User - Add Attributes")
async def _add_attributes(bench: Bench) -> None:
    all_of_them = bench.attributes()
    few = {path: all_of_them[path] for path in ("userName", "externalId", "active", "displayName")}
    user = await bench.create_user(few)
    added = {path: value for path, value in all_of_them.items() if path not in few}
    await bench.patch(USERS, user["id"], "Add attributes", *bodies.update("flag", few, added)["Operations"])
    equal(await bench.find_user(user), all_of_them)


@_test("Patch User - Replace Attributes")
async def _replace_attributes(bench: Bench) -> None:
    attributes, changes = bench.attributes(), bench.changes()
    user = await bench.create_user(attributes)
    await bench.patch(USERS, user["id"], "Replace attributes", *_replace(changes))
    equal(await bench.find_user(user), attributes | changes)


@_test("Patch User - Disable User")
async def _disable_user(bench: Bench) -> None:
    user = await bench.create_user()
    await bench.patch(USERS, user["id"], "Disable a user", *_replace({"active": False}))
    equal(await bench.find_user(user), {"active": False})


@_test("Patch User - Add Manager")
async def _add_manager(bench: Bench) -> None:
    user, manager = await bench.create_user(), await bench.create_user()
    await _manager(bench, user["id"], "add", manager["id"])


@_test("Patch User - Replace Manager")
async def _replace_manager(bench: Bench) -> None:
    user, first, second = await bench.create_user(), await bench.create_user(), await bench.create_user()
    await _manager(bench, user["id"], "add", first["id"])
    await _manager(bench, user["id"], "replace", second["id"])


@_test("Patch User - Remove Manager")
async def _remove_manager(bench: Bench) -> None:
    user, manager = await bench.create_user(), await bench.create_user()
    await _manager(bench, user["id"], "add", manager["id"])
    await bench.patch(USERS, user["id"], "Remove a manager", {"op": "remove", "path": MANAGER})
    managed_by(await bench.read(USERS, user["id"]), None)


@_test("Update User userName")
async def _update_user_name(bench: Bench) -> None:
    user, name = await bench.create_user(), bench.new_name()
    await bench.patch(USERS, user["id"], "Change userName", {"op": "replace", "value": {"userName": name}})
    await bench.find_one(USERS, "userName", name, user["id"])


@_test("Delete a User")
async def _delete_user(bench: Bench) -> None:
    user = await bench.create_user()
    await bench.delete(USERS, user["id"])
    await bench.gone(USERS, user["id"])
    _nobody(await bench.find(USERS, "userName", user["userName"]))


@_test("Create a new Group")
async def _create_group(bench: Bench) -> None:
    group = await bench.create_group()
    await bench.find_one(GROUPS, "displayName", group["displayName"], group["id"])


@_test("Create a duplicate Group")
async def _duplicate_group(bench: Bench) -> None:
    group = await bench.create_group()
    body = bodies.create_group(group["displayName"], bench.word(), plain=True)
    await bench.post(GROUPS, body, "Create a group whose displayName is taken", 409)


@_test("Get group by id excluding members")
async def _read_group(bench: Bench) -> None:
    group, user = await bench.create_group(), await bench.create_user()
    await _members(bench, group["id"], bodies.add_members("flag", [user["id"]]), {user["id"]})
    answer = await bench.get(resource(GROUPS, group["id"], "?excludedAttributes=members"))
    if members(expect.resource("Read a group without its members", answer, id=group["id"])):
        raise Refused(members_shown(answer), answer)


@_test("Filter for existing group")
async def _filter_group(bench: Bench) -> None:
    group = await bench.create_group()
    await bench.find_one(GROUPS, "displayName", group["displayName"], group["id"])


@_test("Filter for existing group excluding members")
async def _filter_group_bare(bench: Bench) -> None:
    group, user = await bench.create_group(), await bench.create_user()
    await _members(bench, group["id"], bodies.add_members("flag", [user["id"]]), {user["id"]})
    found = await bench.find_one(GROUPS, "displayName", group["displayName"], group["id"], bare=True)
    if members(found):
        raise Refused(members_shown(await bench.get(resource(GROUPS, group["id"], "?excludedAttributes=members"))))


@_test("Filter for existing group with a different case")
async def _filter_group_case(bench: Bench) -> None:
    group = await bench.create_group()
    await bench.find_one(GROUPS, "displayName", group["displayName"].swapcase(), group["id"], bare=True)


@_test("Filter for a non-existing group")
async def _filter_no_group(bench: Bench) -> None:
    _nobody(await bench.find(GROUPS, "displayName", new_guid(), bare=True))


@_test("Patch Group - Replace Attributes")
async def _replace_group(bench: Bench) -> None:
    group, changes = await bench.create_group(), {"externalId": f"{bench.word()}.{bench.domain}"}
    await bench.patch(GROUPS, group["id"], "Replace attributes of a group", {"op": "replace", "value": changes})
    equal(await bench.find_one(GROUPS, "displayName", group["displayName"], group["id"]), changes)


@_test("Update Group displayName")
async def _rename_group(bench: Bench) -> None:
    group, name = await bench.create_group(), bench.new_name("group")
    await bench.patch(GROUPS, group["id"], "Rename a group", {"op": "replace", "value": {"displayName": name}})
    await bench.find_one(GROUPS, "displayName", name, group["id"])


@_test("Patch Group - Add Member")
async def _add_member(bench: Bench) -> None:
    group, user = await bench.create_group(), await bench.create_user()
    await _members(bench, group["id"], bodies.add_members("flag", [user["id"]]), {user["id"]})


@_test("Patch Group - Remove Member")
async def _remove_member(bench: Bench) -> None:
    group, stays, goes = await bench.create_group(), await bench.create_user(), await bench.create_user()
    both = {stays["id"], goes["id"]}
    await _members(bench, group["id"], bodies.add_members("flag", sorted(both)), both)
    await _members(bench, group["id"], bodies.remove_members("flag", [goes["id"]]), {stays["id"]})


@_test("Delete a Group")
async def _delete_group(bench: Bench) -> None:
    group = await bench.create_group()
    await bench.delete(GROUPS, group["id"])
    await bench.gone(GROUPS, group["id"])


@_test("Patch User - no operations (sent when nothing optional is mapped)")
async def _no_operations(bench: Bench) -> None:
    user = await bench.create_user()
    await bench.patch(USERS, user["id"], "PATCH without operations")


@_test('Create a new User with "primary": "True"', optional=True)
async def _primary_as_string(bench: Bench) -> None:
    body = bodies.create_user(bench.attributes())
    body["roles"] = [{"primary": "True", "type": bench.word(), "value": bench.word(), "display": bench.word()}]
    answer = await bench.post(USERS, body, "Create a user whose role has a boolean as a string", 201, 200)
    user = expect.resource("Create a user", answer, 201, 200)
    roles = (await bench.find_user(user)).get("roles")
    equal(roles[0] if isinstance(roles, list) and roles else {}, {"primary": True})


@_test("Multiple Ops on different attributes (User, preview)", optional=True)
async def _different(bench: Bench) -> None:
    user, title, email = await bench.create_user(), bench.word(), 'emails[type eq "work"].value'
    await bench.patch(
        USERS, user["id"], "Several operations on different attributes",
        {"op": "remove", "path": "nickName"},
        {"op": "add", "path": "title", "value": title},
        {"op": "replace", "path": email, "value": title},
    )  # fmt: skip
    found = await bench.find_user(user)
    equal(found, {"title": title, email: title})
    if isinstance(read(found, "nickName"), str):
        raise _kept("nickName")


@_test("Multiple Ops on same attribute (User, preview)", optional=True)
async def _same(bench: Bench) -> None:
    user, last = await bench.create_user(), bench.word()
    await bench.patch(
        USERS, user["id"], "Several operations on the same attribute",
        {"op": "remove", "path": "title"},
        {"op": "add", "path": "title", "value": bench.word()},
        {"op": "replace", "path": "title", "value": last},
    )  # fmt: skip
    equal(await bench.find_user(user), {"title": last})


@_test("Multiple Ops on different attributes (Group, preview)", optional=True)
async def _different_group(bench: Bench) -> None:
    group, user, name = await bench.create_group(), await bench.create_user(), bench.new_name("group")
    await bench.patch(
        GROUPS, group["id"], "Several operations on different attributes of a group",
        {"op": "add", "path": "members", "value": [{"value": user["id"]}]},
        {"op": "replace", "value": {"displayName": name}},
    )  # fmt: skip
    found = await bench.find_one(GROUPS, "displayName", name, group["id"])
    _member_ids(found, {user["id"]})


@_test("Multiple Ops on same attribute (Group, preview)", optional=True)
async def _same_group(bench: Bench) -> None:
    group, user = await bench.create_group(), await bench.create_user()
    add = bodies.add_members("flag", [user["id"]])["Operations"]
    remove = bodies.remove_members("flag", [user["id"]])["Operations"]
    await bench.patch(GROUPS, group["id"], "Several operations on the members of a group", *add, *remove, *add)
    _member_ids(await bench.read(GROUPS, group["id"]), {user["id"]})


@_test("Delete a non-existent User", optional=True)
async def _delete_no_user(bench: Bench) -> None:
    await bench.delete(USERS, new_guid(), 404)


@_test("Delete a non-existent Group", optional=True)
async def _delete_no_group(bench: Bench) -> None:
    await bench.delete(GROUPS, new_guid(), 404)


@_test("Delete the same User twice", optional=True)
async def _delete_user_twice(bench: Bench) -> None:
    user = await bench.create_user()
    await bench.delete(USERS, user["id"])
    await bench.delete(USERS, user["id"], 404)


@_test("Delete the same Group twice", optional=True)
async def _delete_group_twice(bench: Bench) -> None:
    group = await bench.create_group()
    await bench.delete(GROUPS, group["id"])
    await bench.delete(GROUPS, group["id"], 404)


async def _manager(bench: Bench, user: str, op: str, manager: str) -> None:
    operation = {"op": op, "path": MANAGER, "value": {"value": manager}}
    await bench.patch(USERS, user, f"{op.title()} a manager", operation)
    managed_by(await bench.read(USERS, user), manager)


async def _members(bench: Bench, group: str, body: bodies.Body, expected: set[str]) -> None:
    await bench.patch(GROUPS, group, "Change members", *body["Operations"])
    _member_ids(await bench.read(GROUPS, group), expected)


def _member_ids(group: expect.Resource, expected: set[str]) -> None:
    if members(group) != expected:
        raise Refused(
            wrong(
                "ValueMismatch",
                f"The group has {len(members(group))} members, expected {len(expected)}",
                "People keep access that they should lose, or miss what they should have.",
                "Adding members is a union, removing takes away those named; both in the order of the operations.",
            )
        )


def _nobody(found: list[expect.Resource]) -> None:
    if found:
        raise Refused(
            wrong(
                "UnexpectedMatch",
                "A search for a value that nobody has finds something",
                "Entra would link its users to whatever comes back, and write to the wrong accounts.",
                "Apply the filter; refuse one that is not understood with 400 invalidFilter.",
            )
        )


def _kept(path: str) -> Refused:
    return Refused(
        wrong("ValueMismatch", f"{path} was removed and is still there", "The test fails.", "Apply remove operations.")
    )
