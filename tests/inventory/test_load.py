"""The inventory: where it is found, what is refused, and how well the refusal says what to do."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from balbook.errors import InventoryError
from balbook.inventory import digest_of, find_inventory, load_inventory, read_inventory
from balbook.inventory.load import inventory_schema
from balbook.local.resources import resource

SOUND: dict[str, Any] = {
    "version": 1,
    "environment": "staging",
    "hosts": {
        "build1": {"address": "10.0.0.11", "user": "ops", "roles": ["build"]},
        "app1": {"address": "10.0.0.21", "user": "ops", "roles": ["app"], "jump": "build1", "root": "/opt/balbook"},
        "app2": {"address": "10.0.0.22", "roles": ["app"]},
        "app3": {"address": "10.0.0.23", "roles": ["app"]},
        "lb1": {"address": "10.0.0.31", "roles": ["balancer"]},
    },
    "applications": {
        "hotel": {
            "packages": ["acme/rooms"],
            "balancer": "public",
            "instances": [{"host": "app1", "port": 9090}, {"host": "app2", "port": 9090}],
            "routes": {"/": {"timeout_s": 60}},
            "environment": {"LOG_LEVEL": "info"},
            "account": "hotel",
            "requires": {"os_packages": ["libpq5"]},
        }
    },
    "balancers": {"public": {"host": "lb1", "kind": "nginx", "listen": 80, "directory": "/etc/nginx/conf.d", "address": "10.0.0.31"}},
}


def changed(*changes: tuple[str, Any]) -> dict[str, Any]:
    """SOUND with other values at dotted places; `...` takes a value away."""
    data: dict[str, Any] = json.loads(json.dumps(SOUND))
    for dotted, value in changes:
        *way, last = dotted.split(".")
        at = data
        for part in way:
            at = at[int(part)] if isinstance(at, list) else at.setdefault(part, {})
        if value is ...:
            del at[last]
        else:
            at[int(last) if isinstance(at, list) else last] = value
    return data


def write(folder: Path, content: str | dict[str, Any], name: str = "inventory.yaml") -> Path:
    path = folder / name
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return path


def refusal(folder: Path, content: str | dict[str, Any]) -> list[str]:
    """The problems that the inventory is refused with, without the file's folder."""
    with pytest.raises(InventoryError) as caught:
        read_inventory(write(folder, content))
    assert caught.value.exit_status == 2
    assert caught.value.advice
    return caught.value.message.replace(f"{folder}/", "").splitlines()


def test_a_sound_inventory_is_read_and_knows_its_absolute_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, SOUND)
    monkeypatch.chdir(tmp_path)
    inventory = read_inventory(Path("inventory.yaml"))
    assert inventory.path == tmp_path / "inventory.yaml"
    assert inventory.applications["hotel"].instances[1].name == "app2:9090"
    assert inventory.resolve("records") == tmp_path.resolve() / "records"


def test_the_annotated_example_is_a_sound_inventory() -> None:
    inventory = read_inventory(resource("templates", "deployment", "inventory.yaml"))
    assert inventory.applications["hotel"].balancer == "public"
    assert inventory.hosts["app1"].jump == "bastion.example.com"


def test_the_sources_are_asked_in_the_documented_order(tmp_path: Path) -> None:
    given, parameter, variable = (write(tmp_path, SOUND, f"{name}.yaml") for name in ("given", "parameter", "variable"))
    lab = write(tmp_path, SOUND, "lab.yaml")
    work = tmp_path / "work"
    work.mkdir()
    local = write(work, SOUND)
    environ = {"BALBOOK_INVENTORY": str(variable)}

    def found(path: Path | None, parameter: str, environ: dict[str, str]) -> tuple[Path, str]:
        return find_inventory(path, parameter=parameter, environ=environ, cwd=work, lab_inventory=lab)

    assert found(given, str(parameter), environ) == (given, "-i")
    assert found(None, str(parameter), environ) == (parameter, "the parameter `inventory`")
    assert found(None, "", environ) == (variable, "BALBOOK_INVENTORY")
    assert found(None, "", {}) == (local, "./inventory.yaml")
    local.unlink()
    assert found(None, "", {}) == (lab, "the running lab")
    lab.unlink()
    with pytest.raises(InventoryError, match="no inventory"):
        found(None, "", {})


