//! Where the events go: to standard error, as text for people or as JSON for machines.
//!
//! An event costs its own thread the writing of one line into memory: see [`lines`]. The JSON of a
//! request's line took 22,000 instructions in `tracing_subscriber`'s own format, of which a hit
//! takes 16,000 in all, so [`json`] writes it. Neither form has anything but plain ASCII in it,
//! besides the colours of a terminal: nobody who is logged can forge a line.

use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;

use super::config::{Config, LogFormat};

mod json;
mod lines;
mod text;

/// Sees to it, when it is dropped, that all is written.
#[derive(Debug)]
#[must_use = "what is logged after it is dropped may be lost"]
pub struct Logs {
    _writing: lines::Writing,
}

/// Starts logging for the whole process.
pub fn start(config: &Config) -> Logs {
    let terminal = io::stderr().is_terminal();
    let format = config.log_format.unwrap_or(match terminal {
        true => LogFormat::Text,
        false => LogFormat::Json,
    });
    let (lines, writing) = lines::open(io::stderr());
    let logs = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(filter(&config.log)))
        .with_writer(lines)
        .with_ansi(terminal);
    match format {
        LogFormat::Text => logs.fmt_fields(text::Text).init(),
        LogFormat::Json => logs.event_format(json::Json).init(),
    }
    Logs { _writing: writing }
}

/// What larder says itself, and says once, those below need not say each time: unless the setting
/// names them.
fn filter(setting: &str) -> String {
    let mut filter = setting.to_owned();
    for target in ["fred", "h2"] {
        if !setting.contains(target) && setting != "off" {
            filter.push_str(&format!(",{target}=error"));
        }
    }
    filter
}

#[cfg(test)]
mod tests {
    use std::{
        io::{self, Write},
        sync::{Arc, Mutex},
    };

    use tracing_subscriber::fmt::MakeWriter;

    use super::filter;

    #[test]
    fn what_is_below_says_little_unless_it_is_named() {
        assert_eq!(filter("info"), "info,fred=error,h2=error");
        assert_eq!(filter("warn,h2=trace"), "warn,h2=trace,fred=error");
        assert_eq!(filter("off"), "off");
    }

    /// What was written.
    #[derive(Clone, Default)]
    pub(super) struct Written(Arc<Mutex<Vec<u8>>>);

    impl Written {
        pub(super) fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    impl<'a> MakeWriter<'a> for Written {
        type Writer = Self;

        fn make_writer(&'a self) -> Self {
            self.clone()
        }
    }

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
}
