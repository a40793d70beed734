//! HTTP-dates, and seconds that saturate.
//!
//! A cache reads dates without regard to case (RFC 9111 §4.2) and takes no time zone but GMT; of
//! a two-digit year it knows the century only by knowing what time it is now (RFC 9110 §5.6.7).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::HeaderValue;

/// What a number of seconds becomes that is too large (RFC 9111 §1.2.2).
pub(super) const MAX_DELTA: Duration = Duration::from_secs(1 << 31);

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];
const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
const LONG_DAYS: [&str; 7] = [
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
    "Sunday",
];

/// The last second that an HTTP-date can write, of the year 9999.
const LAST: u64 = 253_402_300_799;

/// The time that an HTTP-date means, in any of its three formats (RFC 9110 §5.6.7). A day of the
/// week that does not fit the date is let pass: the rest says it all.
pub(super) fn parse(value: &HeaderValue, now: SystemTime) -> Option<SystemTime> {
    let text = value.as_bytes().trim_ascii();
    imf(text)
        .or_else(|| rfc850(text, now))
        .or_else(|| asctime(text))
}

/// The preferred format of `time`; what it cannot write becomes the nearest that it can.
pub(super) fn format(time: SystemTime) -> HeaderValue {
    let seconds = time
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs().min(LAST));
    let text = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(seconds));
    HeaderValue::try_from(text).expect("an HTTP-date is ASCII")
}

