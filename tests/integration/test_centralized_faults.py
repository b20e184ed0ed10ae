"""What goes wrong between sources and an artifact: each fault is seen, said in `bal`'s own words, and leaves nothing half done."""

from __future__ import annotations

import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from balbook import transport as transports
from balbook.commands import ballerina
from balbook.errors import BalbookError, CommandFailed
from balbook.facts.ballerina import parse_left_over, parse_services
from balbook.inventory import Inventory
from balbook.lab.ballerina.bal import write_launcher
from balbook.lab.ballerina.central import Central, Fault
from balbook.lab.ballerina.package import DISTRIBUTION
from balbook.local import processes
from balbook.plan.model import Plan, Run, Step
from balbook.procedures import procedure
from tests.integration.ballerina_lab import BallerinaLab, Done, ballerina_lab
from tests.registry_servers import served

pytestmark = pytest.mark.integration
TOKEN = "open-sesame-7431"
WHOLE = "// nothing\n"
PASSING = "@test:Config {}\nfunction testIt() {\n    test:assertEquals(1, 1);\n}\n"


@pytest.fixture(scope="module")
def rig() -> Iterator[BallerinaLab]:
    """A build host with Ballerina installed, and one host for the application that needs the packages."""
    with tempfile.TemporaryDirectory(prefix="balbook-it-") as folder, ballerina_lab(Path(folder), ("build1", "app1")) as made:
        done = made.apply("install")
        assert done.applied.verdict == "succeeded", done.why
        yield made


@pytest.fixture
def central(rig: BallerinaLab, tmp_path: Path) -> Iterator[Central]:
    """A Central of the test's own, which the host's `bal` talks to, with a home for `bal` that knows no package."""
    with Central(tmp_path / "registry", {TOKEN: ("acme",)}) as registry, bal_of(rig, lambda bal: _launcher(bal, registry.url, tmp_path)):
        yield registry


def _launcher(bal: Path, url: str, folder: Path) -> None:
    environment = {"BALBOOK_LAB_CENTRAL": url, "BALLERINA_HOME_DIR": str(folder / "home")}
    write_launcher(bal, environment)
    (folder / "home").mkdir()
    source = bal.parents[2] / ".ballerina" / "bal-tools.toml"
    shutil.copyfile(source, folder / "home" / "bal-tools.toml")


@contextmanager
def bal_of(rig: BallerinaLab, put: Callable[[Path], object]) -> Iterator[None]:
    """Another `bal` on the build host for the time of a test."""
    bal, kept = rig.root / "bin" / "bal", rig.root / "bin" / "bal.kept"
    bal.rename(kept)
    try:
        put(bal)
        yield
    finally:
        bal.unlink(missing_ok=True)
        kept.rename(bal)


def with_central(rig: BallerinaLab, central: Central, token: str = TOKEN, packages: tuple[str, ...] = ()) -> Inventory:
    """The lab's inventory with that Central and a token for it."""
    file = rig.lab.folder / "test.token"
    file.touch(mode=0o600)
    file.write_text(f"{token}\n")

    def change(data: dict[str, Any]) -> None:
        data["central"] = {"url": central.url, "token": f"file:{file}"}
        data["applications"]["hotel"]["packages"] = list(packages)
        # A project of the test's own: the repository is the folder of the application's name.
        data["applications"] = {"inn": data["applications"]["hotel"]}
        data["defaults"] = {}

    return rig.inventory(change)


def push(rig: BallerinaLab, inventory: Inventory, *places: Path) -> Done:
    return rig.apply("pack_push", inventory, packages=[str(place) for place in places])


def forget_project(rig: BallerinaLab) -> None:
    for place in (rig.root / "projects" / "inn", rig.lab.folder / "inn", rig.root / "published"):
        shutil.rmtree(place, ignore_errors=True)


