"""Runbooks and pipelines at set times: systemd timers, or cron where there is no systemd.

calendar.py      times: the expressions of systemd-analyze; for cron a documented part of them
definition.py    a schedule as data, checked before anything is written
environment.py   the file with a run's secrets
systemd.py       unit files
cron.py          lines of the crontab
airflow.py       a DAG file, for work that outgrows one machine
places.py        the folders of definitions, outcomes and units
book.py          add, list, remove
occurrence.py    one run: no overlap, exit status and record kept
"""

from balbook.schedule.book import Listed, add, list_schedules, remove
from balbook.schedule.definition import Schedule, read_example
from balbook.schedule.occurrence import run_once
from balbook.schedule.places import Places, places

__all__ = ["Listed", "Places", "Schedule", "add", "list_schedules", "places", "read_example", "remove", "run_once"]