def test_a_named_but_missing_inventory_never_falls_through(tmp_path: Path) -> None:
    write(tmp_path, SOUND)
    with pytest.raises(InventoryError, match=r"other\.yaml, named by BALBOOK_INVENTORY, is not a file"):
        load_inventory(None, environ={"BALBOOK_INVENTORY": "other.yaml"}, cwd=tmp_path, lab_inventory=None)


def test_a_relative_name_starts_from_the_working_directory(tmp_path: Path) -> None:
    write(tmp_path, SOUND, "mine.yaml")
    assert load_inventory(Path("mine.yaml"), environ={}, cwd=tmp_path, lab_inventory=None).path == tmp_path / "mine.yaml"


def test_all_problems_are_told_at_once_by_line_and_field(tmp_path: Path) -> None:
    text = """\
version: 1
enviroment: staging
hosts:
  app1: {address: 10.0.0.1, roles: [ap]}
  app2: {adress: 10.0.0.2, roles: [app]}
  app3: {address: 10.0.0.3, roles: [app]}
applications:
  hotel:
    instances: [{host: app1, port: 99999}]
  inn:
    hooks: {before_drian: []}
    instances: [{host: app33, port: 9090}]
"""
    lines = refusal(tmp_path, text)
    assert [line.split(": ")[0] for line in lines] == [f"inventory.yaml:{n}" for n in (2, 4, 5, 5, 9, 11, 12)]
    assert lines[0] == "inventory.yaml:2: enviroment: is not a known field. Did you mean 'environment'?"
    assert "hosts.app1.roles[0]: found 'ap'; allowed: 'build', 'app' or 'balancer'. Did you mean 'app'?" in lines[1]
    assert "hosts.app2.address: is missing: DNS name" in lines[2]
    assert "hosts.app2.adress: is not a known field. Did you mean 'address'?" in lines[3]
    assert "applications.hotel.instances[0].port: found 99999; allowed: less than or equal to 65535" in lines[4]
    assert "applications.inn.instances[0].host: found 'app33', which is not a host of this inventory. Did you mean 'app3'?" in lines[6]


def test_a_reference_to_an_entry_with_problems_is_no_second_problem(tmp_path: Path) -> None:
    assert refusal(tmp_path, changed(("hosts.app1.port", 0), ("hosts.lb1.port", 0))) == [
        "inventory.yaml:16: hosts.app1.port: found 0; allowed: greater than or equal to 1",
        "inventory.yaml:29: hosts.lb1.port: found 0; allowed: greater than or equal to 1",
    ]


HOSTILE = ["a;b", "$(id)", "a b", "a\nb", "app1\n", "../x", "-rf", "`id`", "a'b", 'a"b', "é", "a\x00b", ""]
NAME_LIKE = [
    "environment",
    "hosts.app1.address",
    "hosts.app1.user",
    "hosts.app1.jump",
    "hosts.app1.root",
    "applications.hotel.packages.0",
    "applications.hotel.balancer",
    "applications.hotel.instances.0.host",
    "applications.hotel.health.path",
    "applications.hotel.account",
    "applications.hotel.requires.os_packages.0",
    "applications.hotel.strategy",
    "balancers.public.host",
    "balancers.public.address",
    "balancers.public.directory",
    "balancers.public.tls.certificate",
]


