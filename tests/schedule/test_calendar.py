from __future__ import annotations

import re
import shutil
import subprocess
from datetime import datetime

import pytest

from balbook.errors import BadInput
from balbook.schedule import calendar

FIELDS = {
    "minutely": "* * * * *",
    "hourly": "0 * * * *",
    "daily": "0 0 * * *",
    "Daily": "0 0 * * *",
    "weekly": "0 0 * * 1",
    "monthly": "0 0 1 * *",
    "yearly": "0 0 1 1 *",
    "02:30": "30 2 * * *",
    "*-*-* 02:30:00": "30 2 * * *",
    "Mon..Fri 06:05": "5 6 * * 1,2,3,4,5",
    "Sat,Sunday 6:5": "5 6 * * 0,6",
    "*:0/15": "0,15,30,45 * * * *",
    "8..18/2:00": "0 8,10,12,14,16,18 * * *",
    "*-1,7-1 04:00": "0 4 1 1,7 *",
    "*-*-1..7 04:00": "0 4 1,2,3,4,5,6,7 * *",
}
WRONG = ("", "often", "25:00", "12:60", "*-13-1 00:00", "*-*-0 00:00", "Mo 06:00", "Fri..Mon 06:00", "5..1:00", "*/0:00", "06:00:30")
WRONG += ("Mon *-*-1 06:00", "*-2-30 00:00", "06:00 Europe/Paris", "06:00\n* * * * * rm", "@daily", "1,,2:00", "*..3:00")


@pytest.mark.parametrize("text", FIELDS)
def test_an_expression_becomes_the_fields_of_a_crontab(text: str) -> None:
    assert calendar.parse(text).cron_fields() == FIELDS[text]


@pytest.mark.parametrize("text", WRONG)
def test_what_cron_cannot_keep_is_refused_with_its_own_words(text: str) -> None:
    with pytest.raises(BadInput, match=re.escape(repr(text))):
        calendar.parse(text)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not on this machine")
@pytest.mark.parametrize("text", FIELDS)
def test_systemd_takes_what_cron_can_keep_and_means_the_same_time(text: str) -> None:
    calendar.check_for_systemd(text)
    argv = ["systemd-analyze", "calendar", "--base-time=2026-03-04 05:06:07", "--", text]
    shown = subprocess.run(argv, capture_output=True, text=True, timeout=20, check=True, env={"PATH": "/usr/bin", "TZ": "UTC"}).stdout
    found = re.search(r"Next elapse: \w+ (\S+ \S+)", shown)
    assert found
    assert calendar.parse(text).after(datetime(2026, 3, 4, 5, 6, 7)) == datetime.fromisoformat(found[1])


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not on this machine")
def test_systemd_takes_more_than_cron_can_keep_and_refuses_in_its_own_words() -> None:
    calendar.check_for_systemd("Mon *-*-1..7 06:00:30 Europe/Paris")
    assert calendar.next_for_systemd("Mon *-*-1..7 06:00:30 Europe/Paris")
    for wrong in ("often", "Mo..Fr 99:00", "2001-01-01", "06:00\nUnit=evil.service", "--help", ""):
        with pytest.raises(BadInput):
            calendar.check_for_systemd(wrong)


def test_without_systemd_analyze_only_the_documented_part_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    calendar.check_for_systemd("Mon..Fri 06:30")
    assert calendar.next_for_systemd("Mon..Fri 06:30") == ""
    with pytest.raises(BadInput):
        calendar.check_for_systemd("Mon *-*-1..7 06:00")


def test_the_time_before_and_the_time_after_are_next_to_each_other() -> None:
    weekdays = calendar.parse("Mon..Fri 06:30")
    monday = datetime(2026, 3, 2, 6, 30)
    assert weekdays.before(monday) == monday
    assert weekdays.after(monday) == datetime(2026, 3, 3, 6, 30)
    assert weekdays.before(datetime(2026, 3, 2, 6, 29)) == datetime(2026, 2, 27, 6, 30)
    assert calendar.parse("*-2-29 00:00").after(datetime(2026, 3, 2)) == datetime(2028, 2, 29)
