"""Configurations of balancers: as the goldens have them, and accepted by the real parsers."""

from __future__ import annotations

import re
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import crossplane
import pytest
import yaml

from balbook.commands.balancer import (
    State,
    configuration_path,
    generation_of,
    identifier,
    place,
    render_balancer,
    render_main,
    servers_of,
)
from balbook.errors import BadInput, InventoryError
from balbook.inventory.models import Inventory

DATA = Path(__file__).parents[1] / "data" / "balancer"

CASES: dict[str, tuple[str, dict[str, State]]] = {
    "nginx_active_active": ("hotel", {}),
    "nginx_drained": ("hotel", {"app1:9090": "down"}),
    "nginx_active_passive": ("Inn.1", {}),
    "nginx_active_passive_drained": ("Inn.1", {"app1:9191": "down"}),
    "nginx_include": ("shop", {"app2:9595": "up"}),
    "nginx_plus": ("plus", {}),
    "haproxy": ("checked", {}),
    "haproxy_disabled": ("standby", {"app1:9494": "down"}),
}


def inventory(**changes: Any) -> Inventory:
    """The fixture's inventory; `changes` such as `balancers={"public": {"method": "ip_hash"}}` are merged in."""
    data = yaml.safe_load((DATA / "inventory.yaml").read_text())
    for section, entries in changes.items():
        for name, values in entries.items():
            data[section][name] = {**data[section].get(name, {}), **values}
    return Inventory.model_validate(data)


def golden(name: str) -> str:
    return (DATA / f"{name}.conf").read_text()


@pytest.mark.parametrize("name", CASES)
def test_an_application_renders_as_its_golden(name: str) -> None:
    application, states = CASES[name]
    assert render_balancer(inventory(), application, states) == golden(name)


def test_the_main_file_renders_as_its_golden() -> None:
    assert render_main(inventory(), "public", is_root=False) == golden("nginx_main")


def test_workers_get_an_account_only_where_nginx_starts_as_root() -> None:
    another = inventory(balancers={"public": {"worker_user": "nginx"}})
    assert not re.search("^user ", render_main(inventory(), "public", is_root=False), re.M)
    assert "\nuser www-data;" in render_main(inventory(), "public", is_root=True)
    assert "\nuser nginx;" in render_main(another, "public", is_root=True)


def test_the_generation_follows_the_content() -> None:
    up, down = render_balancer(inventory(), "hotel", {}), render_balancer(inventory(), "hotel", {"app1:9090": "down"})
    assert generation_of(up) == generation_of(render_balancer(inventory(), "hotel", {"app1:9090": "up"}))
    assert generation_of(up) != generation_of(down)


@pytest.mark.parametrize("name", ["nginx_active_active", "haproxy"])
def test_a_configuration_edited_by_hand_has_no_generation(name: str) -> None:
    with pytest.raises(BadInput, match="does not belong to its text"):
        generation_of(golden(name).replace("60s", "61s"))


def test_an_unknown_instance_is_named_with_the_nearest() -> None:
    with pytest.raises(BadInput, match=r"no instance app1:9099[\s\S]*app1:9090"):
        render_balancer(inventory(), "hotel", {"app1:9099": "down"})


def test_an_unknown_application_is_named_with_the_nearest() -> None:
    with pytest.raises(BadInput, match=r"'hotle'[\s\S]*hotel"):
        render_balancer(inventory(), "hotle", {})


def test_active_checks_on_open_source_nginx_are_refused_with_the_choices() -> None:
    wrong = inventory(applications={"hotel": {"strategy": "active_active_checked"}})
    with pytest.raises(InventoryError, match=r"active health checks[\s\S]*haproxy"):
        render_balancer(wrong, "hotel", {})


def test_backups_with_ip_hash_are_refused_on_nginx() -> None:
    wrong = inventory(balancers={"public": {"method": "ip_hash"}})
    with pytest.raises(InventoryError, match="ip_hash"):
        render_balancer(wrong, "Inn.1", {})


def test_an_application_without_a_balancer_is_refused() -> None:
    with pytest.raises(InventoryError, match="has no balancer"):
        configuration_path(inventory(applications={"hotel": {"balancer": None}}), "hotel")


