"""Pictures and tables of what was measured. Only this room imports pandas and matplotlib.

Nothing here measures, and nothing here reaches a host.
"""

from balbook.report.builds import build_plot
from balbook.report.failover import failover_plot
from balbook.report.footprint import footprint_plot
from balbook.report.page import report_page
from balbook.report.picture import Picture, latency_plot

__all__ = ["Picture", "build_plot", "failover_plot", "footprint_plot", "latency_plot", "report_page"]
