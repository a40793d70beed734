//! Events as lines of JSON: `{"timestamp": …, "level": …, "fields": {…}, "target": …}`.

use std::{
    cell::RefCell,
    fmt,
    io::{self, Write},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    fmt::{FmtContext, FormatEvent, FormatFields, format::Writer},
    registry::LookupSpan,
};

use crate::clock::Clock;

/// The format.
pub(super) struct Json;

/// A line being written.
struct Line<'a> {
    bytes: &'a mut Vec<u8>,
    /// Fields were written already.
    has_fields: bool,
}

/// A second since the epoch, and how it is written.
type Second = (u64, String);

thread_local! {
    static LINE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    static SECOND: RefCell<Second> = const { RefCell::new((u64::MAX, String::new())) };
}

impl<S, N> FormatEvent<S, N> for Json
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        LINE.with_borrow_mut(|bytes| {
            bytes.clear();
            let metadata = event.metadata();
            bytes.extend_from_slice(b"{\"timestamp\":\"");
            timestamp(Clock::system().now(), bytes);
            bytes.extend_from_slice(b"\",\"level\":\"");
            bytes.extend_from_slice(metadata.level().as_str().as_bytes());
            bytes.extend_from_slice(b"\",\"fields\":{");
            let has_fields = false;
            event.record(&mut Line { bytes, has_fields });
            bytes.extend_from_slice(b"},\"target\":");
            text(metadata.target(), bytes);
            bytes.extend_from_slice(b"}\n");
            writer.write_str(std::str::from_utf8(bytes).map_err(|_| fmt::Error)?)
        })
    }
}

impl Line<'_> {
    fn name(&mut self, field: &Field) -> &mut Vec<u8> {
        if self.has_fields {
            self.bytes.push(b',');
        }
        self.has_fields = true;
        text(field.name(), self.bytes);
        self.bytes.push(b':');
        self.bytes
    }
}

impl Visit for Line<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        text(value, self.name(field));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        json(&value, self.name(field));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        json(&value, self.name(field));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        json(&value, self.name(field));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        json(&value, self.name(field));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let bytes = self.name(field);
        let start = bytes.len();
        // As it is, and if that will not do, again as it must be.
        let _ = write!(bytes, "\"{value:?}\"");
        if !bytes[start + 1..bytes.len() - 1].iter().all(is_plain) {
            bytes.truncate(start);
            json(&format!("{value:?}"), bytes);
        }
    }
}

/// A text. Most are plain, and need no serializer.
fn text(value: &str, bytes: &mut Vec<u8>) {
    if !value.as_bytes().iter().all(is_plain) {
        return json(value, bytes);
    }
    bytes.push(b'"');
    bytes.extend_from_slice(value.as_bytes());
    bytes.push(b'"');
}

/// Whether it stands for itself in a text of JSON, in plain ASCII.
fn is_plain(byte: &u8) -> bool {
    matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\')
}

fn json<T: Serialize + ?Sized>(value: &T, bytes: &mut Vec<u8>) {
    // Writing text and numbers to a vector does not fail.
    let _ = value.serialize(&mut Serializer::with_formatter(bytes, Plain));
}

/// JSON in plain ASCII: what else there is in a text is escaped, with all that a terminal, or who
/// splits lines, may heed.
struct Plain;

impl Formatter for Plain {
    fn write_string_fragment<W: io::Write + ?Sized>(
        &mut self,
        to: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let is_odd = |byte: u8| !matches!(byte, b' '..=b'~');
        let mut rest = fragment;
        while let Some(at) = rest.bytes().position(is_odd) {
            let (plain, odd) = rest.split_at(at);
            to.write_all(plain.as_bytes())?;
            let mut odd = odd.chars();
            for unit in odd.next().unwrap_or_default().encode_utf16(&mut [0; 2]) {
                write!(to, "\\u{unit:04x}")?;
            }
            rest = odd.as_str();
        }
        to.write_all(rest.as_bytes())
    }
}

/// RFC 3339, in UTC, to the microsecond. All but the fraction is made once for each second.
fn timestamp(time: SystemTime, bytes: &mut Vec<u8>) {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    SECOND.with_borrow_mut(|(second, text)| {
        if *second != since.as_secs() {
            (*second, *text) = (since.as_secs(), written(since.as_secs()));
        }
        bytes.extend_from_slice(text.as_bytes());
    });
    let mut micros = since.subsec_micros();
    let mut fraction = *b".000000Z";
    for digit in fraction[1..7].iter_mut().rev() {
        *digit += (micros % 10) as u8;
        micros /= 10;
    }
    bytes.extend_from_slice(&fraction);
}

/// `1994-11-06T08:49:37`
fn written(second: u64) -> String {
    const MONTHS: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";
    // `Sun, 06 Nov 1994 08:49:37 GMT`; what is so far off that it has no such form is written as
    // the last that has one.
    let second = second.min(253_402_300_799);
    let date = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(second));
    let month = MONTHS.find(&date[8..11]).map_or(0, |at| at / 3 + 1);
    format!(
        "{}-{month:02}-{}T{}",
        &date[12..16],
        &date[5..7],
        &date[17..25]
    )
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use tracing::{Level, event};

    use super::*;
    use crate::proxy::logging::tests::Written;

    const ODD: &str = "\"\\\n\u{1b}[0m\u{7f}\u{85}\u{9b}\u{2028}\u{2029}\u{202e}é\u{1f980}";

    #[test]
    fn an_event_is_one_line_of_json_whatever_is_in_it() {
        let written = Written::default();
        let logs = tracing_subscriber::fmt()
            .event_format(Json)
            .with_writer(written.clone());
        tracing::subscriber::with_default(logs.finish(), || {
            event!(target: "t", Level::WARN, a = ODD, b = 1u64, c = -1i64, d = 0.5, e = true,
                f = ?Some(1), none = None::<u64>, "said {}", 1);
            event!(target: "t", Level::INFO, "bare");
            event!(target: "t", Level::INFO, "said {ODD}");
        });
        let written = written.text();
        assert!(
            written.chars().all(|c| matches!(c, ' '..='~' | '\n')),
            "{written:?}"
        );
        let lines: Vec<Value> = written
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(lines.len(), 3);
        assert_eq!(
            lines[0]["fields"],
            json!({"message": "said 1", "a": ODD, "b": 1, "c": -1, "d": 0.5, "e": true,
                "f": "Some(1)"})
        );
        assert_eq!(
            (&lines[0]["level"], &lines[0]["target"]),
            (&json!("WARN"), &json!("t"))
        );
        assert_eq!(lines[1]["fields"], json!({"message": "bare"}));
        let said = format!("said {ODD}");
        assert_eq!(lines[2]["fields"], json!({ "message": said }));
    }

    #[test]
    fn times_are_of_rfc_3339() {
        let at = |seconds, micros| {
            let mut bytes = Vec::new();
            let since = Duration::from_secs(seconds) + Duration::from_micros(micros);
            timestamp(UNIX_EPOCH + since, &mut bytes);
            String::from_utf8(bytes).unwrap()
        };
        assert_eq!(at(784_111_777, 1_020), "1994-11-06T08:49:37.001020Z");
        assert_eq!(at(784_111_777, 999_999), "1994-11-06T08:49:37.999999Z");
        assert_eq!(at(1_709_164_800, 0), "2024-02-29T00:00:00.000000Z");
        assert_eq!(at(0, 0), "1970-01-01T00:00:00.000000Z");
    }
}