def test_the_first_instance_is_the_active_one() -> None:
    assert [s.is_backup for s in servers_of(inventory(), "Inn.1", {})] == [False, True]


def test_an_ipv6_address_is_bracketed() -> None:
    assert servers_of(inventory(), "Inn.1", {})[1].address == "[fd00::23]:9191"


def test_names_that_differ_stay_different_inside_the_configuration() -> None:
    names = ["a-b", "a.b", "a_b", "A_b", "a+b"]
    identifiers = {identifier(name) for name in names}
    assert len(identifiers) == len(names)
    assert all(re.fullmatch("[a-z0-9_]+", word) for word in identifiers)


def test_what_is_reached_over_loopback_listens_on_loopback_only() -> None:
    lab = inventory(hosts={"lb1": {"address": "127.0.0.1"}})
    assert re.findall(r"listen (.*);", render_balancer(lab, "hotel", {}))[:2] == ["127.0.0.1:18080", "127.0.0.1:18443 ssl"]


def test_files_of_an_own_instance_are_below_the_hosts_root() -> None:
    where = place(inventory(), "public")
    assert (where.main, where.directory) == ("/srv/balbook/balancers/public/nginx.conf", "/srv/balbook/balancers/public/conf.d")
    assert configuration_path(inventory(), "shop") == "/etc/nginx/conf.d/balbook-shop.conf"
    assert configuration_path(inventory(), "checked") == "/srv/balbook/balancers/proxy/haproxy.cfg"


@pytest.mark.parametrize("name", [n for n in CASES if n.startswith("nginx")])
def test_every_directive_is_known_to_nginx_or_to_plus(name: str, tmp_path: Path) -> None:
    without_maps = re.sub(r"(?m)^map [^}]*\}\n", "", golden(name))  # crossplane takes a map's entries for directives
    (tmp_path / "app.conf").write_text(without_maps)
    main = tmp_path / "nginx.conf"
    main.write_text(f"events {{}}\nhttp {{ include {tmp_path}/app.conf; }}\n")
    parsed = crossplane.parse(str(main), strict=True, check_ctx=True, check_args=True)
    assert parsed["errors"] == []
    assert len(parsed["config"]) == 2


@pytest.mark.integration
def test_the_real_nginx_accepts_all_goldens_together(tmp_path: Path) -> None:
    base = tmp_path / "balancers" / "public"
    for folder in (base / "conf.d", base / "logs", base / "temporary", tmp_path / "tls"):
        folder.mkdir(parents=True)
    for name in ("nginx_active_active", "nginx_active_passive_drained", "nginx_include"):
        text = golden(name).replace("/srv/balbook", str(tmp_path)).replace("/var/log/nginx", str(base / "logs"))
        (base / "conf.d" / f"{name}.conf").write_text(text)
    (base / "nginx.conf").write_text(golden("nginx_main").replace("/srv/balbook", str(tmp_path)))
    _certificate(tmp_path / "tls")
    done = subprocess.run(
        ["nginx", "-t", "-p", str(base), "-c", str(base / "nginx.conf"), "-e", str(base / "logs" / "error.log")],
        capture_output=True, text=True, timeout=20, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "[warn]" not in done.stderr.replace('the "user" directive', "")


@pytest.mark.integration
@pytest.mark.parametrize("name", ["haproxy", "haproxy_disabled"])
def test_the_real_haproxy_accepts_the_golden_without_a_warning(name: str) -> None:
    with tempfile.TemporaryDirectory(prefix="bb-") as folder:  # a short one: a socket's path has 97 characters at most
        place = Path(folder) / "balancers" / "proxy"
        place.mkdir(parents=True)
        (place / "balbook-proxy.state").write_text("1\n")
        path = Path(folder) / "haproxy.cfg"
        path.write_text(golden(name).replace("/srv/balbook", folder))
        done = subprocess.run(["haproxy", "-c", "-f", str(path)], capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "WARNING" not in done.stderr, done.stderr


def _certificate(folder: Path) -> None:
    files = ["-keyout", str(folder / "site.key"), "-out", str(folder / "site.crt")]
    argv = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=lab", *files]
    subprocess.run(argv, check=True, capture_output=True, timeout=30)
