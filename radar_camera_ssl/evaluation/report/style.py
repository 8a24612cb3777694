# SPDX-License-Identifier: Apache-2.0
"""How the report looks, and the keys that its pictures answer to."""

from __future__ import annotations

STYLE = """
:root {
  color-scheme: light dark;
  --paper: #fff; --ink: #1b1f23; --faint: #57606a; --line: #d0d7de; --grid: #e4e8ec;
  --panel: #f4f6f8; --mark: #0b5e73; --band: #8cc4d2; --good: #17692e; --bad: #b3261e;
  --count: #cfd6dc; --blind: #9a5b00; --focus: #0b5e73;
}
@media screen and (prefers-color-scheme: dark) {
  :root {
    --paper: #14181c; --ink: #e6eaee; --faint: #a3adb8; --line: #3a424b; --grid: #2a3138;
    --panel: #1d2329; --mark: #6fd3e6; --band: #2f6b78; --good: #7fd694; --bad: #ff9a92;
    --count: #38424c; --blind: #e9b264; --focus: #6fd3e6;
  }
}
* { box-sizing: border-box; }
html { background: var(--paper); color: var(--ink); scroll-behavior: auto; }
body {
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif;
  max-width: 72rem; margin: 0 auto; padding: 1rem; overflow-wrap: break-word;
}
h1 { font-size: 1.7rem; line-height: 1.2; margin: .5rem 0; }
h2 { font-size: 1.3rem; line-height: 1.25; margin: 0 0 .75rem; }
h3 { font-size: 1.05rem; margin: 1.5rem 0 .5rem; }
h4, h5, h6 { font-size: 1rem; margin: 1.25rem 0 .5rem; }
p { margin: .5rem 0; }
small { display: block; font-size: .85rem; color: var(--faint); }
code { font: .88em ui-monospace, "SFMono-Regular", Menlo, Consolas, monospace; }
.digest { overflow-wrap: anywhere; }
a { color: var(--mark); }
a:focus-visible, [tabindex]:focus-visible { outline: 3px solid var(--focus); outline-offset: 2px; }
section { margin-top: 2rem; padding-top: 1.5rem; border-top: 1px solid var(--line); }
section, .open { scroll-margin-top: 1rem; }
.subtitle, footer, caption { color: var(--faint); }
footer { margin: 3rem 0 1rem; font-size: .85rem; }
.good { color: var(--good); font-weight: 600; } .bad { color: var(--bad); font-weight: 600; }
.note { background: var(--panel); border-left: 4px solid var(--mark); padding: .6rem 1rem;
  margin: 1rem 0; }
.note.warn { border-color: var(--bad); }
.note ul { margin: .25rem 0; padding-left: 1.2rem; }
.contents ul { display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; list-style: none;
  margin: 1rem 0; padding: 0; }
.contents a { display: inline-block; padding: .25rem 0; }

.wide { overflow-x: auto; margin: .75rem 0; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
caption { text-align: left; font-size: .85rem; padding-bottom: .25rem; }
th, td { padding: .4rem .6rem; border-bottom: 1px solid var(--line); text-align: left;
  vertical-align: top; }
th { font-weight: 600; }
tbody th { font-weight: 400; }
th:first-child, td:first-child { padding-left: 0; }
.numbers td, .numbers th, .counts :is(td, th):last-child { text-align: right; }
.numbers th:first-child { text-align: left; min-width: 9rem; }
/* More figures than fit side by side: their names stand. */
.upright thead th { vertical-align: bottom; }
.upright thead code { writing-mode: vertical-rl; transform: rotate(180deg); }
.upright td, .upright th { padding: .3rem .4rem; }
.figures { width: 100%; }
.figures tbody th { min-width: 19rem; max-width: 30rem; }
.figures .meaning { margin: .1rem 0; color: var(--ink); }
.figures code { color: var(--faint); }
.value { font-size: 1.25rem; color: var(--mark); white-space: nowrap; }
.interval { white-space: nowrap; }
.verdict { max-width: 8.5rem; margin-left: auto; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .15rem 1rem; margin: .5rem 0; }
dt { color: var(--faint); } dd { margin: 0; }
.card td { min-width: 6.5rem; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; background: var(--panel); padding: 1rem; }
.card { background: var(--panel); padding: .25rem 1rem; margin-top: 1rem; }

figure { margin: 0; }
figure.plot { display: flex; flex-direction: column; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 24rem), 1fr));
  gap: 1.5rem 2rem; }
.plot figcaption { font-size: .9rem; color: var(--faint); }
.plot figcaption strong { color: var(--ink); display: block; font-size: 1rem; }
svg { display: block; }
svg.plot { width: 100%; height: auto; max-width: 32rem; margin-top: auto; }
svg text { font: 11px system-ui, "DejaVu Sans", sans-serif; fill: var(--ink); }
.legend { display: flex; flex-wrap: wrap; gap: .1rem 1rem; list-style: none; padding: 0;
  margin: .25rem 0; font-size: .85rem; }
.legend li { display: flex; align-items: center; gap: .35rem; }
.grid { stroke: var(--grid); fill: none; }
.line { fill: none; stroke-width: 2; } .model { stroke: var(--mark); }
.other { stroke: var(--ink); stroke-width: 1.5; stroke-dasharray: 5 4; }
.step { stroke-width: 3; } .step.other { stroke-width: 2; }
.dots { fill: none; stroke-width: 2.6; stroke-linecap: round; }
.ring { fill: none; stroke: var(--ink); stroke-width: 1.5; }
.count { fill: var(--count); }
svg.chart { width: 9.5rem; }
.scale { display: flex; align-items: center; justify-content: flex-end; gap: .35rem; }
.track { stroke: var(--line); stroke-width: 2; }
.band { stroke: var(--band); stroke-width: 11; }
.dot { stroke: var(--mark); stroke-width: 7; stroke-linecap: round; }
.blind { stroke: var(--blind); stroke-width: 3; }
.oracle { stroke: var(--ink); stroke-width: 1.8; stroke-dasharray: 3 2; }
.reference { stroke: var(--ink); stroke-width: 1.2; }
svg.latency { width: 12.5rem; }
.bar { fill: var(--mark); } .whisker { stroke: var(--mark); stroke-width: 2; fill: none; }

.moments { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 13rem), 1fr));
  gap: 1rem; list-style: none; padding: 0; margin: .5rem 0; }
.moment img { width: 100%; height: auto; display: block; }
.moment figcaption { font-size: .85rem; padding-top: .25rem; }
.moment nav { display: none; }
@media screen {
  .moment:target { position: fixed; inset: 0; z-index: 1; padding: 1rem; background: var(--paper);
    display: grid; grid-template-rows: minmax(0, 1fr) auto auto; justify-items: center;
    gap: .5rem; visibility: visible; }
  .moment:target:focus-visible { outline: none; }
  .moment:target .open { min-height: 0; width: 100%; height: 100%; }
  .moment:target img { width: 100%; height: 100%; object-fit: contain; }
  .moment:target figcaption { font-size: 1rem; text-align: center; }
  .moment:target nav { display: flex; gap: 2rem; }
  .moment:target nav a { padding: .5rem 1rem; }
  /* What lies behind an open picture can be neither scrolled nor reached by Tab. */
  :root:has(.moment:target) { overflow: hidden; }
  body:has(.moment:target) { visibility: hidden; }
}

@media screen and (max-width: 44rem) {
  .figures, .figures tbody, .figures tr, .figures th, .figures td { display: block; }
  .figures thead { display: none; }
  .figures tr { padding: .75rem 0; border-bottom: 1px solid var(--line); }
  .figures th, .figures td { border: 0; padding: .15rem 0; text-align: left; }
  .figures td { display: grid; grid-template-columns: 9rem 1fr; column-gap: .75rem; }
  .figures td::before { content: attr(data-label); color: var(--faint); font-size: .85rem;
    grid-row: 1 / span 3; }
  .figures td > * { grid-column: 2; }
  .figures tbody th { min-width: 0; max-width: none; }
  .scale { justify-content: flex-start; }
  svg.chart { width: 7rem; }
  .verdict { max-width: none; margin-left: 0; }
}

@media print {
  @page { margin: 13mm; }
  html { font-size: 9.5pt; }
  body { font-size: 1rem; max-width: none; padding: 0; }
  .contents, .moment nav { display: none; }
  .wide { overflow: visible; }
  table { width: 100%; }
  .numbers { font-size: 7pt; }
  .figures { font-size: 8.5pt; }
  .figures tbody th { min-width: 15rem; }
  th, td, .upright td, .upright th { padding: .15rem .25rem; }
  tr, figure, li, .note, dl, .numbers:not(.figures), .counts { break-inside: avoid; }
  h2, h3, h4, caption, section > p { break-after: avoid; }
  .plots { grid-template-columns: 1fr 1fr; }
  .moments { grid-template-columns: 1fr 1fr 1fr; }
  .moments li { break-inside: avoid; }
  svg.chart { width: 6.5rem; }
  .card td { min-width: 0; }
  .counts code { overflow-wrap: anywhere; }
  * { print-color-adjust: exact; }
}
"""

# The links do all of it; this adds the keys that one expects of a picture.
SCRIPT = """
addEventListener('keydown', (event) => {
  const open = document.querySelector('.moment:target');
  const way = { Escape: 'close', ArrowRight: 'next', ArrowLeft: 'previous' }[event.key];
  if (!open || !way || event.altKey || event.ctrlKey || event.metaKey) return;
  const link = open.querySelector('.' + way);
  if (!link) return;
  event.preventDefault();
  location.replace(link.href);
});
"""
