"""Public keys of issuers, over TLS: when they are asked for, and answers that are none."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from scim.security.jwks import PublicKeys
from scim.security.secrets import SecretsUnavailable
from tests.cloud import Cloud
from tests.core import cases


class Clock:
    now = 5000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def keys(cloud: Cloud, clock: Clock) -> PublicKeys:
    return PublicKeys(ca_file=cloud.ca_file, clock=clock)


async def known(keys: PublicKeys, cloud: Cloud, kid: str) -> bool | None:
    """Whether the issuer has the key; None where that is not known."""
    try:
        return await keys.get(cloud.jwks_uri, kid) is not None
    except SecretsUnavailable:
        return None


async def test_key_is_the_published_one(keys: PublicKeys, cloud: Cloud) -> None:
    key = await keys.get(cloud.jwks_uri, "key-1")
    assert key is not None
    assert key.key.public_numbers() == cloud.issuer.keys["key-1"].public_key().public_numbers()


async def test_known_keys_are_asked_for_once_an_hour(keys: PublicKeys, cloud: Cloud, clock: Clock) -> None:
    for _ in range(6):
        assert await known(keys, cloud, "key-1")
        clock.now += 600
    assert cloud.issuer.asked == 1
    clock.now += 600
    cloud.issuer.published.clear()
    cloud.issuer.add_key("key-2")
    assert not await known(keys, cloud, "key-1")  # the issuer has withdrawn it
    assert cloud.issuer.asked == 2


async def test_unknown_key_asks_anew_once_a_minute(keys: PublicKeys, cloud: Cloud, clock: Clock) -> None:
    for number in range(100):
        assert await known(keys, cloud, f"invented-{number}") is False
    assert cloud.issuer.asked == 1
    cloud.issuer.add_key("key-2")
    clock.now += 59.9
    assert not await known(keys, cloud, "key-2")
    clock.now += 0.1
    assert await known(keys, cloud, "key-2")
    assert await known(keys, cloud, "key-1")
    assert cloud.issuer.asked == 2


async def test_callers_at_the_same_time_ask_once(keys: PublicKeys, cloud: Cloud) -> None:
    assert await asyncio.gather(*(known(keys, cloud, "key-1") for _ in range(20))) == [True] * 20
    assert cloud.issuer.asked == 1


async def html(request: web.Request) -> web.StreamResponse:
    return web.Response(text="<html>Sign in</html>", content_type="text/html")


async def redirect(request: web.Request) -> web.StreamResponse:
    if request.query:  # where it leads to, the keys would be found
        return web.json_response({"keys": []})
    raise web.HTTPFound(f"{request.path}?moved")


async def huge(request: web.Request) -> web.StreamResponse:
    return web.Response(body=b'{"keys": []' + b" " * 2**20 + b"}", content_type="application/json")


async def endless(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    try:
        while request.transport is not None and not request.transport.is_closing():
            await response.write(b" " * 65_536)
            await asyncio.sleep(0)  # writing alone lets nobody else run
    except ConnectionError:
        pass
    return response


def says(text: str) -> Any:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(text=text, content_type="application/json")

    return answer


BAD_ANSWERS = {
    "HTML": html,
    "redirect": redirect,
    "more than a mebibyte": huge,
    "no end": endless,
    "nothing": says(""),
    "no keys": says('{"keys": []}'),
    "keys that are none": says('{"keys": [5, {"kty": "RSA"}, {}]}'),
    "keys that are no list": says('{"keys": "x"}'),
    "cut off": says('{"keys": [{"kty": "RSA", "kid": "key-1"'),
    "nested too deep": says("[" * 100_000),
    "nested too deep inside": says('{"keys": ' + "[" * 100_000),
}


@pytest.mark.parametrize("answer", cases(BAD_ANSWERS))
async def test_answer_that_is_no_key_set(
    keys: PublicKeys, cloud: Cloud, clock: Clock, answer: Any, caplog: Any
) -> None:
    cloud.issuer.answer = answer
    with caplog.at_level(logging.WARNING, "scim.jwks"):
        assert await known(keys, cloud, "key-1") is None
    assert cloud.jwks_uri in caplog.text
    assert cloud.issuer.asked == 1
    assert await known(keys, cloud, "key-1") is None
    assert cloud.issuer.asked == 1  # not again within the minute
    cloud.issuer.answer = None
    clock.now += 60
    assert await known(keys, cloud, "key-1")


@pytest.mark.parametrize("answer", cases({"status 500": None, **BAD_ANSWERS}))
async def test_kept_keys_go_on_while_the_issuer_is_down(
    keys: PublicKeys, cloud: Cloud, clock: Clock, answer: Any
) -> None:
    assert await known(keys, cloud, "key-1")
    cloud.issuer.fail(500)
    cloud.issuer.answer = answer or cloud.issuer.answer
    clock.now += 60
    assert await known(keys, cloud, "key-2") is None  # it may be new
    assert await known(keys, cloud, "key-1")
    clock.now += 4 * 3600 - 61
    assert await known(keys, cloud, "key-1")
    clock.now += 1
    assert await known(keys, cloud, "key-1") is None  # what was withdrawn since must end, too


async def test_issuer_that_cannot_be_reached(keys: PublicKeys) -> None:
    with pytest.raises(SecretsUnavailable):
        await keys.get("https://127.0.0.1:1/keys", "key-1")


async def test_issuer_whose_certificate_is_not_trusted(cloud: Cloud) -> None:
    with pytest.raises(SecretsUnavailable):
        await PublicKeys().get(cloud.jwks_uri, "key-1")
    assert cloud.issuer.asked == 0


async def test_issuers_are_kept_apart(keys: PublicKeys, cloud: Cloud) -> None:
    assert await known(keys, cloud, "key-1")
    cloud.issuer.fail(500)
    with pytest.raises(SecretsUnavailable):
        await keys.get(f"{cloud.jwks_uri}?another", "key-1")
    assert await known(keys, cloud, "key-1")


async def test_keys_without_an_id_and_of_other_kinds_are_passed_over(keys: PublicKeys, cloud: Cloud) -> None:
    (key,) = cloud.issuer.jwks()["keys"]
    nameless = {name: value for name, value in key.items() if name != "kid"}
    others = [nameless, {"kty": "unheard-of", "kid": "other"}, {**key, "kid": "key-2"}]
    cloud.issuer.answer = says(json.dumps({"keys": others}))
    assert await known(keys, cloud, "other") is False
    assert await known(keys, cloud, "key-2") is True


async def test_key_set_that_arrives_in_parts(keys: Any, cloud: Cloud) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        body = json.dumps(cloud.issuer.jwks()).encode()
        response = web.StreamResponse(headers={"Content-Length": str(len(body))})
        await response.prepare(request)
        for at in range(0, len(body), 100):
            await response.write(body[at : at + 100])
            await asyncio.sleep(0.01)
        return response

    cloud.issuer.answer = answer
    assert await known(keys, cloud, "key-1")


@pytest.mark.parametrize("text", ["[]", '"x"', "null", "5"])
async def test_answer_that_is_no_object(keys: Any, cloud: Cloud, text: str) -> None:
    cloud.issuer.answer = says(text)
    assert await known(keys, cloud, "key-1") is None


async def test_known_keys_do_not_wait_for_an_issuer_that_hangs(keys: Any, cloud: Cloud, clock: Clock) -> None:
    assert await known(keys, cloud, "key-1")
    asked_for, gate = asyncio.Event(), asyncio.Event()

    async def hang(request: web.Request) -> web.StreamResponse:
        asked_for.set()
        await gate.wait()
        return web.Response(status=500)

    cloud.issuer.answer = hang
    clock.now += 60
    unknown = asyncio.create_task(known(keys, cloud, "key-2"))
    await asked_for.wait()
    asked = asyncio.create_task(known(keys, cloud, "key-1"))
    for _ in range(5):
        await asyncio.sleep(0)
    waits = not asked.done()
    gate.set()
    await asyncio.gather(asked, unknown)
    assert not waits


async def test_nobody_waits_for_an_issuer_that_was_down_a_moment_ago(keys: Any, cloud: Cloud, clock: Clock) -> None:
    assert await known(keys, cloud, "key-1")
    cloud.issuer.fail(500)
    clock.now += 3601
    assert await known(keys, cloud, "key-1")
    gate = asyncio.Event()

    async def hang(request: web.Request) -> web.StreamResponse:
        await gate.wait()
        return web.json_response(cloud.issuer.jwks())

    cloud.issuer.answer = hang
    clock.now += 60
    assert await known(keys, cloud, "key-1")
    (behind,) = keys._tasks
    gate.set()
    await behind
    assert cloud.issuer.asked == 3
    assert await known(keys, cloud, "key-2") is False


def weak(bits: int) -> dict[str, Any]:
    return RSAAlgorithm.to_jwk(rsa.generate_private_key(65537, bits).public_key(), as_dict=True)


UNUSABLE: dict[str, dict[str, Any]] = {
    "1,024 bits": weak(1024),
    "2,040 bits": weak(2040),
    "16,384 bits": {"n": "AQAB" * 683},
    "for encryption": {"use": "enc"},
    "use that is unheard of": {"use": "x"},
    "use that is a list": {"use": ["sig"]},
    "signs and does not verify": {"key_ops": ["sign"]},
    "operations that are a word": {"key_ops": "verify"},
    "another algorithm": {"alg": "RS512"},
    "algorithm for encryption": {"alg": "RSA-OAEP"},
    "elliptic": {
        "kty": "EC",
        "crv": "P-256",
        "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
    },
    "secret": {"kty": "oct", "k": "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75"},
}


@pytest.mark.parametrize("members", cases(UNUSABLE))
async def test_key_that_no_token_may_be_checked_with(keys: Any, cloud: Cloud, members: dict[str, Any]) -> None:
    (key,) = cloud.issuer.jwks()["keys"]
    cloud.issuer.answer = says(json.dumps({"keys": [{**key, **members, "kid": "key-9"}, key]}))
    assert await known(keys, cloud, "key-9") is False
    assert await known(keys, cloud, "key-1") is True


USABLE = {"no use": {"use": None}, "verifies": {"key_ops": ["verify"]}, "names its algorithm": {"alg": "RS256"}}


@pytest.mark.parametrize("members", cases(USABLE))
async def test_key_that_tokens_may_be_checked_with(keys: Any, cloud: Cloud, members: dict[str, Any]) -> None:
    (key,) = cloud.issuer.jwks()["keys"]
    said = {name: value for name, value in {**key, **members}.items() if value is not None}
    cloud.issuer.answer = says(json.dumps({"keys": [said]}))
    assert await known(keys, cloud, "key-1") is True
