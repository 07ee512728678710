//! Which exposition format a scraper gets.

/// An exposition format.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// Prometheus text 0.0.4.
    #[default]
    Text,
    /// OpenMetrics 1.0, with exemplars.
    OpenMetrics,
}

impl Format {
    /// The `Content-Type` of a response in this format.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// The format that an `Accept` header asks for most. Text where it names neither, and where there is no header; equal
/// wishes go to OpenMetrics, which can say more.
pub fn negotiate(accept: Option<&str>) -> Format {
    let Some(accept) = accept else { return Format::Text };
    let (mut text, mut open) = (0_u32, 0_u32);
    for range in accept.split(',') {
        let mut parts = range.split(';').map(str::trim);
        let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
        let parameters: Vec<_> = parts.filter_map(|part| part.split_once('=')).collect();
        let version = parameter(&parameters, "version");
        let wish = parameter(&parameters, "q").map_or(1000, quality);
        match kind.as_str() {
            "application/openmetrics-text" if version.is_none_or(|v| v == "1.0.0" || v == "0.0.1") => {
                open = open.max(wish);
            }
            "text/plain" | "text/*" | "*/*" if version.is_none_or(|v| v == "0.0.4") => text = text.max(wish),
            _ => {}
        }
    }
    if open > 0 && open >= text { Format::OpenMetrics } else { Format::Text }
}

fn parameter<'a>(parameters: &[(&str, &'a str)], name: &str) -> Option<&'a str> {
    let (_, value) = parameters.iter().find(|(key, _)| key.trim().eq_ignore_ascii_case(name))?;
    Some(value.trim().trim_matches('"'))
}

/// A q-value in thousandths; a malformed one counts as no wish at all.
fn quality(text: &str) -> u32 {
    let value: f64 = text.parse().unwrap_or(0.0);
    if (0.0..=1.0).contains(&value) { (value * 1000.0).round() as u32 } else { 0 }
}
