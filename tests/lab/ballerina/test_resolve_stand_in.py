"""Versions, conflicts and `Dependencies.toml`, as a build resolves them."""

import tomllib

import pytest
from bal_situations import Stage


@pytest.fixture
def central(bal_stage: Stage) -> Stage:
    bal_stage.start_central()
    return bal_stage


def pins(stage: Stage, name: str) -> dict[str, str]:
    tables = tomllib.loads((stage.root / name / "Dependencies.toml").read_text())["package"]
    return {f"{t['org']}/{t['name']}": t["version"] for t in tables}


def library(*imports: str) -> str:
    return "".join(f"import acme/{name} as _;\n" for name in imports) or "// nothing\n"


def test_what_a_dependency_needs_is_pinned_too(central: Stage) -> None:
    central.publish("linen", library())
    central.publish("inn", library("linen"))
    central.package("hotel", library("inn"))
    assert central.run("bal test", "hotel").status == 0
    assert pins(central, "hotel") == {"acme/linen": "0.1.0", "acme/inn": "0.1.0", "acme/hotel": "0.1.0"}


@pytest.mark.parametrize(
    ("mode", "expected"),
    [("--locking-mode=soft", "1.2.0"), ("", "1.1.7"), ("--locking-mode=hard", "1.1.0"), ("--sticky", "1.1.0")],
)
def test_a_pin_is_left_only_as_far_as_the_locking_mode_lets(central: Stage, mode: str, expected: str) -> None:
    central.publish("inn", library(), version="1.1.0")
    central.package("hotel", library("inn"))
    central.run("bal test", "hotel")
    for version in ("1.1.7", "1.2.0", "2.0.0"):
        central.publish("inn", library(), version=version)
    assert central.run(f"bal test {mode}", "hotel").status == 0
    assert pins(central, "hotel")["acme/inn"] == expected


def test_without_a_pin_the_latest_release_is_taken_before_a_pre_release(central: Stage) -> None:
    for version in ("1.9.0", "1.10.0", "2.0.0-beta.1"):
        central.publish("inn", library(), version=version)
    central.package("hotel", library("inn"))
    central.run("bal test", "hotel")
    assert pins(central, "hotel")["acme/inn"] == "1.10.0"


def test_two_minor_versions_of_zero_are_a_conflict(central: Stage) -> None:
    central.publish("linen", library())
    central.publish("inn", library("linen"))
    central.publish("linen", library(), version="0.2.0")
    central.publish("bar", library("linen"))
    central.package("hotel", library("inn", "bar"))
    done = central.run("bal test", "hotel")
    assert done.status == 1
    assert done.stderr == (
        "error: compilation failed: Two incompatible versions exist in the dependency graph: acme/linen versions: 0.1.0, 0.2.0\n"
    )


def test_offline_a_package_that_is_not_cached_cannot_be_resolved(central: Stage) -> None:
    central.publish("inn", library())
    central.package("hotel", library("inn"))
    done = central.run("bal test --offline", "hotel")
    assert (done.status, done.stderr) == (
        1,
        "ERROR [hotel.bal:(1:1,1:22)] cannot resolve module 'acme/inn'\nerror: compilation contains errors\n",
    )


def test_offline_a_cached_package_is_enough(central: Stage) -> None:
    central.publish("inn", library())
    central.package("hotel", library("inn"))
    central.run("bal test", "hotel")
    assert central.central is not None
    central.monkeypatch.setenv("BALBOOK_LAB_CENTRAL", "http://127.0.0.1:9/none")
    assert central.run("bal test --offline", "hotel").status == 0


def test_a_dependency_on_the_local_repository_comes_from_there(bal_stage: Stage) -> None:
    bal_stage.package("inn", library(), version="3.0.0")
    bal_stage.run("bal pack", "inn")
    bal_stage.run("bal push --repository=local", "inn")
    more = '\n[[dependency]]\norg = "acme"\nname = "inn"\nversion = "3.0.0"\nrepository = "local"\n'
    bal_stage.package("hotel", library("inn"), more=more)
    assert bal_stage.run("bal test", "hotel").status == 0
    assert pins(bal_stage, "hotel")["acme/inn"] == "3.0.0"


def test_locked_refuses_an_import_that_is_not_pinned(central: Stage) -> None:
    central.publish("inn", library())
    central.package("hotel", library())
    central.run("bal test", "hotel")
    central.package("hotel", library("inn"))
    done = central.run("bal test --locking-mode=locked", "hotel")
    assert done.status == 1
    assert "cannot add new imports with --locking-mode=locked" in done.stderr
