"""The 25 tests that Microsoft's gallery validation runs, under their names and with their pass rules.

Those that Microsoft starts in a directory of its own (1 to 14) are started here by the engine: "log success" is then
that the request was accepted. An optional test only warns.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, replace

from dev.rehearse import dialect as bodies
from dev.rehearse import expect
from dev.rehearse.auth import ClientCredentials, Credentials, Federation, TokenError
from dev.rehearse.bench import cleared, equal, managed_by, members
from dev.rehearse.client import Answer
from dev.rehearse.directory import Team
from dev.rehearse.expect import Refused, Resource
from dev.rehearse.explain import wrong
from dev.rehearse.lookup import GROUPS, USERS
from dev.rehearse.mapping import CORE, ENTERPRISE, GROUP, MANAGER, attributes, filtered
from dev.rehearse.results import Problem
from dev.rehearse.stage import Stage
from dev.rehearse.trial import Skip, Trial

PAGE = 5
ENOUGH = 11
"""How many users the paging test needs: three pages of five."""


Run = Callable[[Trial], Awaitable[None]]


@dataclass(frozen=True)
class Test:
    """A test under its name; an optional one only warns."""

    name: str
    run: Run
    optional: bool
    people: int


TESTS: list[Test] = []


def _test(name: str, *, optional: bool = False, people: int = 1) -> Callable[[Run], Run]:
    def register(run: Run) -> Run:
        TESTS.append(Test(name, run, optional, people))
        return run

    return register


async def play(stage: Stage) -> None:
    """All tests, one after the other; a failure of one does not stop the next."""
    stage.progress.begin("Gallery validation", len(TESTS))
    for number, test in enumerate(TESTS, 1):
        check = stage.check(test.name)
        try:
            with stage.trying(check, test.name, optional=test.optional):
                await test.run(Trial(stage, number, test.people))
        except Skip as skip:
            check.skipped = str(skip)
        stage.progress.advance()


@_test("Create_User_Test")
async def _create_user(trial: Trial) -> None:
    await trial.cycle()
    await trial.find_person()


@_test("Update_User_Test")
async def _update_user(trial: Trial) -> None:
    await trial.cycle()
    trial.change(replace(trial.person, given="Updated", title="Updated title", department="Updated department"))
    await trial.cycle()
    wanted = attributes(trial.person)
    wanted.pop("roles", None)
    equal(await trial.find_person(), wanted)


@_test("Disable_User_Test")
async def _disable_user(trial: Trial) -> None:
    await trial.cycle()
    trial.change(replace(trial.person, enabled=False))
    await trial.cycle()
    equal(await trial.find_person(), {"active": False})


@_test("Delete_User_Test", optional=True)
async def _delete_user(trial: Trial) -> None:
    await trial.cycle()
    person = trial.person
    id = trial.engine.users[person.key].id
    trial.directory.people = {k: replace(p, manager=None) for k, p in trial.directory.people.items() if k != person.key}
    await trial.cycle()
    await trial.bench.gone(USERS, id)
    if await trial.bench.find(USERS, "userName", person.user_name):
        raise _still_found()


@_test("User_Update_Manager_Test", people=3)
async def _update_manager(trial: Trial) -> None:
    first, second, third = trial.directory.people
    for manager in (second, third, None):
        trial.change(replace(trial.directory.people[first], manager=manager))
        await trial.cycle()
        user = await trial.bench.read(USERS, trial.engine.users[first].id)
        managed_by(user, trial.engine.users[manager].id if manager else None)


@_test("Restore_User_Test")
async def _restore_user(trial: Trial) -> None:
    for enabled in (True, False, True):
        trial.change(replace(trial.person, enabled=enabled))
        await trial.cycle()
    equal(await trial.find_person(), {"active": True})


@_test("POD_User_Test")
async def _on_demand_user(trial: Trial) -> None:
    only = trial.person
    trial.directory.people = {only.key: replace(only, manager=None)}
    await trial.cycle()
    await trial.find_person()


@_test("Create_Group_Test")
async def _create_group(trial: Trial) -> None:
    team = trial.new_team()
    trial.change(team)
    await trial.cycle()
    await trial.find_team(team)


@_test("Update_Group_Test")
async def _update_group(trial: Trial) -> None:
    team = trial.new_team()
    trial.change(team)
    await trial.cycle()
    renamed = replace(team, name=f"Renamed {team.name}")
    trial.change(renamed)
    await trial.cycle()
    await trial.find_team(renamed)


@_test("Delete_Group_Test", optional=True)
async def _delete_group(trial: Trial) -> None:
    team = trial.new_team()
    trial.change(team)
    await trial.cycle()
    del trial.directory.teams[team.key]
    await trial.cycle()
    if await trial.bench.find(GROUPS, "displayName", team.name):
        raise _still_found()


@_test("Group_Update_Add_Member_Test", people=3)
async def _add_member(trial: Trial) -> None:
    team = trial.new_team()
    trial.change(team)
    await trial.cycle()
    trial.change(replace(team, members=frozenset(trial.directory.people)))
    await trial.cycle()
    await _holds(trial, team, set(trial.directory.people))


@_test("Group_Update_Remove_Member_Test", people=3)
async def _remove_member(trial: Trial) -> None:
    team = trial.new_team(3)
    trial.change(team)
    await trial.cycle()
    stays = sorted(team.members)[:1]
    trial.change(replace(team, members=frozenset(stays)))
    await trial.cycle()
    await _holds(trial, team, set(stays))


@_test("POD_Group_Test", people=3)
async def _on_demand_group(trial: Trial) -> None:
    team = trial.new_team(3)
    trial.change(team)
    await trial.cycle()
    await trial.find_team(team)


@_test("Restore_Group_Test", optional=True)
async def _restore_group(trial: Trial) -> None:
    team = trial.new_team(1)
    trial.change(team)
    await trial.cycle()
    del trial.directory.teams[team.key]
    await trial.cycle()
    if await trial.bench.find(GROUPS, "displayName", team.name):
        raise _still_found()
    trial.change(team)
    await trial.cycle()
    await trial.find_team(team)


@_test("Schema_Discoverability_Test")
async def _schemas(trial: Trial) -> None:
    answer = await trial.bench.get("/Schemas")
    schemas = {str(each.get("id")): each for each in expect.found("Read /Schemas", answer)}
    absent = [urn for urn in (CORE, ENTERPRISE, GROUP) if urn not in schemas]
    if absent:
        raise Refused(_not_discovered("schemas", absent, answer))
    names = {name.casefold() for urn in (CORE, ENTERPRISE, GROUP) for name in flatten(schemas[urn])}
    wanted = [*trial.bench.attributes(), 'roles[primary eq "True"].value', MANAGER, "members"]
    missing = [path for path in wanted if path.casefold() not in names and path not in ("active", "externalId")]
    if missing:
        raise Refused(_not_discovered("attributes", missing, answer))


@_test("SCIM_Null_Update_Test")
async def _null_update(trial: Trial) -> None:
    bench = trial.bench
    for empty in ("", None):
        written = bench.attributes()
        user = await bench.create_user(written)
        paths = {path: empty for path in written if path not in ("userName", "externalId", "active")}
        operations: list[bodies.Body] = [
            {"op": "replace", "path": path, "value": empty} for path in paths if filtered(path)
        ]
        operations.append({"op": "replace", "value": {path: empty for path in paths if not filtered(path)}})
        await bench.patch(USERS, user["id"], f"Clear attributes with {empty!r}".replace("None", "null"), *operations)
        cleared(await bench.read(USERS, user["id"]), paths)


@_test("SCIM_User_Create_Test")
async def _scim_create(trial: Trial) -> None:
    await trial.bench.create_user()


@_test("SCIM_User_Update_Test")
async def _scim_update(trial: Trial) -> None:
    bench = trial.bench
    user = await bench.create_user()
    changes: dict[str, str | bool | object] = {path: f"upd-{bench.word()[:8].lower()}" for path in bench.changes()}
    body = bodies.update("flag", changes, changes)  # type: ignore[arg-type]
    await bench.patch(USERS, user["id"], "Update every attribute", *body["Operations"])
    equal(await bench.read(USERS, user["id"]), changes)


@_test("SCIM_Group_Create_Test")
async def _scim_group_create(trial: Trial) -> None:
    await trial.bench.create_group()


@_test("SCIM_Group_Update_Test")
async def _scim_group_update(trial: Trial) -> None:
    bench = trial.bench
    group = await bench.create_group()
    changes = {"displayName": bench.new_name("group"), "externalId": f"upd-{bench.word()}-{bench.domain}"}
    operations: list[bodies.Body] = [{"op": "replace", "path": path, "value": v} for path, v in changes.items()]
    await bench.patch(GROUPS, group["id"], "Update a group", *operations)
    equal(await bench.read(GROUPS, group["id"]), changes)


@_test("Validate_Credentials_Test")
async def _client_credentials(trial: Trial) -> None:
    credentials = trial.stage.client.credentials
    if not isinstance(credentials, ClientCredentials):
        raise Skip(f"plays with a token endpoint, client id and secret; this is a {_kind(credentials)}")
    await _token(trial, credentials)


@_test("Federated_Identity_Test")
async def _federation(trial: Trial) -> None:
    credentials = trial.stage.client.credentials
    if not isinstance(credentials, Federation):
        raise Skip(f"plays with a token endpoint, client id and assertion; this is a {_kind(credentials)}")
    await _token(trial, credentials)


@_test("SCIM_User_Pagination_Test")
async def _user_pages(trial: Trial) -> None:
    for _ in range(ENOUGH):
        await trial.bench.create_user()
    await _pages(trial, USERS)


@_test("SCIM_Group_Pagination_Test", optional=True)
async def _group_pages(trial: Trial) -> None:
    for _ in range(ENOUGH):
        await trial.bench.create_group()
    await _pages(trial, GROUPS)


@_test("SCIM_Update_Manager_Test")
async def _scim_manager(trial: Trial) -> None:
    bench = trial.bench
    user, first, second = [await bench.create_user() for _ in range(3)]
    for op, value in (("Add", first["id"]), ("Replace", second["id"]), ("Replace", "")):
        operation = {"op": op, "path": MANAGER, "value": {"value": value} if value else ""}
        await bench.patch(USERS, user["id"], f"{op} a manager{'' if value else ' with nothing'}", operation)
        managed_by(await bench.read(USERS, user["id"]), value or None)


def flatten(schema: Resource) -> Iterator[str]:
    """The paths that a schema makes mappable, as Microsoft's test reads them from it."""
    prefix = f"{ENTERPRISE}:" if schema.get("id") == ENTERPRISE else ""
    for attribute in schema.get("attributes") or []:
        name, subs = str(attribute.get("name")), attribute.get("subAttributes") or []
        if attribute.get("type") != "complex" or name in ("manager", "members"):
            if attribute.get("type") != "reference" or prefix:
                yield prefix + name
        elif attribute.get("multiValued"):
            types = next((sub.get("canonicalValues") or [] for sub in subs if sub.get("name") == "type"), [])
            selectors = [f'type eq "{each}"' for each in types] or ['primary eq "True"']
            for sub in subs:
                if sub.get("name") not in ("type", "primary"):
                    yield from (f"{name}[{selector}].{sub.get('name')}" for selector in selectors)
        else:
            yield from (f"{prefix}{name}.{sub.get('name')}" for sub in subs)


