"""A line that the host's `/bin/sh` gets whole, whatever the shell of the login."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from balbook.commands.command import script
from balbook.transport.streams import MARK, for_any_login

SHELLS = [shell for shell in ("sh", "bash", "dash", "ksh", "zsh", "tcsh", "fish", "busybox") if shutil.which(shell)]
WORDS = ("it's", 'a "word"', "!", "!!", "\\", "a\\nb", "two\nlines", "", "=ls", "~root", "{a,b}", "$HOME", "`id`", "%1", "ä", "#")


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("long", [0, 40_000])
def test_words_input_and_exit_status_arrive_as_they_are(shell: str, long: int) -> None:
    line = script("said", f"printf '%s|' \"$@\"; cat; exit 9\n# {'x' * long}", *WORDS).line()
    argv = [shell, "sh", "-c"] if shell == "busybox" else [shell, "-c"]
    ran = subprocess.run([*argv, for_any_login(line)], input="an input", capture_output=True, text=True, timeout=20, check=False)
    assert (ran.returncode, ran.stdout) == (9, f"{MARK}\n" + "".join(f"{word}|" for word in WORDS) + "an input")
    assert ran.stderr == f"{MARK}\n"
