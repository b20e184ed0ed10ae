"""Calendar expressions: systemd's (`systemd.time(7)`), and the part of them that cron can keep too.

That part is

    minutely  hourly  daily  weekly  monthly  yearly
    [WEEKDAYS] [*-MONTH-DAY] HOUR:MINUTE[:00]

with `Mon`, `Mon,Thu`, `Mon..Fri`, and for each number `*`, `5`, `1,15`, `8..18`, `0/15` (from 0 on every 15). Weekdays and days of
the month do not go together: cron takes either for enough, systemd asks for both.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType

from balbook.errors import BadInput

DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
WEEKDAYS = {name: str(number) for number, day in enumerate(DAYS) for name in (day, day[:3])}
ITEM = re.compile(r"(?P<first>\*|\d{1,2})(?:\.\.(?P<last>\d{1,2}))?(?:/(?P<step>\d{1,2}))?")
WORDS = {
    "minutely": "*:*",
    "hourly": "*:00",
    "daily": "00:00",
    "weekly": "Mon 00:00",
    "monthly": "*-*-1 00:00",
    "yearly": "*-1-1 00:00",
}
ADVICE = "Write one such as daily, Mon..Fri 06:30, *-*-1 04:00 or *:0/15."
FORM = re.compile(
    r"(?:(?P<weekdays>[A-Za-z][A-Za-z,.]*)\s+)?(?:\*-(?P<months>[^-\s]+)-(?P<days>\S+)\s+)?(?P<hours>[^:\s]+):(?P<minutes>[^:\s]+)(?::00)?"
)
FARTHEST_DAYS = 366 * 8 + 1
"""The 29th of February comes every four years, but for 2100."""


@dataclass(frozen=True)
class Calendar:
    """An expression that cron can keep. Weekdays are numbered from 0, Monday; each set is sorted."""

    text: str
    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: tuple[int, ...]
    months: tuple[int, ...]
    weekdays: tuple[int, ...]

    def cron_fields(self) -> str:
        """The five fields of a crontab's line."""
        weekdays = sorted((day + 1) % 7 for day in self.weekdays)
        fields = ((self.minutes, 60), (self.hours, 24), (self.days, 31), (self.months, 12), (weekdays, 7))
        return " ".join("*" if len(values) == size else ",".join(map(str, values)) for values, size in fields)

    def before(self, at: datetime) -> datetime | None:
        """The last due time at or before `at`; None for eight years without one."""
        return next((due for day in self._days(at, -1) for due in reversed(self._times(day)) if due <= at), None)

    def after(self, at: datetime) -> datetime | None:
        """The first due time after `at`; None for eight years without one."""
        return next((due for day in self._days(at, 1) for due in self._times(day) if due > at), None)

    def _days(self, at: datetime, step: int) -> Iterator[datetime]:
        midnight = at.replace(hour=0, minute=0, second=0, microsecond=0)
        for number in range(FARTHEST_DAYS):
            day = midnight + timedelta(days=step * number)
            if day.day in self.days and day.month in self.months and day.weekday() in self.weekdays:
                yield day

    def _times(self, day: datetime) -> list[datetime]:
        return [day.replace(hour=hour, minute=minute) for hour in self.hours for minute in self.minutes]


def parse(text: str) -> Calendar:
    """The expression, if cron can keep it; BadInput otherwise."""
    found = FORM.fullmatch(WORDS.get(text.strip().lower(), text.strip()))
    if not found:
        raise BadInput(f"{text!r} is not a calendar expression that cron can keep", advice=ADVICE)
    part = found.groupdict()
    if part["weekdays"] and (part["days"] or "*") != "*":
        raise BadInput(
            f"{text!r}: cron cannot keep weekdays and days of the month together", advice="Leave the weekdays or the days of the month out."
        )
    calendar = Calendar(
        text,
        minutes=_numbers(text, part["minutes"], 0, 59),
        hours=_numbers(text, part["hours"], 0, 23),
        days=_numbers(text, part["days"] or "*", 1, 31),
        months=_numbers(text, part["months"] or "*", 1, 12),
        weekdays=_numbers(text, part["weekdays"] or "*", 0, 6, WEEKDAYS),
    )
    if calendar.after(datetime(2024, 1, 1)) is None:
        raise BadInput(f"{text!r} never comes", advice=ADVICE)
    return calendar


def check_for_systemd(text: str) -> None:
    """Raises BadInput where systemd refuses the expression; without systemd-analyze, where cron cannot keep the expression."""
    if not re.fullmatch(r"[A-Za-z0-9 *,:./~_+-]+", text):
        raise BadInput(f"{text!r} is not a calendar expression", advice=ADVICE)
    answer = _analyzed(text)
    if answer is None:
        parse(text)
    elif answer.returncode != 0:
        words = answer.stderr.strip().splitlines() or ["systemd refuses it"]
        raise BadInput(f"{text!r} is not a calendar expression: {words[-1]}", advice=ADVICE)
    elif "Next elapse: never" in answer.stdout:
        raise BadInput(f"{text!r} never comes again", advice=ADVICE)


def next_for_systemd(text: str) -> str:
    """The next due time, in systemd's words; empty where systemd does not tell."""
    answer = _analyzed(text)
    found = re.search(r"Next elapse: (.+)", answer.stdout) if answer else None
    return found[1].strip() if found else ""


def _analyzed(text: str) -> subprocess.CompletedProcess[str] | None:
    program = shutil.which("systemd-analyze")
    if program is None:
        return None
    return subprocess.run([program, "calendar", "--", text], capture_output=True, text=True, timeout=20, check=False)


def _numbers(text: str, field: str, least: int, most: int, names: Mapping[str, str] = MappingProxyType({})) -> tuple[int, ...]:
    """The values of one field: `*`, `5`, `1,15`, `8..18`, `0/15`; `names` are words that stand for numbers."""
    values: set[int] = set()
    for item in field.split(","):
        found = ITEM.fullmatch(re.sub("[A-Za-z]+", lambda word: names.get(word[0].lower(), word[0]), item))
        if not found or (found["first"] == "*" and found["last"]):
            raise BadInput(f"{text!r}: {item!r} is not a value, a range or a step that is allowed here", advice=ADVICE)
        first = least if found["first"] == "*" else int(found["first"])
        is_open = found["first"] == "*" or (found["step"] and not found["last"])
        last = int(found["last"]) if found["last"] else most if is_open else first
        step = int(found["step"] or 1)
        if not (least <= first <= last <= most and step):
            raise BadInput(f"{text!r}: {item!r} is out of range, or goes backwards", advice=ADVICE)
        values |= set(range(first, last + 1, step))
    return tuple(sorted(values))