async def _holds(trial: Trial, team: Team, keys: set[str]) -> None:
    link = trial.engine.groups[team.key]
    expected = {trial.engine.users[key].id for key in keys if key in trial.engine.users}
    group = await trial.bench.read(GROUPS, link.id)
    if "members" in group and members(group) != expected:
        raise Refused(
            wrong(
                "ValueMismatch",
                f"The group has {len(members(group))} members, expected {len(expected)}",
                "People keep access that they should lose, or miss what they should have.",
                "Adding members is a union, removing takes away those named.",
            )
        )


async def _pages(trial: Trial, path: str) -> None:
    for start in range(1, ENOUGH + 1, PAGE):
        answer = await trial.bench.get(f"{path}?startIndex={start}&count={PAGE}")
        expect.found(f"Read a page of {path}", answer)
        if answer.object.get("startIndex") != start:
            raise Refused(
                wrong(
                    "StartIndexNotEchoed",
                    f"A page of {path} asked for with startIndex {start} says {answer.object.get('startIndex')}",
                    "The test fails.",
                    "Answer with the startIndex that was asked for.",
                    answer,
                )
            )


async def _token(trial: Trial, credentials: ClientCredentials | Federation) -> None:
    credentials.forget()
    try:
        await credentials.token(trial.stage.client.http)
    except TokenError as error:
        raise Refused(
            wrong("InvalidCredentials", str(error), "Entra cannot save the credentials.", "See §4.4 of RFC 6749.")
        ) from None
    minutes = credentials.lifetime / 60
    if not 60 <= minutes <= 360:
        raise Refused(
            wrong(
                "TokenLifetime",
                f"An access token lives for {minutes:.0f} minutes, expected 60 to 360",
                "The application is not accepted into the gallery.",
                "Set expires_in between 3600 and 21600.",
            )
        )
    expect.status("Read one user with the token", await trial.bench.get("/Users?startIndex=1&count=1"), 200)


def _kind(credentials: Credentials) -> str:
    extra = ", which new gallery applications may not use" if credentials.kind == "secret token" else ""
    return f"{credentials.kind}{extra}"


def _still_found() -> Refused:
    return Refused(
        wrong(
            "NotDeleted",
            "What was deleted is still found",
            "A deleted account keeps its access, and creating it anew is a conflict.",
            "Leave what was deleted out of every answer.",
        )
    )


def _not_discovered(kind: str, missing: list[str], answer: Answer) -> Problem:
    return wrong(
        "SchemaDiscovery",
        f"/Schemas does not show {len(missing)} {kind} that the default mapping writes: {', '.join(missing[:8])}",
        "An admin cannot choose them as target attributes, and the gallery validation fails; without the Group schema "
        "all group tests fail.",
        "Publish every supported attribute, with canonicalValues for the types of emails, phoneNumbers and addresses, "
        "and none for those of roles.",
        answer,
    )
