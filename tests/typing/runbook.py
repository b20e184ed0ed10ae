"""A notebook's cells, as mypy and pyright read them. Nothing here runs; a line marked as wrong must stay wrong for both."""

import balbook

run = balbook.open_run("hot_deploy", mode="plan", application="hotel")
run.preflight()
plan = run.plan()
steps: tuple[str, ...] = tuple(step.title for step in plan.pending)
run.apply(plan)
run.verify()
run.evidence()
balbook.latency_plot(run)
run.conclude()
hosts: list[str] = list(run.inventory.hosts)

run.aply(1)  # type: ignore[attr-defined]
run.apply(1)  # type: ignore[arg-type]
print(plan.stpes)  # type: ignore[attr-defined]
balbook.opne_run("hot_deploy")  # type: ignore[attr-defined]
balbook.latency_plot("hot_deploy")  # type: ignore[arg-type]
