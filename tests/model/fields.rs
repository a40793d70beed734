//! Header fields as a plain list of lines, and how their values are read.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::HeaderMap;

/// Lines in order, with names in lower case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fields(pub(crate) Vec<(String, String)>);

impl Fields {
    pub(crate) fn of(headers: &HeaderMap) -> Fields {
        let text = |value: &http::HeaderValue| value.to_str().unwrap().to_owned();
        let lines = headers.iter();
        Fields(lines.map(|(k, v)| (k.to_string(), text(v))).collect())
    }

    pub(crate) fn add(&mut self, name: &str, value: impl Into<String>) {
        self.0.push((name.to_owned(), value.into()));
    }

    pub(crate) fn remove(&mut self, name: &str) {
        self.0.retain(|(other, _)| other != name);
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.first(name).is_some()
    }

    pub(crate) fn first(&self, name: &str) -> Option<&str> {
        let line = self.0.iter().find(|(other, _)| other == name)?;
        Some(&line.1)
    }

    pub(crate) fn lines<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let same = self.0.iter().filter(move |(other, _)| other == name);
        same.map(|(_, value)| value.as_str())
    }

    /// The members of a comma-separated list (RFC 9110 §5.6.1), quoted commas left alone.
    pub(crate) fn members(&self, name: &str) -> Vec<String> {
        let mut members = vec![String::new()];
        for line in self.lines(name) {
            let mut quoted = false;
            for c in line.chars() {
                quoted ^= c == '"';
                if c == ',' && !quoted {
                    members.push(String::new());
                } else {
                    members.last_mut().unwrap().push(c);
                }
            }
            members.push(String::new());
        }
        let trimmed = members.iter().map(|member| member.trim().to_owned());
        trimmed.filter(|member| !member.is_empty()).collect()
    }

    /// The time that the first line tells, in seconds since 1970.
    pub(crate) fn time(&self, name: &str) -> Option<i64> {
        read_date(self.first(name)?)
    }
}

pub(crate) fn read_date(text: &str) -> Option<i64> {
    let time = httpdate::parse_http_date(text).ok()?;
    Some(time.duration_since(UNIX_EPOCH).unwrap().as_secs() as i64)
}

pub(crate) fn write_date(seconds: i64) -> String {
    httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(seconds as u64))
}

pub(crate) fn seconds(time: SystemTime) -> i64 {
    time.duration_since(UNIX_EPOCH).unwrap().as_secs() as i64
}