# Central ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "token", "said"),
    [
        ("", "another-token-12", "unauthorized access token for organization: 'acme'"),
        ("unauthorized", TOKEN, "unauthorized access token for organization: 'acme'"),
        ("error", TOKEN, "Internal Server Error"),
    ],
)
def test_a_push_that_central_refuses_fails_in_bals_words_and_the_token_is_nowhere(
    rig: BallerinaLab, central: Central, fault: Fault, token: str, said: str
) -> None:
    central.fault = fault
    done = push(rig, with_central(rig, central, token), rig.write_package("linen", WHOLE))
    assert done.applied.verdict == "failed"
    assert said in done.why
    assert said in done.written
    assert token not in done.written + done.why + str(done.plan.data())
    assert central.versions("acme", "linen") == []
    central.fault = ""
    assert push(rig, with_central(rig, central), rig.write_package("linen", WHOLE)).applied.verdict == "succeeded"


def test_a_central_that_cannot_be_reached_stops_the_run_before_the_push(rig: BallerinaLab, central: Central) -> None:
    inventory = with_central(rig, central)
    gone = inventory.central.model_copy(update={"url": "http://127.0.0.1:9/registry"})
    linen = str(rig.write_package("linen", WHOLE))
    unmet = rig.plan("pack_push", inventory.model_copy(update={"central": gone}), packages=[linen]).unmet
    assert [p for p in unmet if "does not answer" in p.found], unmet


def test_a_push_that_hangs_ends_at_its_deadline_with_all_its_processes(rig: BallerinaLab, central: Central) -> None:
    inventory = with_central(rig, central)
    rig.write_package("linen", WHOLE)
    central.fault = "hang"
    place = rig.scratch / "packages" / "linen"
    with rig.site("pack_push", inventory) as site:
        transports.run(site.transport, "build1", ballerina.bal(str(rig.root), str(place), "pack"))
        hung = ballerina.push(str(rig.root), str(place), inventory.central.token or "", within_s=2)
        with pytest.raises(CommandFailed, match="did not end within 2 s") as caught:
            transports.run(site.transport, "build1", hung)
    assert caught.value.status == 124
    assert TOKEN not in str(caught.value)
    no_bal_is_running(rig)


def test_a_bal_that_hangs_on_the_host_is_ended_with_its_children_and_recorded(rig: BallerinaLab) -> None:
    def put(bal: Path) -> None:
        bal.write_text("#!/bin/sh\necho compiling\nsleep 300 &\nsleep 300\n")
        bal.chmod(0o755)

    with bal_of(rig, put), rig.site("pack_push") as site:
        hung = Run(ballerina.bal(str(rig.root), "/", "test", within_s=1))
        done = rig.carry_out(site, Plan("pack_push", "", (Step("test", "build1", "bal test", (hung,), about="linen", reads="bal"),)))
    assert done.applied.verdict == "failed"
    assert "did not end within 1 s" in done.why
    assert "compiling" in done.written
    no_bal_is_running(rig, "sleep 300")


def no_bal_is_running(rig: BallerinaLab, title: str = "ballerina.bal") -> None:
    deadline = time.monotonic() + 10
    while left := [p.title for p in processes.of_lab(rig.lab.folder) if title in p.title]:
        assert time.monotonic() < deadline, left
        time.sleep(0.05)


# Packages --------------------------------------------------------------------------------------------------------------------


def test_a_compile_error_is_shown_with_file_and_line(rig: BallerinaLab, central: Central) -> None:
    broken = rig.write_package("broken", "function f() {\n    int i = (3;\n}\n")
    done = push(rig, with_central(rig, central), broken)
    assert done.applied.verdict == "failed"
    assert re.search(r"ERROR \[broken\.bal:\(\d+:\d+,\d+:\d+\)\]", done.why), done.why
    assert "missing close parenthesis token" in done.why
    assert "error: compilation contains errors" in done.written
    assert "Mend the lines" in done.why