@pytest.mark.parametrize("value", HOSTILE)
@pytest.mark.parametrize("place", NAME_LIKE)
def test_a_hostile_value_is_refused_in_every_name_like_field(tmp_path: Path, place: str, value: str) -> None:
    field = re.sub(r"\.(\d+)", r"[\1]", place)
    changes: list[tuple[str, Any]] = [(place, value)]
    if "tls" in place:
        changes = [("balancers.public.tls", {"certificate": value, "key": "/etc/ssl/hotel.key"})]
    lines = refusal(tmp_path, changed(*changes))
    assert any(f"{field}: found " in line and "allowed: " in line for line in lines), lines
    assert not any(set(line) & {"\x00", "\n"} for line in lines)


@pytest.mark.parametrize("value", HOSTILE)
@pytest.mark.parametrize("section", ["hosts", "applications", "balancers", "applications.hotel.environment", "applications.hotel.routes"])
def test_a_hostile_name_of_an_entry_is_refused(tmp_path: Path, section: str, value: str) -> None:
    entry = {
        "hosts": SOUND["hosts"]["app3"],
        "applications": {"instances": [{"host": "app3", "port": 1}]},
        "balancers": {"host": "lb1", "listen": 81},
        "applications.hotel.environment": "x",
        "applications.hotel.routes": {},
    }[section]
    data = changed()
    at: Any = data
    for part in section.split("."):
        at = at[part]
    at[value] = entry
    assert any("is not allowed; allowed: " in line for line in refusal(tmp_path, data))


@pytest.mark.parametrize("place", ["artifacts", "records.path", "records.sign_with", "hosts.app1.identity", "hosts.app1.known_hosts"])
@pytest.mark.parametrize("value", ["a\nb", "a\x00b", "a\n", ""])
def test_a_path_is_one_line(tmp_path: Path, place: str, value: str) -> None:
    assert any(f"{place}: found " in line for line in refusal(tmp_path, changed((place, value))))


@pytest.mark.parametrize(
    ("field", "told"),
    [
        ("address: 1.10", 'found 1.10, which YAML reads as the number 1.1; expected: text. Write "1.10" in quotes'),
        ("address: on", 'found on, which YAML reads as the truth value true; expected: text. Write "on" in quotes'),
        ("address: 10:20", 'YAML reads 10:20 as the number 620; write 620, or "10:20" in quotes for text'),
        ("address: ", "found nothing; allowed: text"),
        ("address: {a: 1}", "found a mapping; allowed: text"),
        ("address: x, port: on", "found on, the truth value true; allowed: a whole number"),
        ("address: x, port: '22'", "found '22'; allowed: a whole number"),
        ("address: x, port: 022", 'YAML reads 022 as the number 18; write 18, or "022" in quotes for text'),
    ],
)
def test_what_yaml_makes_of_a_word_is_explained(tmp_path: Path, field: str, told: str) -> None:
    lines = refusal(tmp_path, f"hosts:\n  app1: {{{field}, roles: [app]}}\n  app2: {{address: x, roles: [app]}}\n")
    assert len(lines) == 1
    assert lines[0].startswith("inventory.yaml:2: hosts.app1.")
    assert lines[0].endswith(told)


@pytest.mark.parametrize(("written", "told"), [("1.10", "the number 1.1"), ("on", "the truth value true"), ("0x1F", "the number 31")])
def test_an_environment_variable_keeps_what_was_written_or_is_refused(tmp_path: Path, written: str, told: str) -> None:
    text = yaml.safe_dump(SOUND).replace("LOG_LEVEL: info", f"LOG_LEVEL: {written}")
    assert any(f"YAML reads {written} as {told}" in line or f"which YAML reads as {told}" in line for line in refusal(tmp_path, text))


@pytest.mark.parametrize(
    ("written", "value"), [("5", "5"), ("1.5", "1.5"), ("true", "true"), ('"1.10"', "1.10"), ("2024-01-02", "2024-01-02")]
)
def test_an_environment_variable_is_text_however_it_is_written(tmp_path: Path, written: str, value: str) -> None:
    path = write(tmp_path, yaml.safe_dump(SOUND).replace("LOG_LEVEL: info", f"LOG_LEVEL: {written}"))
    assert read_inventory(path).applications["hotel"].environment == {"LOG_LEVEL": value}


