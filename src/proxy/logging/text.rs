//! The fields of events as text: `said so name=value`, in plain ASCII.
//!
//! `tracing_subscriber` writes what has a `Display` as it is, line ends and all.

use std::fmt::{self, Debug, Write};

use tracing::field::{Field, Visit};
use tracing_subscriber::{
    field::RecordFields,
    fmt::{FormatFields, format::Writer},
};

/// The format.
pub(super) struct Text;

/// A line being written.
struct Line<'w> {
    writer: Writer<'w>,
    has_fields: bool,
    result: fmt::Result,
}

/// Writes what is not plain ASCII escaped.
struct Plain<'a, 'w>(&'a mut Writer<'w>);

impl<'w> FormatFields<'w> for Text {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'w>, fields: R) -> fmt::Result {
        let mut line = Line {
            writer,
            has_fields: false,
            result: Ok(()),
        };
        fields.record(&mut line);
        line.result
    }
}

impl Line<'_> {
    fn field(&mut self, name: &str, value: &dyn Debug) -> fmt::Result {
        if self.has_fields {
            self.writer.write_char(' ')?;
        }
        self.has_fields = true;
        if name != "message" {
            match self.writer.has_ansi_escapes() {
                true => write!(self.writer, "\x1b[3m{name}\x1b[0m\x1b[2m=\x1b[0m")?,
                false => write!(self.writer, "{name}=")?,
            }
        }
        write!(Plain(&mut self.writer), "{value:?}")
    }
}

impl Visit for Line<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        // What other crates log in the older way has fields that say from where.
        if self.result.is_ok() && !field.name().starts_with("log.") {
            self.result = self.field(field.name(), value);
        }
    }
}

impl Write for Plain<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for piece in text.split_inclusive(|c| !matches!(c, ' '..='~')) {
            let end = piece.trim_end_matches(|c| !matches!(c, ' '..='~'));
            self.0.write_str(end)?;
            write!(self.0, "{}", piece[end.len()..].escape_default())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use tracing::{Level, event};

    use super::*;
    use crate::proxy::logging::tests::Written;

    #[test]
    fn an_event_is_one_line_of_plain_ascii_whatever_is_in_it() {
        let odd = "\n\u{1b}[0m\u{7f}\u{85}\u{2028}é";
        for ansi in [false, true] {
            let written = Written::default();
            let logs = tracing_subscriber::fmt()
                .fmt_fields(Text)
                .with_ansi(ansi)
                .without_time()
                .with_writer(written.clone());
            tracing::subscriber::with_default(logs.finish(), || {
                event!(target: "t", Level::WARN, a = odd, b = %odd, c = 1, "said {odd}");
            });
            let text = written.text();
            let escaped = r"\n\u{1b}[0m\u{7f}\u{85}\u{2028}\u{e9}";
            let expected = match ansi {
                false => format!(" WARN t: said {escaped} a=\"{escaped}\" b={escaped} c=1\n"),
                true => format!(
                    "\u{1b}[33m WARN\u{1b}[0m \u{1b}[2mt\u{1b}[0m\u{1b}[2m:\u{1b}[0m said {escaped} \
                     \u{1b}[3ma\u{1b}[0m\u{1b}[2m=\u{1b}[0m\"{escaped}\" \
                     \u{1b}[3mb\u{1b}[0m\u{1b}[2m=\u{1b}[0m{escaped} \
                     \u{1b}[3mc\u{1b}[0m\u{1b}[2m=\u{1b}[0m1\n"
                ),
            };
            assert_eq!(text, expected);
        }
    }
}