def test_a_failing_test_stops_the_package_and_lets_the_other_one_through(rig: BallerinaLab, central: Central) -> None:
    failing = rig.write_package("failing", WHOLE, test=PASSING.replace("assertEquals(1, 1)", "assertFail()"))
    done = push(rig, with_central(rig, central), failing, rig.write_package("linen", WHOLE, test=PASSING))
    assert done.applied.verdict == "failed"
    assert "error: there are test failures" in done.why
    assert "[fail] testIt" in done.written
    outcomes = done.applied.outcomes
    assert outcomes["test acme/failing"] == "failed"
    assert "push acme/failing" not in outcomes
    assert outcomes["push acme/linen"] == "changed"


def test_0_failing_with_exit_status_1_is_a_failure(rig: BallerinaLab, central: Central) -> None:
    def put(bal: Path) -> None:
        bal.write_text('#!/bin/sh\n[ "$1" = test ] || exit 0\nprintf "\\t\\t0 passing\\n\\t\\t0 failing\\n\\t\\t2 skipped\\n"\nexit 1\n')
        bal.chmod(0o755)

    inventory = with_central(rig, central)
    (rig.root / "bin" / "bal").unlink()
    put(rig.root / "bin" / "bal")
    done = push(rig, inventory, rig.write_package("linen", WHOLE))
    assert done.applied.verdict == "failed"
    assert "0 failing" in done.written
    assert "pack acme/linen" not in done.applied.outcomes


def test_a_version_from_other_sources_is_refused_and_from_the_same_left_alone(rig: BallerinaLab, central: Central) -> None:
    inventory, place = with_central(rig, central), rig.write_package("linen", "function f() {\n}\n")
    assert push(rig, inventory, place).applied.verdict == "succeeded"
    shutil.rmtree(rig.root / "published")  # as if somebody else had published it
    assert rig.plan("pack_push", inventory, packages=[str(place)]).pending == ()
    rig.write_package("linen", "function g() {\n}\n")
    unmet = rig.plan("pack_push", inventory, packages=[str(place)]).unmet
    assert "raise the version" in unmet[0].found
    rig.write_package("linen", "function g() {\n}\n", version="0.2.0")
    assert push(rig, inventory, place).applied.verdict == "succeeded"
    assert central.versions("acme", "linen") == ["0.2.0", "0.1.0"]


def test_a_package_that_is_not_there_is_made_from_the_template(rig: BallerinaLab, central: Central) -> None:
    directory = rig.scratch / "packages" / "spa"
    inventory = with_central(rig, central)
    done = push(rig, inventory, directory)
    assert done.applied.verdict == "succeeded", done.why
    assert (directory / "Ballerina.toml").is_file()
    assert list(directory.glob("tests/*.bal"))
    with rig.site("pack_push", inventory, packages=[str(directory)]) as site:
        assert all(check.is_so for check in procedure("pack_push").verify(site, done.plan))
    shutil.rmtree(directory)


# The project -----------------------------------------------------------------------------------------------------------------


def test_two_packages_that_do_not_go_together_are_named_and_no_artifact_is_made(rig: BallerinaLab, central: Central) -> None:
    forget_project(rig)
    inventory = with_central(rig, central, packages=("acme/beds", "acme/bar"))
    importing = "import acme/linen as _;\n"
    assert push(rig, inventory, rig.write_package("linen", WHOLE)).applied.verdict == "succeeded"
    assert push(rig, inventory, rig.write_package("beds", importing)).applied.verdict == "succeeded"
    assert push(rig, inventory, rig.write_package("linen", WHOLE, version="0.2.0")).applied.verdict == "succeeded"
    assert push(rig, inventory, rig.write_package("bar", importing)).applied.verdict == "succeeded"
    done = rig.apply("consolidate", inventory, application="inn")
    assert done.applied.verdict == "failed"
    assert "Two incompatible versions exist in the dependency graph: acme/linen" in done.why
    assert "consolidate" in done.why.splitlines()[-1]
    build = rig.plan("build", inventory, application="inn")
    assert [p.said for p in build.unmet if "tests passed" in p.what] == ["met by runbook consolidate"]