def test_a_key_written_twice_is_refused_with_both_lines(tmp_path: Path) -> None:
    text = "hosts:\n  app1: {address: a, roles: [app]}\n  app1: {address: b, roles: [app]}\n"
    assert refusal(tmp_path, text) == ["inventory.yaml:3: hosts.app1: is written twice, here and on line 2; remove one"]


def test_a_key_that_yaml_does_not_read_as_text_is_refused(tmp_path: Path) -> None:
    lines = refusal(tmp_path, "hosts:\n  app1: {address: a, roles: [app]}\n  on: {address: b, roles: [app]}\n")
    assert lines == ['inventory.yaml:3: hosts.on: YAML reads the key on as the truth value true; write it in quotes: "on"']


def test_anchors_and_merged_keys_are_understood(tmp_path: Path) -> None:
    text = "hosts:\n  a: &a {address: x, port: 1, roles: [app]}\n  b: {<<: *a, port: 2}\n"
    hosts = read_inventory(write(tmp_path, text)).hosts
    assert (hosts["b"].address, hosts["b"].port) == ("x", 2)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "found an empty file; an inventory is a mapping"),
        ("- a\n", "found no mapping"),
        ("hosts: {a: b\n", "this is not YAML"),
        ("hosts:\n\t- a\n", "this is not YAML"),
        ("hosts: {}\n---\nhosts: {}\n", "this is not YAML"),
        ("hosts: !!python/object/apply:os.system [id]\n", "is not allowed; write a plain value"),
        ("hosts: &a {b: *a}\n", "the alias contains itself"),
        ("hosts: &a {<<: *a}\n", "`<<` must name another mapping"),
        ("hosts: {[a]: b}\n", "a key must be a single word"),
        ("hosts: {}\n", "hosts: found a mapping; allowed: at least one"),
        ("version: 1\n", "hosts: is missing"),
        ("a: " + "[" * 3000 + "]" * 3000, "nested too deeply"),
    ],
)
def test_what_is_no_inventory_is_refused_in_words(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(InventoryError) as caught:
        read_inventory(write(tmp_path, text))
    assert told in str(caught.value) or (told == "nested too deeply" and "this is not YAML" in str(caught.value))
    assert f"{tmp_path}/inventory.yaml" in str(caught.value)


def test_aliases_that_multiply_are_refused_without_being_expanded(tmp_path: Path) -> None:
    text = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 10))
    assert any("too many values" in line for line in refusal(tmp_path, text))


def test_a_file_that_is_not_text_is_refused_with_the_line(tmp_path: Path) -> None:
    path = tmp_path / "inventory.yaml"
    path.write_bytes(b"version: 1\nhosts: \xff\n")
    with pytest.raises(InventoryError, match=r"inventory\.yaml:2: this is not UTF-8"):
        read_inventory(path)


def test_a_newer_version_is_refused_with_advice(tmp_path: Path) -> None:
    with pytest.raises(InventoryError, match=r"inventory\.yaml:1: version: found 2; this balbook knows 1") as caught:
        read_inventory(write(tmp_path, changed(("version", 2), ("unknown", 1))))
    assert "Install a newer balbook" in caught.value.advice


@pytest.mark.parametrize("value", [0, "1", True, None, 1.0])
def test_a_version_that_is_no_version_is_refused(tmp_path: Path, value: object) -> None:
    assert any("version: found" in line for line in refusal(tmp_path, changed(("version", value))))


