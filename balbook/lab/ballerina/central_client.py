"""Requests to Central over HTTP, as `bal` makes them."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from http.client import HTTPException
from pathlib import Path
from uuid import uuid4

from balbook.lab.ballerina.bala import identity
from balbook.lab.ballerina.said import command_error


class CentralError(Exception):
    """An error in Central's answer, or no connection to Central (`status` 0)."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


def versions(base: str, org: str, name: str) -> list[str]:
    """The versions that Central has of a package; empty for an unknown package."""
    try:
        return [str(v) for v in json.loads(_get(f"{base}/packages/{org}/{name}"))]
    except CentralError as exc:
        if exc.status == 404:
            return []
        raise


def pull(base: str, org: str, name: str, version: str, destination: Path) -> Path:
    """Downloads a package's archive; Central redirects to the place of the archive."""
    destination.parent.mkdir(parents=True, exist_ok=True)
    destination.write_bytes(_get(f"{base}/packages/{org}/{name}/{version}"))
    return destination


def push(base: str, bala: Path, token: str) -> None:
    """Uploads an archive. Raises Refusal in the real command's words where Central refuses the archive."""
    org, name, version = identity(bala)
    try:
        if version in versions(base, org, name):
            raise command_error(already_there(org, name, version))
        _post(f"{base}/packages", bala, token)
    except CentralError as exc:
        if exc.status == 401:
            reason = f"unauthorized access token for organization: '{org}'. reason: {exc.message}."
            raise command_error(f"{reason} check access token set in 'Settings.toml' file.") from exc
        if exc.status == 400:
            raise command_error(exc.message) from exc
        where = f"the package '{org}/{name}:{version}' to the remote repository '{base}/packages'"
        raise command_error(f"failed to push {where}. reason: {exc.message}") from exc


def already_there(org: str, name: str, version: str) -> str:
    """The real command's message about a version that Central has."""
    place = f"https://central.ballerina.io/{org}/{name}"
    advice = "build and push after updating the version in the Ballerina.toml."
    return f"package '{org}/{name}:{version}' already exists in remote repository :{place}. {advice}"


def _get(url: str) -> bytes:
    return _sent(urllib.request.Request(url, headers={"Accept": "application/json"}))


def _post(url: str, bala: Path, token: str) -> None:
    boundary = uuid4().hex
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="bala-file"; filename="{bala.name}"\r\n'
    body = head.encode() + b"Content-Type: application/octet-stream\r\n\r\n" + bala.read_bytes() + f"\r\n--{boundary}--\r\n".encode()
    headers = {"Authorization": f"Bearer {token}", "Content-Type": f"multipart/form-data; boundary={boundary}"}
    _sent(urllib.request.Request(url, data=body, headers=headers, method="POST"))


def _sent(request: urllib.request.Request) -> bytes:
    """The body of the answer, without a deadline, as in the real command: the caller must keep one."""
    try:
        with urllib.request.urlopen(request) as answer:
            return bytes(answer.read())
    except urllib.error.HTTPError as exc:
        with exc:
            raise CentralError(exc.code, _message(exc.read())) from exc
    except (OSError, HTTPException) as exc:
        raise CentralError(0, f"connection to the remote repository host failed: {exc}") from exc


def _message(body: bytes) -> str:
    try:
        return str(json.loads(body)["message"])
    except (ValueError, KeyError, TypeError):
        return body.decode(errors="replace")[:200]
