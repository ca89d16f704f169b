//! Instants as text, UTC, without a calendar library.

use std::time::{SystemTime, UNIX_EPOCH};

use quorate_core::ids::Millis;

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
// 1970-01-01 was a Thursday.
const WEEKDAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];

/// A broken-down instant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Utc {
    year: i64,
    month: usize,
    day: i64,
    weekday: usize,
    hour: i64,
    minute: i64,
    second: i64,
    milli: i64,
}

impl Utc {
    /// From milliseconds since 1970.
    #[must_use]
    pub fn from_ms(ms: Millis) -> Self {
        let (days, in_day) = (ms.div_euclid(86_400_000), ms.rem_euclid(86_400_000));
        // Days to civil date, counting years from March so that the leap day comes last.
        let shifted = days + 719_468;
        let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
        let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let from_march = (5 * day_of_year + 2) / 153;
        let month = if from_march < 10 { from_march + 2 } else { from_march - 10 };
        Self {
            year: year_of_era + era * 400 + i64::from(month < 2),
            month: usize::try_from(month).unwrap_or(0),
            day: day_of_year - (153 * from_march + 2) / 5 + 1,
            weekday: usize::try_from(days.rem_euclid(7)).unwrap_or(0),
            hour: in_day / 3_600_000,
            minute: in_day / 60_000 % 60,
            second: in_day / 1000 % 60,
            milli: in_day % 1000,
        }
    }
    /// `2026-01-01 12:00:00,000`, as ZooKeeper's log has it.
    #[must_use]
    pub fn log_text(&self) -> String {
        let Self { year, month, day, hour, minute, second, milli, .. } = self;
        format!("{year:04}-{:02}-{day:02} {hour:02}:{minute:02}:{second:02},{milli:03}", month + 1)
    }
    /// `2026-01-01T12:00:00.000Z`.
    #[must_use]
    pub fn iso_text(&self) -> String {
        let Self { year, month, day, hour, minute, second, milli, .. } = self;
        format!("{year:04}-{:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z", month + 1)
    }
    /// `Sat Nov 21 02:38:55 UTC 2026`, as Java prints a date.
    #[must_use]
    pub fn java_text(&self) -> String {
        let Self { year, day, hour, minute, second, .. } = self;
        let (weekday, month) = (WEEKDAYS[self.weekday], MONTHS[self.month]);
        format!("{weekday} {month} {day:02} {hour:02}:{minute:02}:{second:02} UTC {year}")
    }
}

/// Milliseconds since 1970.
#[must_use]
pub fn now_ms() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Millis::try_from(since.as_millis()).unwrap_or(Millis::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        let at = |ms| Utc::from_ms(ms);
        assert_eq!(at(0).java_text(), "Thu Jan 01 00:00:00 UTC 1970");
        assert_eq!(at(1_795_228_735_999).java_text(), "Sat Nov 21 02:38:55 UTC 2026");
        assert_eq!(at(1_795_228_735_999).log_text(), "2026-11-21 02:38:55,999");
        assert_eq!(at(951_782_400_000).iso_text(), "2000-02-29T00:00:00.000Z");
        assert_eq!(at(-1).iso_text(), "1969-12-31T23:59:59.999Z");
        assert_eq!(at(4_107_542_400_000).iso_text(), "2100-03-01T00:00:00.000Z");
    }
}