APP = "applications.hotel"
THREE = [{"host": f"app{n}", "port": 9090} for n in (1, 2, 3)]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (
            [(f"{APP}.instances.0.host", "ap1")],
            "instances[0].host: found 'ap1', which is not a host of this inventory. Did you mean 'app1'?",
        ),
        ([(f"{APP}.instances.0.host", "build1")], "which lacks the role 'app'; add it to hosts.build1.roles"),
        ([(f"{APP}.balancer", "pubic")], "balancer: found 'pubic', which is not a balancer of this inventory. Did you mean 'public'?"),
        (
            [("balancers.public.host", "lb2")],
            "balancers.public.host: found 'lb2', which is not a host of this inventory. Did you mean 'lb1'?",
        ),
        ([("balancers.public.host", "app3")], "which lacks the role 'balancer'"),
        ([("hosts.app1.jump", "biuld1")], "hosts.app1.jump: found 'biuld1', which is not a host of this inventory. Did you mean 'build1'?"),
        ([("hosts.app1.jump", "app1")], "leads in a circle: app1 -> app1"),
        ([("hosts.build1.jump", "app1")], "leads in a circle: build1 -> app1 -> build1"),
        ([(f"{APP}.instances.1.host", "app1")], "found port 9090 on host 'app1', which applications.hotel.instances[0].port has already"),
        ([("applications.inn", {"instances": THREE[:1]})], "which applications.hotel.instances[0].port has already"),
        ([("balancers.other", {"host": "lb1"})], "found port 80 on host 'lb1', which balancers.public.listen has already"),
        ([(f"{APP}.strategy", "active_passive"), (f"{APP}.instances", THREE[:1])], "no instance can stand by"),
        ([(f"{APP}.strategy", "active_passive"), ("balancers.public.method", "ip_hash")], "`backup` cannot be combined"),
        ([(f"{APP}.strategy", "active_passive"), (f"{APP}.instances", THREE)], "spreads requests over all its backups"),
        (
            [(f"{APP}.strategy", "active_passive"), (f"{APP}.instances", THREE), ("balancers.public.kind", "nginx_plus")],
            "kind nginx_plus spreads requests over all its backups",
        ),
        ([(f"{APP}.strategy", "active_active_checked")], "Use kind haproxy or nginx_plus"),
        (
            [("balancers.public.kind", "haproxy"), ("balancers.public.tls", {"certificate": "/srv/a.crt", "key": "/srv/a.key"})],
            "balancers.public.tls.key: found '/srv/a.key'; haproxy reads the key from the certificate's own file or from /srv/a.crt.key",
        ),
        ([(f"{APP}.strategy", "active_active_checked"), (f"{APP}.balancer", ...)], "without a balancer"),
        ([(f"{APP}.capacity_floor", 2)], "capacity_floor: found 2 of 2 instances, so that none could be replaced; allowed: at most 1"),
        ([(f"{APP}.config", {"file": "hotel/Config.toml"})], "config.file: found 'hotel/Config.toml', but "),
    ],
)
def test_what_does_not_fit_together_is_refused(tmp_path: Path, changes: list[tuple[str, Any]], told: str) -> None:
    lines = refusal(tmp_path, changed(*changes))
    assert any(told in line for line in lines), lines
    assert all(re.match(r"inventory\.yaml:\d+: \S+: ", line) for line in lines)


def test_a_rule_over_several_fields_is_told_in_its_own_words(tmp_path: Path) -> None:
    lines = refusal(tmp_path, changed(("records.anchor", {"kind": "command"})))
    assert len(lines) == 1
    assert lines[0].endswith("records.anchor: `command` belongs to the kind `command`, which needs it; `git_tag` takes none")


