"""A directory and its changes follow from the seed alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dev.rehearse.changes import evolve
from dev.rehearse.directory import Directory, generate, transliterate
from dev.rehearse.mapping import attributes, changed


def evolved(label: str, seed: int, cycles: int) -> Directory:
    directory = generate(label, seed, 60, 9)
    for cycle in range(1, cycles + 1):
        directory = evolve(directory, seed, cycle).directory
    return directory


def test_the_same_seed_gives_the_same_directory_and_changes() -> None:
    assert evolved("a", 7, 4) == evolved("a", 7, 4)
    assert evolved("a", 7, 1) != evolved("a", 8, 1)


def test_another_label_changes_names_and_keys_and_nothing_else() -> None:
    def shape(directory: Directory) -> list[tuple[object, ...]]:
        number = {person.key: person.number for person in directory.people.values()}
        people = [
            (p.number, p.display, p.title, p.office, p.phones, p.roles, p.enabled, number.get(p.manager or ""))
            for p in directory.people.values()
        ]
        return [*people, *(tuple(sorted(number[key] for key in team.members)) for team in directory.teams.values())]

    one, other = evolved("legacy-r7", 7, 3), evolved("flag-r7", 7, 3)
    assert len(shape(one)) > 60
    assert not one.people.keys() & other.people.keys()
    assert shape(one) == shape(other)


def test_it_holds_what_makes_directories_hard() -> None:
    people = list(generate("a", 1, 200, 0).people.values())
    assert {person.expression for person in people} == {"none", "single", "complex", "assertive"}
    assert any("ü" in person.display for person in people)
    assert any("'" in person.display for person in people)
    assert any("🎧" in person.title for person in people)
    assert any(len(person.display) > 100 for person in people)
    assert any(person.manager is None for person in people) and any(person.manager for person in people)
    guests = [person for person in people if "#EXT#" in person.upn]
    assert {("#EXT#" in guest.user_name) for guest in guests} == {True, False}
    names = [person.user_name.casefold() for person in people]
    assert len(set(names)) == len(names)


def test_a_guest_is_sent_under_its_own_address() -> None:
    guest = next(p for p in generate("a", 1, 20, 0).people.values() if "#EXT#" in p.upn and not p.raw_guest)
    assert guest.user_name.endswith("@partner.a.rehearsal.example")
    assert replace(guest, raw_guest=True).user_name == guest.upn


def test_everything_is_named_under_the_rehearsal_domain() -> None:
    directory = evolved("legacy-r7", 7, 2)
    assert all("legacy-r7.rehearsal.example" in person.user_name for person in directory.people.values())
    assert all("legacy-r7.rehearsal.example" in team.name for team in directory.teams.values())


def test_a_cycle_changes_in_every_way() -> None:
    before = generate("a", 7, 60, 9)
    after = evolve(before, 7, 1).directory
    kept = [(before.people[key], after.people[key]) for key in before.people if key in after.people]
    differ = {path for old, new in kept for path in changed(attributes(old), attributes(new))}
    assert {"active", "userName", "title", "name.familyName", 'emails[type eq "work"].value', "roles"} <= differ
    assert 'addresses[type eq "work"].locality' in differ
    assert any(old.manager != new.manager for old, new in kept)
    assert before.people.keys() - after.people.keys() and after.people.keys() - before.people.keys()
    assert before.teams.keys() - after.teams.keys() and after.teams.keys() - before.teams.keys()
    assert any(before.teams[key].name != after.teams[key].name for key in before.teams if key in after.teams)
    assert any(before.teams[key].members != after.teams[key].members for key in before.teams if key in after.teams)
    later = evolve(after, 7, 2).directory
    assert any(
        not after.people[key].enabled and later.people[key].enabled for key in later.people if key in after.people
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Łukasz.Børge", "Lukasz.Borge"),
        ("Zoë.Weiß", "Zoe.Weiss"),
        ("李.小龍", "Xiaolong.Li"),
        ("Νίκος.Παππάς", "Nikos.Pappas"),
        ("Ngọc.Nguyễn", "Ngoc.Nguyen"),
    ],
)
def test_addresses_are_in_ascii(text: str, expected: str) -> None:
    assert transliterate(text) == expected
