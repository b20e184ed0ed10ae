"""From the places that the inventory names to the addresses that a balancer says."""

from __future__ import annotations

from balbook.probe.connection import with_every_address


def test_a_name_stands_for_every_address_that_it_has() -> None:
    found = with_every_address({"localhost:9090": "app1:9090"})
    assert found["localhost:9090"] == found["127.0.0.1:9090"] == "app1:9090"
    assert set(found.values()) == {"app1:9090"}


def test_an_ipv6_address_is_found_with_brackets_and_without_and_however_it_was_written() -> None:
    found = with_every_address({"[FD00:0::23]:9090": "app1:9090"})
    assert found["[fd00::23]:9090"] == found["fd00::23:9090"] == "app1:9090"


def test_a_name_without_an_address_stays_as_it_is() -> None:
    assert with_every_address({"nowhere.invalid:9090": "app1:9090"}) == {"nowhere.invalid:9090": "app1:9090"}
