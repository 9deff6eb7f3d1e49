"""The frame of the HTML report: its style sheet and its head.

The content policy forbids scripts and any fetch, so a report can be mailed and opened anywhere.
"""

from __future__ import annotations

import html

_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"

_STYLE = """
:root { color-scheme: light dark; --ground: #f5f6f8; --card: #fff; --ink: #1b1e23; --soft: #565d68;
  --line: #d3d7dd; --accent: #1a63a0; --good: #17683a; --bad: #a82a10; --warn: #7a5600; --mark: #e9f2fa; }
@media (prefers-color-scheme: dark) { :root { --ground: #101317; --card: #191d23; --ink: #e8eaed;
  --soft: #a9b1bc; --line: #383f49; --accent: #7db8ea; --good: #6fd096; --bad: #ff9b80; --warn: #e6bd55;
  --mark: #1d2c3a; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
main, header, footer { max-width: 1180px; margin: 0 auto; padding: 0 20px; }
header { padding-top: 28px; } footer { padding-bottom: 40px; color: var(--soft); font-size: 14px; }
h1 { font-size: 26px; line-height: 1.2; margin: 0 0 4px; } h2 { font-size: 20px; margin: 40px 0 4px; }
h3 { font-size: 17px; margin: 28px 0 2px; }
p { margin: 4px 0 12px; max-width: 75ch; } .soft { color: var(--soft); }
a { color: var(--accent); } :focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
nav ul { display: flex; flex-wrap: wrap; gap: 2px 18px; list-style: none; margin: 8px 0 0; padding: 0; }
nav a { display: inline-block; padding: 4px 0; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 18px 20px; }
.verdict { margin-top: 18px; border-left: 6px solid var(--warn); }
.verdict.ship { border-left-color: var(--good); } .verdict.stop { border-left-color: var(--bad); }
.verdict h2 { margin: 0 0 10px; font-size: 23px; } .verdict li { margin: 3px 0; max-width: 85ch; }
.verdict ul { margin: 0; padding-left: 20px; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 12px;
  margin: 14px 0 0; }
.tiles div { background: var(--mark); border-radius: 8px; padding: 10px 14px; }
.tiles dt { color: var(--soft); font-size: 14px; } .tiles dd { margin: 0; font-size: 14px; }
.tiles b { display: block; font-size: 25px; line-height: 1.25; font-variant-numeric: tabular-nums; }
.scroll { overflow-x: auto; padding: 0; position: relative; }
table { border-collapse: collapse; width: 100%; font-size: 15px; font-variant-numeric: tabular-nums; }
th, td { padding: 5px 14px; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--line); }
th:first-child { text-align: left; position: sticky; left: 0; background: var(--card); font-weight: 400; }
thead th, tbody th[colspan] { font-weight: 600; } thead th { vertical-align: bottom; }
tbody th[colspan] { padding-top: 16px; color: var(--soft); }
.chosen { background: var(--mark); } thead .chosen { border-top: 4px solid var(--good); }
tr:last-child > * { border-bottom: 0; }
.pass, .right { color: var(--good); } .fail, .wrong { color: var(--bad); } .unmeasured { color: var(--warn); }
.pass, .fail, .wrong { font-weight: 600; }
.figures { columns: 2; column-gap: 18px; margin-top: 12px; }
.figures figure { margin: 0 0 18px; break-inside: avoid; } .figures .card { padding: 14px 14px 6px; }
figcaption { font-size: 14px; } .figures figcaption { margin-bottom: 8px; }
.figures figcaption b { display: block; font-size: 16px; }
svg.figure { display: block; width: 100%; height: auto; } svg.figure * { stroke-linejoin: round; }
.pictures { display: grid; grid-template-columns: repeat(auto-fill, minmax(440px, 1fr)); gap: 16px;
  margin-top: 10px; }
.pictures figure { margin: 0; padding: 10px; } .views { display: flex; gap: 6px; }
.views div { flex: 1 1 0; min-width: 0; font-size: 13px; color: var(--soft); overflow-wrap: anywhere; }
.views img { display: block; width: 100%; height: auto; border-radius: 5px; background: var(--line); }
.pictures figcaption { margin-top: 6px; overflow-wrap: anywhere; } .pictures figcaption b { display: block; }
.legend { display: flex; align-items: center; gap: 10px; flex-wrap: wrap; font-size: 14px; }
.legend img { border-radius: 4px; max-width: 100%; }
dl.words { margin: 8px 0; display: grid; grid-template-columns: minmax(130px, max-content) 1fr;
  gap: 6px 20px; }
dl.words dt { font-weight: 600; } dl.words dd { margin: 0; max-width: 75ch; overflow-wrap: anywhere; }
@media (max-width: 820px) { .figures { columns: 1; } }
@media (max-width: 620px) { main, header, footer { padding: 0 12px; } header { padding-top: 18px; }
  .card { padding: 14px; } .pictures { grid-template-columns: minmax(0, 1fr); }
  .tiles { grid-template-columns: 1fr 1fr; } .tiles b { font-size: 21px; } th, td { padding: 5px 9px; }
  table { font-size: 14px; } .scroll { padding: 0; } .figures .card { padding: 12px 8px 4px; }
  dl.words { grid-template-columns: 1fr; gap: 0; } dl.words dd { margin-bottom: 10px; } }
@media print { body { background: #fff; } .card, figure { break-inside: avoid; } nav { display: none; } }
"""


def page(title: str, body: str) -> str:
    """A whole HTML document; `title` is escaped here, `body` is markup."""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="referrer" content="no-referrer">\n'
        f"<title>{html.escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n"
        f"<body>\n{body}\n</body>\n</html>\n"
    )
