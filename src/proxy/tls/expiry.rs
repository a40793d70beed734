//! When a certificate expires (RFC 5280 §4.1.2.5), so that somebody is told before clients are.

use std::{
    path::Path,
    time::{Duration, SystemTime},
};

use rustls::pki_types::CertificateDer;

/// It is told of as long before.
const SOON: Duration = Duration::from_secs(7 * DAY);

const DAY: u64 = 24 * 60 * 60;

const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// What is left of a sequence of values in DER.
struct Der<'a>(&'a [u8]);

/// Logs that the first of `chain` to expire has done so, or will soon.
pub(super) fn tell(file: &Path, chain: &[CertificateDer<'_>], now: SystemTime) {
    let Some(end) = chain.iter().filter_map(|one| of(one)).min() else {
        return;
    };
    let (file, expires) = (file.display(), httpdate::fmt_http_date(end));
    if end < now {
        tracing::warn!(%file, expires, "the certificate has expired");
    } else if end < now + SOON {
        tracing::warn!(%file, expires, "the certificate expires soon");
    }
}

/// The end of its validity; `None` of what is no certificate.
fn of(certificate: &[u8]) -> Option<SystemTime> {
    let mut signed = Der(Der(certificate).value(SEQUENCE)?);
    let mut fields = Der(signed.value(SEQUENCE)?);
    if fields.0.first() == Some(&VERSION) {
        fields.next()?;
    }
    let (_serial, _algorithm, _issuer) = (fields.next()?, fields.next()?, fields.next()?);
    let mut validity = Der(fields.value(SEQUENCE)?);
    let _begin = validity.next()?;
    let (tag, end) = validity.next()?;
    let (year, rest) = match tag {
        GENERALIZED_TIME => (number(end.get(..4)?)?, end.get(4..)?),
        UTC_TIME => match number(end.get(..2)?)? {
            year @ 50.. => (1900 + year, end.get(2..)?),
            year => (2000 + year, end.get(2..)?),
        },
        _ => return None,
    };
    let part = |nth: usize| number(rest.get(2 * nth..2 * nth + 2)?);
    let days = days(year, part(0)?, part(1)?)?;
    let seconds = (part(2)? * 60 + part(3)?) * 60 + part(4)?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(days * DAY + seconds))
}

/// Days from 1970 to a date of the Gregorian calendar, whose years are best begun in March.
fn days(year: u64, month: u64, day: u64) -> Option<u64> {
    if !(1..=12).contains(&month) {
        return None;
    }
    let (year, month) = match month {
        1 | 2 => (year.checked_sub(1)?, month + 9),
        _ => (year, month - 3),
    };
    let leaps = year / 4 - year / 100 + year / 400;
    (year * 365 + leaps + (month * 153 + 2) / 5 + day).checked_sub(719_469)
}

fn number(digits: &[u8]) -> Option<u64> {
    let plain = digits.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(digits)
        .ok()
        .filter(|_| plain)?
        .parse()
        .ok()
}

impl<'a> Der<'a> {
    /// The tag and the content of the next value.
    fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let (&[tag, length], rest) = self.0.split_first_chunk()?;
        let (length, rest) = match length {
            ..0x80 => (usize::from(length), rest),
            // So many bytes of it follow.
            _ => {
                let (bytes, rest) = rest.split_at_checked(usize::from(length & 0x7f).min(5))?;
                let length = bytes.iter().fold(0u64, |sum, b| sum << 8 | u64::from(*b));
                (usize::try_from(length).ok()?, rest)
            }
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((tag, content))
    }

    /// The content of the next value, which must have this tag.
    fn value(&mut self, tag: u8) -> Option<&'a [u8]> {
        self.next()
            .filter(|(is, _)| *is == tag)
            .map(|(_, content)| content)
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    fn valid_until(year: i32, month: u8, day: u8) -> Option<String> {
        let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        params.not_after = date_time_ymd(year, month, day);
        let made = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        of(made.der()).map(httpdate::fmt_http_date)
    }

    #[test]
    fn the_end_is_read_in_both_of_its_forms() {
        for (date, end) in [
            ((1999, 12, 31), "Fri, 31 Dec 1999 00:00:00 GMT"),
            ((2024, 2, 29), "Thu, 29 Feb 2024 00:00:00 GMT"),
            ((2026, 3, 1), "Sun, 01 Mar 2026 00:00:00 GMT"),
            ((2049, 1, 1), "Fri, 01 Jan 2049 00:00:00 GMT"),
            ((2100, 3, 1), "Mon, 01 Mar 2100 00:00:00 GMT"),
        ] {
            let (year, month, day) = date;
            assert_eq!(valid_until(year, month, day).as_deref(), Some(end));
        }
    }

    #[test]
    fn what_is_cut_has_no_end() {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let der = made.cert.der();
        assert!(of(der).is_some());
        assert!((0..der.len()).all(|end| of(&der[..end]).is_none()));
        assert_eq!(of(&[0x30, 0xff, 1, 2, 3, 4, 5, 6]), None);
    }
}
