//! What a component says of itself in its metrics, as a scraper reads it.

use std::net::SocketAddr;

use crate::process::{ProcessError, exchange};
use crate::stage::get;

/// One series of a scrape: its labels as they are written, and its value.
pub(crate) type Series = (String, f64);

/// The series whose names begin with `name`; what follows it is part of the label text.
pub(crate) fn scrape(address: SocketAddr, name: &str) -> Result<Vec<Series>, ProcessError> {
    let (_, text) = exchange(address, &get(address, "/metrics")).map_err(ProcessError::io("its metrics"))?;
    Ok(read(&text, name))
}

/// The sum of the series that are called exactly `name`.
pub(crate) fn value(address: SocketAddr, name: &str) -> Result<f64, ProcessError> {
    let exact = |(labels, _): &&Series| labels.is_empty() || labels.starts_with('{');
    Ok(scrape(address, name)?.iter().filter(exact).map(|(_, value)| value).sum())
}

fn read(text: &str, name: &str) -> Vec<Series> {
    let lines = text.lines().filter_map(|line| line.strip_prefix(name)?.rsplit_once(' '));
    lines.filter_map(|(labels, value)| Some((labels.to_owned(), value.parse().ok()?))).collect()
}

/// A quantile of a classic histogram in its unit, interpolated within its bucket as `histogram_quantile` does.
pub(crate) fn quantile(buckets: &[Series], q: f64) -> f64 {
    let bound = |labels: &str| labels.split("le=\"").nth(1)?.split('"').next()?.parse::<f64>().ok();
    let buckets: Vec<(f64, f64)> =
        buckets.iter().filter_map(|(labels, count)| Some((bound(labels)?, *count))).collect();
    let rank = q * buckets.last().map_or(0.0, |(_, count)| *count);
    let (mut lower, mut below) = (0.0, 0.0);
    for (upper, count) in buckets {
        if count >= rank && count > below {
            return if upper.is_finite() { lower + (upper - lower) * (rank - below) / (count - below) } else { lower };
        }
        (lower, below) = (upper, count);
    }
    f64::NAN
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_interpolated_within_its_bucket() {
        let buckets = [("{le=\"0.1\"}", 10.0), ("{le=\"0.2\"}", 90.0), ("{le=\"+Inf\"}", 100.0)];
        let buckets = buckets.map(|(labels, count)| (labels.to_owned(), count));
        assert!((quantile(&buckets, 0.5) - 0.15).abs() < 1e-9);
        assert!((quantile(&buckets, 0.99) - 0.2).abs() < 1e-9, "beyond the last bound is at least that");
        assert!(quantile(&[], 0.5).is_nan());
    }

    #[test]
    fn series_are_found_by_the_beginning_of_their_names() {
        let text = "# HELP a_total What.\na_total{x=\"1\"} 2\na_total{x=\"2\"} 3\na_total_more 9\nb_total 4\n";
        let all = read(text, "a_total");
        assert_eq!(all.len(), 3);
        assert_eq!(all[0], ("{x=\"1\"}".to_owned(), 2.0));
        assert_eq!(read(text, "c"), []);
    }
}
