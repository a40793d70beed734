//! A bar for each server, as SVG that is legible on light and on dark.

use std::fmt::Write;

/// A plot of figures, of which less is better.
pub(crate) fn bars(title: &str, unit: &str, bars: &[(String, f64)]) -> String {
    const WIDTH: u32 = 720;
    const LEFT: u32 = 200;
    const ROW: u32 = 30;
    const TOP: u32 = 50;
    let most = bars
        .iter()
        .map(|bar| bar.1)
        .fold(f64::MIN_POSITIVE, f64::max);
    let height = TOP + ROW * bars.len() as u32 + 10;
    let mut out = format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="system-ui, sans-serif" font-size="14" role="img" aria-label="{title}">
<style>
  text {{ fill: #24292f }} .own {{ fill: #c2571a }} .other {{ fill: #7d8590 }}
  @media (prefers-color-scheme: dark) {{ text {{ fill: #d1d7de }} }}
</style>
<text x="10" y="26" font-size="16" font-weight="600">{title}</text>
"##
    );
    for (n, (name, value)) in bars.iter().enumerate() {
        let y = TOP + ROW * n as u32;
        let length = value / most * f64::from(WIDTH - LEFT - 100);
        let class = if name.starts_with("larder") {
            "own"
        } else {
            "other"
        };
        let _ = writeln!(
            out,
            r#"<text x="{}" y="{}" text-anchor="end">{name}</text><rect class="{class}" x="{LEFT}" y="{y}" width="{length:.1}" height="20" rx="2"/><text x="{:.1}" y="{}">{value:.1} {unit}</text>"#,
            LEFT - 10,
            y + 15,
            f64::from(LEFT) + length + 8.0,
            y + 15,
        );
    }
    out + "</svg>\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_bar_has_the_largest_figure() {
        let svg = bars(
            "T",
            "µs",
            &[("larder".to_owned(), 10.0), ("nginx".to_owned(), 20.0)],
        );
        assert!(
            svg.contains(r#"class="own" x="200" y="50" width="210.0""#),
            "{svg}"
        );
        assert!(
            svg.contains(r#"class="other" x="200" y="80" width="420.0""#),
            "{svg}"
        );
        assert!(svg.ends_with("</svg>\n"));
    }
}
