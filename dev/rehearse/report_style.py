"""How the HTML report looks, in light and dark, and the words that it explains."""

from __future__ import annotations

CSS = """
:root { color-scheme: light dark; --bg: #f5f5f2; --card: #ffffff; --ink: #1b1f24; --soft: #59636e; --line: #dcdfe3;
  --tint: #f0f2f5; --accent: #2f62d8; --accent2: #86a5ec; --good: #14713f; --warn: #8a5700; --bad: #b3261e;
  --goodbg: #e3f4ea; --warnbg: #fdf1d8; --badbg: #fbe6e4; }
@media (prefers-color-scheme: dark) { :root { --bg: #131619; --card: #1c2024; --ink: #e7eaee; --soft: #9ca7b3;
  --line: #343a41; --tint: #252a30; --accent: #86aefc; --accent2: #44669f; --good: #6fd6a0; --warn: #f1c46a;
  --bad: #ff958b; --goodbg: #173326; --warnbg: #3a2f16; --badbg: #41201e; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--bg); color: var(--ink); font: 16px/1.55 system-ui, sans-serif; }
main { max-width: 62rem; margin: 0 auto; padding: 1.5rem 1rem 4rem; }
h1 { font-size: 1.05rem; font-weight: 600; margin: 0; overflow-wrap: anywhere; }
h2 { font-size: 1.25rem; margin: 2.8rem 0 .3rem; }
p { margin: .4rem 0; } .soft { color: var(--soft); } small, .small { font-size: .86rem; }
code, pre { font-family: ui-monospace, Consolas, monospace; font-size: .82rem; }
pre { background: var(--tint); padding: .7rem .8rem; border-radius: 6px; white-space: pre-wrap; overflow-wrap:
  anywhere;
  margin: .3rem 0 .8rem; max-height: 24rem; overflow-y: auto; }
a { color: var(--accent); }
nav { display: flex; flex-wrap: wrap; gap: .3rem 1.1rem; margin-top: 1rem; font-size: .9rem; }
.verdict { background: var(--card); border: 1px solid var(--line); border-left: 8px solid var(--good);
  border-radius: 10px; padding: 1.3rem 1.5rem; margin-top: 1rem; }
.verdict.failed { border-left-color: var(--bad); } .verdict.warning { border-left-color: var(--warn); }
.verdict strong { display: block; font-size: clamp(1.35rem, 4.5vw, 1.9rem); line-height: 1.25; margin-bottom: .5rem; }
.verdict .reason { color: var(--bad); font-weight: 600; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(7rem, 1fr)); gap: .7rem; margin-top: .9rem; }
.tiles div { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: .7rem .9rem; }
.tiles b { display: block; font-size: 1.45rem; font-variant-numeric: tabular-nums; line-height: 1.2; }
.tiles .failed b { color: var(--bad); } .tiles .warning b { color: var(--warn); }
.chip { display: inline-block; border-radius: 99px; padding: .05rem .6rem; font-size: .78rem; font-weight: 600;
  background: var(--goodbg); color: var(--good); white-space: nowrap; }
.chip.failed { background: var(--badbg); color: var(--bad); } .chip.warning { background: var(--warnbg); color:
  var(--warn); }
.chip.skipped { background: var(--tint); color: var(--soft); }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 1rem 1.2rem; margin:
  .8rem 0; }
.card h3 { font-size: 1.02rem; margin: .45rem 0 .3rem; overflow-wrap: anywhere; }
.card dl { margin: .5rem 0; display: grid; grid-template-columns: max-content 1fr; gap: .25rem .9rem; }
.card dt { color: var(--soft); min-width: 8.5rem; } .card dd { margin: 0; overflow-wrap: anywhere; }
pre.copy { user-select: all; cursor: copy; border: 1px dashed var(--line); }
#only:checked ~ .rows .is-passed { display: none; }
.quote { border-left: 3px solid var(--line); padding-left: .8rem; }
details { margin: .35rem 0; } summary { cursor: pointer; color: var(--accent); }
.rows { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: .5rem 1.1rem; }
.row { display: grid; grid-template-columns: 15rem 1fr 9.5rem; gap: .2rem 1rem; align-items: center; padding:
  .42rem 0;
  border-bottom: 1px solid var(--line); }
.row:last-child { border-bottom: 0; } .row > .figures { text-align: right; font-variant-numeric: tabular-nums; }
.row .more { grid-column: 1 / -1; margin: 0; }
svg { display: block; width: 100%; height: 26px; background: var(--tint); border-radius: 4px; }
.span { fill: var(--accent2); opacity: .55; } .cycle { fill: var(--accent); } .cycle.even { fill: var(--accent2); }
.bad { fill: var(--bad); } .density { fill: var(--accent2); }
.median { stroke: var(--ink); vector-effect: non-scaling-stroke; stroke-width: 2px; }
.p95 { stroke: var(--ink); stroke-width: 2px; stroke-dasharray: 3 3; vector-effect: non-scaling-stroke; }
.ticks { position: relative; height: 1.3rem; font-size: .78rem; color: var(--soft); }
.ticks span { position: absolute; transform: translateX(-50%); white-space: nowrap; }
.ticks span:first-child { transform: none; } .ticks span:last-child { transform: translateX(-100%); }
ul.plain { list-style: none; margin: .3rem 0; padding: 0; } ul.plain li { padding: .12rem 0; overflow-wrap:
  anywhere; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; width: 100%; font-size: .92rem; }
th, td { text-align: left; padding: .35rem .7rem .35rem 0; border-bottom: 1px solid var(--line); vertical-align: top;
  overflow-wrap: anywhere; }
dl.words dt { font-weight: 600; margin-top: .7rem; } dl.words dd { margin: 0; color: var(--soft); }
@media (max-width: 42rem) { .row { grid-template-columns: 1fr auto; } .row > :nth-child(2) { grid-row: 2;
  grid-column: 1 / -1; }
  .card dl { grid-template-columns: 1fr; } .card dd { margin-bottom: .4rem; } .verdict { padding: 1rem; } }
@media print { details > * { display: block; } nav { display: none; } pre { max-height: none; } }
"""