def test_packages_come_and_go_with_the_inventory(rig: BallerinaLab, central: Central) -> None:
    forget_project(rig)
    inventory = with_central(rig, central)
    for name in ("beds", "bar", "linen"):
        assert push(rig, inventory, rig.write_package(name, WHOLE)).applied.verdict == "succeeded"
    toml = rig.root / "projects" / "inn" / "Ballerina.toml"
    for wanted in (("beds", "bar"), ("beds", "linen"), ("bar",), ("beds", "bar", "linen"), ("linen",)):
        inventory = with_central(rig, central, packages=tuple(f"acme/{name}" for name in wanted))
        done = rig.apply("consolidate", inventory, application="inn")
        assert done.applied.verdict == "succeeded", done.why
        assert parse_services(toml.read_text()) == sorted(f"acme/{name}" for name in wanted)
        assert (rig.lab.folder / "inn" / "Ballerina.toml").read_text() == toml.read_text()
        assert rig.plan("consolidate", inventory, application="inn").pending == ()


# The tool's traps ------------------------------------------------------------------------------------------------------------


class Project:
    """A consolidated project of `acme/beds` and `acme/bar` on the build host, and the tool called on it by hand."""

    def __init__(self, rig: BallerinaLab, place: Path) -> None:
        self.rig, self.place = rig, place

    def call(self, *words: str) -> int:
        return self._run(ballerina.bal(str(self.rig.root), str(self.place), ballerina.TOOL, *words))

    def has(self, *services: str) -> bool:
        return self._run(ballerina.has_services(str(self.place), sorted(services))) == 0

    @property
    def text(self) -> str:
        return (self.place / "Ballerina.toml").read_text()

    def _run(self, command: Any) -> int:
        with self.rig.site("consolidate") as site:
            return site.transport.execute("build1", command).status


@pytest.fixture
def project(rig: BallerinaLab, tmp_path: Path) -> Project:
    made = Project(rig, tmp_path / "inn")
    with rig.site("consolidate") as site:
        new = ballerina.consolidate_new(str(rig.root), str(made.place), ["acme/beds", "acme/bar"])
        assert site.transport.execute("build1", new).status == 0
    assert made.has("acme/beds", "acme/bar")
    return made


def test_trap_1_a_call_without_services_succeeds_and_is_noticed(project: Project) -> None:
    assert project.call("add") == 0
    assert not project.has("acme/beds", "acme/bar", "acme/linen")


def test_trap_2_new_without_a_path_crashes_and_is_a_failure(project: Project) -> None:
    assert project.call("new", "acme/linen") == 1


def test_trap_3_new_over_a_project_fails_after_it_announced_success(project: Project) -> None:
    before = project.text
    assert project.call("new", "--package-path", str(project.place), "acme/linen") == 1
    assert project.text == before


def test_trap_4_a_version_that_is_dropped_is_noticed(project: Project) -> None:
    assert project.call("add", "acme/linen:1.0.0") == 0
    assert not project.has("acme/beds", "acme/bar", "acme/linen:1.0.0")
    assert project.call("add", "acme/spa", "--repository=local") == 1


def test_trap_5_adding_to_an_emptied_list_does_nothing_and_is_noticed(project: Project) -> None:
    assert project.call("remove", "acme/beds,acme/bar") == 0
    assert project.call("add", "acme/linen") == 0
    assert not project.has("acme/linen")


def test_trap_6_removing_what_is_not_there_succeeds_and_is_noticed(project: Project) -> None:
    assert project.call("remove", "acme/bear") == 0
    assert not project.has("acme/beds")