/// Whole seconds from `earlier` to `later`, none if it is the other way round.
pub(super) fn since(later: SystemTime, earlier: SystemTime) -> Duration {
    let passed = later.duration_since(earlier).unwrap_or_default();
    Duration::from_secs(passed.as_secs())
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`
pub(super) fn imf(text: &[u8]) -> Option<SystemTime> {
    let mut input = Input(text);
    input.one_of(&DAYS)?;
    input.literal(", ")?;
    let day = input.number(2)?;
    input.literal(" ")?;
    let month = input.one_of(&MONTHS)?;
    input.literal(" ")?;
    let year = input.number(4)?;
    input.literal(" ")?;
    let second = input.time_of_day()?;
    input.literal(" GMT")?;
    input.end()?;
    time(year, month, day, second)
}

/// `Sunday, 06-Nov-94 08:49:37 GMT`
fn rfc850(text: &[u8], now: SystemTime) -> Option<SystemTime> {
    let mut input = Input(text);
    input.one_of(&LONG_DAYS)?;
    input.literal(", ")?;
    let day = input.number(2)?;
    input.literal("-")?;
    let month = input.one_of(&MONTHS)?;
    input.literal("-")?;
    let short_year = input.number(2)?;
    input.literal(" ")?;
    let second = input.time_of_day()?;
    input.literal(" GMT")?;
    input.end()?;
    // The last year that ends so and is not more than 50 years ahead.
    let latest = year_of(now) + 50;
    let year = latest - (latest - short_year).rem_euclid(100);
    time(year, month, day, second)
}

/// `Sun Nov  6 08:49:37 1994`
fn asctime(text: &[u8]) -> Option<SystemTime> {
    let mut input = Input(text);
    input.one_of(&DAYS)?;
    input.literal(" ")?;
    let month = input.one_of(&MONTHS)?;
    input.literal(" ")?;
    let day = match input.literal(" ") {
        Some(()) => input.number(1)?,
        None => input.number(2)?,
    };
    input.literal(" ")?;
    let second = input.time_of_day()?;
    input.literal(" ")?;
    let year = input.number(4)?;
    input.end()?;
    time(year, month, day, second)
}

/// The time of a day in the Gregorian calendar; `month` counts from 0.
fn time(year: i64, month: usize, day: i64, second_of_day: i64) -> Option<SystemTime> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let february = if leap { 29 } else { 28 };
    let lengths = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    if day < 1 || day > *lengths.get(month)? {
        return None;
    }
    let before: i64 = lengths[..month].iter().sum();
    let days = days_before(year) - days_before(1970) + before + day - 1;
    let seconds = days * 86_400 + second_of_day;
    let distance = Duration::from_secs(seconds.unsigned_abs());
    if seconds < 0 {
        UNIX_EPOCH.checked_sub(distance)
    } else {
        UNIX_EPOCH.checked_add(distance)
    }
}

fn days_before(year: i64) -> i64 {
    let past = year - 1;
    past * 365 + past.div_euclid(4) - past.div_euclid(100) + past.div_euclid(400)
}

/// Near enough for a rule of fifty years.
fn year_of(time: SystemTime) -> i64 {
    let years = time
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs() / 31_556_952);
    1970 + i64::try_from(years).unwrap_or(8029).min(8029)
}

/// What is left of a date being read.
struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn literal(&mut self, text: &str) -> Option<()> {
        let (head, rest) = self.0.split_at_checked(text.len())?;
        head.eq_ignore_ascii_case(text.as_bytes()).then_some(())?;
        self.0 = rest;
        Some(())
    }

    fn one_of(&mut self, names: &[&str]) -> Option<usize> {
        names.iter().position(|name| self.literal(name).is_some())
    }

    fn number(&mut self, digits: usize) -> Option<i64> {
        let (head, rest) = self.0.split_at_checked(digits)?;
        let number = super::list::digits(head)?;
        self.0 = rest;
        i64::try_from(number).ok()
    }

    fn time_of_day(&mut self) -> Option<i64> {
        let hour = self.number(2)?;
        self.literal(":")?;
        let minute = self.number(2)?;
        self.literal(":")?;
        let second = self.number(2)?;
        // 60 is a leap second.
        (hour < 24 && minute < 60 && second <= 60).then_some(hour * 3600 + minute * 60 + second)
    }

    fn end(&self) -> Option<()> {
        self.0.is_empty().then_some(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOVEMBER_1994: u64 = 784_111_777;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn read(text: &str) -> Option<SystemTime> {
        parse(&HeaderValue::from_str(text).unwrap(), at(1_763_800_000)) // 2025
    }

    #[test]
    fn reads_the_three_formats() {
        for text in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
            "SUN, 06 nov 1994 08:49:37 gMT",
            "Mon, 06 Nov 1994 08:49:37 GMT",
        ] {
            assert_eq!(read(text), Some(at(NOVEMBER_1994)), "{text}");
        }
    }

    #[test]
    fn refuses_everything_else() {
        for text in [
            "",
            "0",
            "-1",
            "Sun, 06 Nov 1994 08:49:37 UTC",
            "Sun, 06 Nov 1994 08:49:37 AEST",
            "Sun, 06 Nov 1994 08:49:37 +0000",
            "Sun, 06 Nov 94 08:49:37 GMT",
            "Sun 06 Nov 1994 08:49:37 GMT",
            "Sun, 06  Nov  1994 08:49:37 GMT",
            "Sun, 06-Nov-1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 08.49.37 GMT",
            "Sun, 06 Nov 1994 8:49:37 GMT",
            "Sun, 06 Nov 1994 24:00:00 GMT",
            "Sun, 00 Nov 1994 08:49:37 GMT",
            "Tue, 29 Feb 2023 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:37 GMT, x",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn a_short_year_is_at_most_fifty_years_ahead() {
        let year = |text: &str| year_of(read(text).unwrap());
        assert_eq!(year("Wednesday, 01-Jul-75 00:00:00 GMT"), 2075);
        assert_eq!(year("Thursday, 01-Jul-76 00:00:00 GMT"), 1976);
        assert_eq!(year("Thursday, 18-Aug-50 02:01:18 GMT"), 2050);
    }

    #[test]
    fn the_ends_of_time() {
        assert!(read("Fri, 31 Dec 9999 23:59:60 GMT").is_some());
        assert!(read("Sat, 01 Jan 0000 00:00:00 GMT").unwrap() < UNIX_EPOCH);
        assert_eq!(
            read("Wed, 31 Dec 1969 23:59:59 GMT"),
            UNIX_EPOCH.checked_sub(Duration::from_secs(1))
        );
        assert_eq!(
            format(UNIX_EPOCH - Duration::from_secs(9)),
            "Thu, 01 Jan 1970 00:00:00 GMT"
        );
        assert_eq!(format(at(LAST + 9)), "Fri, 31 Dec 9999 23:59:59 GMT");
        assert_eq!(since(at(5), at(9)), Duration::ZERO);
    }

    proptest! {
        #[test]
        fn round_trips(seconds in 0..=LAST) {
            prop_assert_eq!(parse(&format(at(seconds)), at(0)), Some(at(seconds)));
        }

        #[test]
        fn the_old_formats_say_the_same(seconds in 0..4_102_444_800u64) {
            let new = format(at(seconds));
            let new = new.to_str().unwrap();
            let (year, time) = (&new[12..16], &new[17..25]);
            let (day, month) = (&new[5..7], &new[8..11]);
            let nth = DAYS.iter().position(|name| new.starts_with(name)).unwrap();
            let asctime = format!("{} {month} {:>2} {time} {year}", DAYS[nth], day.trim_start_matches('0'));
            let rfc850 = format!("{}, {day}-{month}-{} {time} GMT", LONG_DAYS[nth], &year[2..]);
            for old in [asctime, rfc850] {
                // A two-digit year is near the present.
                let found = parse(&HeaderValue::try_from(&old).unwrap(), at(seconds));
                prop_assert_eq!(found, Some(at(seconds)), "{}", old);
            }
        }

        #[test]
        fn never_panics(bytes: Vec<u8>, now in 0..u64::from(u32::MAX) * 100) {
            if let Ok(value) = HeaderValue::from_bytes(&bytes) {
                parse(&value, at(now));
            }
        }

        #[test]
        fn never_panics_on_what_looks_like_a_date(text in "[A-Z][a-z]{2,8}, ?[0-9]{2}[ -](Jan|Feb|Nov)[ -][0-9]{2,4} [0-9]{2}:[0-9]{2}:[0-9]{2} GMT") {
            parse(&HeaderValue::from_str(&text).unwrap(), at(0));
        }
    }
}
