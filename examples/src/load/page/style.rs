//! Colours and layout. What is drawn has its colours for light as attributes, so that a picture needs none of this; here they are
//! changed for those who like it dark.

/// From light to dark, colour by colour.
pub(super) const COLOURS: &str = r##"
@media (prefers-color-scheme: dark) {
[fill="#1f2328"] { fill: #e6edf3 } [fill="#57606a"] { fill: #9da7b1 } [fill="#ffffff"] { fill: #0d1117 }
[stroke="#d8dee4"] { stroke: #30363d } [stroke="#57606a"] { stroke: #7d8590 }
[fill="#0072b2"] { fill: #56b4e9 } [stroke="#0072b2"] { stroke: #56b4e9 }
[fill="#d55e00"] { fill: #ff9a52 } [stroke="#d55e00"] { stroke: #ff9a52 }
[fill="#007a5a"] { fill: #3ecf9a } [stroke="#007a5a"] { stroke: #3ecf9a }
}
"##;

/// How the page is laid out: two pictures beside each other where there is room.
pub(super) const LAYOUT: &str = r##"
:root { color-scheme: light dark; --ground: #ffffff; --ink: #1f2328; --faint: #57606a; --line: #d8dee4; --good: #1a7f37; --bad: #cf222e }
@media (prefers-color-scheme: dark) {
:root { --ground: #0d1117; --ink: #e6edf3; --faint: #9da7b1; --line: #30363d; --good: #3fb950; --bad: #ff7b72 }
}
body { margin: 0 auto; padding: 1rem; max-width: 74rem; background: var(--ground); color: var(--ink);
font: 15px/1.45 system-ui, "Segoe UI", "DejaVu Sans", Arial, sans-serif }
h1 { font-size: 1.3rem; margin: 0; overflow-wrap: anywhere }
h2 { font-size: 1rem; margin: 1.4rem 0 .3rem }
header p { margin: .2rem 0 1rem; color: var(--faint) }
main { display: grid; gap: .6rem; grid-template-columns: repeat(auto-fit, minmax(min(100%, 30rem), 1fr)); margin-top: 1rem }
figure { margin: 0; border: 1px solid var(--line); border-radius: 6px; padding: .3rem }
svg { display: block; width: 100%; height: auto }
.wide { overflow-x: auto }
table { border-collapse: collapse; font-variant-numeric: tabular-nums }
th, td { text-align: right; padding: .15rem .7rem .15rem 0; border-bottom: 1px solid var(--line); white-space: nowrap; vertical-align: top }
th { color: var(--faint); font-weight: 600 }
th[scope=row], th:first-child { text-align: left } td.words { text-align: left; white-space: normal; overflow-wrap: anywhere }
.met { color: var(--good) } .missed { color: var(--bad); font-weight: 600 }
code { font: 13px ui-monospace, "DejaVu Sans Mono", monospace; overflow-wrap: anywhere }
code span { display: inline-block; max-width: 100% }
@media (max-width: 36rem) { th[scope=row]:has(+ td.words) { white-space: normal } }
"##;