def test_trap_7_a_service_that_stands_there_twice_is_noticed(project: Project) -> None:
    assert project.call("add", "acme/bar:1.0.0", "--repository=local") == 0
    assert parse_services(project.text).count("acme/bar") == 2
    assert not project.has("acme/beds", "acme/bar")


def test_trap_8_a_dependency_table_that_is_left_behind_is_noticed(project: Project) -> None:
    assert project.call("add", "acme/linen:1.0.0", "--repository=local") == 0
    assert project.call("remove", "acme/linen") == 0
    assert project.has("acme/beds", "acme/bar")
    assert parse_left_over(project.text) == ["acme/linen"]


def test_what_the_traps_left_in_a_repository_is_mended_or_named(rig: BallerinaLab, central: Central) -> None:
    forget_project(rig)
    inventory = with_central(rig, central, packages=("acme/bar", "acme/beds"))
    for name in ("beds", "bar"):
        assert push(rig, inventory, rig.write_package(name, WHOLE)).applied.verdict == "succeeded"
    assert rig.apply("consolidate", inventory, application="inn").applied.verdict == "succeeded"
    toml = rig.lab.folder / "inn" / "Ballerina.toml"
    for services in ('["acme/bar","acme/bar","acme/beds"]', "[]", '["acme/bar","acme/bar"]'):
        whole = toml.read_text()
        toml.write_text(whole.replace(whole.partition("options.services = ")[2].splitlines()[0], services))
        done = rig.apply("consolidate", inventory, application="inn")
        assert done.applied.verdict == "succeeded", done.why
        assert parse_services(toml.read_text()) == ["acme/bar", "acme/beds"]
    toml.write_text(toml.read_text() + '\n[[dependency]]\norg = "acme"\nname = "linen"\nversion = "1.0.0"\nrepository = "local"\n')
    assert "acme/linen" in rig.plan("consolidate", inventory, application="inn").unmet[0].found
    toml.write_text('[package]\norg = "acme"\nname = "inn"\nversion = "0.1.0"\n')
    assert "another project" in rig.plan("consolidate", inventory, application="inn").unmet[0].found
    assert toml.read_text().count("inn") == 1


def test_a_tool_that_says_success_and_does_nothing_fails_the_run(rig: BallerinaLab, central: Central) -> None:
    forget_project(rig)
    inventory = with_central(rig, central, packages=("acme/bar",))
    for name in ("bar", "beds"):
        assert push(rig, inventory, rig.write_package(name, WHOLE)).applied.verdict == "succeeded"
    assert rig.apply("consolidate", inventory, application="inn").applied.verdict == "succeeded"
    bal = rig.root / "bin" / "bal"
    real = bal.with_name("bal.real")
    bal.rename(real)
    bal.write_text(f'#!/bin/sh\n[ "$1" = consolidate-packages ] && {{ echo Successfully; exit 0; }}\nexec {real} "$@"\n')
    bal.chmod(0o755)
    done = rig.apply("consolidate", with_central(rig, central, packages=("acme/bar", "acme/beds")), application="inn")
    assert done.applied.verdict == "failed"
    assert "the project has: acme/bar; asked for: acme/bar acme/beds" in done.why
    assert "test inn" not in done.applied.outcomes


# The distribution ------------------------------------------------------------------------------------------------------------