@pytest.mark.parametrize(
    "changes",
    [
        [(f"{APP}.strategy", "active_passive")],
        [(f"{APP}.strategy", "active_passive"), (f"{APP}.instances", THREE), ("balancers.public.kind", "haproxy")],
        [(f"{APP}.strategy", "active_active_checked"), ("balancers.public.kind", "haproxy")],
        [(f"{APP}.strategy", "active_active_checked"), ("balancers.public.kind", "nginx_plus")],
        [(f"{APP}.capacity_floor", 1)],
        [(f"{APP}.capacity_floor", 0), (f"{APP}.instances", THREE[:1])],
        [("hosts.app1.jump", "bastion.example.com")],
        [("hosts.app1.jump", "build2")],
        [(f"{APP}.instances.1", {"host": "app1", "port": 9091})],
        [("central", {"token": "env:TOKEN", "url": "http://127.0.0.1:8080/registry"})],
    ],
)
def test_what_fits_together_is_accepted(tmp_path: Path, changes: list[tuple[str, Any]]) -> None:
    assert read_inventory(write(tmp_path, changed(*changes)))


def test_the_configuration_template_is_looked_for_beside_the_inventory(tmp_path: Path) -> None:
    (tmp_path / "hotel").mkdir()
    (tmp_path / "hotel" / "Config.toml").touch()
    assert read_inventory(write(tmp_path, changed((f"{APP}.config", {"file": "hotel/Config.toml"}))))


@pytest.mark.parametrize("token", ["s3cr3t-in-clear", "ghp:s3cr3t-in-clear", 12345678])
def test_a_token_in_clear_is_refused_and_not_repeated(tmp_path: Path, token: object) -> None:
    text = "\n".join(refusal(tmp_path, changed(("central.token", token))))
    assert "central.token: " in text
    assert "env:NAME" in text
    assert str(token) not in text


def test_the_value_of_a_refused_variable_is_not_repeated(tmp_path: Path) -> None:
    text = "\n".join(refusal(tmp_path, changed((f"{APP}.environment.PASSWORD", "hunter2\nx"))))
    assert "hunter2" not in text
    assert "PASSWORD" in text


def test_the_digest_follows_what_is_said_and_not_where_it_is_stored(tmp_path: Path) -> None:
    first = digest_of(read_inventory(write(tmp_path, SOUND)))
    assert first == digest_of(read_inventory(write(tmp_path, changed(("lab", False)), "other.yaml")))
    assert first != digest_of(read_inventory(write(tmp_path, changed((f"{APP}.graceful_stop_s", 3)))))
    assert re.fullmatch(r"[0-9a-f]{64}", first)


def test_the_schema_describes_the_fields_in_patterns_that_json_schema_knows() -> None:
    schema = inventory_schema()
    assert "\\Z" not in json.dumps(schema).replace("\\\\", "\\")
    host = schema["$defs"]["Host"]["properties"]
    assert "~/.ssh/config" in host["address"]["description"]
    assert host["address"]["pattern"].endswith("$")
    assert schema["properties"]["version"]["const"] == 1
    assert schema["additionalProperties"] is False


REGISTRIES = [
    ({"url": "ss3://acme/ballerina"}, "registry.url: found 'ss3', which is not the scheme of a registry. Did you mean 's3'?"),
    ({"url": "ftp://nexus/raw"}, "registry.url: found 'ftp', which is not the scheme of a registry. Did you mean 'sftp'?"),
    ({"url": "s3://"}, "registry.url: found 's3://', which names no bucket"),
    ({"url": "https://ci:hunter22@nexus/raw"}, "registry.url: the address contains a password; give a reference in `credentials`"),
    ({"url": "s3://acme", "credentials": "env:KEY"}, "registry.credentials: are for http and https"),
    ({"url": "https://nexus/raw", "credentials": "hunter22"}, "registry.credentials: "),
    ({"url": ""}, "registry.url: "),
    ({}, "registry.url: is missing"),
    ({"adress": "s3://acme", "url": "s3://acme"}, "registry.adress: is not a known field."),
]


@pytest.mark.parametrize(("registry", "said"), REGISTRIES)
def test_a_registry_that_nobody_could_use_is_refused_without_its_password(tmp_path: Path, registry: dict[str, Any], said: str) -> None:
    (line,) = refusal(tmp_path, changed(("registry", registry)))
    assert said in line
    assert "hunter22" not in line