GLOSSARY = {
    "SCIM": (
        "A protocol by which one system tells another which users and groups there are: HTTP and JSON, RFC 7643 "
        "and RFC 7644."
    ),
    "Microsoft Entra ID": (
        "Microsoft's directory of an organisation's people (once Azure Active Directory). Its provisioning "
        "service keeps the accounts in applications in step with the directory."
    ),
    "Target": ("The application's SCIM endpoint: the one that was rehearsed against."),
    "Provisioning": (
        "Creating, changing, disabling and deleting accounts in an application without anybody doing it by hand."
    ),
    "Initial and incremental cycle": (
        "At first everybody is provisioned. Then, about every 40 minutes, only what changed since."
    ),
    "Matching": (
        "Before Entra creates an account it searches for it, by userName and then externalId. What it finds it "
        "takes over, and from then on addresses by its id."
    ),
    "Disable and delete": (
        "Who leaves, or loses the application, is disabled (active: false) and stays visible. Thirty days after "
        "the deletion in Entra the account is deleted in the target."
    ),
    "PATCH, legacy and flag dialect": (
        "A PATCH changes parts of an account. By default Entra writes it in a form of its own (capitalised "
        "operations, booleans as strings); with ?aadOptscim062020 in the tenant URL it is nearer to the standard. "
        "Provision on demand uses the first in any case."
    ),
    "Reference": (
        "A value that is another object's id: a user's manager, a group's members. They are written after the objects."
    ),
    "Escrow": (
        "Where an object waits whose last write failed. Entra tries it again after 6, 12 and 24 hours, then "
        "daily, for 28 days."
    ),
    "Quarantine": (
        "Entra has lost its trust in the target: cycles come once a day, and after four weeks the job ends. At "
        "once for refused credentials or a search answered with 404; else when more than 40 % of the exports "
        "fail, judged from 5,000 failures on, or from 40,000 failures on in any case."
    ),
    "Accidental deletion threshold": (
        "Entra withholds all deletions and disablings of a cycle when there are more than an admin allows, until "
        "the admin lets them pass."
    ),
    "Account discovery": (
        "Entra reads all accounts of a target page by page to find those that nobody in the directory has."
    ),
    "Provision on demand": (
        "A button with which an admin provisions one user, or one group of up to five members, at once."
    ),
    "p50, p95": ("Half of the requests took no longer than p50, 95 of 100 no longer than p95."),
}
