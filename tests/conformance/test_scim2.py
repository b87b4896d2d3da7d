"""The app under python-scim's own tester and client, over HTTP: other people's reading of the RFCs."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import httpx2
import pytest
from scim2_client.engines.httpx2 import SyncSCIMClient
from scim2_models import (
    BulkOperation,
    BulkRequest,
    Email,
    EnterpriseUser,
    Error,
    Group,
    GroupMember,
    ListResponse,
    Name,
    PatchOp,
    PatchOperation,
    ResourceType,
    ScimProvider,
    SearchRequest,
    User,
)
from scim2_tester import Status, check_server

import function_app
from scim.app import Application
from scim.settings import Settings
from tests.support import Client

ADDED = Path(__file__).parents[1] / "schema" / "added"
LEAST = 133
"""How many checks the tester made when this was written: fewer would mean that it no longer finds something."""

T = TypeVar("T")
Record = Callable[[str, object], None]
InThread = Callable[[Callable[[SyncSCIMClient], T]], Any]


@pytest.fixture
def in_thread(base_url: str, client: Client) -> InThread[Any]:
    """Runs a function of a SCIM client in a thread, while this one serves it."""

    def run(work: Callable[[SyncSCIMClient], T]) -> T:
        headers = {"Authorization": f"Bearer {client.token}"}
        with httpx2.Client(base_url=base_url, headers=headers, timeout=30) as http:
            return work(SyncSCIMClient(http))

    return lambda work: asyncio.to_thread(run, work)


@pytest.fixture
async def device(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    """The app with a resource type Device. It has no date here: the tester tries any text for one."""
    schema = json.loads((ADDED / "device.json").read_bytes())
    schema["attributes"] = [attribute for attribute in schema["attributes"] if attribute["type"] != "dateTime"]
    (tmp_path / "device.json").write_text(json.dumps(schema))
    shutil.copy(ADDED / "device-type.json", tmp_path)
    application = Application(settings.model_copy(update={"schemas_folder": str(tmp_path)}))
    monkeypatch.setattr(function_app, "application", application)
    yield
    await application.close()


async def test_tester_finds_nothing_wrong(in_thread: InThread[Any], record_property: Record) -> None:
    results = await in_thread(check_server)
    found = Counter(result.status.name for result in results)
    record_property("checks", dict(found))
    assert [f"{r.title}: {r.reason}" for r in results if r.status is not Status.SUCCESS] == []
    assert len(results) >= LEAST


@pytest.mark.usefixtures("device")
async def test_tester_finds_nothing_wrong_with_a_device(in_thread: InThread[Any], record_property: Record) -> None:
    results = await in_thread(lambda client: check_server(client, resource_types=["Device"]))
    record_property("checks", dict(Counter(result.status.name for result in results)))
    assert [f"{r.title}: {r.reason}" for r in results if r.status is not Status.SUCCESS] == []
    titles = Counter(result.title for result in results)
    assert titles["object_creation"] == titles["object_deletion"] == 1
    assert titles["check_replace_attribute"] > 5


async def test_client_with_typed_models(in_thread: InThread[Any]) -> None:
    """Create, read, query, search, modify, replace, delete."""

    def work(client: SyncSCIMClient) -> None:
        bound = [ResourceType.from_resource(model) for model in (User[EnterpriseUser], Group)]
        client.provider = ScimProvider([User, EnterpriseUser, Group], bound)
        client.discover()
        sent = User[EnterpriseUser](
            user_name="bjensen@example.com",
            name=Name(given_name="Barbara", family_name="Jensen"),
            emails=[Email(value="bjensen@example.com", type=Email.Type.work, primary=True)],
        )
        sent[EnterpriseUser] = EnterpriseUser(department="Tours")
        made = client.create(sent)
        assert isinstance(made, User) and made.id and made.meta and made.meta.version
        read = client.query(User[EnterpriseUser], made.id)
        assert read == made
        assert read[EnterpriseUser].department == "Tours"

        listed = client.query(User[EnterpriseUser], query_parameters={"filter": 'userName eq "BJENSEN@example.com"'})
        assert isinstance(listed, ListResponse) and listed.total_results == 1 and listed.resources == [made]
        search = SearchRequest(filter='emails.value ew "@example.com"', attributes=["userName"])
        searched = client.search(search)
        assert isinstance(searched, ListResponse) and searched.resources
        assert [(user.user_name, user.emails) for user in searched.resources] == [("bjensen@example.com", None)]

        operations = [
            PatchOperation(op=PatchOperation.Op.replace_, path="title", value="Tour Guide"),
            PatchOperation(op=PatchOperation.Op.remove, path="name.givenName"),
        ]
        modified = client.modify(User[EnterpriseUser], made.id, PatchOp[User[EnterpriseUser]](operations=operations))
        assert isinstance(modified, User) and modified.name
        assert (modified.title, modified.name.given_name) == ("Tour Guide", None)
        modified.display_name = "Babs"
        replaced = client.replace(modified)
        assert isinstance(replaced, User)
        assert (replaced.display_name, replaced.title) == ("Babs", "Tour Guide")

        group = client.create(Group(display_name="Guides", members=[GroupMember(value=made.id)]))
        assert isinstance(group, Group) and group.id
        assert client.delete(replaced) is None
        gone = client.query(User[EnterpriseUser], made.id, raise_scim_errors=False)
        assert isinstance(gone, Error) and gone.status == 404
        left = client.query(Group, group.id)
        assert isinstance(left, Group) and not left.members

    await in_thread(work)


async def test_client_with_a_bulk_request(in_thread: InThread[Any]) -> None:
    def work(client: SyncSCIMClient) -> None:
        client.discover()
        user_model, group_model = (cast(Any, client.get_resource_model(name)) for name in ("User", "Group"))
        user = user_model(user_name="alice")
        group = group_model(display_name="Tour Guides", members=[{"value": "bulkId:qwerty"}])
        post = BulkOperation.Method.post
        operations = [
            BulkOperation[group_model](method=post, path="/Groups", bulk_id="ytrewq", data=group),
            BulkOperation[user_model](method=post, path="/Users", bulk_id="qwerty", data=user),
        ]
        answer: Any = client.bulk(BulkRequest[user_model | group_model](operations=operations))
        assert [operation.status for operation in answer.operations] == [201, 201]
        (alice,) = client.query(user_model).resources
        (guides,) = client.query(group_model).resources
        assert [member.value for member in guides.members] == [alice.id]
        assert [membership.value for membership in alice.groups] == [guides.id]

    await in_thread(work)


@pytest.mark.usefixtures("device")
async def test_client_learns_a_device_from_discovery(in_thread: InThread[Any]) -> None:
    def work(client: SyncSCIMClient) -> None:
        client.discover()
        model = cast(Any, client.get_resource_model("Device"))
        made: Any = client.create(model.model_validate({"serial": "S-1", "tag": "T", "online": True}))
        assert (made.serial, made.online, made.meta.resource_type) == ("S-1", True, "Device")
        listed: Any = client.query(model, query_parameters={"filter": 'tag eq "T"'})
        assert listed.resources == [made]
        operation = PatchOperation(op=PatchOperation.Op.replace_, path="online", value=False)
        assert client.modify(model, made.id, PatchOp[model](operations=[operation])).online is False
        twin: Any = client.create(model.model_validate({"serial": "s-1"}), raise_scim_errors=False)
        assert (twin.status, twin.scim_type) == (409, "uniqueness")
        assert client.delete(model, made.id) is None
        assert client.query(model).total_results == 0

    await in_thread(work)
