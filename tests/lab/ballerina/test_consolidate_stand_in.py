"""Each trap of the real tool `consolidate-packages` is there."""

import tomllib

import pytest
from bal_situations import SITUATIONS, Stage


@pytest.fixture
def tool(bal_stage: Stage) -> Stage:
    bal_stage.run("bal tool pull consolidate-packages")
    return bal_stage


def services(stage: Stage) -> list[str]:
    manifest = tomllib.loads((stage.root / "hotel/Ballerina.toml").read_text())
    return list(manifest["tool"]["consolidate-packages"][0]["options"]["services"])


def dependencies(stage: Stage) -> list[str]:
    manifest = tomllib.loads((stage.root / "hotel/Ballerina.toml").read_text())
    return [f"{t['org']}/{t['name']}:{t['version']}@{t['repository']}" for t in manifest.get("dependency", [])]


@pytest.mark.parametrize("command", ["new --package-path hotel", "add", "remove"])
def test_trap_1_without_services_prints_help_and_succeeds(tool: Stage, command: str) -> None:
    done = tool.run(f"bal consolidate-packages {command}")
    assert (done.status, done.stdout[:4], done.stderr) == (0, "NAME", "")
    assert not (tool.root / "hotel").exists()


def test_trap_2_new_without_a_path_crashes(tool: Stage) -> None:
    done = tool.run("bal consolidate-packages new acme/inn")
    assert done.status == 1
    assert done.stderr.startswith("ballerina: Oh no, something really went wrong.")
    assert "NullPointerException" in done.stderr


def test_trap_3_an_existing_package_is_refused_after_the_first_words(tool: Stage) -> None:
    SITUATIONS["hotel"](tool)
    before = (tool.root / "hotel/Ballerina.toml").read_text()
    done = tool.run("bal consolidate-packages new --package-path hotel acme/bar")
    assert (done.status, done.stdout) == (1, "Generating the consolidator package for\n\tacme/bar\n")
    assert (tool.root / "hotel/Ballerina.toml").read_text() == before


def test_trap_4_the_local_repository_wants_versions(tool: Stage) -> None:
    done = tool.run("bal consolidate-packages new --package-path hotel --repository=local acme/inn")
    assert done.status == 1
    assert done.stderr == (
        "ballerina: package creation failed. Service acme/inn must contain the version when the repository is provided.\n"
    )


def test_trap_4_without_a_repository_a_version_is_dropped(tool: Stage) -> None:
    assert tool.run("bal consolidate-packages new --package-path hotel acme/inn:1.2.3").status == 0
    assert (services(tool), dependencies(tool)) == (["acme/inn"], [])
    assert "1.2.3" not in (tool.root / "hotel/Ballerina.toml").read_text()


def test_trap_5_into_an_emptied_package_add_adds_nothing_and_succeeds(tool: Stage) -> None:
    SITUATIONS["hotel"](tool)
    tool.run("bal consolidate-packages remove acme/inn", "hotel")
    done = tool.run("bal consolidate-packages add acme/bar", "hotel")
    assert (done.status, services(tool)) == (0, [])
    assert "Successfully added the services to the package." in done.stdout


def test_trap_6_removing_what_is_not_there_succeeds(tool: Stage) -> None:
    SITUATIONS["hotel"](tool)
    done = tool.run("bal consolidate-packages remove acme/attic", "hotel")
    assert (done.status, services(tool)) == (0, ["acme/inn"])
    assert "Successfully removed the services from the package." in done.stdout


def test_trap_7_the_order_is_not_kept(tool: Stage) -> None:
    SITUATIONS["hotel"](tool)
    added = ["acme/zoo", "acme/bar", "acme/pool", "acme/spa"]
    tool.run(f"bal consolidate-packages add {','.join(added)}", "hotel")
    assert services(tool) != ["acme/inn", *added]
    assert sorted(services(tool)) == sorted(["acme/inn", *added])


def test_trap_7_a_service_that_is_there_is_written_twice_with_a_version(tool: Stage) -> None:
    SITUATIONS["hotel"](tool)
    tool.run("bal consolidate-packages add acme/inn:1.0.0 --repository=local", "hotel")
    assert services(tool) == ["acme/inn", "acme/inn"]


def test_trap_8_remove_leaves_the_dependency_table_behind(tool: Stage) -> None:
    tool.run("bal consolidate-packages new --package-path hotel --repository=local acme/inn:1.0.0,acme/bar:1.0.0")
    tool.run("bal consolidate-packages remove acme/inn", "hotel")
    assert services(tool) == ["acme/bar"]
    assert dependencies(tool) == ["acme/inn:1.0.0@local", "acme/bar:1.0.0@local"]


def test_new_overwrites_a_main_that_stands_there(tool: Stage) -> None:
    main = tool.write("hotel/main.bal", "// precious\n")
    assert tool.run("bal consolidate-packages new --package-path hotel acme/inn").status == 0
    assert "precious" not in main.read_text()


def test_imports_are_generated_by_a_build_and_not_before(tool: Stage) -> None:
    tool.start_central()
    tool.publish("inn")
    tool.run("bal consolidate-packages new --package-path hotel acme/inn")
    generated = tool.root / "hotel/generated/consolidator.bal"
    assert not generated.exists()
    assert tool.run("bal test hotel").status == 0
    assert "import acme/inn as _;" in generated.read_text()
