"""The style of all panels: JupyterLab's own colours by its CSS variables, with fallbacks for other viewers.

Meaning never hangs on a colour or on this style: GitHub and other viewers leave it out, and the tables and headings below
read without it. The colours of states are Okabe and Ito's, which colour-blind readers can tell apart.
"""

from __future__ import annotations

from balbook.show.markup import Markup
from balbook.show.table import PRINTED

GOOD, BAD, BUSY, NOTE, QUIET = "#009e73", "#d55e00", "#0072b2", "#e69f00", "#888888"

_RULES = f"""
.bb-box{{border:1px solid var(--jp-border-color1,rgba(128,128,128,.5));border-left-width:8px;border-radius:3px;padding:8px 14px;
margin:4px 0;max-width:1180px;color:var(--jp-content-font-color1,inherit);line-height:1.45;
font-family:var(--jp-content-font-family,sans-serif);font-size:var(--jp-content-font-size1,14px)}}
.bb-box.bb-box h3{{margin:2px 0 4px;font-size:115%;line-height:1.3;font-weight:600}}
.bb-box.bb-box h4{{font-size:100%;font-weight:600;margin:8px 0 2px}}
.bb-box p{{margin:3px 0}}
.bb-box.bb-box pre,.bb-box.bb-box.bb-box code{{background:var(--jp-layout-color2,rgba(128,128,128,.12));color:inherit;border-radius:2px}}
.bb-box.bb-box pre{{padding:6px 8px;margin:3px 0;white-space:pre-wrap;word-break:normal;overflow-wrap:anywhere;font-size:92%}}
.bb-box.bb-box code{{padding:1px 4px;word-break:normal;overflow-wrap:anywhere}}
.bb-box.bb-box pre code{{padding:0;background:none}}
.bb-box summary{{cursor:pointer;padding:2px 0}}
.bb-box summary:focus-visible{{outline:2px solid var(--jp-brand-color1,{BUSY})}}
.bb-box table{{border-collapse:collapse;font-variant-numeric:tabular-nums;margin:4px 0;font-size:95%}}
.bb-box caption{{text-align:left;font-weight:600;padding:3px 0;color:inherit}}
.bb-box th,.bb-box td{{text-align:left!important;padding:3px 12px 3px 0;vertical-align:top;white-space:normal!important;
max-width:none!important;border-bottom:1px solid var(--jp-border-color2,rgba(128,128,128,.35))}}
.bb-good{{border-left-color:{GOOD}}}
.bb-bad{{border-left-color:{BAD}}}
.bb-busy{{border-left-color:{BUSY}}}
.bb-note{{border-left-color:{NOTE}}}
.bb-big{{font-size:200%;font-weight:700;line-height:1.3}}
.bb-strong{{font-weight:700}}
.bb-quiet{{color:var(--jp-content-font-color2,inherit);opacity:.85}}
.bb-row{{display:flex;gap:6px 18px;flex-wrap:wrap;align-items:baseline}}
.bb-add{{background:rgba(0,158,115,.22)}}
.bb-del{{background:rgba(213,94,0,.22)}}
.bb-svg{{display:block;width:100%;max-width:1100px;height:auto;font-family:inherit}}
.bb-svg text{{fill:var(--jp-content-font-color1,currentColor);font-size:11px}}
.bb-svg .g{{stroke:var(--jp-border-color2,rgba(128,128,128,.35));stroke-width:1}}
.bb-form .widget-label,.bb-apply .widget-label{{color:var(--jp-content-font-color1,inherit)}}
.bb-form .widget-html-content,.bb-apply .widget-html-content{{white-space:normal;line-height:1.4}}
.bb-form .bb-help{{color:var(--jp-content-font-color2,inherit);opacity:.9}}
.bb-form .bb-error,.bb-apply .bb-confirm-state{{color:var(--jp-error-color1,#b3261e);font-weight:600}}
.bb-form :focus-visible,.bb-apply :focus-visible{{outline:2px solid var(--jp-brand-color1,{BUSY})!important;outline-offset:1px}}
"""
CSS = Markup(f"<style>{_RULES.replace(chr(10), '')}{PRINTED}</style>")