@pytest.mark.parametrize(
    "url", ["/srv/registry", "registry", "file:///srv/registry", "s3://acme/ballerina", "sftp://ops@h/srv", "https://n/raw"]
)
def test_every_kind_of_registry_is_accepted(tmp_path: Path, url: str) -> None:
    assert read_inventory(write(tmp_path, changed(("registry", {"url": url})))).registry is not None


def test_two_applications_on_one_port_are_refused_with_both_names(tmp_path: Path) -> None:
    inn = {"instances": [{"host": "app3", "port": 9090}, {"host": "app1", "port": 9090}]}
    (line,) = refusal(tmp_path, changed(("applications.inn", inn)))
    assert "applications.inn.instances[1].port: found port 9090 on host 'app1'" in line
    assert "applications.hotel.instances[0].port has already" in line


def test_a_generation_port_is_a_listeners_port_too(tmp_path: Path) -> None:
    (line,) = refusal(tmp_path, changed(("balancers.public.listen", 8099)))
    assert "balancers.public.generation_port: found port 8099 on host 'lb1', which balancers.public.listen has already" in line
    own = {"host": "lb1", "configuration": "own", "listen": 8080}
    (line,) = refusal(tmp_path, changed(("balancers.second", own)))
    assert "balancers.second.generation_port: found port 8099 on host 'lb1', which balancers.public.generation_port has already" in line
    read_inventory(write(tmp_path, changed(("balancers.second", {**own, "generation_port": 8098}))))


def test_files_of_one_nginx_share_its_generation_port(tmp_path: Path) -> None:
    read_inventory(write(tmp_path, changed(("balancers.second", {"host": "lb1", "listen": 8080}))))


def test_two_applications_on_one_host_with_ports_of_their_own_are_accepted(tmp_path: Path) -> None:
    inventory = read_inventory(write(tmp_path, changed(("applications.inn", {"instances": [{"host": "app1", "port": 9191}]}))))
    assert inventory.applications["inn"].floor == 0
    assert inventory.applications["hotel"].floor == 1


def test_a_source_is_for_an_application_of_one_package(tmp_path: Path) -> None:
    several = changed((f"{APP}.source", "services/rooms"), (f"{APP}.packages", ["acme/rooms", "acme/bookings"]))
    (line,) = refusal(tmp_path, several)
    assert f"{APP}.source: is for an application of one package, and `packages` has 2" in line


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("tell 'leaving", "is not a command line: no closing quotation; quote its words as for a shell"),
        ("  ", "names no command; allowed: one command line, with the program and its arguments"),
        ("", "names no command"),
        ("'' leaving", "names no command"),
        (["tell", "leaving"], "found a list; allowed: text"),
    ],
)
def test_a_hook_that_is_no_command_line_is_refused_by_line_and_field(tmp_path: Path, line: object, told: str) -> None:
    lines = refusal(tmp_path, changed(("applications.hotel.hooks", {"before_drain": ["tell ready", line]})))
    assert re.match(r"inventory\.yaml:\d+: applications\.hotel\.hooks\.before_drain\[1\]: ", lines[0]), lines
    assert told in lines[0]


def test_each_hook_is_a_whole_command_line(tmp_path: Path) -> None:
    hooks = {"before_drain": ["tell 'going away'", "note"]}
    written = write(tmp_path, changed(("applications.hotel.hooks", hooks)))
    assert read_inventory(written).applications["hotel"].hooks.before_drain == ["tell 'going away'", "note"]


def test_an_application_is_not_named_like_a_directory_of_balbooks_own(tmp_path: Path) -> None:
    (line,) = refusal(tmp_path, changed(("applications.locks", {"instances": [{"host": "app1", "port": 9191}]})))
    assert "applications.locks: balbook has a directory 'locks' of its own on hosts" in line
