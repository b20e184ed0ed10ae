"""The lab's Central keeps what it was given, for those whom it knows."""

import json
import threading
import urllib.error
import urllib.request
from datetime import UTC, datetime
from pathlib import Path

import pytest
from bal_situations import TOKEN

from balbook.lab.ballerina import central_client as registry
from balbook.lab.ballerina.bala import write_bala
from balbook.lab.ballerina.central import Central
from balbook.lab.ballerina.package import Sources
from balbook.lab.ballerina.said import Refusal


@pytest.fixture
def bala(tmp_path: Path) -> Path:
    sources = Sources("acme", "inn", "1.0.0", {"inn": {"inn.bal": "// the inn\n"}})
    return write_bala(tmp_path / "inn.bala", sources, "# Inn\n", datetime(2026, 1, 1, tzinfo=UTC))


@pytest.fixture
def central(tmp_path: Path):  # type: ignore[no-untyped-def]
    with Central(tmp_path / "registry", {TOKEN: ("acme",), "other": ("umbrella",)}) as made:
        yield made


def test_gives_back_the_bytes_that_were_pushed(central: Central, bala: Path, tmp_path: Path) -> None:
    registry.push(central.url, bala, TOKEN)
    assert registry.versions(central.url, "acme", "inn") == ["1.0.0"]
    pulled = registry.pull(central.url, "acme", "inn", "1.0.0", tmp_path / "pulled.bala")
    assert pulled.read_bytes() == bala.read_bytes()


def test_answers_a_pull_with_a_redirection(central: Central, bala: Path) -> None:
    registry.push(central.url, bala, TOKEN)

    class Stay(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *_: object) -> None:
            return None

    with pytest.raises(urllib.error.HTTPError) as answer:
        urllib.request.build_opener(Stay).open(f"{central.url}/packages/acme/inn/1.0.0", timeout=10)
    assert (answer.value.code, answer.value.headers["Location"][:7]) == (302, "http://")


def test_never_lets_a_version_be_replaced(central: Central, bala: Path) -> None:
    registry.push(central.url, bala, TOKEN)
    assert central.push(TOKEN, bala.read_bytes())[0] == 400
    with pytest.raises(Refusal, match="already exists in remote repository"):
        registry.push(central.url, bala, TOKEN)


@pytest.mark.parametrize("token", ["other", "unknown", ""])
def test_takes_a_package_only_with_a_token_of_its_organization(central: Central, bala: Path, token: str) -> None:
    with pytest.raises(Refusal, match="unauthorized access token for organization: 'acme'"):
        registry.push(central.url, bala, token)
    assert central.versions("acme", "inn") == []


@pytest.mark.parametrize(("fault", "said"), [("unauthorized", "unauthorized access token"), ("error", "Internal Server Error")])
def test_fails_when_told_to(central: Central, bala: Path, fault: str, said: str) -> None:
    central.fault = fault  # type: ignore[assignment]
    with pytest.raises(Refusal, match=said):
        registry.push(central.url, bala, TOKEN)
    central.fault = ""
    registry.push(central.url, bala, TOKEN)


def test_a_push_that_hangs_goes_on_once_the_fault_is_gone(central: Central, bala: Path) -> None:
    central.fault = "hang"
    pushing = threading.Thread(target=registry.push, args=(central.url, bala, TOKEN), daemon=True)
    pushing.start()
    pushing.join(0.3)
    assert pushing.is_alive()
    assert central.versions("acme", "inn") == []
    central.fault = ""
    pushing.join(10)
    assert central.versions("acme", "inn") == ["1.0.0"]


@pytest.mark.parametrize("path", ["packages/acme/../../etc", "packages/%2e%2e/inn", "packages/acme/none", ""])
def test_knows_nothing_outside_of_its_packages(central: Central, path: str) -> None:
    with pytest.raises(urllib.error.HTTPError) as answer:
        urllib.request.urlopen(f"{central.url}/{path}", timeout=10)
    assert answer.value.code == 404
    assert "message" in json.loads(answer.value.read())


def test_refuses_what_is_no_archive(central: Central) -> None:
    assert central.push(TOKEN, b"not a zip")[0] == 400
