//! Functions of a time, in UTC.

/// A day and a time of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Civil {
    year: i64,
    month: i64,
    day: i64,
    /// Days since 1970-01-01.
    days: i64,
    seconds: i64,
}

/// The civil date of Unix seconds: years begin in March, so that the leap day is their last.
fn civil(unix: i64) -> Civil {
    let (days, seconds) = (unix.div_euclid(86_400), unix.rem_euclid(86_400));
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era * 400 + i64::from(month <= 2);
    Civil { year, month, day, days, seconds }
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 => 28 + i64::from(is_leap(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// The function of this name.
pub(super) fn function(name: &str) -> Option<fn(f64) -> f64> {
    macro_rules! of {
        ($part:expr) => {
            |unix| {
                let part: fn(Civil) -> i64 = $part;
                part(civil(unix as i64)) as f64
            }
        };
    }
    Some(match name {
        "year" => of!(|civil| civil.year),
        "month" => of!(|civil| civil.month),
        "day_of_month" => of!(|civil| civil.day),
        "day_of_week" => of!(|civil| (civil.days + 4).rem_euclid(7)),
        "day_of_year" => {
            of!(|civil| (1..civil.month).map(|month| days_in_month(civil.year, month)).sum::<i64>() + civil.day)
        }
        "days_in_month" => of!(|civil| days_in_month(civil.year, civil.month)),
        "hour" => of!(|civil| civil.seconds / 3600),
        "minute" => of!(|civil| civil.seconds / 60 % 60),
        _ => return None,
    })
}