@contextmanager
def mirror(archive: bytes, listed: str, *, is_cut_off: bool = False) -> Iterator[str]:
    """A mirror with the distribution's zip and its `.sha256`; may end in the middle of the zip."""

    class Request(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = f"SHA2-256(x.zip)= {listed}\n".encode() if self.path.endswith(".sha256") else archive
            self.send_response(200 if listed or not self.path.endswith(".sha256") else 404)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[: len(content) // 2] if is_cut_off and content is archive else content)
            self.close_connection = True

        def log_message(self, format: str, *args: object) -> None:
            pass

    with served(ThreadingHTTPServer(("127.0.0.1", 0), Request)) as url:
        yield url


def left_below(rig: BallerinaLab) -> set[str]:
    return {path.name for path in (rig.root / "ballerina").iterdir()}


def lab_archive(rig: BallerinaLab) -> tuple[bytes, str]:
    supplies = rig.lab.supplies
    assert supplies is not None
    listed = supplies.distribution.with_name(f"{supplies.distribution.name}.sha256").read_text()
    return supplies.distribution.read_bytes(), listed.split()[-1]


@pytest.mark.parametrize("is_cut_off", [False, True], ids=["another sha256", "cut off"])
def test_a_download_that_is_not_what_was_listed_is_refused_and_gone(rig: BallerinaLab, is_cut_off: bool) -> None:
    archive, sha256 = lab_archive(rig)
    with mirror(archive, sha256 if is_cut_off else "0" * 64, is_cut_off=is_cut_off) as url:
        done = rig.apply("install", version="2201.99.0", source=url)
    assert done.applied.verdict == "failed"
    assert ("expected " + "0" * 64 in done.why) is not is_cut_off
    assert left_below(rig) == {DISTRIBUTION}


def test_a_file_that_is_not_what_is_listed_beside_it_is_refused_and_gone(rig: BallerinaLab, tmp_path: Path) -> None:
    archive, _ = lab_archive(rig)
    (tmp_path / "x.zip").write_bytes(archive)
    (tmp_path / "x.zip.sha256").write_text(f"{'1' * 64}  x.zip\n")
    done = rig.apply("install", version="2201.99.0", source=str(tmp_path / "x.zip"))
    assert done.applied.verdict == "failed"
    assert "expected " + "1" * 64 in done.why
    assert left_below(rig) == {DISTRIBUTION}


def test_a_distribution_that_says_another_version_is_not_taken_for_the_one_wanted(rig: BallerinaLab, tmp_path: Path) -> None:
    archive, sha256 = lab_archive(rig)
    link = (rig.root / "bin" / "bal").readlink()
    try:
        with mirror(archive, sha256) as url:
            done = rig.apply("install", version="2201.99.0", source=url)
        assert done.applied.verdict == "failed"
    finally:
        shutil.rmtree(rig.root / "ballerina" / "2201.99.0", ignore_errors=True)
        (rig.root / "bin" / "bal").unlink()
        (rig.root / "bin" / "bal").symlink_to(link)


@pytest.mark.parametrize("source", ["http://127.0.0.1:9", "unlisted"])
def test_without_a_listed_sha256_nothing_is_fetched(rig: BallerinaLab, source: str) -> None:
    with mirror(b"zip", "") as url, pytest.raises(BalbookError, match="sha256"):
        rig.plan("install", version="2201.99.0", source=url if source == "unlisted" else source)
    assert left_below(rig) == {DISTRIBUTION}


# Native binaries -------------------------------------------------------------------------------------------------------------


def test_a_native_build_without_graalvm_fails_in_bals_words(rig: BallerinaLab, central: Central) -> None:
    forget_project(rig)
    inventory = with_central(rig, central, packages=("acme/bar",))
    assert push(rig, inventory, rig.write_package("bar", WHOLE)).applied.verdict == "succeeded"
    assert rig.apply("consolidate", inventory, application="inn").applied.verdict == "succeeded"
    bal = rig.root / "bin" / "bal"
    bal.write_text(bal.read_text().replace("#!/bin/sh\n", "#!/bin/sh\nunset GRAALVM_HOME\n"))
    native = inventory.applications["inn"].model_copy(update={"artifact": "native"})
    done = rig.apply("build", inventory.model_copy(update={"applications": {"inn": native}}), application="inn")
    assert done.applied.verdict == "failed"
    assert "GraalVM installation directory not found. Set GRAALVM_HOME as an environment variable" in done.why
    assert "build a jar" in done.why
