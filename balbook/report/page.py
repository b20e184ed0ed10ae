"""The report over all records: frames for further questions, and one static HTML page that needs no other file."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from balbook.errors import BadInput, Failed, nearest
from balbook.local.atomic_files import write_text
from balbook.local.rendering import render
from balbook.procedures.report import since_of
from balbook.report.charts import Chart, charts, spoken_s
from balbook.report.dora import Dora, deployments_frame, dora
from balbook.report.records import phases_frame, runs_frame
from balbook.report.trend import BETTER, SAME, UNKNOWN, WORSE, Trend, headline, trends
from balbook.run import Run
from balbook.show.table import Table

if TYPE_CHECKING:
    import pandas as pd

SIGNS = {BETTER: "✔", WORSE: "✘", SAME: "●", UNKNOWN: "…", "mixed": "◆"}


@dataclass(frozen=True)
class Report:
    """The results of all records. `runs` has the columns that `records.py` lists, `deployments` those of `dora.py`."""

    runs: pd.DataFrame
    deployments: pd.DataFrame
    measures: Dora
    trends: tuple[Trend, ...]
    word: str
    sentence: str
    begin: datetime
    end: datetime
    has_lab: bool
    has_plans: bool
    environments: tuple[str, ...]

    def data(self) -> dict[str, Any]:
        """Plain data, for `--json`."""
        return {
            "begin": self.begin.isoformat(),
            "end": self.end.isoformat(),
            "environments": list(self.environments),
            "runs": len(self.runs),
            "answer": self.word,
            "why": self.sentence,
            "dora": asdict(self.measures),
            "trends": [{**asdict(trend), "verdict": trend.verdict} for trend in self.trends],
        }


def read_report(
    records: Path, *, since: datetime | None, now: datetime, include_lab: bool = False, include_plans: bool = False, environment: str = ""
) -> Report:
    """Reads all records; the time from `since` (unset: the first run) to `now` is halved to compare.

    `environment`: the only one that counts (builds count wherever they were made); empty: all. BadInput where it has no run.
    """
    import pandas as pd

    # A change is judged by what came before and after it, so that only the counting begins at `since`.
    everything = runs_frame(records, include_lab=include_lab, include_plans=include_plans)
    deployments = deployments_frame(everything)
    known = sorted(set(everything["environment"]))
    if environment:
        if environment not in known:
            raise BadInput(f"{records} has no run of the environment {environment!r}", advice=nearest(environment, known))
        everything = everything[(everything["environment"] == environment) | (everything["runbook"] == "build")]
        deployments = deployments[deployments["environment"] == environment]
    runs = everything if since is None else everything[everything["at"] >= since].reset_index(drop=True)
    end = pd.Timestamp(now)
    begin = pd.Timestamp(since) if since else (runs["at"].min() if len(runs) else end)
    deployments = deployments[deployments["at"] >= begin].reset_index(drop=True)
    found = tuple(trends(runs, deployments, begin, end))
    word, sentence = headline(found)
    measures = dora(deployments, begin, end)
    counted = (environment,) if environment else tuple(known)
    return Report(runs, deployments, measures, found, word, sentence, begin.to_pydatetime(), now, include_lab, include_plans, counted)


def render_page(report: Report, source: str) -> str:
    """The page's HTML. `source` names the records' owner and folder."""
    drawn = charts(report.runs, report.deployments, phases_frame(report.runs))
    return render(
        "report/page.html.j2",
        report=report,
        source=source,
        sign=SIGNS[report.word],
        cards=[_card(trend) for trend in report.trends],
        charts=[_embedded(chart) for chart in drawn],
        latest=[_latest(row) for row in report.deployments.tail(12).to_dict("records")][::-1],
        kinds=sorted((report.runs["runbook"] + report.runs["mode"].map({"plan": " (plan)"}).fillna("")).value_counts().items()),
    )


def write_page(report: Report, source: str, path: Path) -> Path:
    """Writes the page beside `path` and moves it there; Failed where it cannot be written."""
    try:
        write_text(path, render_page(report, source))
    except OSError as exc:
        raise Failed(f"{path} cannot be written: {exc.strerror}", advice="Name another file with --output.") from exc
    return path


def spoken(value: float | None, unit: str) -> str:
    """A measure for people."""
    if value is None:
        return "–"
    if unit in ("h", "s"):
        return spoken_s(value * (3600 if unit == "h" else 1))
    return f"{value * 100:.0f} %" if unit == "%" else f"{value:.1f} {unit}"


def _card(trend: Trend) -> dict[str, str]:
    verdict = trend.verdict
    has_moved = verdict in (BETTER, WORSE) and trend.now is not None and trend.before is not None
    return {
        "name": trend.name,
        "now": spoken(trend.now, trend.unit),
        "before": spoken(trend.before, trend.unit),
        "verdict": verdict,
        "sign": ("↑" if (trend.now or 0) > (trend.before or 0) else "↓") if has_moved else SIGNS[verdict],
        "mark": verdict.replace(" ", "-"),
        "compared": f"{trend.values_before} and {trend.values_now} values",
    }


def _embedded(chart: Chart) -> dict[str, str]:
    light, dark = (f"data:image/svg+xml;base64,{b64encode(svg.encode()).decode()}" for svg in (chart.light, chart.dark))
    return {"title": chart.title, "alt": chart.alt, "light": light, "dark": dark}


def _latest(row: dict[Any, Any]) -> dict[str, str]:
    missing = row["lead_time_h"] != row["lead_time_h"]
    return {
        "at": f"{row['at']:%Y-%m-%d %H:%M}",
        "what": f"{row['application']} {row['version']}".strip(),
        "environment": row["environment"],
        "verdict": row["verdict"] if not (row["has_succeeded"] and row["is_failure"]) else "rolled back",
        "lead_time": "–" if missing else spoken(row["lead_time_h"], "h"),
        "run_id": row["run_id"],
    }


def report_page(run: Run) -> Table:
    """Writes `report.html` into the run's record; its measures as a table."""
    now = datetime.now(UTC)
    since = since_of(str(run.parameters.get("since", "")), now)
    report = read_report(run.dir.parent, since=since, now=now, include_lab=bool(run.parameters.get("include_lab", False)))
    path = write_page(report, f"{run.inventory.environment}, {run.dir.parent}", run.dir / "report.html")
    return measures_table(report, path)


def measures_table(report: Report, path: Path) -> Table:
    """Each measure in both halves; the note has the answer and the page's place."""
    rows = [(t.name, spoken(t.before, t.unit), spoken(t.now, t.unit), t.verdict) for t in report.trends]
    note = f"{report.sentence}\n{path}"
    return Table(("measure", "earlier half", "later half", "verdict"), rows, title=f"Is it getting better? {report.word}", note=note)
