"""The four DORA measures, as far as records can tell them (https://dora.dev/guides/dora-metrics-four-keys/).

A *deployment* is a run of `hot_deploy` or `deploy` that was applied: it succeeded and changed something, or it began and did not
succeed. Refused runs (lock, preconditions), plans, rollbacks, and runs that a user stopped do not count. An inconclusive run counts as a
success where every unit was changed and only the measurement cannot be trusted, else (the run was lost, say) as a failure.

    deployment frequency   successful deployments a week; missing for less than a week
    lead time              from the start of the build of a version to the end of its first successful deployment, per environment;
                           the records do not know when its source was committed. Median, hours.
    change failure rate    share of deployments that did not succeed, or were followed by a rollback of the same application in the
                           same environment before its next deployment
    time to restore        from the end of such a failed deployment to the end of the next run that succeeded there (deployment or
                           rollback); where the engine itself took every unit back, from the failed step until all was undone.
                           Median, hours. A failure without a later run is left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

DEPLOYING = ("hot_deploy", "deploy")
HOUR_S = 3600.0
JUDGED = {"is_failure": "bool", "lead_time_h": "float64", "restore_h": "float64"}


@dataclass(frozen=True)
class Dora:
    """The measures of one span of time; None where the records cannot tell."""

    deployments: int
    per_week: float | None
    lead_time_h: float | None
    failure_rate: float | None
    restore_h: float | None


def deployments_frame(runs: pd.DataFrame) -> pd.DataFrame:
    """One row a deployment, oldest first.

    Columns: `run_id`, `at`, `ended_at`, `environment`, `application`, `version`, `verdict`, `has_succeeded`, `is_failure` (as the
    change failure rate counts), `lead_time_h` and `restore_h` (missing where they do not apply).
    """
    acting = runs[runs["runbook"].isin([*DEPLOYING, "rollback"]) & runs["has_applied"]]
    acting = acting[(acting["verdict"] != "succeeded") | (acting["changes"] > 0)]
    found = acting[acting["runbook"].isin(DEPLOYING) & ~acting["is_stopped"]].copy()
    found["has_succeeded"] = found["stands"]
    after = {index: _afterwards(acting, found.loc[index]) for index in found.index}
    found["is_failure"] = [not found.at[index, "has_succeeded"] or _is_rolled_back(after[index]) for index in found.index]
    found["restore_h"] = [_restored_h(found.loc[index], after[index]) for index in found.index]
    found["lead_time_h"] = _lead_times_h(runs, found)
    columns = ["run_id", "at", "ended_at", "environment", "application", "version", "verdict", "has_succeeded", *JUDGED]
    return found[columns].astype(JUDGED).reset_index(drop=True)


def dora(deployments: pd.DataFrame, begin: pd.Timestamp, end: pd.Timestamp) -> Dora:
    """The measures of the deployments that began from `begin` on and before `end`."""
    part = deployments[(deployments["at"] >= begin) & (deployments["at"] < end)]
    weeks = (end - begin).total_seconds() / (7 * 24 * HOUR_S)
    per_week = float(part["has_succeeded"].sum()) / weeks if weeks >= 1 else None
    failure_rate = float(part["is_failure"].mean()) if len(part) else None
    return Dora(len(part), per_week, _median(part["lead_time_h"]), failure_rate, _median(part["restore_h"]))


def _afterwards(acting: pd.DataFrame, run: pd.Series) -> pd.DataFrame:
    """The later runs on the same application in the same environment."""
    same = (acting["application"] == run["application"]) & (acting["environment"] == run["environment"])
    later: pd.DataFrame = acting[same & (acting["at"] > run["at"])]
    return later


def _is_rolled_back(after: pd.DataFrame) -> bool:
    return bool(len(after)) and after.iloc[0]["runbook"] == "rollback"


def _restored_h(run: pd.Series, after: pd.DataFrame) -> float | None:
    """Hours until all served again, where the deployment counts as a failure: its own undoing, or the next success."""
    if run["has_succeeded"] and not _is_rolled_back(after):
        return None
    if run["undo_s"] == run["undo_s"]:  # not missing
        return float(run["undo_s"]) / HOUR_S
    good = after[after["stands"]]
    return (good.iloc[0]["ended_at"] - run["ended_at"]).total_seconds() / HOUR_S if len(good) else None


def _lead_times_h(runs: pd.DataFrame, deployments: pd.DataFrame) -> list[float | None]:
    """Hours from the first build of a version, at a version's first successful deployment in an environment; else None."""
    builds = runs[(runs["runbook"] == "build") & (runs["verdict"] == "succeeded") & runs["build_s"].notna()]
    built = builds.groupby(["application", "version"])["at"].min().to_dict()
    seen: set[tuple[str, str, str]] = set()
    found: list[float | None] = []
    for _, run in deployments.iterrows():
        key = (run["environment"], run["application"], run["version"])
        begun = built.get((run["application"], run["version"]))
        is_first = run["has_succeeded"] and key not in seen
        if run["has_succeeded"]:
            seen.add(key)
        found.append((run["ended_at"] - begun).total_seconds() / HOUR_S if is_first and begun is not None else None)
    return found


def _median(values: pd.Series) -> float | None:
    known = values.dropna()
    return float(known.median()) if len(known) else None
